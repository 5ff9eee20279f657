/** The parts of calls that are numbers only: how good the line is, what the counters mean, which candidates are late. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Incoming, Outgoing } from "../../web-demo/sdk/calls/candidates.js";
import { Numbers } from "../../web-demo/sdk/calls/numbers.js";
import { Quality } from "../../web-demo/sdk/calls/quality.js";

const FINE = { lossPercent: 0, rttMs: 40, availableUp: 2_000_000 };

/** A line that is told of once a second. */
class Line {
  quality = new Quality();
  now = 0;
  /** Each step: [at, cap]. */
  steps = [];

  pass(seconds, measured) {
    for (let second = 0; second < seconds; second += 1) {
      this.now += 1000;
      if (this.quality.note({ ...FINE, ...measured }, this.now)) this.steps.push([this.now / 1000, this.quality.cap]);
    }
    return this;
  }
}

test("a good line is left as it is, and so is one bad second", () => {
  const line = new Line().pass(60).pass(2, { lossPercent: 50 }).pass(60).pass(2, { rttMs: 2000 }).pass(60);
  assert.deepEqual([line.steps, line.quality.level, line.quality.cap], [[], "good", Infinity]);
});

for (const bad of [{ lossPercent: 9 }, { rttMs: 700 }, { availableUp: 100_000 }]) {
  test(`down step by step to no picture: ${JSON.stringify(bad)}`, () => {
    const line = new Line().pass(30, bad);
    assert.deepEqual(line.steps.slice(0, 5), [[4, 700_000], [7, 350_000], [10, 200_000], [13, 100_000], [16, 0]]);
  });
}

test("back step by step when it is good, and nothing between the two", () => {
  const line = new Line().pass(16, { lossPercent: 20 });
  assert.deepEqual([line.quality.level, line.quality.cap], ["audio", 0]);
  line.pass(60, { lossPercent: 5 });
  assert.equal(line.quality.level, "audio");
  line.steps = [];
  line.pass(60);
  assert.deepEqual(line.steps.map(([, cap]) => cap), [100_000, 200_000, 350_000, 700_000, Infinity]);
  const gaps = line.steps.map(([at], index) => at - (line.steps[index - 1]?.[0] ?? at - 8));
  assert.deepEqual(gaps, [8, 8, 8, 8, 8]);
  assert.equal(line.quality.level, "good");
});

test("a picture that makes the line bad again is tried less and less often", () => {
  const line = new Line().pass(16, { lossPercent: 20 });
  for (let at = 0; at < 600; at += 1) line.pass(1, line.quality.cap > 0 ? { lossPercent: 20 } : {});
  const ups = line.steps.filter(([, cap]) => cap === 100_000).map(([at]) => at).slice(1);
  const waits = ups.map((at, index) => at - (ups[index - 1] ?? at)).slice(1);
  assert.ok(waits[0] < waits[1] && waits[1] < waits[2], `${waits}`);
  assert.ok(Math.max(...waits) < 75, `${waits}`);
  assert.ok(ups.length < 15, `${ups.length} tries in ten minutes`);
});

test("what is not known is no reason for anything", () => {
  const line = new Line().pass(60, { lossPercent: null, rttMs: null, availableUp: null });
  assert.deepEqual(line.steps, []);
});

const rtp = (kind, more) => ({ type: "inbound-rtp", kind, packetsReceived: 0, packetsLost: 0, bytesReceived: 0, ...more });

test("numbers: what changed between two readings, in Chromium's words", () => {
  const numbers = new Numbers();
  const report = (at) => [
    rtp("audio", { packetsReceived: 50 * at, packetsLost: at, bytesReceived: 5000 * at, jitter: 0.004, audioLevel: 0.25 }),
    rtp("video", { packetsReceived: 49 * at, bytesReceived: 20_000 * at, framesDecoded: 25 * at, frameWidth: 640, frameHeight: 360, framesPerSecond: 25 }),
    { type: "outbound-rtp", kind: "audio", bytesSent: 6000 * at }, { type: "outbound-rtp", kind: "video", bytesSent: 14_000 * at },
    { type: "remote-inbound-rtp", kind: "video", fractionLost: 0.125, roundTripTime: 0.5 },
    { type: "transport", id: "T", selectedCandidatePairId: "P2" },
    { type: "candidate-pair", id: "P1", nominated: true, state: "succeeded", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 9 },
    { type: "candidate-pair", id: "P2", nominated: true, state: "succeeded", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.03, availableOutgoingBitrate: 300_000 },
    { type: "local-candidate", id: "L", candidateType: "srflx" }, { type: "remote-candidate", id: "R", candidateType: "host" },
  ];
  assert.deepEqual([numbers.read(report(1), 1000).bitrateUp, numbers.lossPercent], [null, null]);
  assert.deepEqual(numbers.read(report(2), 2000), {
    rttMs: 30, lossPercent: 1, lossUpPercent: 12.5, jitterMs: 4, bitrateUp: 160_000, bitrateDown: 200_000, availableUp: 300_000, path: "direct",
    localCandidate: "srflx", remoteCandidate: "host", width: 640, height: 360, framesPerSecond: 25, framesDecoded: 50, audioLevel: 0.25,
  });
  assert.equal(numbers.lossPercent, 1);
});

test("numbers: Firefox marks the pair and has no transport; a restart of the counters is no loss", () => {
  const numbers = new Numbers();
  const report = (got) => [
    rtp("audio", { packetsReceived: got, bytesReceived: got * 100 }), { type: "remote-inbound-rtp", roundTripTime: 0.1 },
    { type: "candidate-pair", id: "P1", state: "succeeded", localCandidateId: "L", remoteCandidateId: "R" },
    { type: "candidate-pair", id: "P2", selected: true, localCandidateId: "L", remoteCandidateId: "Q" },
    { type: "local-candidate", id: "L", candidateType: "host" }, { type: "remote-candidate", id: "R", candidateType: "host" }, { type: "remote-candidate", id: "Q", candidateType: "relay" },
  ];
  numbers.read(report(1000), 0);
  const { rttMs, path, bitrateDown, lossPercent, width, framesDecoded } = numbers.read(report(10), 1000);
  assert.deepEqual([rttMs, path, bitrateDown, lossPercent, width, framesDecoded], [100, "relay", 0, null, null, 0]);
  numbers.restart();
  assert.equal(numbers.read(report(5000), 2000).bitrateDown, null);
  assert.equal(numbers.read([], 3000).path, null);
});

const line = (at) => ({ candidate: `candidate:${at}`, toJSON: () => ({ candidate: `candidate:${at}` }) });

test("candidates go out in batches, each with the offer they belong to, and not before it", (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const said = [];
  const outgoing = new Outgoing((offer, candidates, end) => said.push([offer, candidates.map(({ candidate }) => candidate.slice(10)).join(), end]));
  outgoing.hold();
  outgoing.add(line(1));
  mock.timers.tick(1000);
  assert.deepEqual(said, []);
  outgoing.release("a");
  outgoing.add(line(2));
  mock.timers.tick(30);
  outgoing.add(line(3));
  outgoing.add(null);
  outgoing.add(line(4));
  outgoing.hold();
  outgoing.add(line(5));
  outgoing.add(null);
  outgoing.release("b");
  outgoing.add(line(6));
  outgoing.drop();
  mock.timers.tick(1000);
  assert.deepEqual(said, [["a", "1,2", false], ["a", "3", true], ["a", "4", false], ["b", "5", true]]);
});

test("fifty of one side for an offer, and fifty again for the next", (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const count = {};
  const outgoing = new Outgoing((offer, candidates) => (count[offer] = (count[offer] ?? 0) + candidates.length));
  for (const offer of ["a", "b"]) {
    outgoing.hold();
    outgoing.release(offer);
    for (let at = 0; at < 80; at += 1) outgoing.add(line(at));
    mock.timers.tick(30);
  }
  assert.deepEqual(count, { a: 50, b: 50 });
});

test("candidates that come in: now, later, or never; bounded while they wait", () => {
  const incoming = new Incoming();
  const [one, two] = [{ candidate: "1" }, { candidate: "2" }];
  assert.deepEqual(incoming.take("a", [one]), []);
  assert.deepEqual(incoming.stands("a"), [one]);
  assert.deepEqual(incoming.take("a", [two, null]), [two, null]);
  incoming.take("b", [one]);
  incoming.over("b");
  assert.deepEqual(incoming.stands("b"), []);
  assert.deepEqual(incoming.take("a", [one]), [], "of the exchange before");
  incoming.take("c", Array.from({ length: 80 }, () => one));
  assert.equal(incoming.stands("c").length, 50);
});
