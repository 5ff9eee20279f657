/** Both call at the same moment, fifty times: it is always one call, with media both ways. The SDK without the demo. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { browse, gone } from "./support/calls.mjs";
import { startServer } from "./support/server.mjs";
import { ROOM_TO_WRITE } from "./support/talk.mjs";

const ROUNDS = 50;
/** In each of these rounds pictures are counted, and in the others the connections. */
const LOOK_EACH = 10;
/** One ring may be there before the other is sent, with luck; so many times the two must have crossed. */
const CROSSED_AT_LEAST = 25;
/** The clocks of the pages are one; by then both have heard when to call. */
const AHEAD_MS = 60;

test("both call at the same moment", async (t) => {
  const server = await startServer(t, ROOM_TO_WRITE);
  const [left, right] = await Promise.all([chromium(t), chromium(t)]);
  const both = await Promise.all([left, right].map((browser) => browse(browser, server.url)));
  await Promise.all(both.map(({ page }) => page.evaluate(async () => {
    window.talk = await window.client.match();
    window.talk.addEventListener("call", ({ detail }) => {
      window.call = detail;
      detail.accept({ audio: true, video: true });
    });
  })));

  let crossed = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const at = Date.now() + AHEAD_MS;
    const ids = await Promise.all(both.map(({ page }) => page.evaluate(async (moment) => {
      window.call = null;
      const from = window.spied.heard.length;
      // A timer alone is up to some milliseconds late.
      await new Promise((resolve) => setTimeout(resolve, moment - Date.now() - 10));
      while (Date.now() < moment);
      window.call = await window.talk.call({ audio: true, video: true, signal: AbortSignal.timeout(5_000) }).catch((error) => {
        if (error.code !== "call-exists") throw error;
        // The partner's was there before: it is accepted above.
        return window.call;
      });
      const deadline = performance.now() + 10_000;
      while (window.call.state !== "connected") {
        if (performance.now() > deadline || window.call.state === "ended") {
          const said = window.spied.heard.slice(from).map(({ what, text }) => (what === "wire" ? /"event":"([^"]+)"/u.exec(text)?.[1] : what));
          throw new Error(`It is ${window.call.state} after ${said}; ${window.problems}; ${JSON.stringify(window.spied.read().connections.at(-1))}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      window.player.srcObject = window.call.remote;
      const instead = window.spied.heard.slice(from).some(({ what, text }) => what === "wire" && text.includes('"instead"'));
      return { id: window.call.id, instead };
    }, at)));
    assert.equal(ids[0].id, ids[1].id, `round ${round}: two calls`);
    if (ids.some(({ instead }) => instead)) crossed += 1;
    if (round % LOOK_EACH === 0) await Promise.all(both.map((one) => one.hears()));
    for (const one of both) {
      const { connections } = await one.counts();
      assert.equal(connections.filter(({ state }) => state === "connected").length, 1, `round ${round}`);
    }
    await both[round % 2].page.evaluate(() => window.call.end());
    await Promise.all(both.map(({ page }) => page.waitForFunction(() => window.call.state === "ended", { polling: 10, timeout: 5_000 })));
    await Promise.all(both.map(gone));
  }
  t.diagnostic(`the rings crossed in ${crossed} of ${ROUNDS} rounds`);
  assert.ok(crossed >= CROSSED_AT_LEAST, `Only ${crossed} rings crossed.`);
  for (const { page } of both) {
    assert.deepEqual(await page.evaluate(() => window.problems), []);
    assert.equal((await page.evaluate(() => window.spied.live())).length, 2, "Only the devices of the test are in use still.");
  }
});
