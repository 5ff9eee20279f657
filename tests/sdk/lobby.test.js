import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, collect, next } from "./support/clients.js";

test("a search that is aborted is called off", async (t) => {
  const { server, client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  const abort = new AbortController();
  const search = ann.match({ interests: ["rust"], signal: abort.signal });
  const wish = await server.hears("user:match");
  assert.deepEqual(wish.data, { interests: ["rust"] });
  await assert.rejects(ann.match(), { code: "already-matching" });
  const idle = next(ann, "idle");
  abort.abort();
  await assert.rejects(search, { name: "AbortError" });
  await idle;
  await assert.rejects(ann.match({ signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("a match that wins the race against the abort is left, and the next search stands", async (t) => {
  const { server, client } = await begin(t);
  const [ann, ben] = [client("ann"), client("ben")];
  await Promise.all([ann.connect(), ben.connect()]);
  const matched = collect(ann, "matched");
  const abort = new AbortController();
  const search = ann.match({ signal: abort.signal });
  await server.hears("user:match");
  // The server reads the cancel just after it has found Ben.
  server.instead["user:match:cancel"] = (session, data) => {
    delete server.instead["user:match:cancel"];
    server["user:match"](server.of("ben"));
    server["user:match:cancel"](session, data);
  };
  const benMatched = next(ben, "matched");
  abort.abort();
  const again = ann.match();
  await assert.rejects(search, { name: "AbortError" });
  const { conversation } = await benMatched;
  assert.deepEqual(await next(conversation, "ended"), { reason: "left" });
  const [, talk] = await Promise.all([ben.match(), again]);
  assert.equal(talk.partner.username, "ben");
  assert.deepEqual(matched.map((detail) => detail.conversation), [talk]);
});

test("cancel: the search rejects, and what is not searched for is cancelled too", async (t) => {
  const { client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  const search = ann.match();
  await Promise.all([assert.rejects(search, { code: "cancelled" }), ann.cancel()]);
  await ann.cancel();
});

test("a refused search rejects with the server's code", async (t) => {
  const { server, client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  server.instead["user:match"] = (session) => {
    server.tell(session, "error", { code: "too-fast", message: "Wait.", event: "user:match", retryAfterMs: 500 });
  };
  await assert.rejects(ann.match(), { code: "too-fast", retryAfterMs: 500 });
});

test("a search outlives the loss of its session", async (t) => {
  const { server, client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  const search = ann.match({ languages: ["en"] });
  await server.hears("user:match");
  const lost = next(ann, "lost");
  server.forgetSessions();
  await lost;
  const ben = client("ben");
  await ben.connect();
  await ben.match();
  assert.equal((await search).partner.username, "ben");
});

test("closing rejects what waits", async (t) => {
  const { client } = await begin(t);
  const ann = client("ann");
  await ann.connect();
  const search = ann.match();
  await next(ann, "matching");
  await ann.close();
  await assert.rejects(search, { code: "cancelled" });
  await assert.rejects(ann.match(), { code: "not-connected" });
});
