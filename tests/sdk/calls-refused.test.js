/** What the server does not take, or there is no room for: it is said again, and nothing stands still for it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../../web-demo/sdk/connection.js";
import { callers, course, flows } from "./support/callers.js";

const heard = (server, event, user) => server.heard.filter((frame) => frame.event === event && frame.user === user);

/** The server refuses an event so many times. */
function refuses(server, event, code, { times = 1, retryAfterMs } = {}) {
  let left = times;
  server.instead[event] = (session, data) => {
    if ((left -= 1) <= 0) delete server.instead[event];
    server.tell(session, "error", { code, message: code, event, id: data.call, retryAfterMs });
  };
}

/** There is no room for what is said, so many times. Returns what was not taken. */
function crowds(t, event, times) {
  const { say } = Connection.prototype;
  const lost = [];
  t.mock.method(Connection.prototype, "say", function crowded(name, data) {
    if (name !== event || lost.length >= times) return say.call(this, name, data);
    lost.push(data);
    return false;
  });
  return lost;
}

for (const name of ["ann", "ben"]) {
  for (const [code, retryAfterMs] of [["too-fast", 3000], ["candidate-refused"], ["invalid-data"]]) {
    test(`an offer of ${name} that is refused (${code}) is made again, and is in nobody's way meanwhile`, async (t) => {
      const { world, connect, air, server } = await callers(t);
      const calls = await connect({ video: false }, { video: false });
      const [one, other] = name === "ann" ? calls : calls.reverse();
      const pc = air.of(one);
      const before = heard(server, "webrtc:offer", name).length;
      refuses(server, "webrtc:offer", code, { retryAfterMs });
      await world.until(one.camera(true));
      await world.see("a refused offer", () => heard(server, "webrtc:offer", name).length > before);
      await world.see("it taken back", () => pc.signalingState === "stable", 500);
      // The partner's passes, whichever of them is polite.
      await world.until(other.camera(true));
      await world.see("the partner's answered", () => one.remote.getVideoTracks().length === 1, 1000);
      const took = await world.see("it", () => other.remote.getVideoTracks().length === 1);
      assert.ok(took < 5000, `${took} ms`);
      await world.pass(5000);
      assert.ok(air.made.every(({ signalingState }) => signalingState === "stable"));
      assert.deepEqual([one.state, other.state, air.wrong], ["connected", "connected", []]);
    });
  }
}

test("an offer that is refused waits as long as the server says", async (t) => {
  const { world, connect, server } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  refuses(server, "webrtc:offer", "too-fast", { retryAfterMs: 7000 });
  await world.until(call.camera(true));
  const took = await world.see("it", () => theirs.remote.getVideoTracks().length === 1);
  assert.ok(took >= 6900 && took < 8000, `${took} ms`);
  assert.equal(heard(server, "webrtc:offer", "ann").length, 3);
});

test("the first offer is refused", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  refuses(server, "webrtc:offer", "too-fast", { retryAfterMs: 1000 });
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  await world.until(ben.calls[0].accept());
  await flows(world, call, ben.calls[0]);
});

test("an offer that is always refused is made a few times, and again for a new reason", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  const before = heard(server, "webrtc:offer", "ann").length;
  refuses(server, "webrtc:offer", "candidate-refused", { times: Infinity });
  await world.until(call.camera(true));
  await world.pass(120_000);
  const tries = heard(server, "webrtc:offer", "ann").length - before;
  assert.equal(tries, 5);
  assert.deepEqual([air.of(call).signalingState, call.state], ["stable", "connected"]);
  server.instead = {};
  await world.until(call.mute(true));
  await world.see("it", () => theirs.remote.getVideoTracks().length === 1, 2000);
});

test("an answer that comes too fast is said again", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  refuses(server, "webrtc:answer", "too-fast", { times: 2, retryAfterMs: 1500 });
  await world.until(call.camera(true));
  const took = await world.see("it settled", () => air.of(call).signalingState === "have-local-offer")
    + await world.see("it settled", () => air.of(call).signalingState === "stable");
  assert.ok(took >= 3000 && took < 4000, `${took} ms`);
  assert.equal(theirs.remote.getVideoTracks().length, 1);
  assert.equal(new Set(heard(server, "webrtc:answer", "ben").slice(-3).map(({ data }) => data.id)).size, 1);
});

for (const event of ["webrtc:offer", "webrtc:answer", "call:accept"]) {
  test(`there is no room for ${event}: it is said a little later`, async (t) => {
    const { world, ann, ben, air } = await callers(t);
    const lost = crowds(t, event, 2);
    const call = await world.until(ann.talk.call());
    await world.see("the ring", () => ben.calls.length === 1);
    await world.until(ben.calls[0].accept());
    const took = await world.see("media", () => call.state === "connected" && ben.calls[0].state === "connected", 10_000);
    assert.ok(took < 7000, `${took} ms`);
    assert.equal(lost.length, 2);
    assert.deepEqual(air.wrong, []);
  });
}

for (const [event, act, reason] of [["call:end", (call) => call.end(), "hung-up"], ["call:decline", (call) => call.decline(), "declined"]]) {
  test(`there is no room for ${event}: it is said until there is, or the talk is over`, async (t) => {
    const { world, ann, ben, connect, server } = await callers(t);
    const ring = async () => {
      const call = await world.until(ann.talk.call());
      await world.see("the ring", () => ben.calls.at(-1)?.id === call.id);
      return [call, ben.calls.at(-1)];
    };
    const begin = event === "call:end" ? connect : ring;
    let lost = crowds(t, event, 5);
    const [call, theirs] = await begin();
    const { reasons } = course(call);
    act(theirs);
    assert.equal(theirs.state, "ended");
    const took = await world.see("the end", () => reasons.length === 1, 10_000);
    assert.deepEqual([reasons, lost.length], [[reason], 5]);
    assert.ok(took >= 5000 && took < 6000, `${took} ms`);
    lost = crowds(t, event, Infinity);
    const [, again] = await begin();
    act(again);
    await world.pass(3500);
    ben.talk.leave();
    const tries = lost.length;
    await world.pass(10_000);
    assert.ok(tries >= 3 && lost.length === tries, `${tries}, ${lost.length}`);
    assert.deepEqual(heard(server, event, "ben").length, 1);
  });
}

test("there is no room for the renewal of credentials: it is asked for again", async (t) => {
  const { connect, server, world } = await callers(t, { before: ({ server }) => (server.ice = { iceServers: [{ urls: ["turn:a"] }], iceTtlMs: 60_000 }) });
  await connect();
  const before = heard(server, "ice:renew", "ann").length;
  const lost = crowds(t, "ice:renew", 4);
  await world.pass(31_000);
  assert.ok(lost.length >= 2);
  await world.pass(30_000);
  assert.ok(heard(server, "ice:renew", "ann").length > before);
});

test("a ring of which no end is heard stops by itself, and the one who rings is told", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  // A node that was lost rings anew: its time is another one than was told.
  server.instead["call:ring"] = (session, data) => {
    server.calls.ringMs = 90_000;
    server.calls.hear(session, "call:ring", data);
  };
  const { tell } = server;
  t.mock.method(server, "tell", (session, event, data) => tell.call(server, session, event, event === "call:ring" ? { ...data, ringMs: 10_000 } : data));
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  const [mine, other] = [course(call), course(ben.calls[0])];
  await world.pass(20_000);
  server.tell(server.of("ben"), "call:ring", { call: call.id, type: "video", relay: false, ringMs: 10_000 });
  await world.pass(20_000);
  assert.equal(ben.calls[0].state, "ringing", "it was rung again");
  await world.see("both over", () => call.state === "ended" && ben.calls[0].state === "ended", 10_000);
  assert.deepEqual([mine.reasons, other.reasons, ben.calls.length], [["declined"], ["no-answer"], 1]);
  assert.deepEqual(heard(server, "call:decline", "ben").map(({ data }) => data), [{ call: call.id }]);
});
