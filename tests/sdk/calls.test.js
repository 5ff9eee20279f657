/** Calls between two: ring, answer, media, end; each with a peer connection that is made up. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Call } from "../../web-demo/sdk/duologue.js";
import { collect } from "./support/clients.js";
import { callers, course, flows } from "./support/callers.js";

test("one rings, the other accepts, and both see each other with one offer and one answer", async (t) => {
  const { world, ann, ben, air, said, server } = await callers(t);
  assert.equal(server.hellos[0].client.calls, true);
  const call = await world.until(ann.talk.call());
  const course1 = course(call);
  assert.deepEqual([call.state, call.direction, call.kind, call.relay, call.remote, call.startedAt], ["ringing", "outgoing", "video", false, null, null]);
  assert.equal(ann.talk.currentCall, call);
  await world.see("the ring", () => ben.calls.length === 1);
  const [theirs] = ben.calls;
  assert.deepEqual([theirs.id, theirs.state, theirs.direction, theirs.kind, theirs.local], [call.id, "ringing", "incoming", "video", null]);
  const streams = collect(theirs, "remote");
  await world.until(theirs.accept());
  await flows(world, call, theirs);
  assert.deepEqual(course1.states, ["connecting", "connected"]);
  for (const side of [call, theirs]) {
    assert.deepEqual(side.local.getTracks().map(({ kind }) => kind), ["audio", "video"]);
    assert.deepEqual(side.remote.getTracks().map(({ kind }) => kind), ["audio", "video"]);
    assert.ok(side.startedAt > 0);
  }
  assert.ok(streams.every(({ stream }) => stream === theirs.remote));
  await world.pass(2000);
  assert.deepEqual(said("ann"), ["call:ring", "webrtc:offer", "webrtc:candidates"]);
  assert.deepEqual(said("ben"), ["call:accept", "webrtc:answer", "webrtc:candidates"]);
  const batch = server.heard.find(({ event, user }) => event === "webrtc:candidates" && user === "ann").data;
  const offer = server.heard.find(({ event }) => event === "webrtc:offer").data;
  assert.deepEqual([batch.id, batch.candidates.length, batch.end], [offer.id, 2, true]);
  assert.deepEqual([offer.call, offer.type, offer.generation], [call.id, "video", 0]);
  assert.deepEqual(air.wrong, []);
});

test("what is sent is bounded, and sound comes first", async (t) => {
  const { world, connect, air } = await callers(t);
  const [call] = await connect();
  await world.pass(100);
  const parameters = () => air.of(call).getSenders().map(({ parameters: { encodings, degradationPreference } }) => ({ ...encodings[0], degradationPreference }));
  assert.deepEqual(parameters(), [
    { active: true, maxBitrate: 48_000, priority: "high", networkPriority: "high", degradationPreference: undefined },
    { active: true, maxBitrate: 1_500_000, degradationPreference: "maintain-framerate" },
  ]);
  await world.until(call.screen(true));
  await world.pass(100);
  assert.deepEqual(parameters()[1], { active: true, maxBitrate: 2_500_000, degradationPreference: "maintain-resolution" });
});

test("either hangs up, and nothing is left: devices, connections, timers; the numbers are reported", async (t) => {
  const { world, connect, air, devices, ben, ann, server } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  await world.pass(3000);
  theirs.end();
  assert.deepEqual(other.reasons, ["you-hung-up"]);
  await world.see("the end", () => call.state === "ended");
  assert.deepEqual(mine.reasons, ["hung-up"]);
  assert.deepEqual(devices.live, []);
  assert.ok(air.made.every(({ closed }) => closed));
  assert.deepEqual([ann.talk.currentCall, ben.talk.currentCall], [null, null]);
  const reported = () => server.heard.filter(({ event }) => event === "call:report");
  await world.see("reports", () => reported().length === 2);
  assert.ok(reported().every(({ seq }) => seq === undefined), "volatile");
  const { setupMs, reason } = reported().find(({ user }) => user === "ann").data;
  assert.ok(Number.isInteger(setupMs) && setupMs > 0 && setupMs < 1000, `${setupMs} ms`);
  assert.equal(reason, "hung-up");
  const frames = server.heard.length;
  await world.pass(5000);
  assert.deepEqual(server.heard.slice(frames).filter(({ event }) => /^(?:call|webrtc|ice)/u.test(event)), []);
});

test("declined, busy, called off, and not answered", async (t) => {
  const { world, ann, ben } = await callers(t, { before: ({ server }) => (server.calls.ringMs = 5000) });
  const ends = [
    [(call, theirs) => theirs.decline(), "declined", "you-declined"],
    [(call, theirs) => theirs.decline("busy"), "busy", "you-declined"],
    [(call, theirs) => theirs.end(), "declined", "you-declined"],
    [(call) => call.end(), "you-hung-up", "cancelled"],
    [() => {}, "no-answer", "no-answer"],
  ];
  for (const [act, mine, other] of ends) {
    const call = await world.until(ann.talk.call({ video: false }));
    await world.see("the ring", () => ben.calls.at(-1)?.id === call.id);
    const theirs = ben.calls.at(-1);
    assert.equal(theirs.kind, "audio");
    const [one, two] = [course(call), course(theirs)];
    act(call, theirs);
    await world.see("both ended", () => call.state === "ended" && theirs.state === "ended");
    assert.deepEqual([one.reasons, two.reasons], [[mine], [other]]);
    await assert.rejects(theirs.accept(), { code: "call-ended" });
  }
});

test("a ring is called off by its signal, also while the person is still asked", async (t) => {
  const { world, ann, ben, devices, said } = await callers(t);
  const first = new AbortController();
  const call = await world.until(ann.talk.call({ signal: first.signal }));
  first.abort();
  assert.equal(call.state, "ended");
  devices.asksMs = 1000;
  const second = new AbortController();
  const calling = ann.talk.call({ signal: second.signal });
  await world.pass(100);
  second.abort();
  await assert.rejects(world.until(calling, 100), { name: "AbortError" });
  await world.pass(2000);
  assert.deepEqual(devices.live, []);
  assert.deepEqual(said("ann"), ["call:ring", "call:end"]);
  assert.deepEqual(ben.calls.map(({ state }) => state), ["ended"]);
});

test("the talk ends: so does the call, and what the person is asked for", async (t) => {
  const { world, connect, ann, devices, air } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  ann.talk.leave();
  assert.deepEqual(mine.reasons, ["conversation"]);
  await world.see("theirs", () => theirs.state === "ended");
  assert.deepEqual(other.reasons, ["conversation"]);
  assert.deepEqual(devices.live, []);
  assert.ok(air.made.every(({ closed }) => closed));
  await assert.rejects(ann.talk.call(), { code: "conversation-ended" });
});

test("a talk that ends while devices are asked for", async (t) => {
  const { world, ann, ben, devices } = await callers(t);
  await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  devices.asksMs = 1000;
  const accepting = ben.calls[0].accept();
  await world.pass(100);
  ann.talk.leave();
  await assert.rejects(world.until(accepting, 500), { code: "call-ended" });
  await world.pass(2000);
  assert.deepEqual(devices.live, []);
});

test("devices that cannot be had have a plain code, and the call waits on", async (t) => {
  const { world, ann, ben, devices, said } = await callers(t);
  const codes = {
    NotAllowedError: "media-denied", SecurityError: "media-denied", NotFoundError: "media-missing", OverconstrainedError: "media-missing",
    NotReadableError: "media-busy", NotSupportedError: "media-unsupported", UnknownError: "media-failed",
  };
  for (const [name, code] of Object.entries(codes)) {
    devices.refusal = name;
    await assert.rejects(world.until(ann.talk.call()), { code });
  }
  assert.equal(ann.talk.currentCall, null);
  assert.deepEqual(said("ann"), []);
  devices.refusal = null;
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  devices.refusal = "NotFoundError";
  await assert.rejects(world.until(ben.calls[0].accept()), { code: "media-missing" });
  assert.equal(ben.calls[0].state, "ringing");
  devices.refusal = null;
  await world.until(ben.calls[0].accept({ video: false }));
  await flows(world, call, ben.calls[0]);
  assert.deepEqual(ben.calls[0].remote.getTracks().map(({ kind }) => kind), ["audio", "video"]);
  assert.deepEqual(call.remote.getTracks().map(({ kind }) => kind), ["audio"]);
  globalThis.navigator.mediaDevices = undefined;
  await assert.rejects(Call.devices(), { code: "media-unsupported" });
});

test("a camera that comes later, goes and comes again; a microphone that is muted; another device", async (t) => {
  const { world, connect, air, devices, said, server } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  assert.deepEqual([call.muted, call.cameraOff], [false, true]);
  const locals = collect(call, "local");
  const directions = () => air.of(call).getTransceivers().map(({ direction }) => direction);
  await world.until(call.camera(true));
  await world.see("ben sees it", () => theirs.remote.getVideoTracks().length === 1);
  assert.equal(locals.length, 1);
  const [camera] = call.local.getVideoTracks();
  await world.until(call.camera(false));
  assert.deepEqual([call.cameraOff, camera.enabled, camera.readyState], [true, false, "live"]);
  await world.pass(1500);
  assert.deepEqual([camera.readyState, call.local.getVideoTracks().length], ["ended", 0]);
  // Whoever shows it is told by their track, which is muted.
  assert.deepEqual(directions(), ["sendrecv", "recvonly"]);
  await world.until(call.camera(true));
  await world.pass(200);
  assert.deepEqual(directions(), ["sendrecv", "sendrecv"]);
  const from = server.heard.length;
  await world.until(call.camera(false));
  await world.pass(500);
  await world.until(call.camera(true));
  assert.equal(call.local.getVideoTracks()[0].readyState, "live");
  await world.until(call.mute(true));
  assert.deepEqual([call.muted, call.local.getAudioTracks()[0].enabled], [true, false]);
  const [before] = call.local.getAudioTracks();
  await world.until(call.useDevice("audioinput", "two"));
  await world.pass(100);
  assert.deepEqual(devices.asked.at(-1).audio.deviceId, { exact: "two" });
  const [after] = call.local.getAudioTracks();
  assert.deepEqual([before.readyState, after.enabled, call.muted], ["ended", false, true]);
  assert.ok(air.of(call).getSenders().some(({ track }) => track === after));
  assert.deepEqual(said("ann", from), [], "nothing to negotiate");
});

test("the screen goes out in place of the camera, until the browser's own button ends it", async (t) => {
  const { world, connect, air } = await callers(t);
  const [call] = await connect();
  const [camera] = call.local.getVideoTracks();
  await world.until(call.screen(true));
  await world.pass(100);
  const sent = () => air.of(call).getSenders()[1].track.label;
  assert.deepEqual([call.sharing, sent(), call.local.getVideoTracks().map(({ label }) => label), camera.readyState], [true, "screen", ["screen"], "live"]);
  const locals = collect(call, "local");
  call.local.getVideoTracks()[0].ends();
  await world.pass(100);
  assert.deepEqual([call.sharing, sent(), call.local.getVideoTracks()], [false, "video", [camera]]);
  assert.equal(locals.length, 1);
});

test("how the line is matters to a picture only", async (t) => {
  const { world, connect, air } = await callers(t);
  const [call] = await connect({ video: false }, { video: false });
  const levels = collect(call, "quality");
  air.of(call).stats = [{ type: "remote-inbound-rtp", fractionLost: 0.3 }];
  await world.pass(20_000);
  assert.deepEqual(levels, []);
  await world.until(call.camera(true));
  await world.see("it told", () => levels.length > 0);
});

test("only listening and looking", async (t) => {
  const { connect, devices } = await callers(t);
  const [call, theirs] = await connect({}, { audio: false, video: false });
  assert.equal(devices.asked.length, 1);
  assert.deepEqual(theirs.remote.getTracks().map(({ kind }) => kind), ["audio", "video"]);
  assert.equal(call.remote, null);
});

test("a relayed call: asked for by either, or by the service", async (t) => {
  const { world, connect, air } = await callers(t);
  const [call, theirs] = await connect({}, { relay: true });
  assert.deepEqual([call.relay, theirs.relay], [true, true]);
  assert.deepEqual(air.made.map(({ configuration }) => configuration.iceTransportPolicy), ["relay", "relay"]);
  call.end();
  await world.see("the end", () => theirs.state === "ended");
  const [direct] = await connect();
  assert.equal(direct.relay, false);
  assert.equal(air.made.at(-1).configuration.iceTransportPolicy, "all");
});

test("a service that relays all calls, and one that cannot", async (t) => {
  const { world, connect, ann, air, server } = await callers(t, { before: ({ server }) => (server.ice = { relayOnly: true, iceServers: [{ urls: ["turn:a"] }] }) });
  const [call] = await connect();
  assert.equal(call.relay, true);
  assert.deepEqual(air.made[0].configuration.iceServers, [{ urls: ["turn:a"] }]);
  call.end();
  server.calls.relays = false;
  const refused = await world.until(ann.talk.call({ relay: true }));
  const { ended } = course(refused);
  await world.see("the refusal", () => ended.length === 1);
  assert.deepEqual([ended[0].reason, ended[0].error.code], ["failed", "relay-unavailable"]);
});

test("credentials are renewed at half of their life while there is a call, and not without", async (t) => {
  const iceServers = [{ urls: ["turn:a"], username: "1", credential: "x" }];
  const { world, connect, air, server } = await callers(t, { before: ({ server }) => (server.ice = { iceServers, iceTtlMs: 60_000 }) });
  const asked = () => server.heard.filter(({ event, user }) => event === "ice:renew" && user === "ann").length;
  await world.pass(40_000);
  assert.equal(asked(), 0);
  server.ice.iceServers = [{ ...iceServers[0], username: "2" }];
  const [call] = await connect();
  assert.equal(asked(), 1, "less than half is left");
  assert.equal(air.of(call).configuration.iceServers[0].username, "2");
  server.ice.iceServers = [{ ...iceServers[0], username: "3" }];
  await world.pass(31_000);
  assert.equal(asked(), 2);
  assert.equal(air.of(call).configuration.iceServers[0].username, "3");
  call.end();
  await world.pass(120_000);
  assert.equal(asked(), 2);
});

test("more candidates than the server takes are not said", async (t) => {
  const { connect, air, server, ann, world } = await callers(t);
  air.candidates = 120;
  await connect();
  await world.pass(500);
  const batches = server.heard.filter(({ event, user }) => event === "webrtc:candidates" && user === "ann");
  assert.equal(batches.reduce((sum, { data }) => sum + data.candidates.length, 0), 50);
  assert.deepEqual(ann.said("error"), []);
});

test("numbers each second, and a line that is too bad for a picture", async (t) => {
  const { world, connect, air } = await callers(t);
  const [call] = await connect();
  const [stats, paths, levels] = [collect(call, "stats"), collect(call, "path"), collect(call, "quality")];
  const pc = air.of(call);
  pc.stats = [
    { type: "transport", id: "T", selectedCandidatePairId: "P" },
    { type: "candidate-pair", id: "P", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.02, availableOutgoingBitrate: 90_000 },
    { type: "local-candidate", id: "L", candidateType: "host" }, { type: "remote-candidate", id: "R", candidateType: "relay" },
  ];
  await world.pass(5000);
  assert.ok(stats.length >= 4 && stats.length <= 5, `${stats.length}`);
  assert.deepEqual([stats.at(-1).rttMs, call.path, paths], [20, "relay", [{ path: "relay" }]]);
  assert.deepEqual(levels.map(({ level }) => level), ["poor"]);
  await world.see("no picture", () => levels.at(-1).level === "audio");
  assert.equal(pc.getSenders()[1].parameters.encodings[0].active, false);
  assert.equal(pc.getSenders()[0].parameters.encodings[0].active, true);
  pc.stats[1].availableOutgoingBitrate = 2_000_000;
  await world.see("all of it", () => levels.at(-1).level === "good", 60_000);
  assert.deepEqual(pc.getSenders()[1].parameters.encodings[0].maxBitrate, 1_500_000);
});
