/**
 * @file Tokens that were shown to the server and are not answered yet.
 */

import { Deferred } from "./deferred.js";

/** @typedef {Partial<import("./types.js").Renewed>} Renewed empty: it counts from the next hello on */

export class Renewals {
  /** @type {{ answer: Deferred<Renewed>, undo: () => void }[]} oldest first: the server answers in order */
  #open = [];

  /**
   * @param {() => void} undo what to do if the server refuses it
   * @returns {Promise<Renewed>}
   */
  add(undo) {
    /** @type {Deferred<Renewed>} */
    const answer = new Deferred();
    this.#open.push({ answer, undo });
    return answer.promise;
  }

  /** @param {Renewed} renewed */
  renewed(renewed) {
    this.#open.shift()?.answer.resolve(renewed);
  }

  /** @param {import("./errors.js").DuologueError} error */
  refused(error) {
    const first = this.#open.shift();
    first?.undo();
    first?.answer.reject(error);
  }

  /** A new session began, with the newest token in its hello. */
  settle() {
    this.#open.splice(0).forEach(({ answer }) => answer.resolve({}));
  }

  /** @param {import("./errors.js").DuologueError} error */
  close(error) {
    this.#open.splice(0).forEach(({ answer }) => answer.reject(error));
  }
}
