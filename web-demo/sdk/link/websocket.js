/**
 * @file The door that is open nearly everywhere: one text message is one frame, one binary message
 * some bytes of a transfer.
 */

import { DuologueError } from "../errors.js";
import { decodeChunk, encodeChunk } from "./chunk.js";
import { Link } from "./link.js";

/** With this much unsent, what may be lost is dropped rather than queued behind it. */
const BUSY_BYTES = 64 * 1024;
/** With this much unsent, transfers wait: a frame that is written next has to wait for all of it. */
const FULL_BYTES = 32 * 1024;
/** No event tells that there is room again. */
const ROOM_POLL_MS = 5;

/**
 * @param {string} url
 * @param {import("../types.js").WebSocketClass} WebSocket
 * @returns {import("./link.js").Door}
 */
export function webSocketDoor(url, WebSocket) {
  return { name: "websocket", url, open: (signal) => open(url, WebSocket, signal) };
}

/**
 * @param {string} url
 * @param {import("../types.js").WebSocketClass} WebSocket
 * @param {AbortSignal} signal
 * @returns {Promise<Link>}
 */
function open(url, WebSocket, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new WebSocket(url);
    const abandon = () => {
      reject(signal.reason);
      socket.close();
    };
    signal.addEventListener("abort", abandon, { once: true });
    socket.onopen = () => {
      signal.removeEventListener("abort", abandon);
      resolve(new WebSocketLink(socket));
    };
    // A browser tells a script nothing about why a socket did not open.
    socket.onerror = () => {};
    socket.onclose = () => {
      signal.removeEventListener("abort", abandon);
      reject(new DuologueError("door-shut", "The WebSocket did not open."));
    };
  });
}

class WebSocketLink extends Link {
  #socket;
  /** @type {(() => void)[]} uploads that wait for room */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {WebSocket} socket that is open */
  constructor(socket) {
    super("websocket");
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.deliver(data);
      else this.#deliverChunk(new Uint8Array(data));
      // A hidden page's timers may be a minute late.
      if (this.#waiting.length > 0) this.#makeRoom();
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(this.#timer);
      this.finish(code, reason);
    };
  }

  /** @override @param {string} text */
  write(text) {
    if (this.#socket.readyState === 1) this.#socket.send(text);
  }

  /** @override @param {string} text */
  writeVolatile(text) {
    if (this.#socket.bufferedAmount < BUSY_BYTES) this.write(text);
  }

  /**
   * @override
   * @param {string} id
   * @param {number} offset
   */
  upload(id, offset) {
    return {
      /** @param {Uint8Array} bytes */
      write: async (bytes) => {
        if (this.#socket.readyState === 1) this.#socket.send(encodeChunk(id, offset, bytes));
        offset += bytes.length;
        await new Promise((/** @type {(value: void) => void} */ resolve) => {
          this.#waiting.push(resolve);
          this.#makeRoom();
        });
      },
      close: () => {},
      abort: () => {},
    };
  }

  /** @override */
  close() {
    super.close();
    clearTimeout(this.#timer);
    this.#socket.close(1000);
  }

  /** Lets uploads go on as soon as there is room; on a link that has ended, never. */
  #makeRoom() {
    clearTimeout(this.#timer);
    if (this.#socket.readyState !== 1) return;
    if (this.#socket.bufferedAmount < FULL_BYTES) this.#waiting.splice(0).forEach((resolve) => resolve());
    else this.#timer = setTimeout(() => this.#makeRoom(), ROOM_POLL_MS);
  }

  /** @param {Uint8Array} message */
  #deliverChunk(message) {
    try {
      const chunk = decodeChunk(message);
      if (chunk) this.deliverBytes(chunk);
    } catch {
      this.finish(undefined, "The server sent what cannot be read.");
    }
  }
}
