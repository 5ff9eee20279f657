/**
 * @file What the end of a link means, and who is told: the server's farewells, and our own doing
 * that looks like one.
 */

import { DuologueError, closingError, lostLinkError } from "./errors.js";

/** A hello that was given up unanswered may still reach the server this much later. */
const STRAY_MS = 2 * 60_000;

/** @typedef {import("./types.js").Closing} Closing */

export class Farewells {
  #tell;
  /**
   * Until when each hello without an answer may take the session from the link it is on: one that
   * is under way, or one on a link that was given up and whose network came back.
   * @type {Set<{ until: number }>}
   */
  #hellos = new Set();

  /** @param {(closing: Closing) => void} tell the app */
  constructor(tell) {
    this.#tell = tell;
  }

  /** A hello is sent; returns what to call when it is answered. */
  hello() {
    const hello = { until: performance.now() + STRAY_MS };
    this.#hellos.add(hello);
    return () => this.#hellos.delete(hello);
  }

  /**
   * The server said farewell on a link.
   * @param {Closing} closing
   * @param {boolean} [quietly] the session is on another link: no news for anyone
   * @returns {DuologueError}
   */
  said(closing, quietly = false) {
    const error = closingError(closing);
    // Without its number: nothing is refused, and no node wants to be left alone.
    if (error.code === "superseded" && this.#excuse()) return new DuologueError(error.code, error.message);
    if (!quietly) this.#tell(closing);
    return error;
  }

  /**
   * A link ended without a farewell; a close code says the same.
   * @param {number | undefined} code
   * @param {string} reason
   * @param {boolean} [quietly]
   * @returns {DuologueError}
   */
  broken(code, reason, quietly) {
    const error = lostLinkError(code, reason);
    const { closeCode, message, final } = error;
    if (closeCode === undefined) return error;
    return this.said({ code: closeCode, reason: error.code, message, reconnect: !final }, quietly);
  }

  /** Whether a hello of our own may have done it; each does so once. */
  #excuse() {
    const now = performance.now();
    for (const hello of this.#hellos) {
      this.#hellos.delete(hello);
      if (hello.until > now) return true;
    }
    return false;
  }
}
