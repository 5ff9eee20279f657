/**
 * @file Whether the link is alive, judged by what arrives. No timer and no clock of its own: times
 * are passed in, in milliseconds of any monotonic clock.
 */

/** Silence of this many intervals is death: two pings went unanswered, with some slack. */
const DEAD_AFTER = 2.25;
/** A timer later than this was throttled (hidden tab) or slept (laptop): our silence, not theirs. */
const LATE_MS = 500;
/** After a wake-up or a changed network the link has this long to prove itself. */
const PROBE_MS = 2_500;

export class Heartbeat {
  #everyMs;
  #heardAt;
  #pingedAt;
  #watched = true;
  /** When {@link tick} should be called; what is much later than this was not a fair wait. */
  dueAt;

  /**
   * @param {number} everyMs
   * @param {number} now
   */
  constructor(everyMs, now) {
    this.#everyMs = everyMs;
    this.#heardAt = this.#pingedAt = now;
    this.dueAt = this.#nextAt();
  }

  /**
   * Beats faster or slower from now on.
   * @param {number} everyMs
   * @param {number} now
   */
  pace(everyMs, now) {
    this.#everyMs = everyMs;
    // The longer silence that was fine until now must not count against a faster beat.
    this.#heardAt = Math.max(this.#heardAt, now - everyMs);
    this.dueAt = this.#nextAt();
  }

  /**
   * Something arrived; any traffic counts.
   * @param {number} now
   */
  heard(now) {
    this.#heardAt = now;
  }

  /**
   * The network or the machine may have changed under us: ask, and expect an answer soon. The
   * caller pings.
   * @param {number} now
   */
  probe(now) {
    this.#pingedAt = now;
    this.#heardAt = Math.min(now, now + PROBE_MS - DEAD_AFTER * this.#everyMs);
    this.dueAt = this.#nextAt();
  }

  /**
   * What to do now. While someone looks at the page a ping is due each interval, to measure the
   * round trip; otherwise only when it was silent that long.
   * @param {number} now
   * @param {boolean} watched
   * @returns {"dead" | "ping" | "wait"}
   */
  tick(now, watched) {
    if (now - this.dueAt > LATE_MS) this.#heardAt = Math.max(this.#heardAt, now - this.#everyMs);
    if (now - this.#heardAt >= DEAD_AFTER * this.#everyMs) return "dead";
    this.#watched = watched;
    const due = now >= this.#pingAt();
    if (due) this.#pingedAt = now;
    this.dueAt = this.#nextAt();
    return due ? "ping" : "wait";
  }

  #pingAt() {
    return (this.#watched ? this.#pingedAt : Math.max(this.#pingedAt, this.#heardAt)) + this.#everyMs;
  }

  #nextAt() {
    return Math.min(this.#pingAt(), this.#heardAt + DEAD_AFTER * this.#everyMs);
  }
}
