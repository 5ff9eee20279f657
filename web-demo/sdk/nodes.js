/**
 * @file The server's nodes, of which any will do: they are asked in turn, beginning with the one
 * that worked last. A session can go on at each of them.
 */

import { DuologueError, asDuologueError } from "./errors.js";
import { askDirections } from "./rest.js";

/** A node that does not answer within this is passed over, where there are others. */
const NODE_DEADLINE_MS = 3_000;
/** A node that has not answered by then may be gone: the next is asked beside it. */
const PATIENCE_MS = 1_000;
/** Nodes that are known at most: a server names others. */
const MOST_NODES = 16;
const LOOPBACK = /^\w+:\/\/(localhost|127\.[\d.]+|\[::1\])(:|$)/;

export class Nodes {
  #bases;
  #store;
  #key;
  #at = 0;
  /** Which node gave them. @type {WeakMap<import("./types.js").Directions, number>} */
  #givers = new WeakMap();

  /**
   * @param {string[]} bases
   * @param {import("./types.js").KeyValueStore} store
   */
  constructor(bases, store) {
    this.#bases = [...bases];
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
   * Where the doors are, by the first node that answers. While none does, the same is asked first the
   * next time.
   * @param {AbortSignal} signal
   * @param {number} [most] nodes that are asked
   * @returns {Promise<import("./types.js").Directions>}
   */
  async ask(signal, most = this.#bases.length) {
    const several = this.#bases.length > 1;
    const enough = new AbortController();
    const until = AbortSignal.any([signal, enough.signal]);
    /** @type {DuologueError | undefined} */
    let failure;
    const askOne = async (/** @type {number} */ at) => {
      try {
        const directions = await askDirections(this.#bases[at], until, several ? NODE_DEADLINE_MS : undefined);
        return { at, directions };
      } catch (error) {
        // Final for one is final only if it is so for all.
        if (!failure || failure.final) failure = asDuologueError(error, "network");
        return null;
      }
    };
    /** @type {Set<Promise<{ at: number, directions: import("./types.js").Directions } | null>>} */
    const asked = new Set();
    try {
      for (let next = 0; next < most || asked.size > 0; ) {
        if (next < most) {
          const asking = askOne((this.#at + next) % this.#bases.length);
          asked.add(asking);
          asking.then(() => asked.delete(asking));
          next += 1;
        }
        const answer = await first(asked, next < most ? PATIENCE_MS : undefined);
        signal.throwIfAborted();
        if (!answer) continue;
        this.#at = answer.at;
        this.#givers.set(answer.directions, answer.at);
        this.#learn(answer.directions.nodes);
        return answer.directions;
      }
    } finally {
      enough.abort(new DuologueError("slower", "Another node has answered."));
    }
    throw failure;
  }

  /** The next one is asked first. */
  turn() {
    this.#at = (this.#at + 1) % this.#bases.length;
  }

  /**
   * One of the doors that these tell of has opened: whoever gave them is asked first.
   * @param {import("./types.js").Directions} directions
   */
  worked(directions) {
    if (this.#bases.length === 1) return;
    this.#at = this.#givers.get(directions) ?? this.#at;
    try {
      this.#store.setItem(this.#key, this.#bases[this.#at]);
    } catch {
      // As above.
    }
  }

  /**
   * Others are asked too, should this one go. What is no origin is passed over.
   * @param {unknown} origins
   */
  #learn(origins) {
    if (!Array.isArray(origins)) return;
    for (const origin of origins) {
      if (this.#bases.length >= MOST_NODES) return;
      if (typeof origin !== "string" || !/^https?:\/\/[^/?#@\s]+$/.test(origin)) continue;
      if (!this.#bases.includes(origin)) this.#bases.push(origin);
    }
  }
}

/**
 * The first answer; `null`: one has failed, or none came within that time.
 * @template T
 * @param {Iterable<Promise<T | null>>} asked
 * @param {number | undefined} withinMs
 */
async function first(asked, withinMs) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((/** @type {(value: null) => void} */ resolve) => {
    if (withinMs !== undefined) timer = setTimeout(resolve, withinMs, null);
  });
  try {
    return await Promise.race([...asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * One name for all of them, in whatever order they were given.
 * @param {string[]} bases
 */
export function setOf(bases) {
  return [...bases].sort().join(" ");
}
