/** A page written against the original's documentation alone, beside the demo. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Visitor, serveOriginal } from "./support/original.mjs";
import { Person } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

const OUT = path.resolve(import.meta.dirname, "out");
const VIEW = { width: 900, height: 700 };

test("a client of the original API talks with the demo over WebTransport", async (t) => {
  const page = await serveOriginal();
  t.after(() => page.stop());
  const server = await startServer(t, { CORS_ORIGIN: page.url });
  const [left, right] = await Promise.all([chromium(t), chromium(t)]);
  const old = await Visitor.arrive(left, page.url, server.url, VIEW);
  const ann = await Person.arrive(right, server.url, { view: VIEW });

  let guest;

  await t.test("they register, go in, and find each other", async () => {
    await old.registers("Jonas");
    await ann.goInAsGuest();
    await ann.sees("door", "WebTransport");
    await old.clicks("#match");
    await ann.clicks("find");
    await ann.sees("partner", "Jonas");
    guest = await old.reads("#status", /^You are talking with (.+)\.$/u);
  });

  await t.test("both write", async () => {
    await old.says("Hello from the old page");
    await ann.seesMessage("Hello from the old page", { mine: false });
    await ann.says("Hello from the new one");
    await old.seesMessage("Hello from the new one", "theirs");
    await ann.seesMessage("Hello from the new one", { mine: true, state: "delivered" });
    await old.says("Nothing of mine had to change");
    await ann.seesMessage("Nothing of mine had to change", { mine: false });
    await mkdir(OUT, { recursive: true });
    await Promise.all([old.isPicturedAs(path.join(OUT, "original-client.png")), ann.isPictured("original-client-demo")]);
  });

  await t.test("a file that is only described is a line, and a link to this site only", async () => {
    await old.emits({ type: "file", content: { name: "far.png", size: 2048, url: "https://files.example/far.png" } });
    await ann.seesMessage("File: far.png (2\u00a0KB)", { mine: false });
    await old.emits({ type: "voice", content: { name: "near.webm", url: `${server.url}/api/files/00000000000000000000000000000000` } });
    await ann.seesMessage("Voice note: near.webm", { mine: false });
    await old.emits({ type: "file", content: "holiday.jpg" });
    await ann.seesMessage("File: holiday.jpg", { mine: false });
    assert.deepEqual(await ann.links(), [`${server.url}/api/files/00000000000000000000000000000000`]);
  });

  await t.test("a file from the demo is a link that is good once", async () => {
    const file = path.resolve(import.meta.dirname, "../../README.md");
    await ann.attaches(file);
    const [status, length] = await old.fetchesFile();
    assert.equal(status, 200);
    assert.ok(length > 1000);
    await ann.seesFile("README.md", "complete");
    assert.equal((await old.fetchesFile())[0], 404);
  });

  await t.test("what one clears is gone for both, both ways", async () => {
    await old.clicks("#clear");
    await ann.reads(/Jonas cleared the messages\./u);
    assert.equal(await ann.count("message"), 0);
    await ann.says("one more");
    await old.seesMessage("one more", "theirs");
    await ann.clicks("clear");
    await ann.confirms();
    await old.counts(0);
  });

  await t.test("one leaves, and the other is told", async () => {
    await ann.clicks("leave");
    await ann.sees("find");
    assert.equal(await old.reads("#status", /^(.+) is gone\.$/u), guest);
  });

  for (const { complaints } of [old, ann]) assert.deepEqual(complaints, []);
});
