/** Calls with clients of the original API, whose signals have no call, and apps that make their calls by themselves. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "./support/clients.js";
import { callers, course, flows } from "./support/callers.js";
import { openMedia } from "./support/media.js";
import { World } from "./support/world.js";

/** Ben's client is an old one: it knows no rings, and makes its connections by itself. */
async function withOld(t) {
  const all = await callers(t);
  const { server, ben, world } = all;
  server.of("ben").calls = false;
  const signals = [];
  let pc = null;
  const make = () => {
    pc?.close();
    pc = new RTCPeerConnection({});
    pc.addEventListener("icecandidate", ({ candidate }) => ben.talk.signal("webrtc:ice-candidate", { candidate: candidate?.toJSON() ?? null }));
    return pc;
  };
  // One after the other, as candidates must not overtake their description.
  let work = Promise.resolve();
  ben.talk.addEventListener("signal", ({ detail: { name, data } }) => {
    signals.push({ name, data });
    work = work.then(async () => {
      if (name === "webrtc:offer") {
        await make().setRemoteDescription(data.offer);
        await pc.setLocalDescription();
        ben.talk.signal("webrtc:answer", { answer: pc.localDescription });
      } else if (name === "webrtc:answer") {
        await pc.setRemoteDescription(data.answer);
      } else {
        await pc?.addIceCandidate(data.candidate);
      }
    });
  });
  const dial = async (type = "video") => {
    make();
    for (const kind of type === "video" ? ["audio", "video"] : ["audio"]) {
      pc.addTransceiver(kind, { direction: "sendrecv" });
    }
    const offering = pc.setLocalDescription();
    await world.until(offering);
    ben.talk.signal("webrtc:offer", { offer: pc.localDescription, type });
  };
  return { ...all, signals, dial, pc: () => pc };
}

test("to an old client: it is offered the call at once, in its own words", async (t) => {
  const { world, ann, signals, pc, server } = await withOld(t);
  const call = await world.until(ann.talk.call());
  const { states } = course(call);
  await flows(world, call);
  assert.deepEqual(states, ["connecting", "connected"]);
  await world.see("it there", () => pc().connectionState === "connected");
  await world.pass(500);
  assert.deepEqual(signals.map(({ name, data }) => [name, Object.keys(data)]), [
    ["webrtc:offer", ["offer", "type"]],
    ["webrtc:ice-candidate", ["candidate"]], ["webrtc:ice-candidate", ["candidate"]], ["webrtc:ice-candidate", ["candidate"]],
  ]);
  assert.equal(signals.at(-1).data.candidate, null);
  assert.deepEqual(ann.said("error"), []);
  call.end();
  await world.pass(500);
  assert.deepEqual(server.heard.filter(({ event }) => event.startsWith("call:")).map(({ event }) => event), ["call:ring"]);
});

test("an old client that does not answer", async (t) => {
  const { world, ann, server } = await withOld(t);
  server.instead["webrtc:offer"] = () => {};
  const call = await world.until(ann.talk.call());
  const { reasons } = course(call);
  await world.see("the end", () => reasons.length === 1, 60_000);
  assert.deepEqual(reasons, ["no-answer"]);
});

test("from an old client: a call like any other, answered in its own words", async (t) => {
  const { world, ann, dial, pc, server, devices } = await withOld(t);
  await dial("audio");
  await world.see("the ring", () => ann.calls.length === 1);
  const [call] = ann.calls;
  assert.deepEqual([call.state, call.direction, call.kind], ["ringing", "incoming", "audio"]);
  await world.pass(500);
  await world.until(call.accept());
  await flows(world, call);
  await world.see("it there", () => pc().connectionState === "connected");
  assert.deepEqual(server.heard.filter(({ user, event }) => user === "ann" && /^(?:webrtc|call)/u.test(event)).map(({ event, data }) => [event, Object.keys(data)]), [
    ["webrtc:answer", ["answer"]],
    ["webrtc:ice-candidate", ["candidate"]], ["webrtc:ice-candidate", ["candidate"]], ["webrtc:ice-candidate", ["candidate"]],
  ]);
  const { reasons } = course(call);
  // It has hung up, and calls again.
  await dial("video");
  await world.see("the second ring", () => ann.calls.length === 2);
  assert.deepEqual([reasons, ann.calls[1].state, ann.calls[1].kind], [["hung-up"], "ringing", "video"]);
  assert.equal(devices.live.length, 0);
  ann.calls[1].decline();
  assert.equal(ann.talk.currentCall, null);
});

test("an old client closes its connection: that is its hanging up", async (t) => {
  const { world, ann, air } = await withOld(t);
  const call = await world.until(ann.talk.call());
  const transport = Object.assign(new EventTarget(), { state: "connected" });
  await world.see("a connection", () => air.of(call));
  for (const sender of air.of(call).getSenders()) sender.transport = transport;
  await flows(world, call);
  const { reasons } = course(call);
  transport.state = "closed";
  transport.dispatchEvent(new Event("statechange"));
  assert.deepEqual(reasons, ["hung-up"]);
});

test("whoever listens for signals makes calls by themselves: nothing bare is taken from them", async (t) => {
  const { world, ann, ben, dial } = await withOld(t);
  const signals = collect(ann.talk, "signal");
  await dial();
  await world.see("the offer", () => signals.some(({ name }) => name === "webrtc:offer"));
  await world.pass(200);
  assert.deepEqual([ann.calls, ann.talk.currentCall], [[], null]);
  assert.equal(signals.at(-1).data.candidate, null);
  assert.equal(ben.talk.currentCall, null);
});

test("an offer that came before anyone listened is a call for whoever listens for calls first", async (t) => {
  openMedia(t);
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ben.talk.signal("webrtc:offer", { offer: { type: "offer", sdp: "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n" }, type: "audio" });
  await world.pass(200);
  const calls = collect(ann.talk, "call");
  const signals = collect(ann.talk, "signal");
  assert.deepEqual(calls.map(({ state, kind }) => [state, kind]), [["ringing", "audio"]]);
  assert.deepEqual(signals, []);
  ann.talk.leave();
  assert.equal(calls[0].state, "ended");
});
