/** Two strangers in two different browsers, each over WebTransport. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

/** Those who just left each other meet again only when nobody else came for a while: let that be short. */
const SOON = { DUOLOGUE_MATCHING_WIDER_AFTER_MS: "500", DUOLOGUE_MATCHING_ANYONE_AFTER_MS: "1000" };

test("Chromium talks with Firefox, both over WebTransport", async (t) => {
  const server = await startServer(t, SOON);
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, server.url);
  const ben = await Person.arrive(right, server.url);
  const both = [ann, ben];
  const picture = (name) => Promise.all([ann.isPictured(`${name}-chromium`), ben.isPictured(`${name}-firefox`)]);

  await t.test("both go in as guests and find each other", async () => {
    await picture("talk-1-welcome");
    await Promise.all(both.map((person) => person.goInAsGuest()));
    await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
    await picture("talk-2-find");
    await ann.clicks("find");
    await ann.sees("waiting");
    await ann.isPictured("talk-3-waiting-chromium");
    await ben.clicks("find");
    await Promise.all(both.map((person) => person.sees("partner")));
    await Promise.all(both.map((person) => person.sees("status", "Online")));
    assert.notEqual(await ann.text("partner"), await ben.text("partner"));
    await picture("talk-4-matched");
  });

  await t.test("typing shows, and stops with the message", async () => {
    await ann.types("composer", "hello from Chromium");
    await ben.sees("typing");
    await ben.isPictured("talk-5-typing-firefox");
    await ann.presses("Enter");
    await ben.seesMessage("hello from Chromium", { mine: false });
    await ben.seesNo("typing");
  });

  await t.test("messages arrive both ways and are ticked as delivered", async () => {
    await ann.seesMessage("hello from Chromium", { mine: true, state: "delivered" });
    await ben.says("hello from Firefox");
    await ann.seesMessage("hello from Firefox", { mine: false });
    await ben.seesMessage("hello from Firefox", { mine: true, state: "delivered" });
    await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
    await picture("talk-6-messages");
  });

  await t.test("what one clears is gone for both", async () => {
    await ann.clicks("clear");
    await ann.reads(/Clear the messages\?/u);
    await ann.isPictured("talk-7-clear-chromium");
    await ann.confirms();
    await ann.reads(/You cleared the messages\./u);
    await ben.reads(/cleared the messages\./u);
    assert.equal(await ann.count("message"), 0);
    assert.equal(await ben.count("message"), 0);
  });

  await t.test("one leaves, the other is told, and they can find each other again", async () => {
    await ann.clicks("leave");
    await ann.sees("find");
    await ben.sees("ended");
    await ben.reads(/They left\. Find someone else\?/u);
    await picture("talk-8-left");
    await meet(ben, ann);
    await ben.says("again");
    await ann.seesMessage("again", { mine: false });
    await ben.seesMessage("again", { mine: true });
  });

  for (const person of both) assert.deepEqual(person.complaints, []);
});
