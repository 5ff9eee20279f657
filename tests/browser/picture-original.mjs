/** Makes docs/original-client.png: a client of the original API beside the demo. `node tests/browser/picture-original.mjs`. */

import { readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { launchChromium } from "./support/browsers.mjs";
import { Visitor, serveOriginal } from "./support/original.mjs";
import { Person } from "./support/person.mjs";
import { launchServer } from "./support/server.mjs";

const FILE = path.resolve(import.meta.dirname, "../../docs/original-client.png");
const MOST_BYTES = 200_000;
const VIEW = { width: 620, height: 620 };

const page = await serveOriginal();
const server = await launchServer({ CORS_ORIGIN: page.url });
const browser = await launchChromium();
const halves = ["left", "right"].map((half) => path.join(tmpdir(), `duologue-${process.pid}-${half}.png`));
try {
  const jonas = await Visitor.arrive(browser, page.url, server.url, VIEW);
  const mira = await Person.arrive(browser, server.url, { view: VIEW, media: { "prefers-reduced-motion": "reduce" } });
  await jonas.registers("Jonas");
  await mira.clicks("register");
  await mira.types("username", "Mira");
  await mira.types("email", "mira@example.org");
  await mira.types("password", "a good long one");
  await mira.clicks("submit");
  await mira.sees("find");
  await jonas.clicks("#match");
  await mira.clicks("find");
  await mira.sees("partner", "Jonas");
  await jonas.reads("#status", /^You are talking with Mira\.$/u);
  for (const [speaker, text] of [
    ["Jonas", "Hi! My page is three years old, it only knows Socket.IO."],
    ["Mira", "And I am here over WebTransport. It makes no difference."],
    ["Jonas", "Then I shall leave it as it is."],
  ]) {
    await (speaker === "Jonas" ? jonas : mira).says(text);
    await mira.seesMessage(text, { mine: speaker === "Mira" });
    await jonas.seesMessage(text, speaker === "Jonas" ? "mine" : "theirs");
  }
  await mira.attaches(path.resolve(import.meta.dirname, "../../LICENSE"));
  await jonas.seesMessage("LICENSE", "theirs");
  await Promise.all([jonas.isPicturedAs(halves[0]), mira.isPicturedAs(halves[1])]);

  const both = await browser.newPage();
  await both.setViewport({ width: 2 * VIEW.width + 12, height: VIEW.height });
  const images = await Promise.all(halves.map(async (half) => `<img src="data:image/png;base64,${await readFile(half, "base64")}">`));
  await both.setContent(`<body style="margin:0;display:flex;gap:12px;background:#98a2b3">${images.join("")}</body>`);
  await both.screenshot({ path: FILE });
} finally {
  await Promise.all(halves.map((half) => rm(half, { force: true })));
  await browser.close();
  await server.stop();
  await page.stop();
}
const { size } = await stat(FILE);
if (size > MOST_BYTES) throw new Error(`${FILE} has ${size} bytes, more than ${MOST_BYTES}.`);
console.log(`${FILE}: ${size} bytes`);
