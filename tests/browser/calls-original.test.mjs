/** Calls between the demo and a page that knows the original's API alone: a bare offer, an answer, one candidate at a time. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { chromium } from "./support/browsers.mjs";
import { Caller, gone, spied } from "./support/calls.mjs";
import { Visitor, serveOriginal } from "./support/original.mjs";
import { startServer } from "./support/server.mjs";
import { startTurn } from "./support/turn.mjs";

const OUT = path.resolve(import.meta.dirname, "out");
const VIEW = { width: 900, height: 700 };
const RELAY = "127.0.0.2";

/** What an app of the original does for calls, after its documentation. Runs in its page, where `socket` is. */
function callsAsTheOriginal() {
  const player = Object.assign(document.createElement("video"), { autoplay: true });
  document.body.append(player);
  let peer;

  async function begin() {
    peer = new RTCPeerConnection({ iceServers: window.iceServers ?? [] });
    peer.onicecandidate = ({ candidate }) => socket.emit("webrtc:ice-candidate", { candidate });
    peer.ontrack = ({ streams, track }) => (player.srcObject = streams[0] ?? new MediaStream([...(player.srcObject?.getTracks() ?? []), track]));
    const devices = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    devices.getTracks().forEach((track) => peer.addTrack(track, devices));
  }

  socket.on("webrtc:offer", async ({ offer, type }) => {
    await begin();
    window.asked = type;
    await peer.setRemoteDescription(offer);
    await peer.setLocalDescription(await peer.createAnswer());
    socket.emit("webrtc:answer", { answer: peer.localDescription });
  });
  socket.on("webrtc:answer", ({ answer }) => peer.setRemoteDescription(answer));
  // One that comes before the description is of no use to it, and those of the description are enough.
  socket.on("webrtc:ice-candidate", ({ candidate }) => candidate && peer?.remoteDescription && peer.addIceCandidate(candidate));

  window.callOut = async () => {
    await begin();
    await peer.setLocalDescription(await peer.createOffer());
    socket.emit("webrtc:offer", { offer: peer.localDescription, type: "video" });
  };
  window.callOff = () => peer.close();
}

/**
 * Someone in the page of the original, who found the guest of the demo.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, string>} [settings]
 */
async function pair(t, settings = {}) {
  const served = await serveOriginal();
  t.after(() => served.stop());
  const server = await startServer(t, { CORS_ORIGIN: served.url, ...settings });
  const [left, right] = await Promise.all([chromium(t), chromium(t)]);
  const { opened: visitor, page } = await spied(left, (browser) => Visitor.arrive(browser, served.url, server.url, VIEW));
  const old = new Caller(page);
  const ann = await Caller.arrive(right, server.url, { view: VIEW });
  await visitor.registers("Jonas");
  await visitor.clicks("#match");
  await ann.person.clicks("find");
  await ann.person.sees("partner", "Jonas");
  await page.evaluate(callsAsTheOriginal);
  return { visitor, old, ann };
}

test("a client of the original API and the demo call each other", async (t) => {
  const { visitor, old, ann } = await pair(t);
  const both = [old, ann];

  await t.test("its bare offer rings in the demo, and is answered", async () => {
    await old.page.evaluate(() => window.callOut());
    await ann.sees("ringing-in");
    await ann.person.clicks("call-accept");
    await ann.sees("connected");
    await Promise.all(both.map((caller) => caller.hears()));
    await mkdir(OUT, { recursive: true });
    await Promise.all([visitor.isPicturedAs(path.join(OUT, "calls-original-1-old.png")), ann.person.isPictured("calls-original-1-demo")]);
  });

  await t.test("it closes its connection, which is all it can do: the demo's call ends", async () => {
    await old.page.evaluate(() => window.callOff());
    await gone(ann);
  });

  await t.test("the demo calls: it gets the bare offer that it knows", async () => {
    await ann.person.clicks("call-video");
    await ann.sees("connected");
    assert.equal(await old.page.evaluate(() => window.asked), "video");
    await Promise.all(both.map((caller) => caller.hears()));
    const wire = await old.page.evaluate(() => window.spied.heard.filter(({ what }) => what === "wire").map(({ text }) => text));
    assert.deepEqual(wire.filter((text) => text.includes('"call:')), [], "It heard of rings, which it does not know.");
    await ann.person.clicks("call-end");
    await gone(ann);
  });

  for (const { complaints } of [visitor, ann.person]) assert.deepEqual(complaints, []);
});

test("where the server hides addresses, it hides them from a client of the original API, and its own", async (t) => {
  const turn = await startTurn(t, { host: RELAY });
  const { visitor, old, ann } = await pair(t, turn.settings);
  // The original's apps bring their own servers.
  await old.page.evaluate((server) => (window.iceServers = [server]), { urls: turn.urls, ...turn.credentials() });
  await old.page.evaluate(() => window.callOut());
  await ann.sees("ringing-in");
  await ann.person.clicks("call-accept");
  await ann.sees("connected");
  await Promise.all([old, ann].map((caller) => caller.hears()));
  for (const caller of [old, ann]) {
    const heard = await caller.heardCandidates();
    assert.ok(heard.length > 0);
    for (const candidate of heard) assert.match(candidate, /^candidate:\S+ 1 udp \d+ 127\.0\.0\.2 \d+ typ relay(?: raddr 0\.0\.0\.0 rport 0)?(?: |$)/u);
  }
  assert.ok((await old.page.evaluate(() => window.spied.gathered())).some((line) => / typ host/u.test(line)), "It had nothing to tell.");
  for (const { complaints } of [visitor, ann.person]) assert.deepEqual(complaints, []);
});
