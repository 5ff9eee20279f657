import assert from "node:assert/strict";
import { test } from "node:test";
import { Page, TabStorage, begin, collect, next } from "./support/clients.js";
import { fakeWebTransport } from "./support/webtransport.js";

test("a lost link costs nothing: what was said meanwhile arrives once, in order", async (t) => {
  const { server, pair } = await begin(t);
  const { ann, annTalk, benTalk } = await pair();
  const messages = collect(benTalk, "message");
  const links = collect(ann, "link");
  const sent = [];
  for (let round = 0; round < 5; round += 1) {
    sent.push(annTalk.send(`${round} before`));
    const resumed = next(ann, "resumed");
    if (round % 2) server.cut("ann");
    else ann.cutLink();
    sent.push(annTalk.send(`${round} after`));
    await resumed;
  }
  await Promise.all(sent.map(({ delivered }) => delivered));
  assert.deepEqual(messages.map(({ content }) => content), sent.map(({ content }) => content));
  assert.equal(ann.conversation, annTalk);
  assert.ok(links.some(({ state, reason }) => state === "closed" && reason === "cut"));
  assert.equal(server.sessions.size, 2);
});

test("the partner's words wait for the link", async (t) => {
  const { server, pair } = await begin(t);
  const { ann, annTalk, benTalk } = await pair();
  const messages = collect(annTalk, "message");
  server.cut("ann");
  const sent = benTalk.send("while you were away");
  await next(ann, "resumed");
  await sent.delivered;
  assert.deepEqual(messages.map(({ content }) => content), ["while you were away"]);
});

test("a reload resumes the talk, and keeps nothing of it in storage", async (t) => {
  const { server, client, pair } = await begin(t);
  const page = new Page();
  const { annTalk, benTalk } = await pair({ ann: page });
  const heard = collect(benTalk, "message");
  await annTalk.send("secret words").delivered;
  await benTalk.send("more secrets").delivered;
  assert.ok(![...page.storage.items.values()].join().includes("secret"));
  assert.deepEqual(Object.keys(stored(page, server)).sort(), ["deviceId", "key", "received", "session", "userId"]);

  const reloaded = client("ann", page.reload());
  const sent = benTalk.send("are you there?");
  const matched = next(reloaded, "matched");
  await reloaded.connect();
  const { conversation, resumed } = await matched;
  assert.equal(resumed, true);
  assert.equal(conversation.id, annTalk.id);
  assert.equal(conversation, reloaded.conversation);
  assert.equal(conversation.partner.username, "ben");
  assert.equal((await next(conversation, "message")).content, "are you there?");
  await sent.delivered;
  await conversation.send("here I am").delivered;
  assert.deepEqual(heard.map(({ content }) => content), ["secret words", "here I am"]);
});

test("what is stored is never below what the server was told", async (t) => {
  const { server, pair } = await begin(t);
  const page = new Page();
  const { annTalk, benTalk } = await pair({ ann: page });
  const told = [];
  server.watch = ({ user, ack }) => {
    if (user === "ann" && ack !== undefined) told.push({ ack, kept: stored(page, server).received });
  };
  for (let at = 0; at < 50; at += 1) {
    benTalk.send(`${at}`);
    if (at % 7 === 0) await annTalk.send("x").delivered;
  }
  await benTalk.send("last").delivered;
  assert.ok(told.length > 5);
  for (const { ack, kept } of told) assert.ok(kept >= ack, `${kept} stored, ${ack} told`);
});

test("after a reload while waiting, the search goes on and can be called off", async (t) => {
  const { client } = await begin(t);
  const page = new Page();
  const before = client("ann", page);
  await before.connect();
  before.match();
  await next(before, "matching");
  const reloaded = client("ann", page.reload());
  const matching = next(reloaded, "matching", ({ resumed }) => resumed);
  await reloaded.connect();
  await matching;
  await reloaded.cancel();
});

test("a lost session is told: the talk ends, open messages fail, a search goes on", async (t) => {
  const { server, client, pair } = await begin(t);
  const { ann, annTalk } = await pair();
  const cat = client("cat");
  await cat.connect();
  const waiting = cat.match();
  await server.hears("user:match", ({ user }) => user === "cat");
  const lost = next(ann, "lost");
  const ended = next(annTalk, "ended");
  server.instead["chat:message"] = () => {};
  const sent = annTalk.send("into the void");
  server.forgetSessions();
  assert.deepEqual(await lost, { reason: "unknown" });
  assert.deepEqual(await ended, { reason: "lost" });
  await assert.rejects(sent.delivered, { code: "session-lost" });
  assert.equal(ann.conversation, null);
  const [one, two] = await Promise.all([ann.match(), waiting]);
  assert.deepEqual([one.partner.username, two.partner.username], ["cat", "ann"]);
});

test("someone else who logs in on the same tab loses nothing", async (t) => {
  const { client } = await begin(t);
  const storage = new TabStorage();
  const ann = client("ann", { storage });
  await ann.connect();
  const ben = client("ben", { storage });
  const lost = collect(ben, "lost");
  await ben.connect();
  assert.equal(ben.user?.username, "ben");
  assert.deepEqual(lost, []);
});

test("44xx ends it: told, rejected with the code, and not tried again", async (t) => {
  const { server, client, pair } = await begin(t);
  const { ann, annTalk } = await pair();
  const closing = next(ann, "closing");
  const sent = annTalk.send("x");
  server.instead["chat:message"] = () => {};
  const wrong = annTalk.send("y");
  const farewell = { code: 4401, reason: "token-invalid", message: "Log in again.", reconnect: false };
  server.raw(server.of("ann"), { event: "connection:closing", data: farewell });
  assert.deepEqual(await closing, farewell);
  await assert.rejects(wrong.delivered, { code: "token-invalid", closeCode: 4401 });
  await sent.delivered.catch(() => {});
  assert.equal(ann.state, "closed");
  await assert.rejects(ann.match(), { code: "not-connected" });

  // With a newer token the same session goes on, as after a reload.
  const matched = next(ann, "matched");
  ann.renew("token-ann");
  await ann.connect();
  assert.equal((await matched).conversation.id, annTalk.id);

  server.refusal = { code: 4403, reason: "forbidden", message: "No.", reconnect: false };
  const cat = client("cat");
  await assert.rejects(cat.connect(), { code: "forbidden", closeCode: 4403 });
  assert.equal(cat.state, "closed");
});

test("a close code without a farewell says the same", async (t) => {
  const { server, client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  const closing = next(ann, "closing");
  server.of("ann").socket.close(4409);
  assert.equal((await closing).reason, "superseded");
  assert.equal(ann.state, "closed");
});

test("45xx and 4429 are waited out, as long as they ask for", async (t) => {
  const { server, client } = await begin(t);
  for (const [code, reason] of [[4503, "draining"], [4429, "too-fast"]]) {
    server.refusal = { code, reason, message: "Later.", reconnect: true, retryAfterMs: 60 };
    const ann = client("ann");
    const reconnecting = next(ann, "reconnecting");
    const connected = ann.connect();
    const detail = await reconnecting;
    assert.equal(detail.code, reason);
    assert.ok(detail.retryInMs >= 60);
    server.refusal = null;
    await connected;
    await ann.close();
  }
});

test("connecting waits for the network, and can be called off", async (t) => {
  const { server, client } = await begin(t);
  server.rest["/api/connect"] = [503, { success: false, message: "Away.", error: { code: "unavailable" } }];
  const ann = client("ann");
  const reconnecting = collect(ann, "reconnecting");
  const abort = new AbortController();
  const connecting = ann.connect({ signal: abort.signal });
  await next(ann, "reconnecting", ({ attempt }) => attempt === 2);
  abort.abort();
  await assert.rejects(connecting, { name: "AbortError" });
  assert.equal(ann.state, "closed");
  assert.equal(reconnecting[0].code, "unavailable");
  delete server.rest["/api/connect"];
  await ann.connect();
  assert.equal(ann.state, "open");
});

test("a wrong address is told at once", async (t) => {
  const { server, client } = await begin(t);
  server.rest["/api/connect"] = [404, { success: false, message: "Not found.", error: { code: "not-found" } }];
  await assert.rejects(client("ann").connect(), { code: "not-found" });
});

test("renew: taken, refused, and remembered for the next link", async (t) => {
  const { server, client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  assert.deepEqual(await ann.renew("token-ann"), { expiresAt: "2026-12-01T00:00:00Z" });
  await assert.rejects(ann.renew("nonsense"), { code: "token-invalid" });
  ann.cutLink();
  await next(ann, "resumed");
  assert.equal(server.hellos.at(-1).token, "token-ann", "a refused token is not shown again");
});

test("over WebTransport: framed control stream, datagrams, and a move with no gap", async (t) => {
  const { server, pair } = await begin(t);
  const WebTransport = fakeWebTransport(server);
  const { ann, annTalk, benTalk } = await pair({ ann: { WebTransport } });
  assert.equal(ann.door, "webtransport");
  const { options, transport } = WebTransport.last;
  assert.deepEqual(options.serverCertificateHashes, [{ algorithm: "sha-256", value: new Uint8Array(32).fill(7) }]);

  const typing = next(benTalk, "typing");
  annTalk.typing(true);
  await typing;
  assert.ok(transport.datagramsUp.some((text) => text.includes("chat:typing")));
  const partnerTypes = next(annTalk, "typing");
  transport.socket.sendDatagram(JSON.stringify({ event: "chat:typing", data: { typing: true } }));
  assert.deepEqual(await partnerTypes, { typing: true });

  const messages = collect(benTalk, "message");
  const closings = collect(ann, "closing");
  const sent = [annTalk.send("one")];
  for (const door of ["websocket", "webtransport", "websocket"]) {
    const moving = ann.useDoor(door);
    sent.push(annTalk.send(`towards ${door}`), benTalk.send(`you go to ${door}`));
    await moving;
    assert.equal(ann.door, door);
    assert.equal(ann.state, "open");
    sent.push(annTalk.send(`on ${door}`));
  }
  await Promise.all(sent.map(({ delivered }) => delivered));
  assert.deepEqual(messages.map(({ content }) => content),
    sent.map(({ content }) => content).filter((content) => !content.startsWith("you")));
  assert.ok(closings.every(({ code }) => code === 4409));
  assert.equal(server.sessions.size, 2);
  await assert.rejects(ann.useDoor("carrier-pigeon"), { code: "no-door" });
  assert.equal(ann.state, "open");
});

test("closing leaves the partner and forgets the session", async (t) => {
  const { server, pair } = await begin(t);
  const storage = new TabStorage();
  const { ann, benTalk } = await pair({ ann: { storage } });
  const ended = next(benTalk, "ended");
  await ann.close();
  assert.deepEqual(await ended, { reason: "left" });
  assert.equal(storage.items.get(`duologue:session:${server.base}`), undefined);
  assert.equal(ann.state, "closed");
});

function stored(page, server) {
  return JSON.parse(page.storage.getItem(`duologue:session:${server.base}`));
}
