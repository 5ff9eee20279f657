import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, collect, next } from "./support/clients.js";

const OFFER = { offer: { type: "offer", sdp: "v=0\r\n" }, type: "video" };
const ANSWER = { answer: { type: "answer", sdp: "v=0\r\n" } };

test("what sets up a call is passed on as it is, in order", async (t) => {
  const { pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  const [atAnn, atBen] = [collect(annTalk, "signal"), collect(benTalk, "signal")];
  const candidate = { candidate: { candidate: "candidate:1 1 udp 1 192.0.2.7 5 typ host", sdpMid: "0", sdpMLineIndex: 0 } };
  const last = next(benTalk, "signal", ({ data }) => data.candidate === null);
  assert.equal(annTalk.signal("webrtc:offer", OFFER), true);
  annTalk.signal("webrtc:ice-candidate", candidate);
  annTalk.signal("webrtc:ice-candidate", { candidate: null });
  await last;
  assert.deepEqual(atBen, [
    { name: "webrtc:offer", data: OFFER },
    { name: "webrtc:ice-candidate", data: candidate },
    { name: "webrtc:ice-candidate", data: { candidate: null } },
  ]);
  const answered = next(annTalk, "signal");
  benTalk.signal("webrtc:answer", ANSWER);
  await answered;
  assert.deepEqual(atAnn, [{ name: "webrtc:answer", data: ANSWER }]);
});

test("an offer that came before anyone listened is told to the first listener, once", async (t) => {
  const { pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  annTalk.signal("webrtc:offer", OFFER);
  await annTalk.send("after it").delivered;
  const first = collect(benTalk, "signal");
  const second = collect(benTalk, "signal");
  assert.deepEqual(first, [{ name: "webrtc:offer", data: OFFER }]);
  assert.deepEqual(second, []);
});

test("other names are refused, and nothing is said once it is over", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk } = await pair();
  assert.throws(() => annTalk.signal("chat:message", {}), TypeError);
  await annTalk.leave();
  assert.equal(annTalk.signal("webrtc:offer", OFFER), false);
  assert.deepEqual(server.heard.filter(({ event }) => event.startsWith("webrtc:")), []);
});

test("without WebRTC there are no calls, and everything else is as it was", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk } = await pair();
  assert.equal("calls" in server.hellos[0].client, false);
  await assert.rejects(annTalk.call(), { code: "media-unsupported" });
  await annTalk.send("still here").delivered;
});
