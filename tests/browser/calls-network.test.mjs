/** A network that changes beneath a call, for real: everyone's address is taken away, and there is another. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Caller, call, hangUp, meet, recovery } from "./support/calls.mjs";
import { network } from "./support/network.mjs";

/** From the loss of the address to the first look for another way, and to pictures over that. */
const RESTARTED_WITHIN_MS = 5_000;
const MENDED_WITHIN_MS = 8_000;
const STILL = { "prefers-reduced-motion": "reduce" };

test("the address changes in a direct call", async (t) => {
  const net = await network(t);
  const server = await net.server();
  // Over the loopback nothing would change for the media.
  const browsers = await Promise.all([1, 2].map(() => net.chromium({ loopback: false })));
  const both = await Promise.all(browsers.map((browser) => Caller.arrive(browser, server.url, { media: STILL })));
  const [ann, ben] = both;
  await meet(ann, ben);
  await call(ann, ben, "video");
  await Promise.all(both.map((caller) => caller.hears()));
  const before = await Promise.all(both.map((caller) => caller.connection()));
  const clocks = await Promise.all(both.map(async (caller) => (await caller.counts()).now));

  const { from, to } = await net.changeAddress();
  const changed = performance.now();
  for (const { pair } of before) assert.deepEqual([pair.local.address, pair.remote.address], [from, from]);
  await Promise.all(both.map((caller) => caller.goesOver(to)));
  await Promise.all(both.map((caller) => caller.hears()));
  const took = performance.now() - changed;

  const restarts = [];
  for (const [index, caller] of both.entries()) {
    const course = await recovery(t, index ? "ben" : "ann", caller, before[index].states.length, clocks[index]);
    assert.ok(course.gap < MENDED_WITHIN_MS, `It took ${course.gap} ms.`);
    restarts.push(...course.restarts);
  }
  const first = Math.min(...restarts);
  t.diagnostic(`from the change to the first restart: ${first} ms; to pictures on both sides: ${Math.round(took)} ms`);
  assert.ok(first < RESTARTED_WITHIN_MS, `After ${first} ms`);
  await Promise.all(both.map((caller) => caller.sees("connected")));
  for (const caller of both) await caller.person.seesData("call", "path", "direct");
  await hangUp(ann, ben);
  for (const { person } of both) assert.deepEqual(person.complaints, []);
});
