/**
 * A server of one process that keeps the contract (numbers, resume, takeover, matching, delivery)
 * and does as a test says beside it. Built on the numbering of the SDK, which has its own test.
 */

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { Inbound, Outbound } from "../../../web-demo/sdk/session.js";
import { FakeCalls } from "./calls.js";
import { FakeTransfers } from "./transfers.js";

const hex = (bytes) => randomBytes(bytes).toString("hex");

export class FakeServer {
  /** Every session that stands, by its id. */
  sessions = new Map();
  /** Every hello, as it came. */
  hellos = [];
  /** Frames of every kind, as they came: { user, event, data, seq, ack }. */
  heard = [];
  /** Sees each frame as it comes. */
  watch = () => {};
  /** Replaces what the server does with an event: (session, data) => void. */
  instead = {};
  /** A `connection:closing` for every hello, while set. */
  refusal = null;
  /** No hello is answered, while set. */
  mute = false;
  heartbeatMs = 12_000;
  transfers = new FakeTransfers(this);
  calls = new FakeCalls(this);
  /** What every hello is told of calls: `iceServers`, `iceTtlMs`, `relayOnly`. */
  ice = {};
  #http = createServer((request, response) => this.#serve(request, response));
  #sockets = new WebSocketServer({ server: this.#http, path: "/realtime" });
  #queue = [];
  /** What is left of sessions whose node was killed, by their ids. */
  #records = new Map();
  #waits = new Set();
  /** Answers of the REST side: path -> [status, body]. */
  rest = {};

  static async start() {
    const server = new FakeServer();
    server.#sockets.on("connection", (socket) => server.accept(socket));
    server.#http.listen(0, "127.0.0.1");
    await once(server.#http, "listening");
    return server;
  }

  get base() {
    return `http://127.0.0.1:${this.#http.address().port}`;
  }

  /** The session of the person whose token is `token-NAME`. */
  of(name) {
    return [...this.sessions.values()].find(({ user }) => user.username === name);
  }

  /** Waits until the server has heard such a frame. */
  hears(event, matches = () => true) {
    const found = this.heard.find((frame) => frame.event === event && matches(frame));
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => this.#waits.add({ event, matches, resolve }));
  }

  /** Drops someone's link as a network would. */
  cut(name) {
    this.of(name).socket.terminate();
  }

  forgetSessions() {
    for (const { socket } of this.sessions.values()) socket?.terminate();
    this.sessions.clear();
    this.#queue = [];
  }

  /** The node of every session is killed: nothing is left of each but a record. */
  loseNode() {
    for (const session of this.sessions.values()) {
      session.socket?.terminate?.();
      session.socket = null;
      this.#records.set(session.id, session);
    }
    this.sessions.clear();
    this.#queue = [];
    this.transfers.live.clear();
    this.calls.lose();
  }

  /** A new session in place of one whose node was lost, in its conversation; the first who comes makes it for both. */
  #rebuild(record) {
    this.#records.delete(record.id);
    if (record.heir) return record.heir;
    const { partner, conversation } = record;
    if (!partner) return this.#begin(record.user.username);
    for (const one of [record, partner]) one.heir = this.#begin(one.user.username);
    for (const [one, other] of [[record, partner], [partner, record]]) {
      const { calls, role } = one;
      Object.assign(one.heir, { state: "talking", partner: other.heir, conversation, calls, role });
    }
    return record.heir;
  }

  async stop() {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, "close");
  }

  /** Sends a reliable event to a session. */
  tell(session, event, data = {}) {
    session.outbound.push({ event, data });
    this.#flush(session);
  }

  /** Sends a frame as it is. */
  raw(session, frame) {
    session.socket.send(JSON.stringify(frame));
  }

  #serve(request, response) {
    const body = this.rest[request.url] ?? this.#answer(request.url);
    const [status, envelope, headers = {}] = body ?? [404, { success: false, message: "Not found.", error: { code: "not-found" } }];
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(envelope));
  }

  #answer(path) {
    if (path === "/api/connect") {
      const websocket = { url: `${this.base.replace("http", "ws")}/realtime` };
      const serverCertificateHashes = [{ algorithm: "sha-256", value: Buffer.alloc(32, 7).toString("base64") }];
      const webtransport = { url: "https://localhost:4433/realtime", serverCertificateHashes };
      return [200, { success: true, message: "", data: { protocol: 1, websocket, webtransport } }];
    }
    if (path === "/api/auth/guest") {
      return [200, { success: true, message: "", data: { token: "token-guest", user: person("guest") } }];
    }
    return null;
  }

  /** A link of any door, with the face of a `ws` socket. */
  accept(socket) {
    let session = null;
    socket.on("message", (bytes, binary) => {
      if (binary) return session?.socket === socket && this.transfers.message(session, bytes);
      const frame = JSON.parse(bytes.toString());
      if (frame.event === "connection:hello") session = this.#greet(socket, frame.data);
      else if (session?.socket === socket) this.#receive(session, frame);
    });
    for (const what of ["bytes", "fin"]) {
      socket.on(what, (...args) => session?.socket === socket && this.transfers[what](session, ...args));
    }
    socket.on("reset", (id, code) => this.transfers.resets.push({ user: session?.user.username, id, code }));
    socket.on("close", () => {
      if (session?.socket === socket) session.socket = null;
    });
  }

  #greet(socket, hello) {
    this.hellos.push(hello);
    this.#note({ event: "connection:hello", data: hello });
    if (this.mute) return null;
    if (this.refusal) {
      socket.send(JSON.stringify({ event: "connection:closing", data: this.refusal }));
      socket.close(this.refusal.code);
      return null;
    }
    const name = hello.token.replace("token-", "");
    const known = hello.resume && this.sessions.get(hello.resume.session);
    const theirs = known?.key === hello.resume?.key && known?.user.username === name;
    const acked = known && theirs ? known.outbound.resume(hello.resume.received) : null;
    const record = acked ? null : this.#records.get(hello.resume?.session);
    const ours = record && record.key === hello.resume.key && record.user.username === name ? record : null;
    const session = acked ? known : ours ? this.#rebuild(ours) : this.#begin(name);
    const { id, key, user, state, inbound } = session;
    session.calls = hello.client?.calls === true;
    const conversation = state === "talking" ? { ...matchOf(session), call: this.calls.standing(session) } : undefined;
    const lost = ours ? "node" : hello.resume && !acked ? "unknown" : undefined;
    const old = session.socket;
    // What is told meanwhile waits for the answer to the hello.
    session.socket = null;
    const transfers = acked ? this.transfers.resume(session, hello.resume.transfers) : undefined;
    socket.send(JSON.stringify({ event: "connection:established", data: {
      session: id, key, resumed: Boolean(acked), received: inbound.received, lost, user, state, conversation, transfers, ...this.ice,
      limits: { frame: 65536, text: 8192, eventsPerMinute: 120, ...this.transfers.limits }, heartbeatMs: this.heartbeatMs, resumeWindowMs: 120_000,
    } }));
    session.socket = socket;
    acked?.forEach((item) => this.#arrived(session, item));
    this.#flush(session);
    this.transfers.resumed(session);
    if (old) {
      const data = { code: 4409, reason: "superseded", message: "Newer link.", reconnect: false };
      old.send(JSON.stringify({ event: "connection:closing", data }));
      old.close(4409);
    }
    return session;
  }

  #begin(name) {
    const session = {
      id: hex(16), key: hex(32), user: person(name), state: "idle", partner: null, conversation: null,
      inbound: new Inbound(), outbound: new Outbound(), socket: null, messages: [],
    };
    this.sessions.set(session.id, session);
    return session;
  }

  #receive(session, frame) {
    this.#note({ user: session.user.username, ...frame });
    if (frame.ack !== undefined) session.outbound.ack(frame.ack).forEach((item) => this.#arrived(session, item));
    if (frame.seq !== undefined) {
      const arrival = session.inbound.accept(frame.seq);
      if (arrival === "gap") return session.socket.close(4400);
      if (arrival === "duplicate") return;
    }
    const { event, data } = frame;
    const act = this.instead[event] ?? this[event];
    if (act) act.call(this, session, data);
    else if (event.startsWith("file:")) this.transfers.hear(session, event, data);
    else if (event.startsWith("call:") || (event.startsWith("webrtc:") && data.call)) this.calls.hear(session, event, data);
    else if (event.startsWith("webrtc:") && session.partner) this.tell(session.partner, event, data);
    if (frame.seq !== undefined && session.socket) this.raw(session, { event: "ack", ack: session.inbound.received });
  }

  #arrived(session, { event, data }) {
    if (event === "chat:message" && session.partner) this.tell(session.partner, "chat:delivered", { id: data.id });
  }

  #flush(session) {
    if (!session.socket) return;
    for (let next; (next = session.outbound.nextUnwritten()); ) {
      this.raw(session, { ...next.item, seq: next.seq, ack: session.inbound.received });
    }
  }

  #note(frame) {
    this.heard.push(frame);
    this.watch(frame);
    for (const wait of this.#waits) {
      if (wait.event !== frame.event || !wait.matches(frame)) continue;
      this.#waits.delete(wait);
      wait.resolve(frame);
    }
  }

  "connection:ping"(session, { t }) {
    const pong = { event: "connection:pong", data: { t } };
    if (session.socket.sendDatagram) session.socket.sendDatagram(JSON.stringify(pong));
    else this.raw(session, pong);
  }

  "ice:renew"(session) {
    this.tell(session, "ice:renewed", { iceServers: this.ice.iceServers ?? [], ttlMs: this.ice.iceTtlMs });
  }

  "auth:renew"(session, { token }) {
    if (token.startsWith("token-")) return this.tell(session, "auth:renewed", { expiresAt: "2026-12-01T00:00:00Z" });
    this.tell(session, "error", { code: "token-invalid", message: "Not valid.", event: "auth:renew" });
  }

  "user:match"(session) {
    session.state = "waiting";
    this.tell(session, "user:matching", { stage: "exact", waitedMs: 0, widensInMs: 5000 });
    const other = this.#queue.find((waiting) => waiting !== session && waiting.state === "waiting");
    if (!other) return void this.#queue.push(session);
    this.#queue = this.#queue.filter((waiting) => waiting !== other);
    const conversation = hex(16);
    for (const [one, two, role] of [[session, other, "impolite"], [other, session, "polite"]]) {
      Object.assign(one, { state: "talking", partner: two, conversation, role });
    }
    for (const one of [session, other]) this.tell(one, "user:matched", matchOf(one));
  }

  "user:match:cancel"(session) {
    if (session.state !== "waiting") {
      return this.tell(session, "error", { code: "not-waiting", message: "Not waiting.", event: "user:match:cancel" });
    }
    this.#queue = this.#queue.filter((waiting) => waiting !== session);
    session.state = "idle";
    this.tell(session, "user:idle");
  }

  "user:leave"(session) {
    this.#part(session, "left");
    this.tell(session, "user:idle");
  }

  "user:skip"(session) {
    if (!session.partner) {
      return this.tell(session, "error", { code: "no-conversation", message: "No partner.", event: "user:skip" });
    }
    this.#part(session, "skipped");
    this["user:match"](session);
  }

  #part(session, reason) {
    const { partner, conversation } = session;
    if (!partner) return;
    this.transfers.part(session);
    this.calls.part(session);
    for (const one of [session, partner]) Object.assign(one, { state: "idle", partner: null, conversation: null });
    this.tell(partner, "user:unmatched", { conversation, reason });
  }

  "chat:message"(session, { id, type, content }) {
    session.messages.push(content);
    const message = { id, from: session.user.id, type, content, timestamp: 1 };
    if (session.partner) this.tell(session.partner, "chat:message", message);
  }

  "chat:typing"(session, data) {
    if (session.partner?.socket) this.raw(session.partner, { event: "chat:typing", data });
  }

  "chat:clear"(session) {
    for (const one of [session, session.partner]) this.tell(one, "chat:clear", { by: session.user.id });
  }
}

function person(name) {
  return { id: Buffer.from(name.padEnd(12).slice(0, 12)).toString("hex"), username: name };
}

function matchOf({ conversation, partner, role = "polite" }) {
  return { conversation, matchedUser: partner.user, role, common: [], status: partner.status };
}
