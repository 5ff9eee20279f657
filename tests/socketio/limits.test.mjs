/** Too much, too big, too fast: each is refused with its code, and what was well goes on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "./support/people.mjs";

const EVENT = 64 * 1024;
const PACKET = 1_000_000;

test("limits", async (t) => {
  const world = await open(t);
  const text = (content) => ({ type: "text", content });

  await t.test("the 101st event of a minute is refused, and says when to try again", async () => {
    const { ann, ben } = await world.pair();
    // The match was the first.
    for (let at = 2; at <= 100; at += 1) ann.socket.emit("chat:message", text(`${at}`));
    ann.socket.emit("chat:message", { id: "m101", ...text("101") });
    await ben.mail.next("chat:message", ({ content }) => content === "100");
    const { message, retryAfterMs, ...error } = await ann.mail.next("error");
    assert.deepEqual(error, { code: "too-fast", event: "chat:message", id: "m101" });
    assert.match(message, /\.$/u);
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 60_000, String(retryAfterMs));
    const refused = await ann.ask("chat:message", text("102"));
    assert.equal(refused.error.code, "too-fast");
    assert.ok(refused.error.retryAfterMs > 0);
    ben.socket.emit("chat:message", text("the other one is not too fast"));
    assert.equal((await ann.mail.next("chat:message")).content, "the other one is not too fast");
    assert.equal(ben.mail.told("chat:message").length, 99);
    assert.equal(ann.socket.connected, true);
  });

  await t.test("typing and candidates do not count with the others", async () => {
    const { ann, ben } = await world.pair();
    for (let at = 0; at < 99; at += 1) ann.socket.emit("chat:clear");
    for (let at = 0; at < 150; at += 1) {
      // Fifty for each offer.
      if (at % 50 === 0) ann.socket.emit("webrtc:offer", { offer: { type: "offer", sdp: "v=0\r\n" }, type: "audio" });
      ann.socket.emit("webrtc:ice-candidate", { candidate: { candidate: `candidate:${at} 1 udp 1 192.0.2.7 5 typ host` } });
      ann.socket.emit("chat:typing", { typing: at % 2 === 0 });
    }
    await ben.mail.next("webrtc:ice-candidate", ({ candidate }) => candidate.candidate.startsWith("candidate:149 "));
    ann.mail.never("error");
  });

  await t.test("over 8 KiB of text: text-too-long; exactly 8 KiB pass", async () => {
    const { ann, ben } = await world.pair();
    const { error } = await ann.ask("chat:message", text("x".repeat(8193)));
    assert.equal(error.code, "text-too-long");
    assert.equal((await ann.ask("chat:message", text("é".repeat(4097)))).error.code, "text-too-long");
    assert.equal((await ann.ask("chat:message", text("é".repeat(4096)))).ok, true);
    assert.equal((await ben.mail.next("chat:message")).content, "é".repeat(4096));
  });

  for (const transports of [["websocket"], ["polling"]]) {
    await t.test(`over 64 KiB by ${transports[0]}: event-too-big, and the connection stays`, async () => {
      const { ann, ben } = await world.pair({ ann: { options: { transports } } });
      const { error } = await ann.ask("chat:message", text("x".repeat(EVENT)));
      assert.equal(error.code, "event-too-big");
      ann.socket.emit("webrtc:offer", { offer: { type: "offer", sdp: "x".repeat(EVENT) }, type: "video" });
      assert.equal((await ann.mail.next("error")).code, "event-too-big");
      ann.socket.emit("chat:message", text("still here"));
      assert.equal((await ben.mail.next("chat:message")).content, "still here");
      ann.mail.never("disconnect");
    });

    await t.test(`over 1 MB by ${transports[0]}: the connection is closed, the partner told, and it comes back`, async () => {
      const { ann, ben } = await world.pair({ ann: { options: { transports } } });
      ann.socket.emit("chat:message", text("x".repeat(PACKET)));
      await ann.mail.next("disconnect");
      assert.equal((await ben.mail.next("user:status")).status, "reconnecting");
      // The client comes back by itself.
      assert.equal((await ann.mail.next("connection:established", ({ resumed }) => resumed)).user.id, ann.user.id);
      assert.equal((await ben.mail.next("user:status")).status, "online");
      ann.socket.emit("chat:message", text("back"));
      assert.equal((await ben.mail.next("chat:message")).content, "back");
    });
  }

  await t.test("an SDP as large as they come passes", async () => {
    const { ann, ben } = await world.pair();
    const offer = { type: "offer", sdp: `v=0\r\na=${"a".repeat(48 * 1024 - 7)}` };
    ann.socket.emit("webrtc:offer", { offer, type: "video" });
    assert.deepEqual(await ben.mail.next("webrtc:offer"), { offer, type: "video" });
  });

  await t.test("whoever goes on and on is disconnected, with the reason", async () => {
    const { ann, ben } = await world.pair({ ann: { options: { reconnection: false } } });
    for (let at = 0; at < 1000; at += 1) ann.socket.emit("chat:message", text(`${at}`));
    const { code, reason, message, reconnect, retryAfterMs } = await ann.mail.next("connection:closing");
    assert.deepEqual([code, reason, reconnect], [4429, "too-fast", true]);
    assert.ok(message.length > 0 && retryAfterMs > 0);
    await ann.mail.next("disconnect");
    assert.equal((await ben.mail.next("user:unmatched")).reason, "disconnected");
  });
});
