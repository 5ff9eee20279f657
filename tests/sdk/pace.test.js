/** The window of a transfer, on lines that are made of numbers. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK, Pace } from "../../web-demo/sdk/pace.js";

const MOST = 192 * 1024;

/** A line: `delayMs` there and back, `bytesPerMs`, and a queue before it; its clock is its own. */
class Line {
  now = 0;
  sent = 0;
  #freeAt = 0;
  #underWay = [];

  constructor(bytesPerMs, delayMs, pace = new Pace(MOST)) {
    Object.assign(this, { bytesPerMs, delayMs, pace, acked: 0 });
  }

  /** Sends for so long; answers the queueing, in milliseconds, at each piece, and the windows. */
  run(ms) {
    const queued = [];
    const windows = [];
    for (const until = this.now + ms; this.now < until; ) {
      while (this.sent + CHUNK <= this.acked + this.pace.window) {
        queued.push(Math.max(0, this.#freeAt - this.now));
        this.#freeAt = Math.max(this.now, this.#freeAt) + CHUNK / this.bytesPerMs;
        this.sent += CHUNK;
        this.#underWay.push({ end: this.sent, at: this.now, ackedAt: this.#freeAt + this.delayMs });
      }
      const { end, at, ackedAt } = this.#underWay.shift();
      this.now = Math.max(this.now, ackedAt);
      this.pace.acked(end - this.acked, this.now - at, end, this.sent);
      this.acked = end;
      windows.push(this.pace.window);
    }
    return { queued, windows };
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("a fast line: the whole window within a few round trips", () => {
  const line = new Line(100_000, 40);
  const { windows } = line.run(40 * 5);
  assert.equal(windows.at(-1), MOST);
});

test("a narrow line is filled, and its queue stays near the target", () => {
  // 20 Mbit/s and 40 ms: 100 kB fill it.
  const line = new Line(2500, 40);
  line.run(3000);
  const { queued } = line.run(10_000);
  const before = line.acked;
  line.run(4000);
  const rate = (line.acked - before) / 4000;
  assert.ok(rate > 0.9 * 2500, `${rate} bytes a millisecond`);
  assert.ok(mean(queued) < 30, `${mean(queued)} ms in the mean`);
  assert.ok(Math.max(...queued) < 50, `${Math.max(...queued)} ms at most`);
});

test("a very narrow line: never less than one piece on its way", () => {
  const line = new Line(64, 40);
  const { windows } = line.run(60_000);
  assert.ok(windows.every((window) => window >= CHUNK && window <= MOST));
  assert.ok(windows.at(-1) < 2 * CHUNK);
});

test("it shrinks once each round trip, however many samples say so", () => {
  const pace = new Pace(MOST);
  pace.acked(CHUNK, 40, CHUNK, 2 * CHUNK);
  pace.acked(CHUNK, 40, 2 * CHUNK, 8 * CHUNK);
  const before = pace.window;
  for (let at = 3; at <= 8; at += 1) pace.acked(CHUNK, 100, at * CHUNK, 8 * CHUNK + before);
  assert.equal(pace.window, Math.floor(before * 0.7));
});

test("a late acknowledgement of little is no queue", () => {
  const pace = new Pace(MOST);
  pace.acked(CHUNK, 40, CHUNK, 4 * CHUNK);
  const before = pace.window;
  pace.acked(1000, 40 + 55, CHUNK + 1000, 4 * CHUNK);
  assert.ok(pace.window > before);
  pace.acked(1000, 40 + 80, CHUNK + 2000, 4 * CHUNK);
  assert.ok(pace.window < before);
});

test("small pieces on a narrow line, and none too small", () => {
  const pace = new Pace(MOST, true);
  assert.equal(pace.window, CHUNK);
  assert.equal(pace.piece, CHUNK / 8);
  for (let at = 1; at < 40; at += 1) pace.acked(CHUNK, 40, at * CHUNK, at * CHUNK + pace.window);
  assert.deepEqual([pace.window, pace.piece], [MOST, CHUNK]);
});

test("another link: its delay is learned anew", () => {
  const fast = new Line(100_000, 20);
  fast.run(1000);
  // The same pace would take the longer way for a queue; a new one does not.
  const slow = new Line(100_000, 120, fast.pace);
  slow.run(3000);
  assert.ok(slow.pace.window < 2 * CHUNK);
  const anew = new Line(100_000, 120);
  anew.run(1000);
  assert.equal(anew.pace.window, MOST);
});
