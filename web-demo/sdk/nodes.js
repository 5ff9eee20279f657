/**
 * @file The server's nodes, of which any will do: they are asked in turn, beginning with the one
 * that worked last.
 */

import { asDuologueError } from "./errors.js";
import { askDirections } from "./rest.js";

/** A node that does not answer within this is passed over, where there are others. */
const NODE_DEADLINE_MS = 3_000;
const LOOPBACK = /^\w+:\/\/(localhost|127\.[\d.]+|\[::1\])(:|$)/;

export class Nodes {
  #bases;
  #store;
  #key;
  #at = 0;

  /**
   * @param {string[]} bases
   * @param {import("./types.js").KeyValueStore} store
   */
  constructor(bases, store) {
    this.#bases = bases;
    this.#store = store;
    this.#key = `duologue:node:${setOf(bases)}`;
    try {
      this.#at = Math.max(0, bases.indexOf(store.getItem(this.#key) ?? ""));
    } catch {
      // Without storage the first is asked first.
    }
  }

  /** Whether one is on this machine, where a network that is away does not matter. */
  get local() {
    return this.#bases.some((base) => LOOPBACK.test(base));
  }

  /**
   * Where the doors of the first node are that answers. While none does, the same is asked first the
   * next time: it is the one that knows the session.
   * @param {AbortSignal} signal
   * @param {number} [most] nodes that are asked
   */
  async ask(signal, most = this.#bases.length) {
    const several = this.#bases.length > 1;
    let failure;
    for (let tried = 0; tried < most; tried += 1) {
      const at = (this.#at + tried) % this.#bases.length;
      try {
        const directions = await askDirections(this.#bases[at], signal, several ? NODE_DEADLINE_MS : undefined);
        this.#at = at;
        return directions;
      } catch (error) {
        signal.throwIfAborted();
        // Final for one is final only if it is so for all.
        if (!failure || failure.final) failure = asDuologueError(error, "network");
      }
    }
    throw failure;
  }

  /** The next one is asked first. */
  turn() {
    this.#at = (this.#at + 1) % this.#bases.length;
  }

  /** The one that was asked last works. */
  worked() {
    if (this.#bases.length === 1) return;
    try {
      this.#store.setItem(this.#key, this.#bases[this.#at]);
    } catch {
      // As above.
    }
  }
}

/**
 * One name for all of them, in whatever order they were given.
 * @param {string[]} bases
 */
export function setOf(bases) {
  return [...bases].sort().join(" ");
}
