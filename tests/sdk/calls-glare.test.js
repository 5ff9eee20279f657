/** What crosses on the way: two rings, two offers, and words that are late. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "./support/clients.js";
import { callers, course, flows } from "./support/callers.js";

for (const kinds of [[true, true], [true, false], [false, true]]) {
  test(`both ring at the same moment, with a camera or not (${kinds}): one call, and no ring is told`, async (t) => {
    const { world, ann, ben, air, said } = await callers(t);
    const [one, two] = await world.until(Promise.all([ann.talk.call({ video: kinds[0] }), ben.talk.call({ video: kinds[1] })]));
    await flows(world, one, two);
    await world.pass(500);
    assert.equal(one.id, two.id);
    assert.equal(one.kind, two.kind);
    assert.deepEqual([ann.calls, ben.calls], [[], []]);
    assert.deepEqual([ann.talk.currentCall === one, ben.talk.currentCall === two], [true, true]);
    for (const [call, other] of [[one, kinds[1]], [two, kinds[0]]]) {
      assert.deepEqual(call.remote.getTracks().map(({ kind }) => kind), other ? ["audio", "video"] : ["audio"]);
    }
    assert.deepEqual(air.wrong, []);
    assert.deepEqual([...said("ann"), ...said("ben")].filter((event) => event === "call:accept"), []);
    one.end();
    await world.see("the end", () => two.state === "ended");
  });
}

test("a ring that comes while one is asked for the devices is taken, not told", async (t) => {
  const { world, ann, ben, devices, said } = await callers(t);
  devices.asksMs = 500;
  const calling = ben.talk.call({ video: false });
  devices.asksMs = 0;
  const call = await world.until(ann.talk.call());
  const theirs = await world.until(calling);
  assert.deepEqual([theirs.id, theirs.direction, ben.calls], [call.id, "incoming", []]);
  await flows(world, call, theirs);
  assert.deepEqual(said("ben").slice(0, 1), ["call:accept"]);
});

test("devices that are refused meanwhile: the ring is told after all", async (t) => {
  const { world, ann, ben, devices } = await callers(t);
  devices.asksMs = 500;
  const calling = ben.talk.call();
  devices.asksMs = 0;
  await world.until(ann.talk.call());
  devices.refusal = "NotAllowedError";
  await assert.rejects(world.until(calling), { code: "media-denied" });
  assert.deepEqual(ben.calls.map(({ state }) => state), ["ringing"]);
});

test("to call while it rings is to accept; while a call goes on it is refused", async (t) => {
  const { world, ann, ben } = await callers(t);
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  await assert.rejects(ann.talk.call(), { code: "call-exists" });
  const taken = await world.until(ben.talk.call({ video: false }));
  assert.equal(taken, ben.calls[0]);
  await flows(world, call, taken);
  await assert.rejects(ben.talk.call(), { code: "call-exists" });
});

test("a ring of ours that was called off while it crossed theirs ends both", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  const [one, two] = await world.until(Promise.all([ann.talk.call(), ben.talk.call()]));
  // Whose ring came second is told only later.
  two.end();
  await world.see("both over", () => one.state === "ended" && two.state === "ended");
  await world.pass(1000);
  assert.equal(server.calls.live.size, 0);
  assert.ok([...ann.calls, ...ben.calls].every(({ state }) => state === "ended"));
  assert.deepEqual([ann.talk.currentCall, ben.talk.currentCall], [null, null]);
});

test("both offer at the same moment: both have their way", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  const from = server.heard.length;
  await world.until(Promise.all([call.camera(true), theirs.camera(true)]));
  await world.see("both see", () => [call, theirs].every(({ remote }) => remote.getVideoTracks().length === 1));
  await world.pass(1000);
  const offers = server.heard.slice(from).filter(({ event }) => event === "webrtc:offer");
  assert.deepEqual(new Set(offers.slice(0, 2).map(({ user }) => user)), new Set(["ann", "ben"]), "they did cross");
  assert.deepEqual(air.wrong, []);
  assert.ok(air.made.every(({ signalingState, getTransceivers }, at) => signalingState === "stable" && air.made[at].getTransceivers().every(({ mid }) => mid !== null)));
  assert.deepEqual([call.state, theirs.state], ["connected", "connected"]);
});

test("answers and candidates for another offer than the one that stands are dropped; those before their description wait", async (t) => {
  const { world, ann, ben, air, server } = await callers(t);
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  const held = [];
  server.instead["webrtc:answer"] = (session, data) => held.push(data);
  await world.until(ben.calls[0].accept());
  await world.see("the answer is held", () => held.length === 1);
  await world.pass(200);
  const pc = air.of(call);
  const added = [];
  const add = pc.addIceCandidate.bind(pc);
  pc.addIceCandidate = (candidate) => {
    added.push(candidate);
    return add(candidate);
  };
  const to = server.of("ann");
  const ufrag = /ice-ufrag:(\w+)/u.exec(held[0].answer.sdp)[1];
  const candidate = { candidate: "candidate:9 1 udp 1 192.0.2.9 9 typ host", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: ufrag };
  server.tell(to, "webrtc:answer", { ...held[0], id: "another" });
  server.tell(to, "webrtc:candidates", { call: call.id, id: "another", candidates: [candidate] });
  await world.pass(200);
  assert.deepEqual([pc.signalingState, added, call.state], ["have-local-offer", [], "connecting"]);
  server.instead = {};
  server.tell(to, "webrtc:answer", held[0]);
  await flows(world, call, ben.calls[0]);
  assert.equal(added.length, 3, "the two and their end, which had come before the answer");
  server.tell(to, "webrtc:answer", held[0]);
  server.tell(to, "webrtc:offer", { offer: { type: "offer", sdp: pc.remoteDescription.sdp }, type: "video", call: call.id, id: "old", generation: 7 });
  await world.pass(200);
  assert.deepEqual([pc.signalingState, call.state, air.wrong], ["stable", "connected", []]);
});

test("an offer that is none does not hurt the call that goes on", async (t) => {
  const { world, connect, server, air } = await callers(t);
  const [call, theirs] = await connect();
  server.tell(server.of("ann"), "webrtc:offer", { offer: { type: "offer", sdp: "nonsense" }, type: "video", call: call.id, id: "bad" });
  await world.pass(500);
  await world.until(theirs.screen(true));
  theirs.camera(false);
  await world.pass(2000);
  assert.deepEqual([call.state, air.of(call).signalingState], ["connected", "stable"]);
});

test("an accept that comes too fast is said again, and so is a ring", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  for (const event of ["call:ring", "call:accept"]) {
    server.instead[event] = (session, { call: id }) => {
      delete server.instead[event];
      server.tell(session, "error", { code: "too-fast", message: "Wait.", event, id, retryAfterMs: 500 });
    };
  }
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  await world.until(ben.calls[0].accept());
  await flows(world, call, ben.calls[0]);
  const ending = course(call);
  server.instead["call:end"] = (session, { call: id }) => {
    delete server.instead["call:end"];
    server.tell(session, "error", { code: "too-fast", message: "Wait.", event: "call:end", id, retryAfterMs: 500 });
  };
  const errors = collect(ben.client, "error");
  ben.calls[0].end();
  await world.see("the end", () => call.state === "ended");
  assert.deepEqual([ending.reasons, errors], [["hung-up"], []]);
});
