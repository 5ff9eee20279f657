import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../web-demo/sdk/backoff.js";
import { Random } from "./support/random.js";

test("the first retry is nearly at once, the others spread under a growing ceiling", () => {
  const ceilings = [150, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000];
  const highest = ceilings.map(() => 0);
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = new Random(seed);
    const backoff = new Backoff(() => random.next());
    ceilings.forEach((ceiling, at) => {
      const wait = backoff.next();
      assert.ok(wait >= 0 && wait < ceiling, `attempt ${at + 1}: ${wait}`);
      highest[at] = Math.max(highest[at], wait / ceiling);
    });
  }
  assert.ok(highest.every((share) => share > 0.9), "full jitter uses the whole interval");
});

test("the server's wish is a lower bound, and a reset starts again", () => {
  const backoff = new Backoff(() => 0.5);
  assert.equal(backoff.next(3000), 3000);
  assert.equal(backoff.next(), 250);
  assert.equal(backoff.attempt, 2);
  backoff.reset();
  assert.equal(backoff.next(), 75);
});

test("a server that says when is not kept waiting for more than twice that", () => {
  const backoff = new Backoff(() => 0.999);
  for (let at = 0; at < 20; at += 1) assert.ok(backoff.next(500) <= 1000);
  assert.ok(backoff.next() > 9_000, "where it does not say, as ever");
});

test("a thousand attempts stay at the cap", () => {
  const backoff = new Backoff(() => 0.999);
  for (let at = 0; at < 1100; at += 1) assert.ok(backoff.next() <= 10_000);
});
