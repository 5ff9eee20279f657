/** What a person wishes of their devices while the browser still asks, and of a call that ends meanwhile: the last word counts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { callers, flows } from "./support/callers.js";

/** Ann, who is in a call, with a browser that takes a second for each device. */
async function slow(t, wanted) {
  const all = await callers(t);
  const [call, theirs] = await all.connect(wanted);
  all.devices.asksMs = all.devices.picksMs = 1000;
  /** The devices of Ann that are on, whether they are sent or not. */
  const on = () => {
    const ben = theirs.local.getTracks();
    return all.devices.live.filter((track) => !ben.includes(track)).map(({ label }) => label).sort();
  };
  return { ...all, call, theirs, on };
}

test("muted while another microphone is opened: that one is muted", async (t) => {
  const { world, call, on } = await slow(t);
  const switching = call.useDevice("audio", "two");
  await world.pass(200);
  await world.until(call.mute(true));
  await world.until(switching);
  assert.deepEqual([call.muted, call.local.getAudioTracks().map(({ enabled }) => enabled), on()], [true, [false], ["audio", "video"]]);
  await world.until(call.mute(false));
  assert.equal(call.muted, false);
  const back = call.useDevice("audio", "one");
  await world.until(call.mute(true));
  await world.until(call.mute(false));
  await world.until(back);
  assert.equal(call.muted, false);
});

test("the camera is turned off while another one is opened: it stays off", async (t) => {
  const { world, call, devices, on } = await slow(t);
  const switching = call.useDevice("video", "two");
  await world.pass(200);
  await world.until(call.camera(false));
  await world.until(switching);
  assert.equal(call.cameraOff, true);
  await world.pass(2000);
  assert.deepEqual([call.cameraOff, on()], [true, ["audio"]]);
  await world.until(call.camera(true));
  assert.deepEqual(devices.asked.at(-1).video.deviceId, { exact: "two" });
  assert.deepEqual([call.cameraOff, on()], [false, ["audio", "video"]]);
});

test("the camera is turned off, and on and off, while it is opened", async (t) => {
  const { world, call, devices, on } = await slow(t, { video: false });
  const opening = call.camera(true);
  await world.pass(200);
  await world.until(call.camera(false));
  await world.until(opening);
  assert.deepEqual([call.cameraOff, on()], [true, ["audio"]]);
  const asked = devices.asked.length;
  const again = call.camera(true);
  await world.pass(200);
  await world.until(call.camera(false));
  const last = call.camera(true);
  await world.until(Promise.all([again, last]));
  assert.deepEqual([call.cameraOff, on(), devices.asked.length - asked], [false, ["audio", "video"], 1]);
});

test("a microphone is turned off while it is opened", async (t) => {
  const { world, call, on } = await slow(t, { audio: false });
  const opening = call.mute(false);
  await world.pass(200);
  await world.until(call.mute(true));
  await world.until(opening);
  assert.deepEqual([call.muted, on()], [true, ["video"]]);
});

test("of two cameras that are chosen one after the other the later counts", async (t) => {
  const { world, call, devices, on } = await slow(t);
  const first = call.useDevice("video", "two");
  await world.pass(200);
  devices.asksMs = 100;
  await world.until(call.useDevice("video", "three"));
  const chosen = call.local.getVideoTracks()[0];
  await world.until(first);
  assert.deepEqual([call.local.getVideoTracks(), on()], [[chosen], ["audio", "video"]]);
});

test("a camera that cannot be had leaves the one there is, and is not asked for again", async (t) => {
  const { world, call, devices, on } = await slow(t);
  devices.refusal = "NotReadableError";
  await assert.rejects(world.until(call.useDevice("video", "two")), { code: "media-busy" });
  devices.refusal = null;
  assert.deepEqual([call.cameraOff, on()], [false, ["audio", "video"]]);
  await world.until(call.camera(false));
  await world.pass(1500);
  await world.until(call.camera(true));
  assert.equal(devices.asked.at(-1).video.deviceId, undefined);
});

test("the screen is asked for twice, and once; and not wanted any more before it was chosen", async (t) => {
  const { world, call, on } = await slow(t);
  await world.until(Promise.all([call.screen(true), call.screen(true)]));
  assert.deepEqual([call.sharing, on()], [true, ["audio", "screen", "video"]]);
  await world.until(call.screen(false));
  assert.deepEqual([call.sharing, on()], [false, ["audio", "video"]]);
  const picking = call.screen(true);
  await world.pass(200);
  await world.until(call.screen(false));
  await world.until(picking);
  assert.deepEqual([call.sharing, on()], [false, ["audio", "video"]]);
});

test("a screen that is refused can be asked for again", async (t) => {
  const { world, call, devices } = await slow(t);
  devices.refusal = "NotAllowedError";
  await assert.rejects(world.until(call.screen(true)), { code: "media-denied" });
  devices.refusal = null;
  await world.until(call.screen(true));
  assert.equal(call.sharing, true);
});

test("muted, and without a camera, while the call is being taken", async (t) => {
  const { world, ann, ben, devices } = await callers(t);
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  const [theirs] = ben.calls;
  devices.asksMs = 1000;
  const taking = theirs.accept();
  await world.pass(200);
  await world.until(Promise.all([theirs.mute(true), theirs.camera(false)]));
  await world.until(taking);
  assert.deepEqual([theirs.muted, theirs.cameraOff, theirs.local.getTracks().map(({ kind, enabled }) => [kind, enabled])], [true, true, [["audio", false]]]);
  assert.equal(devices.live.length, 3);
  await flows(world, call, theirs);
  await world.until(theirs.mute(false));
  assert.equal(theirs.muted, false);
});

test("what is asked for as the call ends settles, and nothing stays on", async (t) => {
  const { world, call, devices } = await slow(t);
  const wishes = [call.useDevice("audio", "two"), call.useDevice("video", "two"), call.screen(true)];
  await world.pass(200);
  call.end();
  const settled = await world.until(Promise.allSettled(wishes), 100);
  assert.deepEqual(settled.map(({ reason }) => reason?.code), ["call-ended", "call-ended", "call-ended"]);
  await world.pass(2000);
  assert.deepEqual(devices.live, []);
  const late = await world.until(Promise.allSettled([call.mute(false), call.camera(true), call.screen(true)]), 100);
  assert.deepEqual(late.map(({ reason }) => reason?.code), ["call-ended", "call-ended", "call-ended"]);
  await world.pass(2000);
  assert.deepEqual(devices.live, []);
});

for (const by of ["accept", "call"]) {
  test(`taking a call is called off by its signal (${by}): it rings on, and can be taken`, async (t) => {
    const { world, ann, ben, devices } = await callers(t);
    const call = await world.until(ann.talk.call());
    await world.see("the ring", () => ben.calls.length === 1);
    const [theirs] = ben.calls;
    const take = (options) => (by === "call" ? ben.talk.call(options) : theirs.accept(options));
    await assert.rejects(world.until(take({ signal: AbortSignal.abort() })), { name: "AbortError" });
    devices.asksMs = 1000;
    const off = new AbortController();
    const taking = take({ signal: off.signal });
    await world.pass(200);
    off.abort();
    await assert.rejects(world.until(taking, 100), { name: "AbortError" });
    await world.pass(2000);
    assert.deepEqual([theirs.state, devices.live.length], ["ringing", 2], "those of the one who rings");
    const later = new AbortController();
    await world.until(take({ signal: later.signal }));
    later.abort();
    await flows(world, call, theirs);
  });
}
