/** Links that are lost, people who come back, pages that are open twice, and a server that goes down. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { cut, guest, meet, open } from "./support/people.mjs";

/** How long a session waits for its person, in milliseconds. */
const GRACE_MS = 30_000;
const WS = { transports: ["websocket"] };

test("sessions", async (t) => {
  const world = await open(t);
  const text = (content) => ({ type: "text", content });

  // Begun first, as it takes its time.
  const { ann: lost, ben: left } = await world.pair({ ann: { options: { ...WS, reconnection: false } } });
  const since = Date.now();
  await cut(lost.socket);

  await t.test("a lost link comes back by itself: the talk goes on, and nothing is missed", async () => {
    const { ann, ben, annMatched } = await world.pair({ ann: { options: { ...WS, reconnectionDelay: 500, randomizationFactor: 0 } } });
    const before = ann.socket.id;
    await cut(ann.socket);
    assert.equal((await ben.mail.next("user:status")).status, "reconnecting");
    for (const content of ["one", "two", "three"]) ben.socket.emit("chat:message", text(content));
    const established = await ann.mail.next("connection:established", ({ resumed }) => resumed);
    assert.equal(established.state, "talking");
    assert.equal(established.conversation.conversation, annMatched.conversation);
    assert.equal(established.socketId, ann.socket.id);
    assert.notEqual(ann.socket.id, before);
    const matched = await ann.mail.next("user:matched", ({ resumed }) => resumed);
    assert.deepEqual(matched, { ...annMatched, resumed: true });
    for (const content of ["one", "two", "three"]) {
      const heard = await ann.mail.next("chat:message");
      assert.deepEqual([heard.content, heard.sender.id], [content, ben.user.id]);
    }
    assert.equal((await ben.mail.next("user:status")).status, "online");
    ann.socket.emit("chat:message", text("back"));
    assert.equal((await ben.mail.next("chat:message")).content, "back");
    assert.deepEqual(ben.mail.told("user:unmatched"), []);
  });

  await t.test("a page that is reloaded, with a socket of its own, finds its talk again", async () => {
    const { ann, ben, annMatched } = await world.pair();
    ann.socket.disconnect();
    assert.equal((await ben.mail.next("user:status")).status, "reconnecting");
    const again = await world.arrive({ login: ann });
    assert.equal((await again.mail.next("connection:established")).resumed, true);
    assert.equal((await again.mail.next("user:matched")).conversation, annMatched.conversation);
    assert.equal((await ben.mail.next("user:status")).status, "online");
    ben.socket.emit("chat:message", text("hello again"));
    assert.equal((await again.mail.next("chat:message")).content, "hello again");
    assert.equal((await again.ask("chat:message", text("numbered on"))).ok, true);
    assert.equal((await ben.mail.next("chat:message")).content, "numbered on");
  });

  await t.test("again and again", async () => {
    const { ann, ben } = await world.pair({ ann: { options: { ...WS, reconnectionDelay: 10, randomizationFactor: 0 } } });
    for (let at = 0; at < 10; at += 1) {
      await cut(ann.socket);
      await ann.mail.next("user:matched", ({ resumed }) => resumed);
      const [there, back] = await Promise.all([ann.ask("chat:message", text(`there ${at}`)), ben.ask("chat:message", text(`back ${at}`))]);
      assert.deepEqual([there.ok, back.ok], [true, true]);
      assert.equal((await ben.mail.next("chat:message")).content, `there ${at}`);
      assert.equal((await ann.mail.next("chat:message")).content, `back ${at}`);
    }
  });

  await t.test("who waits for a partner still waits after a lost link", async () => {
    const ann = await world.arrive({ options: { ...WS, reconnectionDelay: 10, randomizationFactor: 0 } });
    await ann.mail.next("connection:established");
    ann.socket.emit("user:match");
    await ann.mail.next("user:matching");
    await cut(ann.socket);
    assert.equal((await ann.mail.next("connection:established")).state, "waiting");
    const ben = await world.arrive();
    await ben.mail.next("connection:established");
    ben.socket.emit("user:match");
    assert.equal((await ann.mail.next("user:matched")).matchedUser.id, ben.user.id);
    await ben.mail.next("user:matched");
  });

  await t.test("two pages of one person are two sessions, and each has its talk", async () => {
    const login = await guest(world.server.url);
    const pages = [await world.arrive({ login }), await world.arrive({ login })];
    const sessions = await Promise.all(pages.map(({ mail }) => mail.next("connection:established")));
    assert.notEqual(sessions[0].session, sessions[1].session);
    assert.deepEqual(sessions.map(({ resumed }) => resumed), [false, false]);
    for (const page of pages) page.socket.emit("user:match");
    const others = [];
    for (let at = 0; at < 2; at += 1) {
      const other = await world.arrive();
      await other.mail.next("connection:established");
      other.socket.emit("user:match");
      assert.equal((await other.mail.next("user:matched")).matchedUser.id, login.user.id);
      others.push(other);
    }
    const matched = await Promise.all(pages.map(({ mail }) => mail.next("user:matched")));
    assert.deepEqual(matched.map(({ matchedUser }) => matchedUser.id).sort(), others.map(({ user }) => user.id).sort());
    for (const [at, { socket }] of pages.entries()) socket.emit("chat:message", text(`from page ${at}`));
    for (const [at, { matchedUser }] of matched.entries()) {
      const other = others.find(({ user }) => user.id === matchedUser.id);
      assert.equal((await other.mail.next("chat:message")).content, `from page ${at}`);
      other.socket.emit("chat:message", text(`to page ${at}`));
      assert.equal((await pages[at].mail.next("chat:message")).content, `to page ${at}`);
    }
    // The other page goes on while one is away.
    pages[0].socket.disconnect();
    const alone = others.find(({ user }) => user.id === matched[0].matchedUser.id);
    assert.equal((await alone.mail.next("user:status")).status, "reconnecting");
    pages[1].mail.never("disconnect");
  });

  await t.test("who does not come back within the grace is gone", async () => {
    assert.equal((await left.mail.next("user:status")).status, "reconnecting");
    const { reason } = await left.mail.next("user:unmatched", undefined, GRACE_MS + 10_000);
    const after = Date.now() - since;
    assert.equal(reason, "disconnected");
    assert.ok(after >= GRACE_MS - 1000 && after < GRACE_MS + 5000, `${after} ms`);
    const again = await world.arrive({ login: lost });
    const { resumed, state } = await again.mail.next("connection:established");
    assert.deepEqual([resumed, state], [false, "idle"]);
  });
});

test("a server that goes down says so, and clients find the next one by themselves", async (t) => {
  const world = await open(t);
  const { ann, ben } = await world.pair({ ann: { options: WS }, ben: { options: { transports: ["polling"] } } });
  const halted = world.server.halt();
  const { code, reason, message, reconnect, retryAfterMs } = await ann.mail.next("connection:closing");
  assert.deepEqual([code, reason, reconnect, typeof message, typeof retryAfterMs], [4503, "draining", true, "string", "number"]);
  for (const { mail } of [ann, ben]) {
    // Between two polls nobody can be told.
    await mail.next("disconnect");
    assert.deepEqual(mail.told("user:unmatched"), []);
  }
  await halted;
  await world.server.resume();
  for (const { mail } of [ann, ben]) {
    const { resumed, state } = await mail.next("connection:established", ({ state }) => state === "idle" && mail.told("connection:established").length > 1, 20_000);
    assert.deepEqual([resumed, state], [false, "idle"]);
  }
  await meet(ann, ben);
  ann.socket.emit("chat:message", { type: "text", content: "on the next one" });
  assert.equal((await ben.mail.next("chat:message")).content, "on the next one");
});
