/**
 * @file Looking for a partner, and which answer of the server belongs to which request.
 */

import { Deferred } from "./deferred.js";
import { DuologueError } from "./errors.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/**
 * A request whose answer is `user:idle`, or a refusal that comes to the same.
 * @typedef {{ event: "user:match:cancel" | "user:leave", done: Deferred<void> }} Retreat
 */

export class Lobby {
  #say;
  /** @type {Deferred<Conversation> | null} who waits for the next match */
  #wanted = null;
  /** @type {import("./types.js").Wish} the last one; a skip goes on with it */
  #wish = {};
  /** @type {Retreat[]} not yet answered, oldest first: the server answers in order */
  #retreats = [];
  /** @type {string | null} the conversation that was left, or skipped, last */
  #left = null;
  /** The server does not know the wish: it went with the node that did. */
  #forgotten = false;

  /** @param {(event: string, data: object) => boolean} say false: there is no session */
  constructor(say) {
    this.#say = say;
  }

  /** Whether someone here waits for a match. */
  get searching() {
    return this.#wanted !== null;
  }

  /** Nobody wants a match that comes now: the search was called off. */
  get calledOff() {
    return this.#retreats.some(({ event }) => event === "user:match:cancel");
  }

  /**
   * @param {import("./types.js").Wish} wish
   * @param {AbortSignal} [signal]
   * @returns {Promise<Conversation>}
   */
  match(wish, signal) {
    return this.#search(signal, (wanted) => {
      this.#wish = wish;
      this.#forgotten = false;
      this.#ask(wanted, "user:match", wish);
    });
  }

  /**
   * Leaves the partner and looks for the next one.
   * @param {string} conversation that is left
   * @param {AbortSignal} [signal]
   * @returns {Promise<Conversation>}
   */
  skip(conversation, signal) {
    this.#left = conversation;
    return this.#search(signal, (wanted) => {
      if (!this.#forgotten) return void this.#ask(wanted, "user:skip", {});
      this.#forgotten = false;
      this.#retreat("user:leave");
      this.#ask(wanted, "user:match", this.#wish);
    });
  }

  /**
   * Calls the search off. Resolves when nothing is searched for any more.
   * @returns {Promise<void>}
   */
  cancel() {
    this.#giveUp(new DuologueError("cancelled", "The search was called off."));
    return this.#retreat("user:match:cancel");
  }

  /**
   * Leaves the partner. Resolves when the server knows.
   * @param {string} conversation that is left
   * @returns {Promise<void>}
   */
  leave(conversation) {
    this.#left = conversation;
    return this.#retreat("user:leave");
  }

  /** @param {Conversation} conversation */
  matched(conversation) {
    this.#wanted?.resolve(conversation);
    this.#wanted = null;
  }

  /** `user:idle`. */
  idle() {
    this.#retreats.shift()?.done.resolve();
  }

  /**
   * The server refused a request. False: it was none of these.
   * @param {DuologueError} error
   */
  refused(error) {
    const { event, code } = error;
    if (event === "user:skip" && code === "no-conversation") {
      // The partner left at the same moment: what the person wants is the next one all the same.
      return this.#say("user:match", this.#wish);
    }
    if (event === "user:match" || event === "user:skip") {
      this.#giveUp(error);
      return true;
    }
    const at = this.#retreats.findIndex((retreat) => retreat.event === event);
    if (at < 0) return false;
    const [{ done }] = this.#retreats.splice(at, 1);
    // Not waiting, or no partner: there is nothing to retreat from, which is what was wanted.
    if (code === "not-waiting" || code === "no-conversation") done.resolve();
    else done.reject(error);
    return true;
  }

  /**
   * A new session began: what was left is left, what is searched for is searched for there.
   * @param {string} [stands] the conversation it begins in
   * @returns {boolean} whether anyone here is in that one, or waits for it
   */
  restart(stands) {
    const wanted = stands === undefined || (this.#left !== stands && !this.calledOff);
    // What waits for a retreat is asked by itself when that is settled.
    const asked = !this.calledOff;
    this.#forgotten = stands !== undefined && wanted;
    this.#retreats.splice(0).forEach(({ done }) => done.resolve());
    // The word that it was left went with the node.
    if (stands !== undefined && !wanted) this.leave(stands);
    if (this.#wanted && asked && (!wanted || stands === undefined)) this.#say("user:match", this.#wish);
    return wanted;
  }

  /**
   * No more answers will come.
   * @param {DuologueError} error
   */
  close(error) {
    this.#retreats.splice(0).forEach(({ done }) => done.reject(error));
    this.#giveUp(error);
  }

  /**
   * @param {AbortSignal | undefined} signal
   * @param {(wanted: Deferred<Conversation>) => void} begin
   */
  #search(signal, begin) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#wanted) {
      return Promise.reject(new DuologueError("already-matching", "A search is under way already."));
    }
    /** @type {Deferred<Conversation>} */
    const wanted = new Deferred();
    this.#wanted = wanted;
    const abort = () => this.#abort(wanted, signal?.reason);
    signal?.addEventListener("abort", abort);
    wanted.promise.catch(() => {}).finally(() => signal?.removeEventListener("abort", abort));
    begin(wanted);
    return wanted.promise;
  }

  /**
   * Asks, once no earlier search is being called off: a match that is still under way for that one
   * must not be taken for this one's.
   * @param {Deferred<Conversation>} wanted
   * @param {string} event
   * @param {object} data
   */
  async #ask(wanted, event, data) {
    while (this.calledOff) await Promise.allSettled(this.#retreats.map(({ done }) => done.promise));
    if (this.#wanted === wanted && !this.#say(event, data)) this.#giveUp(notConnected());
  }

  /**
   * @param {Deferred<Conversation>} wanted
   * @param {unknown} reason
   */
  #abort(wanted, reason) {
    if (this.#wanted !== wanted) return;
    this.#giveUp(reason);
    // While an earlier one is called off, this one was not asked for yet.
    if (!this.calledOff) this.#retreat("user:match:cancel");
  }

  /** @param {unknown} reason */
  #giveUp(reason) {
    this.#wanted?.reject(reason);
    this.#wanted = null;
  }

  /** @param {Retreat["event"]} event */
  #retreat(event) {
    /** @type {Deferred<void>} */
    const done = new Deferred();
    if (this.#say(event, {})) this.#retreats.push({ event, done });
    else done.reject(notConnected());
    return done.promise;
  }
}

function notConnected() {
  return new DuologueError("not-connected", "There is no connection yet, or not any more.");
}
