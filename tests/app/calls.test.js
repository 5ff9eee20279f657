import assert from "node:assert/strict";
import { test } from "node:test";
import { mirrored, nearest, towards } from "../../web-demo/app/call-corner.js";
import { CallHistory } from "../../web-demo/app/call-history.js";
import { QUALITY, afterCall, callClock, callLength, callLine, callPath, callProblem, callStatus } from "../../web-demo/app/call-words.js";
import { byItself } from "../../web-demo/app/calls.js";

/** What keeps a call from coming about, or ends it, with a sentence of its own. */
const CODES = [
  "media-denied", "media-missing", "media-busy", "media-unsupported", "media-failed", "screen-denied", "call-exists", "call-unsupported",
  "call-unknown", "relay-unavailable", "busy", "no-answer", "declined", "cancelled", "failed", "lost", "hung-up",
];
const KINDS = /** @type {const} */ (["audio", "video"]);
const problem = (/** @type {string} */ code) => ({ code, message: "" });

test("every problem of a call has a sentence, and none shows a code", () => {
  for (const code of [...CODES, "too-fast", "not-connected", "never-heard-of"]) {
    for (const kind of KINDS) {
      const said = callProblem(problem(code), "Ann", kind);
      assert.match(said, /^[A-Z].+\.$/u, code);
      assert.doesNotMatch(said, /[{}_]|undefined|\b[a-z]+-[a-z]+\b/u, code);
      assert.ok(said.length <= 160, `${code}: "${said}"`);
    }
  }
  const each = CODES.map((code) => callProblem(problem(code), "Ann", "video"));
  assert.equal(new Set(each).size, CODES.length);
});

test("a camera that cannot be had is spoken of only where one was wanted", () => {
  assert.match(callProblem(problem("media-denied"), "Ann", "audio"), /use the microphone\. Click the icon beside the address/u);
  assert.match(callProblem(problem("media-missing"), "Ann", "video"), /camera or no microphone.*voice only\.$/u);
  for (const code of CODES) assert.doesNotMatch(callProblem(problem(code), "Ann", "audio"), /camera|voice only/u, code);
  assert.equal(callProblem(problem("busy"), "$& {name}", "audio"), "$& {name} is in another call. Try again later.");
});

test("what would end the same way is not offered once more, and a voice call only where a camera is in the way", () => {
  for (const code of ["media-denied", "media-missing", "media-busy", "media-failed"]) {
    assert.deepEqual(afterCall(code, "video"), { again: true, voice: true }, code);
    assert.deepEqual(afterCall(code, "audio"), { again: true, voice: false }, code);
  }
  for (const code of ["busy", "no-answer", "failed", "lost", "never-heard-of"]) assert.deepEqual(afterCall(code, "video"), { again: true, voice: false }, code);
  // Who declined is not to be pressed.
  for (const code of ["declined", "relay-unavailable", "media-unsupported", "call-unsupported", "hung-up"]) {
    assert.deepEqual(afterCall(code, "video"), { again: false, voice: false }, code);
  }
});

test("a call leaves one line, told from where one sits", () => {
  const line = (/** @type {object} */ given) => callLine({ kind: "video", direction: "outgoing", reason: "hung-up", ms: null, ...given });
  assert.equal(line({ ms: 192_000 }), "Video call, 3 min 12 s");
  assert.equal(line({ kind: "audio", reason: "you-hung-up", ms: 5000 }), "Voice call, 5 s");
  assert.equal(line({ reason: "lost", ms: 61_000 }), "Video call, 1 min 1 s. The connection was lost.");
  assert.equal(line({ reason: "no-answer" }), "They did not answer.");
  assert.equal(line({ reason: "busy" }), "They are in another call.");
  for (const reason of ["no-answer", "cancelled"]) assert.equal(line({ direction: "incoming", reason }), "Missed call");
  assert.equal(line({ direction: "incoming", reason: "you-declined" }), "You declined the call.");
  for (const direction of ["incoming", "outgoing"]) assert.equal(line({ direction, reason: "failed" }), "The call could not get through.");
});

test("lengths are short, and a clock goes on past the hour", () => {
  assert.deepEqual([0, 499, 59_400, 59_600, 192_000, 3_599_600, 3_720_000].map(callLength), ["0 s", "0 s", "59 s", "1 min 0 s", "3 min 12 s", "1 h 0 min", "1 h 2 min"]);
  assert.deepEqual([-5, 0, 7900, 725_000, 3_725_000].map(callClock), ["0:00", "0:00", "0:07", "12:05", "1:02:05"]);
});

test("how a call stands is told in each state but while they talk", () => {
  for (const state of ["asking", "ringing-out", "ringing-in", "connecting", "reconnecting", "interrupted", "waiting"]) assert.ok(callStatus(state, "video"), state);
  assert.equal(callStatus("connected", "video"), "");
  assert.notEqual(callStatus("ringing-in", "video"), callStatus("ringing-in", "audio"));
  assert.notEqual(callStatus("waiting", "video"), callStatus("interrupted", "video"));
  assert.equal(QUALITY.good, undefined);
});

test("an address is called hidden only where it was never told", () => {
  assert.match(callPath("relay", true), /^Relayed: your address is hidden$/u);
  for (const said of [callPath("relay", false), callPath("direct", false), callPath("direct", true)]) {
    assert.doesNotMatch(said, /hidden/u);
    assert.match(said, /address/u);
  }
  assert.match(callPath("relay", false), /^Relayed, but the other side may have seen your address$/u);
  assert.match(callPath("direct", false), /^Direct/u);
});

test("a call goes on by itself only on a page that was in it, and with no more than was on", () => {
  const before = (/** @type {object} */ more) => ({ id: "one", muted: false, cameraOff: false, shown: false, ...more });
  for (const kind of KINDS) assert.equal(byItself(kind, null), null);
  assert.deepEqual(byItself("video", before({})), ["microphone", "camera"]);
  assert.deepEqual(byItself("video", before({ cameraOff: true })), ["microphone"]);
  assert.deepEqual(byItself("audio", before({})), ["microphone"]);
});

test("the small picture goes into the corner that is nearest, and where an arrow points", () => {
  assert.deepEqual([nearest(0.1, 0.2), nearest(0.9, 0.2), nearest(0.1, 0.8), nearest(0.9, 0.8)], ["top-left", "top-right", "bottom-left", "bottom-right"]);
  assert.equal(towards("top-right", "ArrowDown"), "bottom-right");
  assert.equal(towards("bottom-right", "ArrowLeft"), "bottom-left");
  assert.equal(towards("bottom-left", "ArrowUp"), "top-left");
  assert.equal(towards("top-left", "ArrowUp"), "top-left");
  assert.equal(towards("top-left", "Enter"), null);
});

test("one's own picture is a mirror, what is behind the phone and a screen are not", () => {
  assert.ok(mirrored({}, false));
  assert.ok(mirrored({ facingMode: "user" }, false));
  assert.ok(!mirrored({ facingMode: "environment" }, false));
  assert.ok(!mirrored({ facingMode: "user" }, true));
});

test("numbers lie where they were measured, under a height that holds them all", () => {
  const history = new CallHistory();
  history.note({ rttMs: 10, lossPercent: 0, bitrateUp: 900_000, bitrateDown: 1_500_000 }, 0);
  history.note({ rttMs: 40, lossPercent: 3, bitrateUp: 800_000, bitrateDown: null }, 1000);
  const rtt = history.plot("rtt", 30_000);
  assert.equal(rtt.height, 50);
  assert.deepEqual(rtt.lines, [{ door: "rtt", points: [{ x: 0.5, y: 0.2 }, { x: 1 - 29 / 60, y: 0.8 }] }]);
  assert.equal(history.plot("loss", 30_000).height, 5);
  const rate = history.plot("rate", 30_000);
  assert.equal(rate.height, 2000);
  assert.deepEqual(rate.lines.map(({ door, points }) => [door, points.length]), [["up", 2], ["down", 1]]);
  assert.deepEqual(history.last, { at: 1000, rtt: 40, loss: 3, up: 800, down: null });
});

test("where nothing was measured a line is broken, and what is older than a minute is gone", () => {
  const history = new CallHistory();
  for (const at of [0, 1000, 10_000, 11_000]) history.note({ rttMs: 20 }, at);
  history.note({ rttMs: null, lossPercent: Number.NaN }, 12_000);
  assert.deepEqual(history.plot("rtt", 12_000).lines.map(({ points }) => points.length), [2, 2]);
  assert.deepEqual(history.plot("loss", 12_000).lines, []);
  history.note({ rttMs: 20 }, 65_000);
  assert.deepEqual(history.plot("rtt", 65_000).lines.map(({ points }) => points.length), [2, 1]);
});
