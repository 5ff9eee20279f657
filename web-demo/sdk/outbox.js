/**
 * @file What became of each message that was sent, until it is delivered or refused.
 */

import { Deferred } from "./deferred.js";
import { DuologueError } from "./errors.js";

/**
 * `sending`: on its way to the server; `sent`: the server has it; `delivered`: the partner's client
 * has it; `failed`: it will not arrive.
 * @typedef {"sending" | "sent" | "delivered" | "failed"} MessageState
 */

/**
 * So many may be on their way to the partner at once. Each of them may have come while the word of it was
 * lost with a node, and comes again: a receiver who remembers as many ids knows them all.
 */
export const MOST_OPEN = 1000;

/** A message that was sent. */
export class SentMessage {
  /** @type {MessageState} */
  state = "sending";

  /**
   * @param {string} id
   * @param {string} content
   * @param {Promise<void>} delivered
   */
  constructor(id, content, delivered) {
    /** @readonly made here, before anything is sent */
    this.id = id;
    /** @readonly */
    this.content = content;
    /** @readonly resolves when the partner's client has it; rejects with a DuologueError */
    this.delivered = delivered;
  }
}

/**
 * @typedef {object} Entry
 * @property {SentMessage} message
 * @property {Deferred<void>} outcome
 * @property {number} order
 */

export class Outbox {
  #say;
  #changed;
  /** @type {Map<string, Entry>} what is neither delivered nor failed */
  #open = new Map();
  #count = 0;
  /**
   * Messages that the server found too fast, and those said since, in their order: sending a later
   * one first would change the order of the talk.
   * @type {Entry[]}
   */
  #held = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {(event: string, data: object) => boolean} say false: it was not taken
   * @param {(message: SentMessage, error?: DuologueError) => void} changed
   */
  constructor(say, changed) {
    this.#say = say;
    this.#changed = changed;
  }

  /**
   * @param {string} content
   * @param {DuologueError | null} [refusal] why it is not sent at all
   */
  send(content, refusal) {
    const outcome = /** @type {Deferred<void>} */ (new Deferred());
    const message = new SentMessage(crypto.randomUUID(), content, outcome.promise);
    const entry = { message, outcome, order: this.#count };
    this.#count += 1;
    this.#open.set(message.id, entry);
    if (refusal) this.#fail(entry, refusal);
    else if (this.#open.size > MOST_OPEN) this.#fail(entry, backlogFull());
    else if (this.#held.length > 0) this.#held.push(entry);
    else this.#post(entry);
    return message;
  }

  /**
   * The server has it.
   * @param {string} id
   */
  acknowledged(id) {
    const entry = this.#open.get(id);
    if (!entry || entry.message.state !== "sending" || this.#held.includes(entry)) return;
    entry.message.state = "sent";
    this.#changed(entry.message);
  }

  /**
   * The partner's client has it.
   * @param {string} id
   */
  delivered(id) {
    const entry = this.#open.get(id);
    if (!entry) return;
    this.#open.delete(id);
    entry.message.state = "delivered";
    entry.outcome.resolve();
    this.#changed(entry.message);
  }

  /**
   * The server did not take it. False: no message of that name is open.
   * @param {string} id
   * @param {DuologueError} error
   */
  refused(id, error) {
    const entry = this.#open.get(id);
    if (!entry) return false;
    if (error.code === "too-fast" && error.retryAfterMs !== undefined) this.#hold(entry, error.retryAfterMs);
    else this.#fail(entry, error);
    return true;
  }

  /**
   * A node was lost with what it had: what is not delivered is said again, in its order. It keeps its
   * state; that the server had it is still true for whoever looks at it.
   */
  restore() {
    const [first] = this.#held;
    for (const entry of [...this.#open.values()]) {
      if (!first || entry.order < first.order) this.#post(entry);
      else if (!this.#held.includes(entry)) this.#held.push(entry);
    }
    this.#held.sort((a, b) => a.order - b.order);
  }

  /**
   * Nothing will arrive any more.
   * @param {DuologueError} error
   */
  failAll(error) {
    clearTimeout(this.#timer);
    this.#held = [];
    for (const entry of [...this.#open.values()]) this.#fail(entry, error);
  }

  /** @param {Entry} entry */
  #post(entry) {
    const { id, content } = entry.message;
    if (!this.#say("chat:message", { id, type: "text", content })) {
      this.#fail(entry, backlogFull());
    }
  }

  /**
   * @param {Entry} entry
   * @param {number} retryAfterMs
   */
  #hold(entry, retryAfterMs) {
    entry.message.state = "sending";
    this.#held = [...this.#held.filter((other) => other !== entry), entry].sort((a, b) => a.order - b.order);
    this.#release(retryAfterMs);
  }

  /**
   * Sends what is held one by one: all at once would be too fast again.
   * @param {number} everyMs
   */
  #release(everyMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const entry = this.#held.shift();
      if (entry) this.#post(entry);
      if (this.#held.length > 0) this.#release(everyMs);
    }, everyMs);
  }

  /**
   * @param {Entry} entry
   * @param {DuologueError} error
   */
  #fail(entry, error) {
    this.#open.delete(entry.message.id);
    this.#held = this.#held.filter((other) => other !== entry);
    entry.message.state = "failed";
    entry.outcome.reject(error);
    this.#changed(entry.message, error);
  }
}

function backlogFull() {
  return new DuologueError("backlog-full", "Too much waits to be sent. Try again in a moment.");
}
