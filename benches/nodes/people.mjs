/** People on raw WebSockets: as little of a client as the wire allows, so that thousands fit into one process. */

import { createRequire } from "node:module";

const { WebSocket } = createRequire(new URL("../../tests/package.json", import.meta.url))("ws");

/** How long anything that is waited for may take, in milliseconds. */
const PATIENCE_MS = 30_000;
/** An acknowledgement is due 50 ms after what it is for, or at once after 32. */
const ACK_MS = 40;
const ACK_AT = 30;
/** Connections and requests that are under way at once. */
const ABREAST = 50;

export class Person {
  #socket;
  #said = 0;
  #heard = 0;
  #acknowledged = 0;
  #timer;
  /** Events that are waited for. @type {Map<string, { resolve: Function, reject: Function }>} */
  #waited = new Map();
  /** Called for each message that comes. @type {(data: any) => void} */
  onMessage = () => {};

  /** @param {string} url @param {string} token */
  static async come(url, token) {
    const person = new Person();
    const socket = new WebSocket(`${url.replace("http", "ws")}/realtime`, { perMessageDeflate: false });
    person.#socket = socket;
    socket.on("message", (text, binary) => !binary && person.#read(JSON.parse(text)));
    socket.on("close", (code) => person.#fail(new Error(`a link was closed: ${code}`)));
    socket.on("error", (error) => person.#fail(error));
    const established = person.hears("connection:established");
    socket.on("open", () => person.#send({ event: "connection:hello", data: { protocol: 1, token, client: { name: "bench", version: "1.0.0" } } }));
    await established;
    return person;
  }

  /** The next event of this name. @param {string} event @returns {Promise<any>} */
  hears(event) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(new Error(`no ${event} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
      const end = (fate) => (value) => (clearTimeout(timer), fate(value));
      this.#waited.set(event, { resolve: end(resolve), reject: end(reject) });
    });
  }

  say(event, data = {}) {
    this.#said += 1;
    this.#send({ event, data, seq: this.#said, ack: this.#heard });
    this.#acknowledged = this.#heard;
  }

  /** Closes the link; whoever still waits for something does so no more. */
  async go() {
    this.#waited.clear();
    clearTimeout(this.#timer);
    const closed = new Promise((resolve) => this.#socket.once("close", resolve));
    this.#socket.close();
    await closed;
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #read({ event, data, seq }) {
    if (seq !== undefined) {
      this.#heard = seq;
      if (this.#heard - this.#acknowledged >= ACK_AT) this.#acknowledge();
      else this.#timer ??= setTimeout(() => this.#acknowledge(), ACK_MS);
    }
    if (event === "connection:ping") return this.#send({ event: "connection:pong", data });
    if (event === "chat:message") return this.onMessage(data);
    if (event === "error" || event === "connection:closing") return this.#fail(new Error(JSON.stringify({ event, data })));
    const waited = this.#waited.get(event);
    this.#waited.delete(event);
    waited?.resolve(data);
  }

  #acknowledge() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#heard > this.#acknowledged && this.#socket.readyState === WebSocket.OPEN) this.#send({ event: "ack", ack: this.#heard });
    this.#acknowledged = this.#heard;
  }

  #fail(error) {
    for (const { reject } of this.#waited.values()) reject(error);
    this.#waited.clear();
  }
}

/** Does something for each, a few at once. @template T, R @param {T[]} items @param {(item: T, at: number) => Promise<R>} one @returns {Promise<R[]>} */
export async function each(items, one) {
  const done = new Array(items.length);
  let next = 0;
  const worker = async () => {
    for (let at; (at = next++) < items.length; ) done[at] = await one(items[at], at);
  };
  await Promise.all(Array.from({ length: ABREAST }, worker));
  return done;
}

/** Tokens of guests. @param {string} url @param {number} count @returns {Promise<string[]>} */
export function guests(url, count) {
  return each(new Array(count).fill(url), async () => {
    const answer = await fetch(`${url}/api/auth/guest`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    if (!answer.ok) throw new Error(`no guest: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).data.token;
  });
}

/** People by turns at these nodes. @param {string[]} urls @param {number} count */
export async function arrive(urls, count) {
  const tokens = await guests(urls[0], count);
  return each(tokens, (token, at) => Person.come(urls[at % urls.length], token));
}

/** One waits, the other comes for them: how long from the other's search to both being told, in milliseconds. */
export async function meet(waits, comes, interest) {
  const waiting = waits.hears("user:matching");
  const told = [waits.hears("user:matched"), comes.hears("user:matched")];
  waits.say("user:match", { interests: [interest] });
  await Promise.race([waiting, Promise.all(told)]);
  const began = performance.now();
  comes.say("user:match", { interests: [interest] });
  const [one, other] = await Promise.all(told);
  if (one.conversation !== other.conversation) throw new Error("two who were to meet have met others");
  return performance.now() - began;
}

export async function part(leaves, stays) {
  const apart = [leaves.hears("user:idle"), stays.hears("user:unmatched")];
  leaves.say("user:leave");
  await Promise.all(apart);
}
