/** The example of the original documentation, as its readers paste it, and each call of its HTTP API. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { call, open } from "./support/people.mjs";

const ID = /^[0-9a-f]{24}$/u;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u;
const PASSWORD = "Password123";

test("the documentation's example, in two windows", async (t) => {
  const { server } = await open(t);
  const API = server.url;

  /** All that its pages say, and the names of the events as it prints them. */
  async function example(username, print) {
    const registered = await fetch(`${API}/api/auth/register`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username, email: `${username}@example.com`, password: PASSWORD }),
    }).then((response) => response.json());
    const { token } = registered.data;

    const socket = io(API, { auth: { token } });
    t.after(() => socket.close());
    socket.on("connection:established", (data) => print("connection:established", data));
    socket.on("user:matched", ({ matchedUser }) => print("user:matched", matchedUser));
    socket.on("chat:message", (message) => print("chat:message", message));
    socket.on("webrtc:offer", ({ offer }) => print("webrtc:offer", offer));
    socket.on("webrtc:answer", ({ answer }) => print("webrtc:answer", answer));
    socket.on("webrtc:ice-candidate", ({ candidate }) => print("webrtc:ice-candidate", candidate));
    socket.emit("user:match");
    return socket;
  }

  const printed = { john: {}, jane: {} };
  const waits = [];
  const printer = (name) => (event, data) => {
    printed[name][event] = data;
    waits.filter((wait) => wait.so()).forEach(({ resolve }) => resolve());
  };
  const until = (so) => new Promise((resolve, reject) => {
    if (so()) return resolve();
    const timer = setTimeout(() => reject(new Error(`never; printed: ${JSON.stringify(printed)}`)), 10_000);
    waits.push({ so, resolve: () => (clearTimeout(timer), resolve()) });
  });

  const john = await example("john_doe", printer("john"));
  const jane = await example("jane_doe", printer("jane"));
  await until(() => printed.john["user:matched"] && printed.jane["user:matched"]);
  assert.equal(printed.john["user:matched"].username, "jane_doe");
  assert.equal(printed.jane["user:matched"].username, "john_doe");
  assert.equal(printed.john["connection:established"].user.username, "john_doe");

  const timestamp = new Date().toISOString();
  john.emit("chat:message", { type: "text", content: "Hello!", timestamp });
  await until(() => printed.jane["chat:message"]);
  const { type, content, timestamp: told } = printed.jane["chat:message"];
  assert.deepEqual({ type, content, timestamp: told }, { type: "text", content: "Hello!", timestamp });

  const [offer, answer] = [{ type: "offer", sdp: "v=0\r\n" }, { type: "answer", sdp: "v=0\r\n" }];
  john.emit("webrtc:offer", { offer, type: "video" });
  await until(() => printed.jane["webrtc:offer"]);
  jane.emit("webrtc:answer", { answer });
  await until(() => printed.john["webrtc:answer"]);
  jane.emit("webrtc:ice-candidate", { candidate: { candidate: "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host", sdpMid: "0", sdpMLineIndex: 0 } });
  await until(() => printed.john["webrtc:ice-candidate"]);
  assert.deepEqual([printed.jane["webrtc:offer"], printed.john["webrtc:answer"]], [offer, answer]);
  john.emit("chat:clear");
});

test("calls of the original HTTP API", async (t) => {
  const world = await open(t);
  const { url } = world.server;
  const john = { username: "john_doe", email: "john@example.com", password: PASSWORD };
  let token;
  let user;

  /** Success has exactly these parts. */
  const succeeded = ({ status, headers, body }, expected, message) => {
    assert.equal(status, expected, JSON.stringify(body));
    assert.match(headers.get("content-type"), /^application\/json/u);
    assert.deepEqual(Object.keys(body), message ? ["success", "message", "data"] : ["success", "data"]);
    assert.equal(body.success, true);
    if (message) assert.equal(body.message, message);
    return body.data;
  };
  const failed = ({ status, body }, expected, code) => {
    assert.deepEqual([status, body.success, body.error?.code], [expected, false, code], JSON.stringify(body));
    assert.match(body.message, /^[A-Z].*\.$/u);
    assert.equal("data" in body, false);
  };

  await t.test("POST /api/auth/register", async () => {
    const data = succeeded(await call(url, "POST", "/api/auth/register", john), 201, "User registered successfully");
    assert.deepEqual(Object.keys(data).sort(), ["token", "user"]);
    ({ token, user } = data);
    assert.match(user.id, ID);
    assert.match(user.createdAt, TIME);
    assert.deepEqual([user.username, user.email, user.isOnline], [john.username, john.email, false]);
    const { exp, iat } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    assert.equal(exp - iat, 7 * 24 * 3600);
    assert.equal(JSON.parse(Buffer.from(token.split(".")[0], "base64url")).alg, "HS256");
  });

  await t.test("POST /api/auth/register: a taken name, a missing field", async () => {
    failed(await call(url, "POST", "/api/auth/register", john), 409, "email-taken");
    const other = { ...john, email: "other@example.com" };
    failed(await call(url, "POST", "/api/auth/register", other), 409, "username-taken");
    const bare = await call(url, "POST", "/api/auth/register", { username: "x" });
    assert.ok([400, 422].includes(bare.status), String(bare.status));
    assert.equal(bare.body.success, false);
  });

  await t.test("POST /api/auth/login", async () => {
    const { email, password } = john;
    const data = succeeded(await call(url, "POST", "/api/auth/login", { email, password }), 200, "Login successful");
    assert.deepEqual(data.user, user);
    assert.equal(typeof data.token, "string");
    failed(await call(url, "POST", "/api/auth/login", { email, password: "wrong-one" }), 401, "credentials-wrong");
  });

  await t.test("GET /api/auth/me", async () => {
    const data = succeeded(await call(url, "GET", "/api/auth/me", undefined, token), 200);
    const { id, username, email, isOnline, createdAt } = data.user;
    assert.deepEqual({ id, username, email, isOnline, createdAt }, user);
    failed(await call(url, "GET", "/api/auth/me"), 401, "token-missing");
    failed(await call(url, "GET", "/api/auth/me", undefined, "not-a-token"), 401, "token-invalid");
  });

  await t.test("isOnline, GET /api/users/online, /available and /stats, with someone on Socket.IO", async () => {
    const socket = await world.arrive({ login: { token, user } });
    await socket.mail.next("connection:established");
    const other = await world.arrive();
    await other.mail.next("connection:established");
    const me = succeeded(await call(url, "GET", "/api/auth/me", undefined, token), 200);
    assert.equal(me.user.isOnline, true);
    const online = succeeded(await call(url, "GET", "/api/users/online", undefined, token), 200);
    assert.equal(online.count, 2);
    assert.deepEqual(online.users.map(({ id, isOnline }) => [id, isOnline]).sort(), [[user.id, true], [other.user.id, true]].sort());
    const available = succeeded(await call(url, "GET", "/api/users/available", undefined, token), 200);
    assert.deepEqual([available.count, available.users[0].id, available.users[0].username], [1, other.user.id, other.user.username]);
    const { totalUsers, onlineUsers, availableUsers, inConversation } = succeeded(await call(url, "GET", "/api/users/stats", undefined, token), 200);
    assert.deepEqual({ totalUsers, onlineUsers, availableUsers, inConversation }, { totalUsers: 1, onlineUsers: 2, availableUsers: 2, inConversation: 0 });
    const sockets = succeeded(await call(url, "GET", "/api/socket/stats"), 200);
    assert.equal(sockets.connections.socketio, 2);
    for (const { socket: open } of [socket, other]) open.disconnect();
  });

  await t.test("POST /api/users/device", async () => {
    const { device } = succeeded(await call(url, "POST", "/api/users/device", { deviceId: "phone-1" }, token), 200);
    assert.equal(device.deviceId, "phone-1");
    failed(await call(url, "POST", "/api/users/device", { deviceId: "phone-1" }), 401, "token-missing");
  });

  await t.test("every list needs a token", async () => {
    for (const path of ["/api/users/online", "/api/users/available", "/api/users/stats"]) failed(await call(url, "GET", path), 401, "token-missing");
  });

  await t.test("GET /health", async () => {
    const response = await fetch(`${url}/health`);
    assert.equal(response.status, 200);
    assert.equal((await response.json()).status, "ok");
  });
});
