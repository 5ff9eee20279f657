/** Each row of the original API's tables of events, between two unmodified clients. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "./support/people.mjs";

const OFFER = { type: "offer", sdp: "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" };
const ANSWER = { type: "answer", sdp: "v=0\r\no=- 80234 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" };
const CANDIDATE = { candidate: "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: "Hq3f" };
const ID = /^[0-9a-f]{24}$/u;

test("events of the original API", async (t) => {
  const world = await open(t);

  await t.test("connection:established: an object about the user and the connection", async () => {
    const ann = await world.arrive();
    const established = await ann.mail.next("connection:established");
    const { user, session, resumed, state, limits, socketId } = established;
    assert.deepEqual([user.id, user.username, resumed, state], [ann.user.id, ann.user.username, false, "idle"]);
    assert.match(user.id, ID);
    assert.equal(socketId, ann.socket.id);
    assert.equal(typeof session, "string");
    assert.ok(limits.eventsPerMinute > 0);
    assert.equal("key" in established, false);
    assert.equal(ann.mail.all.find(([event]) => event.includes(":"))[0], "connection:established");
  });

  await t.test("user:match without a payload, user:matched {matchedUser, ...}", async () => {
    const { ann, ben, annMatched, benMatched } = await world.pair();
    assert.deepEqual([annMatched.matchedUser.id, annMatched.matchedUser.username], [ben.user.id, ben.user.username]);
    assert.deepEqual([benMatched.matchedUser.id, benMatched.matchedUser.username], [ann.user.id, ann.user.username]);
    assert.equal(annMatched.conversation, benMatched.conversation);
    assert.deepEqual([annMatched.role, benMatched.role].sort(), ["impolite", "polite"]);
    assert.deepEqual(annMatched.common, []);
  });

  for (const type of ["text", "file", "voice"]) {
    await t.test(`chat:message of type ${type}: the message, with who sent it`, async () => {
      const { ann, ben } = await world.pair();
      const said = { type, content: `a ${type} – ünïcode 👋`, timestamp: Date.now() };
      ann.socket.emit("chat:message", said);
      const heard = await ben.mail.next("chat:message");
      assert.equal(typeof heard.id, "string");
      const sender = { id: ann.user.id, username: ann.user.username };
      assert.deepEqual(heard, { ...said, id: heard.id, from: ann.user.id, sender });
      assert.deepEqual(await ann.mail.next("chat:delivered"), { id: heard.id });
      ann.mail.never("chat:message");
      ann.mail.never("error");
    });
  }

  await t.test("chat:message whose content is an object of a file", async () => {
    const { ann, ben } = await world.pair();
    for (const type of ["file", "voice"]) {
      const content = { name: "a \"b\".png", url: "https://files.example/a.png", more: [1, { two: null }] };
      ann.socket.emit("chat:message", { type, content, timestamp: "2026-03-01T12:00:07.250Z" });
      const heard = await ben.mail.next("chat:message");
      assert.deepEqual([heard.type, heard.content, heard.timestamp], [type, content, "2026-03-01T12:00:07.250Z"]);
    }
    ann.mail.never("error");
  });

  await t.test("chat:message keeps its order, its own id, and nothing else of what an app adds", async () => {
    const { ann, ben } = await world.pair();
    for (let at = 0; at < 50; at += 1) ann.socket.emit("chat:message", { id: `m${at}`, type: "text", content: `${at}`, room: 7, timestamp: at });
    for (let at = 0; at < 50; at += 1) {
      const heard = await ben.mail.next("chat:message");
      assert.deepEqual([heard.id, heard.content, heard.timestamp, "room" in heard], [`m${at}`, `${at}`, at, false]);
      assert.deepEqual(await ann.mail.next("chat:delivered"), { id: `m${at}` });
    }
  });

  await t.test("chat:clear without a payload", async () => {
    const { ann, ben } = await world.pair();
    ann.socket.emit("chat:clear");
    assert.deepEqual(await ben.mail.next("chat:clear"), { by: ann.user.id });
  });

  for (const type of ["video", "audio"]) {
    await t.test(`webrtc:offer {offer, type: "${type}"}`, async () => {
      const { ann, ben } = await world.pair();
      ann.socket.emit("webrtc:offer", { offer: OFFER, type });
      assert.deepEqual(await ben.mail.next("webrtc:offer"), { offer: OFFER, type });
    });
  }

  await t.test("webrtc:answer {answer}", async () => {
    const { ann, ben } = await world.pair();
    ben.socket.emit("webrtc:answer", { answer: ANSWER });
    assert.deepEqual(await ann.mail.next("webrtc:answer"), { answer: ANSWER });
  });

  await t.test("webrtc:ice-candidate {candidate}, and the last one", async () => {
    const { ann, ben } = await world.pair();
    for (const [from, to] of [[ann, ben], [ben, ann]]) {
      for (const candidate of [CANDIDATE, null]) {
        from.socket.emit("webrtc:ice-candidate", { candidate });
        assert.deepEqual(await to.mail.next("webrtc:ice-candidate"), { candidate });
      }
    }
  });

  await t.test("a whole call: offer, candidates and answer in the order in which they were sent", async () => {
    const { ann, ben } = await world.pair();
    ann.socket.emit("webrtc:offer", { offer: OFFER, type: "video" });
    for (let at = 0; at < 20; at += 1) ann.socket.emit("webrtc:ice-candidate", { candidate: { ...CANDIDATE, sdpMLineIndex: at } });
    await ben.mail.next("webrtc:ice-candidate", ({ candidate }) => candidate.sdpMLineIndex === 19);
    const order = ben.mail.all.filter(([event]) => event.startsWith("webrtc:"));
    assert.deepEqual(order.map(([event, { candidate }]) => candidate?.sdpMLineIndex ?? event), ["webrtc:offer", ...Array(20).keys()]);
  });

  await t.test("connect_error with a message: no token, a bad one", async () => {
    for (const auth of [undefined, {}, { token: "" }, { token: "not-a-token" }, { token: { $gt: "" } }, { token: 7 }]) {
      const nobody = await world.arrive({ options: { auth, reconnection: false } });
      const error = await nobody.mail.next("connect_error");
      assert.ok(error instanceof Error);
      assert.match(error.message, /^[A-Z].+[.)]$/u, JSON.stringify(auth));
      nobody.mail.never("connection:established");
      nobody.mail.never("connect");
    }
  });

  await t.test("acknowledgement callbacks: {ok: true}, the id of a message, {ok: false, error}", async () => {
    const ann = await world.arrive();
    await ann.mail.next("connection:established");
    const refused = await ann.ask("chat:message", { type: "text", content: "to nobody" });
    assert.equal(refused.ok, false);
    assert.equal(refused.error.code, "no-conversation");
    assert.match(refused.error.message, /\.$/u);
    ann.mail.never("error");
    const ben = await world.arrive();
    await ben.mail.next("connection:established");
    assert.deepEqual(await ann.ask("user:match"), { ok: true });
    assert.deepEqual(await ben.ask("user:match", {}), { ok: true });
    await Promise.all([ann, ben].map(({ mail }) => mail.next("user:matched")));
    const said = await ann.ask("chat:message", { type: "text", content: "hello" });
    assert.equal(said.ok, true);
    assert.equal((await ben.mail.next("chat:message")).id, said.id);
    assert.deepEqual(await ann.ask("chat:message", { id: "mine", type: "text", content: "hello" }), { ok: true, id: "mine" });
    assert.deepEqual(await ann.ask("chat:typing", { typing: true }), { ok: true });
    assert.deepEqual(await ann.ask("chat:clear"), { ok: true });
    assert.deepEqual(await ann.ask("webrtc:offer", { offer: OFFER, type: "audio" }), { ok: true });
    assert.deepEqual(await ann.ask("webrtc:answer", { answer: ANSWER }), { ok: true });
    assert.deepEqual(await ann.ask("webrtc:ice-candidate", { candidate: CANDIDATE }), { ok: true });
    assert.deepEqual(await ann.ask("user:leave"), { ok: true });
    for (const [event, data, code] of [
      ["chat:message", { type: "poem", content: "x" }, "invalid-data"],
      ["chat:message", { type: "text", content: { $gt: "" } }, "invalid-data"],
      ["chat:message", { type: "text", content: "" }, "invalid-data"],
      ["chat:message", "hello", "invalid-data"],
      ["webrtc:offer", { offer: "sdp", type: "video" }, "invalid-data"],
      ["webrtc:answer", {}, "invalid-data"],
      ["user:match", { interests: 7 }, "invalid-data"],
      ["file:offer", {}, "unknown-event"],
      ["connection:hello", {}, "unknown-event"],
      ["ack", 7, "unknown-event"],
      ["join-room", { room: 7 }, "unknown-event"],
    ]) {
      const { ok, error } = await ann.ask(event, data);
      assert.deepEqual([ok, error.code], [false, code], `${event} ${JSON.stringify(data)}`);
    }
  });

  await t.test("without a callback a refusal is an error event with its code, message and event", async () => {
    const ann = await world.arrive();
    await ann.mail.next("connection:established");
    ann.socket.emit("chat:message", { id: "m1", type: "text", content: "to nobody" });
    const { message, ...error } = await ann.mail.next("error");
    assert.deepEqual(error, { code: "no-conversation", event: "chat:message", id: "m1" });
    assert.match(message, /\.$/u);
    ann.socket.emit("join-room");
    assert.equal((await ann.mail.next("error")).code, "unknown-event");
    assert.equal(ann.socket.connected, true);
  });

  await t.test("binary arguments are refused, with and without a callback", async () => {
    const { ann, ben } = await world.pair();
    const { ok, error } = await ann.ask("chat:message", { type: "file", content: Buffer.from("bytes") });
    assert.deepEqual([ok, error.code], [false, "invalid-data"]);
    ann.socket.emit("chat:message", { type: "file", content: Buffer.from("bytes") });
    assert.equal((await ann.mail.next("error")).code, "invalid-data");
    ann.socket.emit("chat:message", { type: "text", content: "still here" });
    assert.equal((await ben.mail.next("chat:message")).content, "still here");
  });

  await t.test("beside the tables: chat:typing, user:skip, user:leave, user:match:cancel", async () => {
    const { ann, ben } = await world.pair();
    ann.socket.emit("chat:typing", { typing: true });
    assert.deepEqual(await ben.mail.next("chat:typing"), { typing: true });
    ann.socket.emit("user:skip");
    assert.equal((await ben.mail.next("user:unmatched")).reason, "skipped");
    await ann.mail.next("user:matching");
    ann.socket.emit("user:match:cancel");
    await ann.mail.next("user:idle");
    const pair = await world.pair();
    pair.ann.socket.emit("user:leave");
    await pair.ann.mail.next("user:idle");
    assert.equal((await pair.ben.mail.next("user:unmatched")).reason, "left");
  });

  await t.test("user:match in a conversation means the next one", async () => {
    const { ann, ben } = await world.pair();
    const cas = await world.arrive();
    await cas.mail.next("connection:established");
    ann.socket.emit("user:match");
    assert.equal((await ben.mail.next("user:unmatched")).reason, "skipped");
    await ann.mail.next("user:matching");
    cas.socket.emit("user:match");
    assert.equal((await ann.mail.next("user:matched")).matchedUser.id, cas.user.id);
    assert.equal((await cas.mail.next("user:matched")).matchedUser.id, ann.user.id);
    ann.mail.never("error");
  });

  await t.test("user:match with interests", async () => {
    const [ann, ben] = await Promise.all([world.arrive(), world.arrive()]);
    await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
    for (const { socket } of [ann, ben]) socket.emit("user:match", { interests: ["chess"], level: "any" });
    const [matched] = await Promise.all([ann, ben].map(({ mail }) => mail.next("user:matched")));
    assert.deepEqual(matched.common, ["chess"]);
  });
});
