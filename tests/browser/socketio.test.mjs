/** An unmodified client of Socket.IO with the SDK in a real browser, over WebTransport. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { guest, people } from "../socketio/support/people.mjs";
import { chromium } from "./support/browsers.mjs";
import { startServer } from "./support/server.mjs";

const FILE_BYTES = 200_000;

/** Someone with the SDK in a page, whose events end up in a list there. */
async function browse(browser, url) {
  const { token, user } = await guest(url);
  const page = await browser.newPage();
  await page.goto(url);
  await page.evaluate(async (secret) => {
    const { Duologue } = await import("/sdk/duologue.js");
    const client = new Duologue({ token: secret, doors: ["webtransport"], storage: { getItem: () => null, setItem() {}, removeItem() {} } });
    window.heard = [];
    await client.connect();
    window.client = client;
  }, token);
  /** The detail of the next such event. */
  const next = async (type) => {
    const found = await page.waitForFunction((wanted) => {
      const at = window.heard.findIndex(([name]) => name === wanted);
      return at >= 0 && { detail: window.heard.splice(at, 1)[0][1] };
    }, { polling: 20, timeout: 10_000 }, type);
    return (await found.jsonValue()).detail;
  };
  const match = () => page.evaluate(async () => {
    window.talk = await window.client.match();
    for (const type of ["message", "delivered", "clear", "signal", "status", "ended", "typing"]) {
      window.talk.addEventListener(type, ({ detail }) => window.heard.push([type, detail]));
    }
    window.talk.addEventListener("file", ({ detail }) => (window.file = detail));
    return { door: window.client.door, partner: window.talk.partner };
  });
  return { page, user, next, match };
}

test("Socket.IO with a browser over WebTransport", async (t) => {
  const server = await startServer(t);
  const world = people(t, server);
  const zoe = await browse(await chromium(t), server.url);
  const ann = await world.arrive();
  await ann.mail.next("connection:established");
  ann.socket.emit("user:match");
  await ann.mail.next("user:matching");
  const { door, partner } = await zoe.match();
  assert.equal(door, "webtransport");
  assert.equal(partner.id, ann.user.id);
  assert.equal((await ann.mail.next("user:matched")).matchedUser.id, zoe.user.id);

  await t.test("chat, both ways, each delivered", async () => {
    const said = await ann.ask("chat:message", { type: "text", content: "from Socket.IO", timestamp: 7 });
    const heard = await zoe.next("message");
    assert.deepEqual([heard.id, heard.content, heard.from, heard.sent], [said.id, "from Socket.IO", ann.user.id, 7]);
    assert.deepEqual(await ann.mail.next("chat:delivered"), { id: said.id });
    const id = await zoe.page.evaluate(async () => {
      const sent = window.talk.send("over WebTransport");
      await sent.delivered;
      return sent.id;
    });
    const { timestamp, ...told } = await ann.mail.next("chat:message");
    assert.deepEqual(told, { id, type: "text", content: "over WebTransport", from: zoe.user.id, sender: { id: zoe.user.id, username: zoe.user.username } });
    assert.equal(typeof timestamp, "number");
  });

  await t.test("clear, both ways", async () => {
    ann.socket.emit("chat:clear");
    assert.deepEqual(await zoe.next("clear"), { by: ann.user.id, mine: false });
    await zoe.page.evaluate(() => window.talk.clear());
    assert.deepEqual(await ann.mail.next("chat:clear"), { by: zoe.user.id });
  });

  await t.test("offer, answer and candidates as the browser makes them, both ways", async () => {
    const made = await zoe.page.evaluate(async () => {
      const [caller, callee] = [new RTCPeerConnection(), new RTCPeerConnection()];
      for (const track of (await navigator.mediaDevices.getUserMedia({ audio: true, video: true })).getTracks()) caller.addTrack(track);
      const candidates = [];
      const gathered = new Promise((resolve) => (caller.onicecandidate = ({ candidate }) => candidate ? candidates.push(candidate.toJSON()) : resolve()));
      await caller.setLocalDescription();
      await callee.setRemoteDescription(caller.localDescription);
      await callee.setLocalDescription();
      await gathered;
      const { localDescription: offer } = caller;
      const { localDescription: answer } = callee;
      // As an app passes them, not as plain objects.
      window.talk.signal("webrtc:offer", { offer, type: "video" });
      window.talk.signal("webrtc:answer", { answer });
      for (const candidate of candidates) window.talk.signal("webrtc:ice-candidate", { candidate });
      window.talk.signal("webrtc:ice-candidate", { candidate: null });
      return { offer: offer.toJSON(), answer: answer.toJSON(), candidates };
    });
    assert.ok(made.offer.sdp.length > 1000 && made.candidates.length > 0);
    assert.deepEqual(await ann.mail.next("webrtc:offer"), { offer: made.offer, type: "video" });
    assert.deepEqual(await ann.mail.next("webrtc:answer"), { answer: made.answer });
    for (const candidate of made.candidates) assert.deepEqual(await ann.mail.next("webrtc:ice-candidate"), { candidate });
    assert.deepEqual(await ann.mail.next("webrtc:ice-candidate"), { candidate: null });

    const back = [
      ["webrtc:offer", { offer: made.offer, type: "audio" }],
      ["webrtc:answer", { answer: made.answer }],
      ...made.candidates.map((candidate) => ["webrtc:ice-candidate", { candidate }]),
    ];
    for (const [name, data] of back) ann.socket.emit(name, data);
    for (const [name, data] of back) assert.deepEqual(await zoe.next("signal"), { name, data });
  });

  await t.test("files, both ways", async () => {
    const sent = zoe.page.evaluate((size) => {
      const bytes = new Uint8Array(size).fill(0x7f);
      return window.talk.sendFile(new File([bytes], "seven.bin", { type: "application/octet-stream" })).done;
    }, FILE_BYTES);
    const { type, content } = await ann.mail.next("chat:message");
    assert.deepEqual([type, content.name, content.size], ["file", "seven.bin", FILE_BYTES]);
    const bytes = Buffer.from(await (await fetch(content.url)).arrayBuffer());
    assert.ok(bytes.equals(Buffer.alloc(FILE_BYTES, 0x7f)));
    await sent;
    assert.equal((await fetch(content.url)).status, 404);

    const form = new FormData();
    form.append("file", new Blob([Buffer.alloc(FILE_BYTES, 0x7e)]), "six.bin");
    const uploaded = fetch(`${server.url}/api/files`, { method: "POST", body: form, headers: { authorization: `Bearer ${ann.token}` } });
    await zoe.page.waitForFunction(() => window.file !== undefined, { timeout: 10_000 });
    const got = await zoe.page.evaluate(async () => {
      const { name } = window.file;
      const taken = new Uint8Array(await (await window.file.blob()).arrayBuffer());
      return { name, size: taken.length, right: taken.every((byte) => byte === 0x7e) };
    });
    assert.deepEqual(got, { name: "six.bin", size: FILE_BYTES, right: true });
    assert.equal((await uploaded).status, 201);
  });

  await t.test("each comes back to the other", async () => {
    ann.socket.io.engine.close();
    assert.deepEqual(await zoe.next("status"), { status: "reconnecting" });
    await ann.mail.next("user:matched", ({ resumed }) => resumed);
    assert.deepEqual(await zoe.next("status"), { status: "online" });
    await zoe.page.evaluate(() => window.client.cutLink());
    assert.deepEqual(await ann.mail.next("user:status"), { status: "reconnecting" });
    assert.deepEqual(await ann.mail.next("user:status"), { status: "online" });
    ann.socket.emit("chat:message", { type: "text", content: "still here" });
    assert.equal((await zoe.next("message")).content, "still here");
    ann.socket.emit("user:leave");
    assert.deepEqual(await zoe.next("ended"), { reason: "left" });
  });
});
