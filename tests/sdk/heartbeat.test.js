import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../../web-demo/sdk/heartbeat.js";

/** Runs a heart with a timer that is `late` by so much each time; returns [time, verdict] pairs. */
function run(beat, from, until, { late = 0, watched = true, answer = () => false } = {}) {
  const verdicts = [];
  for (let now = beat.dueAt + late; now <= until; now = Math.max(beat.dueAt, now) + late) {
    const verdict = beat.tick(now, watched);
    verdicts.push([now - from, verdict]);
    if (verdict === "dead") break;
    if (verdict === "ping" && answer(now)) beat.heard(now);
    assert.ok(beat.dueAt > now, "the next look is later, or the timer would spin");
  }
  return verdicts;
}

test("silence is death after 2.25 intervals: 4.5 s in a talk, 27 s alone", () => {
  assert.deepEqual(run(new Heartbeat(2000, 0), 0, 10_000).at(-1), [4500, "dead"]);
  assert.deepEqual(run(new Heartbeat(12_000, 0), 0, 60_000).at(-1), [27_000, "dead"]);
});

test("an answered ping is a beat, and while watched there is one each interval", () => {
  const verdicts = run(new Heartbeat(2000, 0), 0, 20_000, { answer: () => true });
  assert.deepEqual(verdicts.filter(([, verdict]) => verdict === "ping").map(([at]) => at),
    [2000, 4000, 6000, 8000, 10_000, 12_000, 14_000, 16_000, 18_000, 20_000]);
});

test("unwatched, traffic is beat enough", () => {
  const beat = new Heartbeat(2000, 0);
  for (let now = 500; now <= 10_000; now += 500) {
    beat.heard(now);
    assert.equal(beat.tick(now, false), "wait");
  }
  assert.equal(beat.tick(12_000, false), "ping");
});

test("a late timer is our own silence: it asks before it judges", () => {
  const verdicts = run(new Heartbeat(2000, 0), 0, 600_000, { late: 60_000, watched: false, answer: () => true });
  assert.ok(verdicts.length > 5);
  assert.ok(verdicts.every(([, verdict]) => verdict === "ping"));
  const beat = new Heartbeat(2000, 0);
  assert.equal(beat.tick(60_000, true), "ping");
  assert.equal(run(beat, 60_000, 70_000).at(-1)?.[1], "dead");
});

test("a probe wants an answer within 2.5 s at any pace", () => {
  for (const every of [2000, 12_000]) {
    const beat = new Heartbeat(every, 0);
    beat.heard(1000);
    beat.probe(1000);
    assert.deepEqual(run(beat, 1000, 60_000).at(-1), [2500, "dead"]);
    const alive = new Heartbeat(every, 0);
    alive.probe(1000);
    alive.heard(1100);
    assert.ok(run(alive, 1000, 3600).every(([, verdict]) => verdict !== "dead"));
  }
});

test("a faster pace does not count the silence that was fine before", () => {
  const beat = new Heartbeat(12_000, 0);
  beat.pace(2000, 10_000);
  assert.equal(beat.tick(10_000, true), "ping");
  assert.deepEqual(run(beat, 10_000, 20_000).at(-1), [2500, "dead"]);
});

/** When such verdicts fall, for a heart that asked at 0 and hears nothing. */
function times(verdict, beat, { until = 60_000, ...options } = {}) {
  return run(beat, 0, until, options).filter(([, it]) => it === verdict).map(([at]) => Math.round(at));
}

function asked(every, { rtt = 0, leniency } = {}) {
  const beat = new Heartbeat(every, 0, leniency);
  beat.measured(rtt);
  beat.asked(0);
  return beat;
}

test("an unanswered question is asked again twice within a second, and then the link is suspected", () => {
  assert.deepEqual(times("ping", asked(2000), { until: 999 }), [333, 667]);
  assert.deepEqual(times("suspect", asked(2000)), [1000], "told once");
  assert.deepEqual(times("ping", asked(2000), { until: 4400 }), [333, 667, 2000, 3000, 4000]);
});

test("patience: four round trips, or a quarter of the interval, or what a slow path was given", () => {
  assert.deepEqual(times("suspect", asked(2000, { rtt: 400 })), [1600]);
  assert.deepEqual(times("suspect", asked(12_000)), [3000]);
  assert.deepEqual(times("suspect", asked(2000, { leniency: 2 })), [2000]);
  const beat = asked(2000, { leniency: 4 });
  beat.acked(false, 0);
  assert.deepEqual(times("suspect", beat), [1000], "our words got through");
});

test("whatever arrives answers, and a suspect that answers is one no more", () => {
  const beat = asked(2000);
  beat.heard(900);
  assert.equal(beat.tick(1000, true), "wait");
  assert.equal(beat.suspect, false);
  assert.deepEqual(times("suspect", beat), [3000], "one interval, and one second");
  beat.heard(3900);
  assert.equal(beat.suspect, false);
});

test("words are questions too, and must be acknowledged whatever else arrives", () => {
  const silent = new Heartbeat(2000, 0);
  silent.wrote(100);
  assert.deepEqual(times("suspect", silent), [1100]);
  const deaf = new Heartbeat(2000, 0);
  deaf.wrote(0);
  for (let now = 100; now < 2000; now += 100) {
    deaf.heard(now);
    assert.notEqual(deaf.tick(now, true), "suspect");
  }
  assert.equal(deaf.tick(2000, true), "suspect");
  deaf.heard(2050);
  assert.equal(deaf.suspect, true, "other traffic does not answer that");
  deaf.acked(false, 2100);
  assert.equal(deaf.suspect, false);
});

test("a probe is suspected after a second at any pace, and asking again does not put that off", () => {
  for (const every of [2000, 12_000]) {
    const beat = new Heartbeat(every, 0);
    beat.probe(0);
    for (let now = 100; now < 1000; now += 100) {
      beat.probe(now);
      assert.notEqual(beat.tick(now, true), "suspect");
    }
    assert.equal(beat.tick(1000, true), "suspect");
    assert.equal(beat.tick(2500, true), "dead");
  }
});

test("a laptop that slept in the middle of a question asks it anew", () => {
  const beat = asked(2000);
  assert.equal(beat.tick(3_600_000, true), "ping");
  assert.equal(beat.suspect, false);
  assert.equal(beat.tick(3_601_000, true), "suspect");
});
