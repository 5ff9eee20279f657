/**
 * @file The doors that this program can use, and in which order: where the server says they are,
 * what the app allows, what the platform has, and which one won last.
 */

import { DuologueError } from "./errors.js";
import { DoorMemory } from "./link/memory.js";
import { webSocketDoor } from "./link/websocket.js";
import { webTransportDoor, webTransportWorks } from "./link/webtransport.js";
import { Nodes, setOf } from "./nodes.js";

/** @typedef {import("./types.js").DoorName} DoorName */
/** @typedef {import("./link/link.js").Door} Door */

export class Doors {
  #nodes;
  #names;
  #WebSocket;
  #WebTransport;
  #memory;
  /** @type {import("./types.js").Directions | null} what the server said last */
  #directions = null;
  #old = true;
  /** What the server said, by what it made known. @type {WeakMap<Door, import("./types.js").Directions>} */
  #sources = new WeakMap();

  /**
   * @param {object} setup
   * @param {string[]} setup.bases any of which will do
   * @param {DoorName[]} setup.names allowed, the one to prefer first
   * @param {import("./types.js").WebSocketClass} [setup.WebSocket]
   * @param {import("./types.js").WebTransportClass} [setup.WebTransport]
   * @param {import("./types.js").KeyValueStore} setup.store
   */
  constructor({ bases, names, WebSocket, WebTransport, store }) {
    this.#nodes = new Nodes(bases, store);
    this.#names = names;
    this.#WebSocket = WebSocket;
    this.#WebTransport = WebTransport;
    this.#memory = new DoorMemory(store, setOf(bases));
  }

  /** Whether the server is on this machine, where a network that is away does not matter. */
  get local() {
    return this.#nodes.local;
  }

  /**
   * Every door that can be used, the one to try first in front; the server is asked where they are
   * if what it said may be old.
   * @param {AbortSignal} signal
   * @param {number} [nodes] that are asked at most: `1`, where a session had better not leave its node
   */
  async all(signal, nodes) {
    if (this.#old) {
      this.#directions = await this.#nodes.ask(signal, nodes);
      this.#old = false;
    }
    return this.known();
  }

  /**
   * The same, and the server is asked in any case: the node that was in use may be gone.
   * @param {AbortSignal} signal
   */
  anew(signal) {
    this.#old = true;
    return this.all(signal);
  }

  /** Whether what the server said may be old. */
  get old() {
    return this.#old;
  }

  /** The same by what the server said last. */
  known() {
    const lately = this.#memory.recall(Date.now());
    const names = [...this.#names].sort((a, b) => Number(b === lately) - Number(a === lately));
    return names.map((name) => this.#door(name)).filter((door) => door !== null);
  }

  /**
   * That door alone.
   * @param {DoorName} name
   */
  only(name) {
    const door = this.#door(name);
    if (!door) throw new DuologueError("no-door", `This client cannot use ${name} here.`);
    return [door];
  }

  /**
   * The doors that could be used and are preferred to this one.
   * @param {DoorName} name
   */
  better(name) {
    const at = this.#names.indexOf(name);
    return this.#names.slice(0, at < 0 ? undefined : at).filter((other) => this.#door(other));
  }

  /**
   * Notes which door won, and against whom.
   * @param {Door} winner
   * @param {Door[]} tried in the order of {@link all}
   */
  won(winner, tried) {
    const { name } = winner;
    // Where several nodes were tried, the one whose door it is counts from now on.
    this.#directions = this.#sources.get(winner) ?? this.#directions;
    if (this.#directions) this.#nodes.worked(this.#directions);
    if (name === this.#names[0]) this.#memory.forget();
    // Not when it was first by memory already: that would put off the preferred one for ever.
    else if (name !== tried[0]?.name) this.#memory.note(name, Date.now());
  }

  /** What the server said about its doors may be old: it is asked again before the next attempt. */
  expire() {
    this.#old = true;
  }

  /** The same, and another node is asked first. */
  turn() {
    this.expire();
    this.#nodes.turn();
  }

  /**
   * @param {DoorName} name
   * @returns {Door | null}
   */
  #door(name) {
    const door = this.#make(name);
    if (door && this.#directions) this.#sources.set(door, this.#directions);
    return door;
  }

  /**
   * @param {DoorName} name
   * @returns {Door | null}
   */
  #make(name) {
    const { webtransport, websocket } = this.#directions ?? {};
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
