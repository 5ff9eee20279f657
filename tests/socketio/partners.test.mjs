/** Socket.IO with the SDK over WebSocket: words, calls and files, both ways. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { meetStream, open } from "./support/people.mjs";

const OFFER = { offer: { type: "offer", sdp: "v=0\r\n" }, type: "video" };
const ANSWER = { answer: { type: "answer", sdp: "v=0\r\n" } };
const CANDIDATE = { candidate: { candidate: "candidate:1 1 udp 1 192.0.2.7 5 typ host", sdpMid: "0", sdpMLineIndex: 0 } };
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
/** Nothing that would be taken for another type. */
const noise = (size) => Buffer.concat([Buffer.alloc(16, 0x7f), randomBytes(size - 16)]);

/** A second of silence that is a voice note: WAV (RFC 2361), 8 kHz, 8 bits. */
function silence() {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + 8000, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(8000, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write("data", 36);
  head.writeUInt32LE(8000, 40);
  return Buffer.concat([head, Buffer.alloc(8000, 0x80)]);
}

/** What goes over HTTP, as a page sends it. */
async function upload(url, token, bytes, name, type, fields = {}) {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  form.append("file", new Blob([bytes], { type }), name);
  const response = await fetch(`${url}/api/files`, { method: "POST", body: form, headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: await response.json() };
}

test("Socket.IO and the SDK over WebSocket", async (t) => {
  // The files of this one address are more than ten an hour.
  const world = await open(t, { DUOLOGUE_LIMITS_UPLOADS_PER_HOUR: "1000" });
  const { url } = world.server;

  /** One of each, who talk. */
  async function pair() {
    const [ann, zoe] = [await world.arrive(), await world.stream()];
    await ann.mail.next("connection:established");
    const { talk, matched } = await meetStream(ann, zoe);
    assert.equal(matched.matchedUser.id, zoe.user.id);
    assert.equal(talk.partner.id, ann.user.id);
    return { ann, zoe, talk };
  }

  await t.test("chat, delivery, typing and clear", async () => {
    const { ann, zoe, talk } = await pair();
    ann.socket.emit("chat:typing", { typing: true });
    assert.deepEqual(await zoe.mail.next("typing"), { typing: true });
    ann.socket.emit("chat:message", { id: "m1", type: "text", content: "from Socket.IO", timestamp: 5 });
    const heard = await zoe.mail.next("message");
    assert.deepEqual([heard.id, heard.from, heard.type, heard.content, heard.sent], ["m1", ann.user.id, "text", "from Socket.IO", 5]);
    assert.deepEqual(await ann.mail.next("chat:delivered"), { id: "m1" });
    const sent = talk.send("from the SDK");
    await sent.delivered;
    const back = await ann.mail.next("chat:message");
    assert.deepEqual([back.id, back.content, back.sender], [sent.id, "from the SDK", { id: zoe.user.id, username: zoe.user.username }]);
    ann.socket.emit("chat:clear");
    assert.deepEqual(await zoe.mail.next("clear"), { by: ann.user.id, mine: false });
    talk.clear();
    assert.deepEqual(await ann.mail.next("chat:clear"), { by: zoe.user.id });
  });

  await t.test("offer, answer and candidates, both ways", async () => {
    const { ann, zoe, talk } = await pair();
    for (const [name, data] of [["webrtc:offer", OFFER], ["webrtc:answer", ANSWER], ["webrtc:ice-candidate", CANDIDATE], ["webrtc:ice-candidate", { candidate: null }]]) {
      ann.socket.emit(name, data);
      assert.deepEqual(await zoe.mail.next("signal"), { name, data });
      assert.equal(talk.signal(name, data), true);
      assert.deepEqual(await ann.mail.next(name), data);
    }
  });

  await t.test("a description of a file is JSON at the SDK", async () => {
    const { ann, zoe } = await pair();
    const content = { name: "a.png", url: "https://files.example/a.png" };
    ann.socket.emit("chat:message", { type: "file", content });
    const { type, content: told } = await zoe.mail.next("message");
    assert.deepEqual([type, JSON.parse(told)], ["file", content]);
    ann.socket.emit("chat:message", { type: "voice", content: "words" });
    assert.equal((await zoe.mail.next("message")).content, "words");
  });

  await t.test("a file from the SDK: chat:message of type file with a link that is good once", async () => {
    const { ann, zoe, talk } = await pair();
    const bytes = noise(300_000);
    const sent = talk.sendFile(new Blob([bytes], { type: "application/octet-stream" }), { name: "notes.bin" });
    const told = await ann.mail.next("chat:message");
    assert.deepEqual([told.type, told.from, told.id], ["file", zoe.user.id, sent.id]);
    assert.deepEqual(told.sender, { id: zoe.user.id, username: zoe.user.username });
    assert.equal(typeof told.timestamp, "number");
    const { url: link, ...content } = told.content;
    assert.deepEqual(content, { name: "notes.bin", size: bytes.length, type: "application/octet-stream" });
    assert.ok(link.startsWith(`${url}/api/files/`), link);
    const response = await fetch(link);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-length"), String(bytes.length));
    assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(bytes));
    await sent.done;
    const again = await fetch(link);
    assert.deepEqual([again.status, (await again.json()).error.code], [404, "transfer-unknown"]);
  });

  await t.test("a voice note from the SDK has its duration", async () => {
    const { ann, talk } = await pair();
    const bytes = silence();
    const sent = talk.sendVoice(new Blob([bytes], { type: "audio/wav" }), { durationMs: 1000 });
    const { type, content } = await ann.mail.next("chat:message");
    assert.deepEqual([type, content.durationMs, content.type, content.size], ["voice", 1000, "audio/wav", bytes.length]);
    const response = await fetch(content.url);
    assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(bytes));
    await sent.done;
  });

  await t.test("a file to the SDK by POST /api/files", async () => {
    const { ann, zoe } = await pair();
    const bytes = noise(300_000);
    const uploaded = upload(url, ann.token, bytes, "from-http.bin", "application/octet-stream", { size: String(bytes.length) });
    const transfer = await zoe.mail.next("file");
    assert.deepEqual([transfer.name, transfer.kind, transfer.size], ["from-http.bin", "file", bytes.length]);
    const blob = await transfer.blob();
    assert.equal(sha256(Buffer.from(await blob.arrayBuffer())), sha256(bytes));
    const { status, body } = await uploaded;
    assert.deepEqual([status, body.data.name, body.data.size], [201, "from-http.bin", bytes.length]);
  });

  await t.test("a file is refused, and called off, by its id", async () => {
    const { ann, zoe, talk } = await pair();
    const first = talk.sendFile(new Blob(["words"], { type: "text/plain" }), { name: "a.txt" });
    const { id } = await ann.mail.next("chat:message");
    assert.deepEqual(await ann.ask("file:reject", { transfer: id }), { ok: true });
    await assert.rejects(first.done, { code: "rejected" });
    const second = talk.sendFile(new Blob(["words"], { type: "text/plain" }), { name: "b.txt" });
    const told = await ann.mail.next("chat:message");
    second.cancel();
    await assert.rejects(second.done, { code: "cancelled" });
    assert.equal((await ann.mail.next("file:cancel")).transfer, told.id);
    assert.equal((await fetch(told.content.url)).status, 404);
    zoe.mail.never("message");
  });

  await t.test("between two on Socket.IO, by HTTP at both ends, of a known size and of an unknown one", async () => {
    const { ann, ben } = await world.pair();
    for (const [from, to, fields] of [[ann, ben, {}], [ben, ann, { size: "200000" }]]) {
      const bytes = noise(200_000);
      const uploaded = upload(url, from.token, bytes, "b.bin", "application/octet-stream", fields);
      const { type, content, sender } = await to.mail.next("chat:message");
      assert.deepEqual([type, content.name, sender.id, content.size], ["file", "b.bin", from.user.id, fields.size && 200_000]);
      const response = await fetch(content.url);
      assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(bytes));
      assert.equal((await uploaded).status, 201);
    }
    const bytes = silence();
    const uploaded = upload(url, ann.token, bytes, "note.wav", "audio/wav", { kind: "voice", durationMs: "1000" });
    const { type, content } = await ben.mail.next("chat:message");
    assert.deepEqual([type, content.durationMs], ["voice", 1000]);
    assert.equal(Buffer.from(await (await fetch(content.url)).arrayBuffer()).length, bytes.length);
    assert.equal((await uploaded).status, 201);
  });

  await t.test("10 MiB, streamed live", async () => {
    const { ann, talk } = await pair();
    const bytes = noise(10 * 1024 * 1024);
    const sent = talk.sendFile(new Blob([bytes]), { name: "large.bin" });
    const { content } = await ann.mail.next("chat:message");
    const response = await fetch(content.url);
    assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(bytes));
    await sent.done;
  });

  await t.test("each leaves, skips and comes back as any two do", async () => {
    const { ann, zoe, talk } = await pair();
    zoe.client.cutLink();
    assert.equal((await ann.mail.next("user:status")).status, "reconnecting");
    assert.equal((await ann.mail.next("user:status")).status, "online");
    ann.socket.io.engine.close();
    assert.equal((await zoe.mail.next("status")).status, "reconnecting");
    await ann.mail.next("user:matched", ({ resumed }) => resumed);
    assert.equal((await zoe.mail.next("status")).status, "online");
    await talk.leave();
    assert.equal((await ann.mail.next("user:unmatched")).reason, "left");
  });
});
