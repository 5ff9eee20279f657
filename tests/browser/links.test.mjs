/** The panel of the link: by hand and by keyboard, and what its buttons do to a talk, which is nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { DESKTOP, PHONE, Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";
import { ROOM_TO_WRITE, bothWrite } from "./support/talk.mjs";

/** A better door is looked for again each two seconds while something waits for an answer. */
const BACK_WITHIN_MS = 30_000;
const STILL = { "prefers-reduced-motion": "reduce" };
/** Whichever door was quicker to open again. */
const MENDED = /(?:after a break|was cut off)\. Nothing was lost\./u;
const GONE = /They left|did not come back|has ended|^Gone$/u;

test("the panel opens and closes by keyboard and by mouse", async (t) => {
  const server = await startServer(t);
  for (const browser of [await chromium(t), await firefox(t)]) {
    const ann = await Person.arrive(browser, server.url);
    await ann.goInAsGuest();
    await ann.sees("rtt");
    await ann.focuses("link");
    await ann.presses("Enter");
    await ann.sees("link-panel");
    assert.equal(await ann.focused(), "link-panel");
    await ann.reads(/Over WebTransport/u);
    await ann.reads(/In use since .+, for \d+ s\./u);
    await ann.presses("Tab");
    await ann.presses("Enter");
    await ann.seesNo("link-panel");
    assert.equal(await ann.focused(), "link");

    await ann.clicks("link");
    await ann.sees("link-panel");
    await ann.presses("Escape");
    await ann.seesNo("link-panel");
    assert.equal(await ann.focused(), "link");

    await ann.clicks("link");
    await ann.sees("link-panel");
    await ann.clicks("link");
    await ann.seesNo("link-panel");

    await ann.clicks("link");
    await ann.sees("link-panel");
    await ann.clicks("interests");
    await ann.seesNo("link-panel");
    assert.equal(await ann.focused(), "interests", "Closing the panel took the focus from where it went.");
    assert.deepEqual(ann.complaints, []);
    await ann.goes();
  }
});

test("links are cut and doors are forced while both write", async (t) => {
  const server = await startServer(t, ROOM_TO_WRITE);
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, server.url, { media: STILL });
  const ben = await Person.arrive(right, server.url);
  const both = [ann, ben];
  await Promise.all(both.map((person) => person.goInAsGuest()));
  await meet(ann, ben);
  await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
  for (const person of both) {
    await person.clicks("link");
    await person.unfolds("For developers");
  }
  const farewells = await Promise.all(both.map((person) => person.listensFor(GONE)));
  const talk = bothWrite(ann, ben);
  await talk.arrive();

  await t.test("a link that is cut is made again", async () => {
    await Promise.all(both.map((person) => person.clicks("cut-link")));
    await Promise.all(both.map((person) => person.reads(MENDED)));
    await talk.arrive();
    await ann.isPictured("links-1-cut");
  });

  await t.test("both are moved to WebSocket", async () => {
    await Promise.all(both.map((person) => person.clicks("force-websocket")));
    await Promise.all(both.map((person) => person.sees("door", "WebSocket")));
    await ann.reads(/Over WebSocket/u);
    await talk.arrive();
    for (const person of both) assert.deepEqual(await person.pressed(), ["force-websocket"]);
    await Promise.all([ann.isPictured("links-2-websocket-chromium"), ben.isPictured("links-2-websocket-firefox")]);
  });

  await t.test("one is moved back to WebTransport, the other stays", async () => {
    await ann.clicks("force-webtransport");
    await ann.sees("door", "WebTransport");
    await talk.arrive();
    await ben.sees("door", "WebSocket");
    assert.deepEqual(await ann.pressed(), ["force-webtransport"]);
    await ann.isPictured("links-3-webtransport");
  });

  await t.test("left to itself, the other goes back too", async () => {
    await ben.clicks("use-auto");
    await ben.sees("door", "WebTransport", BACK_WITHIN_MS);
    await ben.sees("notice", "Back on WebTransport.");
    await talk.arrive();
    assert.deepEqual(await ben.pressed(), ["use-auto"]);
  });

  await talk.stop();
  for (const said of farewells) assert.deepEqual(await said(), []);
  for (const person of both) assert.deepEqual(person.complaints, []);
});

test("the panel fits its window", async (t) => {
  const server = await startServer(t);
  const browser = await chromium(t);
  for (const [size, view] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    for (const scheme of ["light", "dark"]) {
      const name = `${size}-${scheme}`;
      await t.test(name, async () => {
        const ann = await Person.arrive(browser, server.url, { view, media: { "prefers-color-scheme": scheme, ...STILL } });
        const ben = await Person.arrive(browser, server.url);
        const fits = async (what) => {
          await ann.isPictured(`links-${name}-${what}`);
          assert.deepEqual(await ann.sticksOut(), []);
        };
        await Promise.all([ann, ben].map((person) => person.goInAsGuest()));
        await meet(ann, ben);
        await ann.says("Shall we see what happens if I pull the plug?");
        await ben.seesMessage("Shall we see what happens if I pull the plug?", { mine: false });
        await ann.sees("rtt");
        await ann.clicks("link");
        await fits("1-panel");
        await ann.unfolds("For developers");
        await ann.clicks("force-websocket");
        await ann.sees("door", "WebSocket");
        await ann.clicks("cut-link");
        await ann.reads(MENDED);
        await ann.clicks("force-webtransport");
        await ann.sees("door", "WebTransport");
        await fits("2-moves");
        for (const person of [ann, ben]) assert.deepEqual(person.complaints, []);
        await Promise.all([ann.goes(), ben.goes()]);
      });
    }
  }
});
