/**
 * A world in which time is a number: clients, their networks and a server in one process, without
 * a socket and without waiting. Ten minutes of it take less than a second.
 */

import { mock } from "node:test";
import { Duologue } from "../../../web-demo/sdk/duologue.js";
import { TabStorage } from "./clients.js";
import { setGlobals } from "./globals.js";
import { Path, fakeWebSocket } from "./network.js";
import { Random } from "./random.js";
import { FakeServer } from "./server.js";
import { fakeWebTransport } from "./webtransport.js";

const STEP_MS = 10;
const BASE = "https://one.test";

/** One person's network: to each node a path for UDP and one for TCP. */
class Network {
  #nodes = new Map();
  #seed;

  constructor(seed) {
    this.#seed = seed;
  }

  to(base = BASE) {
    const known = this.#nodes.get(base);
    if (known) return known;
    const node = { udp: new Path(this.#seed), tcp: new Path(this.#seed + 1) };
    this.#nodes.set(base, node);
    return node;
  }

  get udp() {
    return this.to().udp;
  }

  get tcp() {
    return this.to().tcp;
  }
}

/** A client, with its network and all it has said. */
class Person {
  constructor(world, name, options) {
    this.network = options.network ?? new Network(world.random.below(1e6));
    this.storage = options.storage ?? new TabStorage();
    this.WebTransport = fakeWebTransport(world.server, world.random.below(1e6), (url) => this.network.to(new URL(url).origin).udp);
    this.WebSocket = fakeWebSocket(world.server, (url) => this.network.to(new URL(url).origin.replace("wss:", "https:")).tcp);
    const { WebTransport, WebSocket, storage } = this;
    this.client = new Duologue({ token: `token-${name}`, base: BASE, WebTransport, WebSocket, storage, ...options.client });
    /** Every event, in order, round trips left out. */
    this.events = [];
    for (const type of ["link", "reconnecting", "resumed", "lost", "closing", "error"]) {
      this.client.addEventListener(type, ({ detail }) => {
        if (type !== "link" || detail.rttMs === undefined) this.events.push({ type, at: world.now, ...detail });
      });
    }
  }

  get door() {
    return this.client.door;
  }

  said(type) {
    return this.events.filter((event) => event.type === type);
  }

  /** Each move from link to link: [from, to, why]. */
  get moves() {
    return this.said("link").filter(({ from }) => from).map(({ from, door, why }) => [from, door, why]);
  }
}

export class World {
  now = 1000;
  server = new FakeServer();
  people = [];
  /** What HTTP does at each origin, if it is not open: "refused", or "silent". */
  http = {};
  /** The origins of all nodes, as each names them. */
  nodes = undefined;
  /** Whose doors the answer of an origin names, if not its own. */
  doorsOf = {};
  /** The origins that were asked, in order. */
  asked = [];

  constructor(t, seed = 1) {
    this.random = new Random(seed);
    mock.timers.enable({ apis: ["setTimeout"] });
    t.mock.method(performance, "now", () => this.now);
    t.mock.method(Math, "random", () => this.random.next());
    t.mock.method(globalThis, "fetch", (url, { signal }) => this.#answer(url, signal));
    t.mock.method(AbortSignal, "timeout", (ms) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new DOMException("Too late.", "TimeoutError")), ms);
      return controller.signal;
    });
    t.after(async () => {
      for (const { client } of this.people) client.close().catch(() => {});
      try {
        await this.pass(2000);
      } finally {
        mock.timers.reset();
      }
    });
  }

  person(name, options = {}) {
    const person = new Person(this, name, options);
    this.people.push(person);
    return person;
  }

  /** Lets time pass; everything that is due happens. */
  async pass(ms) {
    for (const until = this.now + ms; this.now < until; ) {
      this.now += STEP_MS;
      mock.timers.tick(STEP_MS);
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Lets time pass until the promise has settled; answers or throws as it does. */
  async until(promise, withinMs = 20_000) {
    let settled = false;
    const done = () => (settled = true);
    promise.then(done, done);
    for (const last = this.now + withinMs; !settled; ) {
      if (this.now >= last) throw new Error(`not settled within ${withinMs} ms`);
      await this.pass(STEP_MS);
    }
    return promise;
  }

  /** Lets time pass until it is so; answers how long that took. */
  async see(what, so, withinMs = 20_000) {
    const from = this.now;
    while (!so()) {
      if (this.now - from >= withinMs) throw new Error(`never saw ${what}`);
      await this.pass(STEP_MS);
    }
    return this.now - from;
  }

  /** Ann and Ben, who talk. */
  async pair(options = {}) {
    const [ann, ben] = [this.person("ann", options.ann), this.person("ben", options.ben)];
    await this.until(Promise.all([ann.client.connect(), ben.client.connect()]));
    const talks = await this.until(Promise.all([ann.client.match(), ben.client.match()]));
    [ann, ben].forEach((person, at) => {
      person.talk = talks[at];
      person.heard = [];
      person.talk.addEventListener("message", ({ detail }) => person.heard.push(detail.content));
    });
    return [ann, ben];
  }

  async #answer(url, signal) {
    const { origin, pathname } = new URL(url);
    const node = this.http[origin] ?? "open";
    this.asked.push(origin);
    if (node === "refused") throw new TypeError("fetch failed");
    await new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      if (signal.aborted) reject(signal.reason);
      if (node === "open") setTimeout(resolve, 40);
    });
    const doors = this.doorsOf[origin] ?? origin;
    const [status, envelope] = this.server.rest[pathname] ?? [200, { success: true, data: {
      protocol: 1,
      nodes: this.nodes,
      webtransport: { url: `${doors}/realtime` },
      websocket: { url: `${doors.replace("https", "wss")}/realtime` },
    } }];
    return new Response(JSON.stringify(envelope), { status });
  }
}

/** A page around the clients, for what the SDK hears of it. */
export function openPage(t) {
  const page = new EventTarget();
  page.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const navigator = { onLine: true, userAgent: "", connection: new EventTarget() };
  const globals = { window: page, document: page.document, navigator };
  setGlobals(t, globals);
  return {
    says: (type, more = {}) => page.dispatchEvent(Object.assign(new Event(type), more)),
    freezes: () => page.document.dispatchEvent(new Event("freeze")),
    resumes: () => page.document.dispatchEvent(new Event("resume")),
    changesNetwork: () => navigator.connection.dispatchEvent(new Event("change")),
    isShown: (shown) => {
      page.document.visibilityState = shown ? "visible" : "hidden";
      page.document.dispatchEvent(new Event("visibilitychange"));
    },
    isOnline: (online) => {
      navigator.onLine = online;
      page.dispatchEvent(new Event(online ? "online" : "offline"));
    },
  };
}
