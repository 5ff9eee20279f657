import assert from "node:assert/strict";
import { test } from "node:test";
import { Page, begin, collect, next } from "./support/clients.js";

test("two strangers meet and talk", async (t) => {
  const { server, pair } = await begin(t);
  const { ann, annTalk, benTalk } = await pair();
  assert.equal(annTalk.partner.username, "ben");
  assert.equal(annTalk.id, benTalk.id);
  assert.equal(ann.conversation, annTalk);
  assert.equal(ann.state, "open");
  assert.equal(ann.door, "websocket");
  assert.equal(ann.user?.username, "ann");

  const states = collect(annTalk, "state");
  const heard = next(benTalk, "message");
  const sent = annTalk.send("hello");
  assert.equal(sent.state, "sending");
  assert.equal((await heard).content, "hello");
  await sent.delivered;
  assert.equal(sent.state, "delivered");
  assert.deepEqual(states.map(({ state }) => state), ["sent", "delivered"]);
  assert.equal(server.of("ann").messages.length, 1);

  const ended = next(benTalk, "ended");
  await annTalk.leave();
  assert.deepEqual(await ended, { reason: "left" });
  assert.equal(annTalk.status, "ended");
  assert.equal(ann.conversation, null);
});

test("a message that came before anyone listened is told to the first listener", async (t) => {
  const { pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  await annTalk.send("early").delivered;
  const messages = collect(benTalk, "message");
  assert.deepEqual(messages.map(({ content }) => content), ["early"]);
});

test("a message seen before is dropped by its id", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk } = await pair();
  const messages = collect(annTalk, "message");
  const message = { id: "m", from: "x", type: "text", content: "once", timestamp: 1 };
  server.tell(server.of("ann"), "chat:message", message);
  server.tell(server.of("ann"), "chat:message", message);
  server.tell(server.of("ann"), "chat:message", { ...message, id: "n", content: "last" });
  await next(annTalk, "message", ({ id }) => id === "n");
  assert.deepEqual(messages.map(({ id }) => id), ["m", "n"]);
});

test("what is too long, empty or too late is refused at once", async (t) => {
  const { pair } = await begin(t);
  const { annTalk } = await pair();
  const failed = collect(annTalk, "state");
  await assert.rejects(annTalk.send("é".repeat(4097)).delivered, { code: "text-too-long" });
  await assert.rejects(annTalk.send("").delivered, { code: "invalid-data" });
  await annTalk.send("é".repeat(4096)).delivered;
  await annTalk.leave();
  await assert.rejects(annTalk.send("late").delivered, { code: "conversation-ended" });
  assert.equal(failed.filter(({ state }) => state === "failed").length, 3);
});

test("too fast: the message goes out again, its place in the talk kept", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  const messages = collect(benTalk, "message");
  const states = collect(annTalk, "state");
  const take = server["chat:message"];
  let refusals = 2;
  server.instead["chat:message"] = (session, data) => {
    if (refusals === 0) return take.call(server, session, data);
    refusals -= 1;
    server.tell(session, "error", { code: "too-fast", message: "Wait.", event: "chat:message", id: data.id, retryAfterMs: 30 });
  };
  const sent = ["one", "two"].map((text) => annTalk.send(text));
  await server.hears("chat:message", ({ data }) => data.content === "two");
  await next(annTalk, "state", ({ state }) => state === "delivered").then(() => annTalk.send("three").delivered);
  await Promise.all(sent.map(({ delivered }) => delivered));
  assert.deepEqual(messages.map(({ content }) => content), ["one", "two", "three"]);
  assert.ok(!states.some(({ state }) => state === "failed"));
});

test("any other refusal fails the message it names", async (t) => {
  const { server, pair } = await begin(t);
  const { ann, annTalk } = await pair();
  const errors = collect(ann, "error");
  server.instead["chat:message"] = (session, { id }) => {
    server.tell(session, "error", { code: "unavailable", message: "Away.", event: "chat:message", id, retryAfterMs: 10 });
  };
  const sent = annTalk.send("x");
  await assert.rejects(sent.delivered, { code: "unavailable", retryAfterMs: 10 });
  assert.equal(sent.state, "failed");
  server.tell(server.of("ann"), "error", { code: "unknown-event", message: "No such event." });
  assert.equal((await next(ann, "error")).code, "unknown-event");
  assert.equal(errors.length, 1, "only what nothing waits for");
});

test("typing is told seldom, and fades", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  const started = next(benTalk, "typing", ({ typing }) => typing);
  for (let key = 0; key < 5; key += 1) annTalk.typing(true);
  await started;
  const stopped = next(benTalk, "typing", ({ typing }) => !typing);
  annTalk.typing(false);
  annTalk.typing(false);
  await stopped;
  assert.equal(server.heard.filter(({ event }) => event === "chat:typing").length, 2);
  const again = next(benTalk, "typing", ({ typing }) => typing);
  annTalk.typing(true);
  await again;
  const over = next(benTalk, "typing", ({ typing }) => !typing);
  annTalk.send("done");
  await over;
});

test("clear is told to both, once", async (t) => {
  const { pair } = await begin(t);
  const { ann, annTalk, benTalk } = await pair();
  const mine = collect(annTalk, "clear");
  const theirs = next(benTalk, "clear");
  annTalk.clear();
  assert.deepEqual(await theirs, { by: ann.user?.id, mine: false });
  await annTalk.send("after").delivered;
  assert.deepEqual(mine, [{ by: ann.user?.id, mine: true }]);
});

test("the partner's status is told", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk } = await pair();
  server.tell(server.of("ann"), "user:status", { status: "reconnecting" });
  assert.deepEqual(await next(annTalk, "status"), { status: "reconnecting" });
  assert.equal(annTalk.status, "reconnecting");
});

test("where and how the partner is, after a match and after a reload", async (t) => {
  const { server, client } = await begin(t);
  const place = { country: "NO", countryName: "Norway" };
  const page = new Page();
  const [ann, ben] = [client("ann", page), client("ben")];
  await Promise.all([ann.connect(), ben.connect()]);
  server.of("ben").user.place = place;
  const [annTalk] = await Promise.all([ann.match(), ben.match()]);
  assert.deepEqual(annTalk.partner.place, place);
  assert.equal(annTalk.status, "online");
  server.of("ben").status = "away";
  const again = client("ann", page.reload());
  const matched = next(again, "matched");
  await again.connect();
  const { conversation, resumed } = await matched;
  assert.deepEqual([resumed, conversation.status, conversation.partner.place], [true, "away", place]);
});

test("skip ends the talk here and there, and brings the next one", async (t) => {
  const { client, pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  const cat = client("cat");
  await cat.connect();
  const ended = next(benTalk, "ended");
  const mine = next(annTalk, "ended");
  const following = annTalk.skip();
  assert.deepEqual(await mine, { reason: "you-skipped" });
  assert.deepEqual(await ended, { reason: "skipped" });
  await cat.match();
  assert.equal((await following).partner.username, "cat");
});

test("skipping just as the partner leaves still finds the next one", async (t) => {
  const { server, client, pair } = await begin(t);
  const { annTalk } = await pair();
  server.of("ann").partner = null;
  const following = annTalk.skip();
  const cat = client("cat");
  await cat.connect();
  await cat.match();
  assert.equal((await following).partner.username, "cat");
});
