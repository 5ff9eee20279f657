/** The other ways out of a search or a talk, and what the one who stays is told. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

/** A partner whose page is gone is given up after this long. */
const RESUME_WINDOW = { DUOLOGUE_SESSION_RESUME_WINDOW_MS: "1000" };

test("ways out", async (t) => {
  const server = await startServer(t, RESUME_WINDOW);
  const browser = await chromium(t);
  const arrive = async () => {
    const person = await Person.arrive(browser, server.url);
    await person.goInAsGuest();
    return person;
  };
  const ann = await arrive();

  await t.test("a search can be stopped, and does not go on in secret", async () => {
    await ann.clicks("find");
    await ann.sees("waiting");
    await ann.clicks("cancel");
    await ann.sees("find");
    const ben = await arrive();
    await ben.clicks("find");
    await ben.sees("waiting");
    await ann.clicks("find");
    await Promise.all([ann.sees("partner"), ben.sees("partner")]);
    await ben.clicks("leave");
    await ann.sees("ended");
    await ben.goes();
  });

  await t.test("who skips looks on at once; the other is told", async () => {
    const ben = await arrive();
    await meet(ann, ben);
    await ann.clicks("skip");
    await ann.sees("waiting");
    await ben.reads(/They moved on\. Find someone else\?/u);
    await ann.clicks("cancel");
    await ann.sees("find");
    await ben.goes();
  });

  await t.test("who logs out is gone at once", async () => {
    const ben = await arrive();
    await meet(ann, ben);
    await ben.clicks("logout");
    await ben.sees("guest");
    await ann.reads(/They left\. Find someone else\?/u);
    await ben.goes();
  });

  await t.test("whose window closes is waited for, and then given up", async () => {
    const ben = await arrive();
    await meet(ann, ben);
    const seen = await ann.listensFor(/^Reconnecting$/u);
    await ben.goes();
    await ann.reads(/Their connection did not come back\. Find someone else\?/u);
    assert.notDeepEqual(await seen(), [], "Never said that the partner reconnects.");
    await ann.isPictured("partings-disconnected");
  });

  assert.deepEqual(ann.complaints, []);
});
