/** Networks that do as a test says, and a WebSocket that goes over them. */

import { EventEmitter } from "node:events";
import { Random } from "./random.js";

/** One way to one node. Reliable data waits while it is blocked, as TCP and QUIC repeat themselves. */
export class Path {
  /** One way, in milliseconds. */
  delayMs = 20;
  /** The share of volatile data that is lost. */
  loss = 0;
  /** Bytes each way; more than that at once has to queue. */
  bytesPerMs = Infinity;
  /** So many volatile items are lost next. */
  dropNext = 0;
  /** Opening fails at once, while set. */
  refused = false;
  #blocked = false;
  #random;
  #held = [];

  constructor(seed = 1) {
    this.#random = new Random(seed);
  }

  /** Nothing comes through, and nobody is told. */
  block() {
    this.#blocked = true;
  }

  heal() {
    this.#blocked = false;
    for (const send of this.#held.splice(0)) send();
  }

  /** One direction of one link, in order. */
  lane() {
    const queue = [];
    let freeAt = 0;
    return (deliver, { volatile = false, bytes = 100, left } = {}) => {
      if (volatile && (this.#blocked || this.#loses())) return;
      const send = () => {
        queue.push(deliver);
        const now = performance.now();
        freeAt = Math.max(now, freeAt) + bytes / this.bytesPerMs;
        setTimeout(() => queue.shift()(), this.delayMs + freeAt - now);
        if (left) setTimeout(left, freeAt - now);
      };
      if (this.#blocked) this.#held.push(send);
      else send();
    };
  }

  /** Resolves after a round trip. */
  async opens() {
    const [up, down] = [this.lane(), this.lane()];
    if (this.refused) throw new Error("refused");
    await new Promise((resolve) => up(() => down(resolve)));
  }

  #loses() {
    if (this.dropNext > 0) {
      this.dropNext -= 1;
      return true;
    }
    return this.loss > 0 && this.#random.next() < this.loss;
  }
}

/** A WebSocket with the browser's face whose other end is a FakeServer. */
export function fakeWebSocket(server, pathOf) {
  return class FakeWebSocket {
    /** How many were made. */
    static made = 0;
    /** Where the last one went. */
    static last;
    /** The most bytes that a frame had to wait behind. */
    static mostBuffered = 0;
    readyState = 0;
    bufferedAmount = 0;
    #up;

    constructor(url) {
      this.constructor.made += 1;
      this.constructor.last = url;
      const path = pathOf(url);
      this.#up = path.lane();
      const down = path.lane();
      const socket = (this.socket = new EventEmitter());
      socket.send = (data) => down(() => {
        const message = typeof data === "string" ? data : new Uint8Array(data).buffer;
        if (this.readyState === 1) this.onmessage?.({ data: message });
      }, { bytes: data.length });
      socket.close = socket.terminate = (code) => {
        down(() => this.#end(code ?? 1006));
        setImmediate(() => socket.emit("close"));
      };
      path.opens().then(() => {
        if (this.readyState !== 0) return;
        this.readyState = 1;
        server.accept(socket);
        this.onopen?.();
      }, () => this.#end(1006));
    }

    send(data) {
      const bytes = Buffer.from(data);
      this.bufferedAmount += bytes.length;
      this.constructor.mostBuffered = Math.max(this.constructor.mostBuffered, this.bufferedAmount);
      const left = () => (this.bufferedAmount -= bytes.length);
      this.#up(() => this.socket.emit("message", bytes, typeof data !== "string"), { bytes: bytes.length, left });
    }

    close() {
      this.readyState = 3;
      this.#up(() => this.socket.emit("close"));
    }

    #end(code) {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code, reason: "" });
    }
  };
}
