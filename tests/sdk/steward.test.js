import assert from "node:assert/strict";
import { test } from "node:test";
import { DAMPED_MS, FIRST_MS, MOST_MS, SLOW_MS, Steward, WORTH_MS } from "../../web-demo/sdk/link/steward.js";
import { Random } from "./support/random.js";

const BETTER = ["webtransport"];
/** No jitter: each wait is as it is said to be. */
const plain = () => new Steward(() => 0.5);

test("on the best door nothing is looked for, whatever happens to the network", () => {
  const steward = plain();
  assert.equal(steward.dueAt, Infinity);
  steward.linked([], undefined, 0);
  steward.hint(1000);
  assert.equal(steward.dueAt, Infinity);
});

test("first after 15 s, then in twice the time after each failure, up to 5 min", () => {
  const steward = plain();
  steward.linked(BETTER, undefined, 0);
  const waits = [];
  for (let now = 0; waits.length < 7; ) {
    waits.push(steward.dueAt - now);
    now = steward.dueAt;
    assert.deepEqual(steward.begin(now), BETTER);
    assert.equal(steward.dueAt, Infinity, "one at a time");
    steward.failed(now);
  }
  assert.deepEqual(waits, [15, 30, 60, 120, 240, 300, 300].map((seconds) => seconds * 1000));
  assert.equal(FIRST_MS, waits[0]);
  assert.equal(MOST_MS, waits.at(-1));
});

test("a door that may only have been slow is tried again soon, once, and not after a mistake", () => {
  const steward = plain();
  steward.linked(BETTER, undefined, 0, true);
  assert.equal(steward.dueAt, SLOW_MS);
  steward.begin(SLOW_MS);
  steward.failed(SLOW_MS);
  assert.equal(steward.dueAt, SLOW_MS + FIRST_MS);
  steward.linked([], "better", 30_000);
  steward.ended(31_000);
  steward.linked(BETTER, "lost", 31_000, true);
  assert.equal(steward.dueAt, 31_000 + 2 * FIRST_MS);
});

test("each wait is a quarter shorter or longer by chance", () => {
  const random = new Random(1);
  const steward = new Steward(() => random.next());
  const waits = [];
  for (let at = 0; at < 500; at += 1) {
    steward.linked(BETTER, undefined, 0);
    waits.push(steward.dueAt / FIRST_MS);
  }
  assert.ok(Math.min(...waits) >= 0.75 && Math.min(...waits) < 0.77);
  assert.ok(Math.max(...waits) <= 1.25 && Math.max(...waits) > 1.23);
});

test("a changed network brings it forward, but not to less than 15 s since the last try", () => {
  const steward = plain();
  steward.linked(BETTER, undefined, 0);
  for (const now of [15_000, 45_000, 105_000]) {
    steward.begin(now);
    steward.failed(now);
  }
  steward.hint(106_000);
  assert.equal(steward.dueAt, 120_000);
  steward.hint(200_000);
  assert.equal(steward.dueAt, 120_000, "never later than it was");
  const rescued = plain();
  rescued.linked(BETTER, "silent", 1000);
  rescued.hint(1500);
  assert.equal(rescued.dueAt, 1500, "no other door was tried for this link");
});

test("the server's wish is a lower bound", () => {
  const steward = plain();
  steward.linked(BETTER, undefined, 0);
  steward.begin(15_000);
  steward.failed(15_000, 100_000);
  assert.equal(steward.dueAt, 115_000);
});

test("moves that do not pay are made less and less often, up to 30 min, and one that pays resets it", () => {
  const steward = plain();
  steward.linked(BETTER, "silent", 0);
  const waits = [];
  let now = 0;
  for (let at = 0; at < 10; at += 1) {
    waits.push(steward.dueAt - now);
    now = steward.dueAt;
    steward.begin(now);
    steward.linked([], "better", now);
    now += WORTH_MS - 1;
    steward.ended(now);
    steward.linked(BETTER, "silent", now);
  }
  assert.deepEqual(waits, [15, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800].map((seconds) => seconds * 1000));
  assert.equal(DAMPED_MS, waits.at(-1));
  steward.hint(now);
  assert.equal(steward.dueAt, now - WORTH_MS + 1 + DAMPED_MS, "a changed network does not undo it");
  steward.linked([], "better", now);
  steward.ended(now + WORTH_MS);
  steward.linked(BETTER, "lost", now + WORTH_MS);
  assert.equal(steward.dueAt, now + WORTH_MS + FIRST_MS);
});

test("a link that the app moved away from was no mistake", () => {
  const steward = plain();
  steward.linked([], "better", 0);
  steward.linked(BETTER, "asked", 1000);
  steward.ended(2000);
  steward.linked(BETTER, "lost", 2000);
  assert.equal(steward.dueAt, 2000 + FIRST_MS);
});

test("what the app asked for is kept until its link ends, or the app lets go", () => {
  const steward = plain();
  steward.linked(BETTER, "asked", 0);
  steward.hint(1000);
  assert.equal(steward.dueAt, Infinity);
  steward.release(2000);
  assert.equal(steward.dueAt, 2000);
  steward.keep();
  assert.equal(steward.dueAt, Infinity);
  steward.ended(3000);
  steward.linked(BETTER, "lost", 3000);
  assert.equal(steward.dueAt, 3000 + FIRST_MS);
});
