/**
 * @file Carries a session's numbered events over whatever link there is, acknowledges what came,
 * and keeps what is stored in step with what the server may believe.
 */

import { isVisible } from "./page.js";

export class Courier {
  #session;
  #identity;
  #vault;
  /** @type {import("./link/link.js").Link | null} */
  #link = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ackTimer;

  /**
   * @param {import("./session.js").Session} session
   * @param {{ deviceId: string, userId: string }} identity stored beside the session
   * @param {import("./vault.js").Vault} vault
   */
  constructor(session, identity, vault) {
    this.#session = session;
    this.#identity = identity;
    this.#vault = vault;
  }

  /** How many of our events the server has not acknowledged. */
  get pending() {
    return this.#session.pending;
  }

  /**
   * A new link to a server that has ours up to `received`: what it does not have is yet to be
   * written. Returns what is acknowledged by that; `null`: the server has what was never written.
   * @param {number} received
   */
  resume(received) {
    return this.#session.resume(received);
  }

  /** @param {import("./link/link.js").Link | null} link the one to use from now on */
  use(link) {
    clearTimeout(this.#ackTimer);
    this.#link = link;
    if (link) this.store();
  }

  /**
   * Keeps an event until the server acknowledges it.
   * @param {string} event
   * @param {object} data
   */
  say(event, data) {
    this.#session.say(event, data);
    this.flush();
  }

  /**
   * Takes note of a frame's numbers; {@link acknowledge} must follow when it has been acted on.
   * @param {import("./types.js").Frame} frame
   */
  receive(frame) {
    return this.#session.receive(frame, performance.now());
  }

  /** Writes what was said and is not on the link yet; an acknowledgement that is owed rides along. */
  flush() {
    if (!this.#link) return;
    // Before, never after: what is stored must not be below what the server believes received.
    if (this.#session.owesAck) this.store();
    for (let frame = this.#session.nextFrame(); frame; frame = this.#session.nextFrame()) this.#link.send(frame);
  }

  /** Acknowledges what was received, now or when it is due. */
  acknowledge() {
    clearTimeout(this.#ackTimer);
    if (!this.#link || !this.#session.owesAck) return;
    const inMs = this.#session.ackDueAt - performance.now();
    // A hidden page's timers may be a minute late, and the partner would wait for "delivered".
    if (inMs > 0 && isVisible()) {
      this.#ackTimer = setTimeout(() => this.acknowledge(), inMs);
      return;
    }
    this.store();
    const frame = this.#session.ackFrame();
    if (frame) this.#link.send(frame);
  }

  store() {
    const { id, key, received } = this.#session;
    this.#vault.write({ session: id, key, received, ...this.#identity });
  }
}
