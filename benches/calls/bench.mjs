/**
 * What calls take in two real browsers: from `call()` to the first picture, directly and through a real coturn by turns,
 * from a relay that is gone to the next picture, and how many events one call costs. Prints the tables of docs/benchmarks.md.
 *
 *   cargo build --release && (cd tests && npm ci) && node --test benches/calls/bench.mjs
 *
 * Two Chromiums with made-up devices, which are open already; both ends, the server and coturn are on one machine.
 */

import { test } from "node:test";
import { chromium } from "../../tests/browser/support/browsers.mjs";
import { browse } from "../../tests/browser/support/calls.mjs";
import { startServer } from "../../tests/browser/support/server.mjs";
import { startTurn } from "../../tests/browser/support/turn.mjs";

const CALLS = 30;
const RESTARTS = 10;
/** All of it, in milliseconds. */
const timeout = 900_000;

/**
 * Someone with the SDK in a page, who answers each call at once.
 * @param {import("puppeteer-core").Browser} browser
 * @param {string} url
 */
async function answering(browser, url) {
  const { page } = await browse(browser, url);
  await page.evaluate(() => {
    window.met = window.client.match().then((talk) => {
      window.talk = talk;
      talk.addEventListener("call", ({ detail }) => {
        window.call = detail;
        detail.accept({ audio: true, video: true });
      });
    });
  });
  return page;
}

/** @param {number[]} times @param {number} part */
function quantile(times, part) {
  const sorted = times.toSorted((one, other) => one - other);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]);
}

/** @param {number[]} times */
const row = (times) => `p50 ${quantile(times, 0.5)} ms, p95 ${quantile(times, 0.95)} ms of ${times.length}`;

/**
 * One calls, and both have a picture. Resolves with the caller's time to it, and what both were told.
 * @param {import("puppeteer-core").Page[]} pages
 * @param {boolean} relay
 */
async function call([one, other], relay) {
  const heard = async () => (await Promise.all([one, other].map((page) => page.evaluate(() => window.spied.heard.filter(({ what }) => what === "wire").length)))).reduce((sum, count) => sum + count);
  const before = await heard();
  const took = await one.evaluate(async (wanted) => {
    const began = performance.now();
    const video = document.createElement("video");
    video.muted = video.autoplay = true;
    window.call = await window.talk.call({ audio: true, video: true, relay: wanted });
    window.call.addEventListener("remote", () => (video.srcObject = window.call.remote));
    if (window.call.remote) video.srcObject = window.call.remote;
    document.body.append(video);
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const time = performance.now() - began;
    video.remove();
    return time;
  }, relay);
  const path = async (page) => page.waitForFunction(() => window.call.path, { polling: 20 }).then((handle) => handle.jsonValue());
  if ((await path(one)) !== (relay ? "relay" : "direct")) throw new Error(`It went another way than it should have (${relay}).`);
  const events = (await heard()) - before;
  return { took, events };
}

/** @param {import("puppeteer-core").Page[]} pages */
async function end([one, other]) {
  await one.evaluate(() => window.call.end());
  for (const page of [one, other]) await page.waitForFunction(() => window.call.state === "ended", { polling: 10 });
}

test("calls in two browsers", { timeout }, async (t) => {
  const turn = await startTurn(t);
  const server = await startServer(t, { ...turn.settings, DUOLOGUE_CALLS_RELAY_ONLY: "false", DUOLOGUE_LIMITS_SIGNALS_PER_MINUTE: "100000", DUOLOGUE_LIMITS_CANDIDATES_PER_MINUTE: "100000" });
  const browsers = await Promise.all([chromium(t), chromium(t)]);
  const pages = await Promise.all(browsers.map((browser) => answering(browser, server.url)));
  await Promise.all(pages.map((page) => page.evaluate(() => window.met)));
  /** @type {Record<"direct" | "relayed", { times: number[], events: number[] }>} */
  const ways = { direct: { times: [], events: [] }, relayed: { times: [], events: [] } };
  // The first of each opens what is open from then on.
  for (let turns = -1; turns < CALLS; turns += 1) {
    for (const [name, way] of Object.entries(ways)) {
      const { took, events } = await call(pages, name === "relayed");
      if (turns >= 0) {
        way.times.push(took);
        way.events.push(events);
      }
      await end(pages);
    }
  }
  for (const [name, { times, events }] of Object.entries(ways)) {
    t.diagnostic(`${name}: from call() to the first picture ${row(times)}; events heard by both until then: ${quantile(events, 0.5)} (at most ${Math.max(...events)})`);
  }

  const gaps = [];
  await call(pages, true);
  for (let turns = 0; turns < RESTARTS; turns += 1) {
    const ports = await Promise.all(pages.map((page) => page.evaluate(() => window.spied.read().connections.at(-1).pair.local.port)));
    const clocks = await Promise.all(pages.map((page) => page.evaluate(() => performance.now())));
    await turn.restart();
    for (const [index, page] of pages.entries()) {
      await page.waitForFunction((port) => window.spied.read().connections.at(-1).pair.local.port !== port, { polling: 50, timeout: 60_000 }, ports[index]);
      const frames = await page.evaluate(() => window.spied.read().frames);
      await page.waitForFunction((count) => window.spied.read().frames > count + 10, { polling: 50, timeout: 60_000 }, frames);
      gaps.push(await page.evaluate((since) => window.spied.longestGap(since), clocks[index]));
    }
  }
  await end(pages);
  t.diagnostic(`the relay is killed and forgets: without a new picture for ${row(gaps)}`);
});
