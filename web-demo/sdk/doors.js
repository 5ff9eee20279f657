/**
 * @file The doors that this program can use, and in which order: where the server says they are,
 * what the app allows, what the platform has, and which one won last.
 */

import { DuologueError } from "./errors.js";
import { DoorMemory } from "./link/memory.js";
import { webSocketDoor } from "./link/websocket.js";
import { webTransportDoor, webTransportWorks } from "./link/webtransport.js";
import { askDirections } from "./rest.js";

export class Doors {
  #base;
  #names;
  #WebSocket;
  #WebTransport;
  #memory;
  /** @type {import("./types.js").Directions | null} asked for again after a failure */
  #directions = null;

  /**
   * @param {object} setup
   * @param {string} setup.base
   * @param {import("./types.js").DoorName[]} setup.names allowed, the one to prefer first
   * @param {import("./types.js").WebSocketClass} [setup.WebSocket]
   * @param {import("./types.js").WebTransportClass} [setup.WebTransport]
   * @param {import("./types.js").KeyValueStore} setup.store
   */
  constructor({ base, names, WebSocket, WebTransport, store }) {
    this.#base = base;
    this.#names = [...names];
    this.#WebSocket = WebSocket;
    this.#WebTransport = WebTransport;
    this.#memory = new DoorMemory(store, base);
  }

  /**
   * Every door that can be used, the one to try first in front.
   * @param {AbortSignal} signal
   */
  async all(signal) {
    this.#directions ??= await askDirections(this.#base, signal);
    const lately = this.#memory.recall(Date.now());
    const names = [...this.#names].sort((a, b) => Number(b === lately) - Number(a === lately));
    return names.map((name) => this.#door(name)).filter((door) => door !== null);
  }

  /**
   * That door alone.
   * @param {import("./types.js").DoorName} name
   * @param {AbortSignal} signal
   */
  async only(name, signal) {
    this.#directions ??= await askDirections(this.#base, signal);
    const door = this.#door(name);
    if (!door) throw new DuologueError("no-door", `This client cannot use ${name} here.`);
    return [door];
  }

  /**
   * From now on this door is tried first, whatever won lately.
   * @param {import("./types.js").DoorName} name
   */
  prefer(name) {
    this.#names = [name, ...this.#names.filter((other) => other !== name)];
    this.#memory.forget();
  }

  /**
   * Notes that a door won against one that is preferred.
   * @param {import("./types.js").DoorName} winner
   * @param {import("./link/link.js").Door[]} tried in their order
   */
  won(winner, tried) {
    // Not when it was first by memory already: that would put off the preferred one for ever.
    if (winner !== tried[0].name) this.#memory.note(winner, Date.now());
  }

  /** What the server said about its doors may be old: ask again before the next attempt. */
  expire() {
    this.#directions = null;
  }

  /**
   * @param {import("./types.js").DoorName} name
   * @returns {import("./link/link.js").Door | null}
   */
  #door(name) {
    const { webtransport, websocket } = /** @type {import("./types.js").Directions} */ (this.#directions);
    switch (name) {
      case "websocket":
        return websocket && this.#WebSocket ? webSocketDoor(websocket.url, this.#WebSocket) : null;
      case "webtransport":
        if (!webtransport || !this.#WebTransport || !webTransportWorks()) return null;
        return webTransportDoor(webtransport, this.#WebTransport);
      default:
        return null;
    }
  }
}
