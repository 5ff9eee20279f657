import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkHistory } from "../../web-demo/app/history.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** A link over WebTransport since 0, measured each second: 10 ms, 11 ms, ... */
function talking(seconds) {
  const history = new LinkHistory();
  history.note({ door: "webtransport", state: "open" }, 0);
  for (let second = 1; second <= seconds; second += 1) {
    history.note({ door: "webtransport", state: "open", rttMs: 9 + second }, second * SECOND);
  }
  return history;
}

/** @param {LinkHistory} history */
function toWebSocket(history, at, why = /** @type {const} */ ("silent")) {
  history.note({ door: "webtransport", state: "closed", reason: "superseded" }, at);
  return history.note({ door: "websocket", state: "open", from: "webtransport", why }, at);
}

test("a measurement is no move, and what raced changes nothing", () => {
  const history = talking(3);
  history.note({ door: "websocket", state: "connecting" }, 3500);
  history.note({ door: "websocket", state: "closed", reason: "not-needed" }, 3600);
  assert.equal(history.door, "webtransport");
  assert.equal(history.since, 0);
  assert.deepEqual(history.moves, []);
  assert.deepEqual(history.summary(4000), { last: 12, median: 11, most: 12, overMs: 3000 });
});

test("nothing measured has no summary, and is drawn as nothing", () => {
  const history = new LinkHistory();
  assert.equal(history.door, null);
  assert.equal(history.summary(0), null);
  assert.deepEqual(history.plot(0), { minutes: 1, height: 5, lines: [], gaps: [], marks: [] });
});

test("a move is told once, begins a line of its own and a new since", () => {
  const history = talking(2);
  const move = toWebSocket(history, 3000);
  assert.deepEqual(move, { at: 3000, door: "websocket", from: "webtransport", why: "silent" });
  assert.equal(history.note({ door: "websocket", state: "open", rttMs: 30 }, 4000), null);
  assert.deepEqual(history.moves, [move]);
  assert.equal(history.since, 3000);
  const { lines, gaps, marks } = history.plot(4000);
  assert.deepEqual(lines.map(({ door, points }) => [door, points.length]), [["webtransport", 2], ["websocket", 1]]);
  assert.deepEqual(gaps, [], "The second link stood when the first was given up.");
  assert.deepEqual(marks.map(({ door, row, side }) => ({ door, row, side })), [{ door: "websocket", row: 0, side: "left" }]);
});

test("a break is a gap; a new link through the same door keeps the since", () => {
  const history = talking(2);
  history.note({ door: "webtransport", state: "closed", reason: "cut" }, 10 * SECOND);
  assert.equal(history.door, null);
  assert.deepEqual(history.plot(40 * SECOND).gaps, [{ from: 0.5, to: 1 }]);
  const move = history.note({ door: "webtransport", state: "open", from: "webtransport", why: "lost" }, 40 * SECOND);
  assert.equal(move?.door, "webtransport");
  assert.equal(history.since, 0);
  assert.deepEqual(history.plot(60 * SECOND).gaps.map(({ to }) => Math.round(to * 60)), [40]);
});

test("a new session after a lost one is no move", () => {
  const history = talking(2);
  history.note({ door: "webtransport", state: "closed", reason: "link-lost" }, 3000);
  assert.equal(history.note({ door: "websocket", state: "open" }, 5000), null);
  assert.equal(history.since, 5000);
  assert.deepEqual(history.moves, []);
});

test("UDP seems blocked when WebTransport does not open or goes silent, until it opens", () => {
  const history = new LinkHistory();
  history.note({ door: "websocket", state: "open" }, 0);
  history.note({ door: "webtransport", state: "closed", reason: "cancelled" }, 1);
  assert.equal(history.blocked, false, "It was called off.");
  history.note({ door: "webtransport", state: "closed", reason: "door-timeout" }, 2);
  assert.equal(history.blocked, true);
  history.note({ door: "webtransport", state: "open", from: "websocket", why: "better" }, 3);
  assert.equal(history.blocked, false);
  toWebSocket(history, 4, "asked");
  assert.equal(history.blocked, false);
  history.note({ door: "webtransport", state: "open", from: "websocket", why: "asked" }, 5);
  toWebSocket(history, 6);
  assert.equal(history.blocked, true);
});

test("the plot widens by whole minutes up to five, and what is older is gone", () => {
  const history = talking(1);
  for (const [at, minutes] of [[30 * SECOND, 1], [61 * SECOND, 2], [4.5 * MINUTE, 5]]) assert.equal(history.plot(at).minutes, minutes);
  history.note({ door: "webtransport", state: "open", rttMs: 40 }, 5 * MINUTE);
  const late = 7 * MINUTE;
  assert.equal(history.plot(late).minutes, 5);
  assert.deepEqual(history.plot(late).lines.map(({ points }) => points), [[{ x: 1 - 2 / 5, y: 0.8 }]]);
  assert.equal(history.since, 0, "Forgetting round trips forgets nothing else.");
});

test("the axis is the next round height above the highest round trip", () => {
  const history = talking(1);
  assert.equal(history.plot(2000).height, 20);
  history.note({ door: "webtransport", state: "open", rttMs: 480 }, 3000);
  assert.equal(history.plot(4000).height, 1000);
  history.note({ door: "webtransport", state: "open", rttMs: 12_000 }, 5000);
  assert.equal(history.plot(6000).height, 12_000);
});

test("only the last moves are told, and names at marks have room or are left out", () => {
  const history = talking(1);
  for (let index = 0; index < 4; index += 1) {
    toWebSocket(history, (2 + 2 * index) * SECOND);
    history.note({ door: "webtransport", state: "open", from: "websocket", why: "better" }, (3 + 2 * index) * SECOND);
  }
  assert.deepEqual(history.moves.map(({ at }) => at / SECOND), [9, 8, 7, 6, 5]);
  const { marks } = history.plot(MINUTE);
  assert.deepEqual(marks.map(({ row, side }) => [row, side]), [[0, "right"], [1, "right"], [-1, "right"], [-1, "right"], [-1, "right"]]);
});

test("a fast beat is bounded in memory", () => {
  const history = new LinkHistory();
  history.note({ door: "websocket", state: "open" }, 0);
  for (let index = 1; index <= 5000; index += 1) history.note({ door: "websocket", state: "open", rttMs: 1 }, index);
  const { lines } = history.plot(5000);
  assert.equal(lines[0].points.length, 600);
});
