/**
 * @file Whether the link is alive, judged by what arrives. No timer and no clock of its own: times
 * are passed in, in milliseconds of any monotonic clock.
 *
 * The rule. A ping is a question, and so is an event that wants an acknowledgement. Anything that
 * arrives answers it. Unanswered, it is asked again after each third of the patience (a lost
 * datagram is no news), and after the whole of it the link is *suspected*: the caller opens another
 * beside it, and lets go of that if this one answers after all. The patience is one second, or four
 * round trips where that is longer, or a quarter of the interval: in a talk, dead silence is
 * suspected 3 s after the last sign of life. An event that is unacknowledged for twice the patience
 * is suspect whatever else arrives: our words may not get through. Silence of 2.25 intervals is death.
 * A link that was made because of a suspicion is given twice the patience until our words got
 * through, the next one four times: a path may be slow rather than dead.
 */

/** Silence of this many intervals is death: nothing answered pings for more than one of them. */
const DEAD_AFTER = 2.25;
/** A timer later than this slept (laptop) or was throttled hard (hidden tab): our silence, not theirs. */
const LATE_MS = 1_500;
/** After a wake-up or a changed network the link has this long to prove itself. */
const PROBE_MS = 2_500;
/** No question is urgent enough to suspect anyone sooner. */
const PATIENCE_MS = 1_000;
/** So often a question is asked within the patience. */
const ASKED_TIMES = 3;

export class Heartbeat {
  #everyMs;
  #leniency;
  #heardAt;
  #pingedAt;
  #rttMs = 0;
  /** The oldest question after which nothing arrived. */
  #askedAt = /** @type {number | null} */ (null);
  /** Since when an event has waited for its acknowledgement. */
  #owedAt = /** @type {number | null} */ (null);
  #probing = false;
  #watched = true;
  /** Whether the link is suspected now. */
  suspect = false;
  /** When {@link tick} should be called; what is much later than this was not a fair wait. */
  dueAt;

  /**
   * @param {number} everyMs
   * @param {number} now
   * @param {number} [leniency] how much more patience than usual
   */
  constructor(everyMs, now, leniency = 1) {
    this.#everyMs = everyMs;
    this.#leniency = leniency;
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
    this.#askedAt = null;
    this.#probing = false;
    this.#reconsider(now);
  }

  /**
   * A ping came back after this long.
   * @param {number} rttMs
   */
  measured(rttMs) {
    this.#rttMs = rttMs;
  }

  /**
   * The caller has pinged.
   * @param {number} now
   */
  asked(now) {
    this.#pingedAt = now;
    this.#askedAt ??= now;
    this.dueAt = this.#nextAt();
  }

  /**
   * An event that wants an acknowledgement was written.
   * @param {number} now
   */
  wrote(now) {
    this.#askedAt ??= now;
    this.#owedAt ??= now;
    this.dueAt = this.#nextAt();
  }

  /**
   * Events were acknowledged.
   * @param {boolean} more whether others still wait
   * @param {number} now
   */
  acked(more, now) {
    this.#owedAt = more ? now : null;
    if (!more) this.#leniency = 1;
    this.#reconsider(now);
    this.dueAt = this.#nextAt();
  }

  /**
   * The network or the machine may have changed under us: ask, and expect an answer soon. The
   * caller pings.
   * @param {number} now
   */
  probe(now) {
    // Asked already: one event after the other must not put the answer's deadline off.
    if (!this.#probing) {
      this.#heardAt = Math.min(now, now + PROBE_MS - DEAD_AFTER * this.#everyMs);
      this.#askedAt = null;
    }
    this.#probing = true;
    this.asked(now);
  }

  /**
   * What to do now; on `suspect`, told once, ping too. While someone looks at the page a ping is due
   * each interval, to measure the round trip; otherwise only when it was silent that long.
   * @param {number} now
   * @param {boolean} watched
   * @returns {"dead" | "suspect" | "ping" | "wait"}
   */
  tick(now, watched) {
    const late = now - this.dueAt > LATE_MS;
    if (late) this.#excuse(now);
    if (now - this.#heardAt >= DEAD_AFTER * this.#everyMs) return "dead";
    this.#watched = watched;
    const before = this.suspect;
    this.#reconsider(now);
    const suspected = this.suspect && !before;
    const due = late || suspected || now >= this.#pingAt();
    if (due) this.asked(now);
    else this.dueAt = this.#nextAt();
    return suspected ? "suspect" : due ? "ping" : "wait";
  }

  /**
   * Nobody could be heard for a while: what was asked before is asked anew.
   * @param {number} now
   */
  #excuse(now) {
    this.#heardAt = Math.max(this.#heardAt, now - this.#everyMs);
    this.#askedAt = null;
    this.#probing = false;
    if (this.#owedAt !== null) this.#owedAt = now;
  }

  /** @param {number} now */
  #reconsider(now) {
    this.suspect = now >= this.#suspectAt();
  }

  get #patience() {
    const calm = this.#probing ? 0 : this.#everyMs / 4;
    return this.#leniency * Math.max(PATIENCE_MS, 4 * this.#rttMs, calm);
  }

  #suspectAt() {
    const unanswered = this.#askedAt === null ? Infinity : this.#askedAt + this.#patience;
    const unacknowledged = this.#owedAt === null ? Infinity : this.#owedAt + 2 * this.#patience;
    return Math.min(unanswered, unacknowledged);
  }

  #pingAt() {
    if (this.#askedAt !== null) {
      // A suspect is not pressed: another link is being made.
      const pause = this.suspect ? this.#patience : this.#patience / ASKED_TIMES;
      return Math.max(this.#pingedAt, this.#askedAt) + pause;
    }
    return (this.#watched ? this.#pingedAt : Math.max(this.#pingedAt, this.#heardAt)) + this.#everyMs;
  }

  #nextAt() {
    const dead = this.#heardAt + DEAD_AFTER * this.#everyMs;
    return Math.min(this.#pingAt(), dead, this.suspect ? Infinity : this.#suspectAt());
  }
}
