/**
 * @file The numbering that makes events reliable, and the acknowledgements that are due: what was
 * sent and not yet acknowledged, what was received and must not be received again. The mirror of
 * the server's `src/protocol/numbering.rs`. No IO, and no clock: times are passed in, in
 * milliseconds of any monotonic clock.
 *
 * Invariants: numbers start at 1 and have no gaps for the life of the session, whatever links it
 * uses. After any cut, {@link Outbound.resume} with the peer's {@link Inbound.received} makes both
 * sides agree again, and every item arrives exactly once, in order.
 */

/** An arrival is acknowledged at the latest this long after it; the server waits 50 ms itself. */
export const ACK_DELAY_MS = 20;
/** ... or when this many are unacknowledged, so that the server's memory is freed under load. */
export const ACK_EVERY = 32;

/**
 * What a number means to the side that receives it: `fresh` is the next one, `duplicate` was
 * received before (drop it, but acknowledge again), `gap` says that one before it is missing.
 * @typedef {"fresh" | "duplicate" | "gap"} Arrival
 */

/** The receiving half: how far the peer's numbers were received. */
export class Inbound {
  #received;

  /** @param {number} [received] everything up to here was received before */
  constructor(received = 0) {
    this.#received = received;
  }

  /** The highest number received; all below it were received too. */
  get received() {
    return this.#received;
  }

  /**
   * Takes note of number `seq` and says what to do with what carries it.
   * @param {number} seq
   * @returns {Arrival}
   */
  accept(seq) {
    if (seq <= this.#received) return "duplicate";
    if (seq !== this.#received + 1) return "gap";
    this.#received = seq;
    return "fresh";
  }
}

/**
 * The sending half: items that have a number and wait for the peer's acknowledgement.
 * @template T
 */
export class Outbound {
  /** @type {T[]} items `acked + 1 ... last`, oldest first */
  #kept = [];
  #acked;
  /** The highest number given to the link of the moment. */
  #written;
  /** The highest number given to any link: a peer may have all of it, whatever it said at resume. */
  #shown;

  /** @param {number} [acked] the peer has everything up to here */
  constructor(acked = 0) {
    this.#acked = this.#written = this.#shown = acked;
  }

  /** The highest number given out. */
  get last() {
    return this.#acked + this.#kept.length;
  }

  /** How many items wait for an acknowledgement. */
  get pending() {
    return this.#kept.length;
  }

  /**
   * Keeps `item` under the next number, and returns that number.
   * @param {T} item
   */
  push(item) {
    this.#kept.push(item);
    return this.last;
  }

  /**
   * The next item for the link of the moment, with its number. It stays kept.
   * @returns {{ seq: number, item: T } | null}
   */
  nextUnwritten() {
    if (this.#written >= this.last) return null;
    const item = this.#kept[this.#written - this.#acked];
    this.#written += 1;
    this.#shown = Math.max(this.#shown, this.#written);
    return { seq: this.#written, item };
  }

  /**
   * The peer has everything up to `upto`: returns, oldest first, the items it had not acknowledged
   * before. `null` when that number was never written (the peer broke the protocol).
   * @param {number} upto
   * @returns {T[] | null}
   */
  ack(upto) {
    if (upto > this.#shown) return null;
    const items = this.#kept.splice(0, Math.max(0, upto - this.#acked));
    this.#acked = Math.max(this.#acked, upto);
    this.#written = Math.max(this.#written, upto);
    return items;
  }

  /**
   * Begins a new link to a peer that has everything up to `received`: the items up to there are
   * returned as acknowledged, the rest will be written again. `null` as for {@link ack}.
   * @param {number} received
   */
  resume(received) {
    if (received > this.#shown) return null;
    this.#written = Math.max(this.#acked, received);
    return this.ack(received);
  }
}

/**
 * One client's session, which outlives its links.
 * @typedef {{ event: string, data: object }} Said a reliable event without its number
 */
export class Session {
  /** @type {Outbound<Said>} */
  #outbound;
  #inbound;
  /** When the oldest unacknowledged arrival came; `null`: all is acknowledged. */
  #owedSince = /** @type {number | null} */ (null);
  #owedCount = 0;

  /**
   * @param {object} start
   * @param {string} start.id
   * @param {string} start.key the secret that is shown to resume it
   * @param {number} [start.received] the server's frames up to here were received before
   * @param {number} [start.sent] the server has ours up to here
   */
  constructor({ id, key, received = 0, sent = 0 }) {
    /** @readonly */
    this.id = id;
    /** @readonly */
    this.key = key;
    this.#inbound = new Inbound(received);
    this.#outbound = new Outbound(sent);
  }

  /** The highest number received. */
  get received() {
    return this.#inbound.received;
  }

  /** How many of our events the server has not acknowledged. */
  get pending() {
    return this.#outbound.pending;
  }

  /** Whether something arrived that was not acknowledged yet. */
  get owesAck() {
    return this.#owedSince !== null;
  }

  /** When an acknowledgement must be on its way; `Infinity`: none is owed. */
  get ackDueAt() {
    if (this.#owedSince === null) return Infinity;
    return this.#owedCount >= ACK_EVERY ? this.#owedSince : this.#owedSince + ACK_DELAY_MS;
  }

  /**
   * Keeps an event until the server acknowledges it.
   * @param {string} event
   * @param {object} data
   */
  say(event, data) {
    this.#outbound.push({ event, data });
  }

  /**
   * The next frame for the link of the moment, an acknowledgement riding on it where one is owed.
   * @returns {import("./types.js").Frame | null}
   */
  nextFrame() {
    const next = this.#outbound.nextUnwritten();
    if (next === null) return null;
    return { ...next.item, seq: next.seq, ...this.#settleAck() };
  }

  /**
   * The frame that does nothing but acknowledge; `null`: nothing is owed.
   * @returns {import("./types.js").Frame | null}
   */
  ackFrame() {
    return this.owesAck ? { event: "ack", ...this.#settleAck() } : null;
  }

  /**
   * Takes note of a frame's numbers. `arrival` is `fresh` for frames without a number too;
   * `acked` are the events whose acknowledgement it brought, oldest first.
   * @param {import("./types.js").Frame} frame
   * @param {number} now
   * @returns {{ arrival: Arrival, acked: Said[] }}
   */
  receive({ seq, ack }, now) {
    const acked = ack === undefined ? [] : this.#outbound.ack(ack);
    // An acknowledgement of what was never written is as broken as a missing number.
    if (acked === null) return { arrival: "gap", acked: [] };
    if (seq === undefined) return { arrival: "fresh", acked };
    const arrival = this.#inbound.accept(seq);
    if (arrival !== "gap") {
      this.#owedSince ??= now;
      this.#owedCount += 1;
    }
    return { arrival, acked };
  }

  /**
   * Begins a new link to a server that has ours up to `received`; see {@link Outbound.resume}.
   * @param {number} received
   */
  resume(received) {
    return this.#outbound.resume(received);
  }

  /** @returns {{ ack?: number }} */
  #settleAck() {
    if (!this.owesAck) return {};
    this.#owedSince = null;
    this.#owedCount = 0;
    return { ack: this.received };
  }
}
