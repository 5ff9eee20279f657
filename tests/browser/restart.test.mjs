/** The server goes away in the middle of a talk and comes back: people are told so in words, and go on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

test("a server that restarts", async (t) => {
  const server = await startServer(t);
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, server.url);
  const ben = await Person.arrive(right, server.url);
  const both = [ann, ben];
  await Promise.all(both.map((person) => person.goInAsGuest()));
  await meet(ann, ben);
  await ann.says("hello");
  await ben.seesMessage("hello", { mine: false });
  const codes = await Promise.all(both.map((person) => person.listensFor(/\b4\d{3}\b|draining|link-lost|unavailable/u)));

  await t.test("while it is away, both are told that the page reconnects", async () => {
    await server.halt();
    for (const person of both) {
      await person.reads(/Reconnecting/u);
      await person.reads(/What you write is kept and sent\./u);
    }
    await ann.says("are you there?");
    await ann.seesMessage("are you there?", { mine: true, state: "sending" });
    await Promise.all([ann.isPictured("restart-1-away-chromium"), ben.isPictured("restart-1-away-firefox")]);
  });

  await t.test("when it is back, both are told that the talk ended, and talk again", async () => {
    await server.resume();
    await Promise.all(both.map((person) => person.sees("ended")));
    await ann.seesMessage("are you there?", { mine: true, state: "failed" });
    await ann.reads(/Not delivered: the talk ended first\./u);
    await Promise.all([ann.isPictured("restart-2-back-chromium"), ben.isPictured("restart-2-back-firefox")]);
    await meet(ann, ben);
    await ben.says("here I am");
    await ann.seesMessage("here I am", { mine: false });
    await ben.seesMessage("here I am", { mine: true });
    await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
  });

  for (const said of codes) assert.deepEqual(await said(), []);
  for (const person of both) assert.deepEqual(person.complaints, []);
});
