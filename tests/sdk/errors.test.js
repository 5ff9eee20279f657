import assert from "node:assert/strict";
import { test } from "node:test";
import { Duologue, DuologueError } from "../../web-demo/sdk/duologue.js";
import { asDuologueError, closingError, lostLinkError } from "../../web-demo/sdk/errors.js";
import { begin } from "./support/clients.js";

test("a guest has a token and a name", async (t) => {
  const { server } = await begin(t);
  const { token, user } = await Duologue.guest({ base: `${server.base}/` });
  assert.equal(token, "token-guest");
  assert.equal(user.username, "guest");
});

test("a refused form says which field is wrong", async (t) => {
  const { server } = await begin(t);
  const details = [{ field: "email", code: "taken", message: "Someone has this address." }];
  server.rest["/api/auth/register"] = [409, { success: false, message: "Look at the form.", error: { code: "conflict", details } }];
  const form = { username: "ann", email: "a@example.org", password: "secret secret", base: server.base };
  await assert.rejects(Duologue.register(form), (error) => {
    assert.ok(error instanceof DuologueError);
    assert.deepEqual([error.code, error.message, error.details], ["conflict", "Look at the form.", details]);
    return true;
  });
});

test("too many log-ins say when to come back, in the body or the header", async (t) => {
  const { server } = await begin(t);
  const login = () => Duologue.login({ email: "a@example.org", password: "x", base: server.base });
  const envelope = { success: false, message: "Wait.", error: { code: "too-fast" } };
  server.rest["/api/auth/login"] = [429, envelope, { "retry-after": "3" }];
  await assert.rejects(login(), { code: "too-fast", retryAfterMs: 3000, final: false });
  server.rest["/api/auth/login"] = [429, { ...envelope, error: { code: "too-fast", retryAfterMs: 1500 } }];
  await assert.rejects(login(), { code: "too-fast", retryAfterMs: 1500 });
});

test("no network, no sense, no base: each has its code", async () => {
  await assert.rejects(Duologue.guest({ base: "http://127.0.0.1:9" }), { code: "network" });
  await assert.rejects(Duologue.guest(), { code: "base-missing" });
  assert.throws(() => new Duologue({ token: "x" }), { code: "base-missing" });
  await assert.rejects(Duologue.guest({ base: "http://127.0.0.1:9", signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("close codes: 44xx are final but for 4429", () => {
  const final = [4400, 4401, 4403, 4408, 4409, 4413].map((code) => lostLinkError(code).final);
  assert.ok(final.every(Boolean));
  for (const code of [undefined, 1006, 1000, 4429, 4500, 4503, 4508]) assert.equal(lostLinkError(code).final, false);
  assert.equal(lostLinkError(4503).code, "draining");
  assert.equal(lostLinkError(1006).code, "link-lost");
  assert.equal(lostLinkError(1006).closeCode, undefined);
  const closing = { code: 4503, reason: "draining", message: "Soon.", reconnect: true, retryAfterMs: 7 };
  const { code, retryAfterMs, closeCode } = closingError(closing);
  assert.deepEqual([code, retryAfterMs, closeCode], ["draining", 7, 4503]);
});

test("what was thrown is kept as the cause", () => {
  const cause = new TypeError("deep down");
  const error = asDuologueError(cause, "network");
  assert.deepEqual([error.code, error.cause, error.message], ["network", cause, "deep down"]);
  assert.equal(asDuologueError(error, "other"), error);
});
