/** How calls end, and how they do not begin: what each side is told, and that nothing of it goes on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Caller, call, gone, hangUp, meet, spied } from "./support/calls.mjs";
import { Person } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

const RING_MS = 3_000;
const SETTINGS = {
  DUOLOGUE_CALLS_RING_MS: String(RING_MS),
  // A partner whose page is gone is given up after this long.
  DUOLOGUE_SESSION_RESUME_WINDOW_MS: "1000",
};

test("ways out of a call", async (t) => {
  const server = await startServer(t, SETTINGS);
  const browser = await chromium(t);
  const arrive = () => Caller.arrive(browser, server.url);
  const [ann, ben] = await Promise.all([arrive(), arrive()]);
  const both = [ann, ben];
  const ring = async (one, other, kind = "video") => {
    await one.person.clicks(`call-${kind}`);
    await one.sees("ringing-out");
    await other.sees("ringing-in");
  };
  const over = () => Promise.all(both.map(gone));
  await meet(ann, ben);

  await t.test("it is declined", async () => {
    await ring(ann, ben);
    await ben.person.clicks("call-decline");
    await ann.person.reads(/does not want a call now\./u);
    await over();
    assert.deepEqual((await Promise.all(both.map((one) => one.counts()))).map(({ connections }) => connections.length), [0, 0]);
  });

  await t.test("nobody answers", async (t) => {
    const from = performance.now();
    await ring(ben, ann, "audio");
    await ben.person.reads(/did not answer\./u);
    const took = performance.now() - from;
    t.diagnostic(`after ${Math.round(took)} ms of ${RING_MS}`);
    assert.ok(took >= RING_MS && took < RING_MS + 2_000, `after ${took} ms`);
    await ann.person.reads(/Missed call/u);
    await over();
  });

  await t.test("the one who rings does not wait", async () => {
    await ring(ann, ben);
    await ann.person.clicks("call-end");
    await over();
    await ben.person.seesNo("call-accept");
  });

  for (const [first, second] of [both, [ben, ann]]) {
    await t.test(`${first === ann ? "the one who rang" : "the other"} hangs up`, async () => {
      await call(ann, ben, "video");
      await Promise.all(both.map((one) => one.hears()));
      await hangUp(first, second);
      // The devices are free again.
      for (const one of both) assert.deepEqual(await one.live(), []);
    });
  }

  await t.test("the other skips: the call is over, and the talk", async () => {
    await call(ann, ben, "video");
    await Promise.all(both.map((one) => one.hears()));
    await ben.person.clicks("skip");
    await ann.person.reads(/They moved on\. Find someone else\?/u);
    await over();
    for (const one of both) assert.deepEqual(await one.live(), []);
    await ben.person.clicks("cancel");
    await ben.person.sees("find");
  });

  await t.test("the other's tab closes: the call is over with the talk", async () => {
    const cat = await arrive();
    await ann.person.clicks("find");
    await cat.person.clicks("find");
    await Promise.all([ann, cat].map(({ person }) => person.sees("partner")));
    await call(cat, ann, "video");
    await ann.hears();
    await cat.person.goes();
    await ann.person.reads(/Their connection did not come back\. Find someone else\?/u);
    await gone(ann);
    assert.deepEqual(await ann.live(), []);
  });

  for (const { person } of both) assert.deepEqual(person.complaints, []);
});

test("who is in a call in one window is busy in another", async (t) => {
  const server = await startServer(t, SETTINGS);
  const browser = await chromium(t);
  const kim = { username: "Kim", email: "kim@example.org", password: "a good long one" };
  /** A window of Kim's. @param {"register" | "login"} how */
  const opens = async (how) => {
    const { opened: person, page } = await spied(browser, (one) => Person.arrive(one, server.url));
    await person.clicks(how);
    const { username, ...known } = kim;
    for (const [field, value] of Object.entries(how === "login" ? known : { username, ...known })) await person.types(field, value);
    await person.clicks("submit");
    await person.sees("find");
    return new Caller(page, person);
  };
  const [first, ann, ben] = await Promise.all([opens("register"), Caller.arrive(browser, server.url), Caller.arrive(browser, server.url)]);
  const second = await opens("login");
  await meet(first, ann);
  await call(ann, first, "audio");
  await meet(second, ben);

  await ben.person.clicks("call-audio");
  await ben.person.reads(/Kim is in another call\./u);
  await gone(ben);
  // Nobody was disturbed.
  assert.equal(await second.person.count("call"), 0);
  await first.hears({ video: false });

  // The line is free again.
  await hangUp(ann, first);
  await call(ben, second, "audio");
  await Promise.all([ben, second].map((caller) => caller.hears({ video: false })));
  await hangUp(second, ben);
  for (const { person } of [first, second, ann, ben]) assert.deepEqual(person.complaints, []);
});
