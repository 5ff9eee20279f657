/**
 * @file The door that is open nearly everywhere: one text message is one frame.
 */

import { DuologueError } from "../errors.js";
import { Link } from "./link.js";

/** With this much unsent, what may be lost is dropped rather than queued behind it. */
const BUSY_BYTES = 64 * 1024;

/**
 * @param {string} url
 * @param {import("../types.js").WebSocketClass} WebSocket
 * @returns {import("./link.js").Door}
 */
export function webSocketDoor(url, WebSocket) {
  return { name: "websocket", open: (signal) => open(url, WebSocket, signal) };
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

  /** @param {WebSocket} socket that is open */
  constructor(socket) {
    super("websocket");
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.deliver(data);
    };
    socket.onclose = ({ code, reason }) => this.finish(code, reason);
  }

  /** @override @param {string} text */
  write(text) {
    if (this.#socket.readyState === 1) this.#socket.send(text);
  }

  /** @override @param {string} text */
  writeVolatile(text) {
    if (this.#socket.bufferedAmount < BUSY_BYTES) this.write(text);
  }

  /** @override */
  close() {
    super.close();
    this.#socket.close(1000);
  }
}
