/** People with unmodified clients of Socket.IO, one of the SDK over WebSocket, and a server for them. */

import { once } from "node:events";
import { io } from "socket.io-client";
import old from "socket.io-client-2";
import { WebSocket } from "ws";
import { Duologue } from "../../../web-demo/sdk/duologue.js";
import { startServer } from "../../browser/support/server.mjs";
import { Mail } from "./mail.mjs";

/** What a client of Socket.IO 2 has no word for "any" of. */
const HEARD = [
  "connection:established", "connection:closing", "user:matching", "user:matched", "user:unmatched", "user:status", "user:idle",
  "chat:message", "chat:delivered", "chat:clear", "chat:typing", "webrtc:offer", "webrtc:answer", "webrtc:ice-candidate",
  "file:cancel", "file:reject", "file:complete", "error", "disconnect", "connect", "connect_error",
];

/**
 * A server for the tests of a file, and people who come to it. All of it ends with `t`.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, string>} [settings]
 */
export async function open(t, settings) {
  const server = await startServer(t, settings);
  return { server, ...people(t, server) };
}

/**
 * @param {import("node:test").TestContext} t with which the people go
 * @param {import("../../browser/support/server.mjs").Server} server
 */
export function people(t, server) {
  /**
   * Someone with a client of Socket.IO 4.
   * @param {{ options?: object, login?: Login, url?: string }} [how]
   */
  async function arrive({ options = {}, login, url = server.url } = {}) {
    const person = login ?? await guest(server.url);
    const mail = new Mail();
    const socket = io(url, { auth: { token: person.token }, forceNew: true, ...options });
    t.after(() => socket.disconnect());
    socket.onAny((event, data) => mail.put(event, data));
    for (const event of ["connect", "connect_error", "disconnect"]) socket.on(event, (...data) => mail.put(event, data[0]));
    return { ...person, socket, mail, ask: (event, ...data) => ask(socket, event, ...data) };
  }

  /**
   * Someone with a client of Socket.IO 2.
   * @param {{ options?: object, login?: Login }} [how]
   */
  async function arriveOld({ options, login } = {}) {
    const person = login ?? await guest(server.url);
    const mail = new Mail();
    const socket = old(server.url, { query: { token: person.token }, forceNew: true, ...options });
    t.after(() => socket.disconnect());
    for (const event of HEARD) socket.on(event, (data) => mail.put(event, data));
    return { ...person, socket, mail, ask: (event, ...data) => ask(socket, event, ...data) };
  }

  /** Someone with the SDK, over WebSocket. */
  async function stream() {
    const person = await guest(server.url);
    const client = new Duologue({ token: person.token, base: server.url, doors: ["websocket"], WebSocket });
    t.after(() => client.close());
    await client.connect();
    const mail = new Mail();
    client.addEventListener("matched", ({ detail: { conversation } }) => {
      for (const type of ["message", "file", "delivered", "typing", "clear", "status", "ended", "signal"]) {
        conversation.addEventListener(type, ({ detail }) => mail.put(type, detail));
      }
    });
    return { ...person, client, mail };
  }

  /** Two who talk by Socket.IO. @param {{ ann?: object, ben?: object }} [how] as for `arrive` */
  async function pair({ ann, ben } = {}) {
    const both = await Promise.all([arrive(ann), arrive(ben)]);
    await Promise.all(both.map(({ mail }) => mail.next("connection:established")));
    const talk = await meet(...both);
    return { ann: both[0], ben: both[1], ...talk };
  }

  return { arrive, arriveOld, stream, pair };
}

/** Brings two together by Socket.IO's own events. */
export async function meet(ann, ben) {
  ann.socket.emit("user:match");
  await ann.mail.next("user:matching");
  ben.socket.emit("user:match");
  const [annMatched, benMatched] = await Promise.all([ann, ben].map(({ mail }) => mail.next("user:matched")));
  return { annMatched, benMatched };
}

/** Brings together one by Socket.IO and one with the SDK, whose conversation comes back. */
export async function meetStream(ann, zoe) {
  ann.socket.emit("user:match");
  await ann.mail.next("user:matching");
  const talk = await zoe.client.match();
  const matched = await ann.mail.next("user:matched");
  return { talk, matched };
}

/** @typedef {{ token: string, user: { id: string, username: string } }} Login */

/** @param {string} url @returns {Promise<Login>} */
export async function guest(url) {
  return (await call(url, "POST", "/api/auth/guest", {})).body.data;
}

/**
 * A call of the HTTP API.
 * @param {string} url
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {string} [token]
 */
export async function call(url, method, path, body, token) {
  const headers = { ...(body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Emits with a callback, and answers what it was given. */
function ask(socket, event, ...data) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`"${event}" was not acknowledged`)), 10_000);
    socket.emit(event, ...data, (answer) => (clearTimeout(timer), resolve(answer)));
  });
}

/** Cuts a client's connection as a lost network does. @param {any} socket */
export async function cut(socket) {
  const gone = once(socket, "disconnect");
  socket.io.engine.transport.ws.terminate();
  await gone;
}
