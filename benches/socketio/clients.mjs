/** The clients, in a process of their own: the same for whatever server. Orders come from bench.mjs. */

import { io } from "socket.io-client";

const sockets = [];
const pairs = [];

const orders = {
  /** So many more connections. */
  async connect({ url, tokens }) {
    const ABREAST = 50;
    const rest = [...tokens];
    const one = async () => {
      for (let token; (token = rest.pop()); ) {
        const socket = io(url, { auth: { token }, transports: ["websocket"], forceNew: true, reconnection: false });
        sockets.push(socket);
        await told(socket, "connection:established");
      }
    };
    await Promise.all(Array.from({ length: ABREAST }, one));
    return { connected: sockets.filter(({ connected }) => connected).length };
  },

  /** All of them, two by two. */
  async match() {
    for (let at = 0; at < sockets.length; at += 2) {
      const pair = sockets.slice(at, at + 2);
      const matched = pair.map((socket) => told(socket, "user:matched"));
      for (const socket of pair) socket.emit("user:match");
      await Promise.all(matched);
      pairs.push(pair);
    }
    return {};
  },

  /**
   * Each pair has so many messages under way, each answered by one from the other side, for so long.
   * The time of one is from before it is emitted to its handler, on one clock.
   */
  async talk({ underWay, seconds }) {
    const times = [];
    let going = true;
    let open = 0;
    const content = "x".repeat(64);
    let over;
    const done = new Promise((resolve) => (over = resolve));
    const say = (socket) => {
      open += 1;
      socket.emit("chat:message", { type: "text", content, timestamp: performance.now() });
    };
    for (const socket of pairs.flat()) {
      socket.off("chat:message");
      socket.on("chat:message", ({ timestamp }) => {
        open -= 1;
        times.push(performance.now() - timestamp);
        if (going) say(socket);
        else if (open === 0) over();
      });
    }
    const from = performance.now();
    for (const [ann] of pairs) for (let at = 0; at < underWay; at += 1) say(ann);
    setTimeout(() => (going = false), seconds * 1000);
    await done;
    const took = (performance.now() - from) / 1000;
    times.sort((a, b) => a - b);
    const at = (part) => times[Math.floor(part * (times.length - 1))];
    return { messages: times.length, perSecond: times.length / took, p50: at(0.5), p99: at(0.99) };
  },
};

function told(socket, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), 30_000);
    const end = (fate) => (data) => (clearTimeout(timer), fate(data));
    socket.once(event, end(resolve));
    socket.once("connect_error", end(reject));
  });
}

process.on("message", async ({ name, order }) => {
  try {
    process.send({ result: await orders[name](order) });
  } catch (error) {
    process.send({ error: String(error?.stack ?? error) });
  }
});
