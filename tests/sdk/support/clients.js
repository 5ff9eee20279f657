import { WebSocket } from "ws";
import { Duologue } from "../../../web-demo/sdk/duologue.js";
import { FakeServer } from "./server.js";

/** A storage of one tab. */
export class TabStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, value);
  removeItem = (key) => void this.items.delete(key);
}

/** A page of one tab: what it is given to run with, and its end. */
export class Page {
  #sockets = new Set();
  #gone = false;

  constructor(storage = new TabStorage()) {
    this.storage = storage;
    const sockets = this.#sockets;
    const gone = () => this.#gone;
    this.WebSocket = class extends WebSocket {
      constructor(url) {
        if (gone()) throw new Error("this page is gone");
        super(url);
        sockets.add(this);
      }
    };
  }

  /** Goes away with no word, as a reload does; returns the page that comes after. */
  reload() {
    this.#gone = true;
    const kept = new TabStorage();
    kept.items = new Map(this.storage.items);
    for (const socket of this.#sockets) socket.terminate();
    return new Page(kept);
  }
}

/** A server for one test; everything ends with it. */
export async function begin(t) {
  const server = await FakeServer.start();
  const clients = [];
  t.after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.stop();
  });
  const client = (name, options = {}) => {
    const made = new Duologue({ token: `token-${name}`, base: server.base, WebSocket, ...options });
    clients.push(made);
    return made;
  };
  /** Two who talk, and the conversation of each. */
  const pair = async (options = {}) => {
    const [ann, ben] = [client("ann", options.ann), client("ben", options.ben)];
    await Promise.all([ann.connect(), ben.connect()]);
    const [annTalk, benTalk] = await Promise.all([ann.match(), ben.match()]);
    return { ann, ben, annTalk, benTalk };
  };
  return { server, client, pair };
}

/** The detail of the next such event that matches. */
export function next(target, type, matches = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${type}" within 5 s`)), 5000);
    target.addEventListener(type, function listener({ detail }) {
      if (!matches(detail)) return;
      clearTimeout(timer);
      target.removeEventListener(type, listener);
      resolve(detail);
    });
  });
}

/** Every detail of such events from now on. */
export function collect(target, type) {
  const details = [];
  target.addEventListener(type, ({ detail }) => details.push(detail));
  return details;
}
