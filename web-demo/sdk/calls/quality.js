/**
 * @file Audio first: how much of the picture goes out, by how the line is. A pure core: it is told numbers, once a
 * second or so, and says what to send.
 *
 * Down a step after some bad seconds, and off below the last; up a step after some good ones. A step up that
 * is bad again at once makes the next wait twice as long.
 */

/** `good`: as much as is allowed; `poor`: less; `audio`: no picture. @typedef {"good" | "poor" | "audio"} Level */

/** Worse than any of these is bad. */
const BAD = { lossPercent: 8, rttMs: 600, availableUp: 150_000 };
/** Better than all of these is good; between the two everything stays as it is. */
const GOOD = { lossPercent: 3, rttMs: 400, availableUp: 200_000 };
/** Most bits a second for the picture, step by step. */
const CAPS = [Infinity, 700_000, 350_000, 200_000, 100_000, 0];
const LAST = CAPS.length - 1;
const DOWN_AFTER_MS = 3_000;
const UP_AFTER_MS = 8_000;
const UP_AT_MOST_MS = 64_000;
/** A step up that was bad within this was a mistake. */
const MISTAKE_MS = 10_000;

export class Quality {
  #step = 0;
  /** @type {number | null} since when it is bad, or good */
  #badSince = null;
  /** @type {number | null} */
  #goodSince = null;
  #upAfterMs = UP_AFTER_MS;
  /** When it went up last. */
  #upAt = -Infinity;

  /** @returns {Level} */
  get level() {
    return this.#step === 0 ? "good" : this.#step === LAST ? "audio" : "poor";
  }

  /** Most bits a second for the picture; 0: none is sent. */
  get cap() {
    return CAPS[this.#step];
  }

  /**
   * What was measured; what is not known is `null`. True: there is another step.
   * @param {{ lossPercent: number | null, rttMs: number | null, availableUp: number | null }} measured
   * @param {number} now in milliseconds of any monotonic clock
   */
  note({ lossPercent, rttMs, availableUp }, now) {
    // What nothing is sent for, nothing is guessed for.
    const up = this.cap === 0 ? null : availableUp;
    const bad = (lossPercent ?? 0) > BAD.lossPercent || (rttMs ?? 0) > BAD.rttMs || (up ?? Infinity) < BAD.availableUp;
    // A picture that is bounded to less than that is not guessed for beyond it either.
    const enough = Math.min(GOOD.availableUp, Math.max(BAD.availableUp, this.cap));
    const good = !bad && (lossPercent ?? 0) < GOOD.lossPercent && (rttMs ?? 0) < GOOD.rttMs && (up ?? Infinity) >= enough;
    this.#badSince = bad ? (this.#badSince ?? now) : null;
    this.#goodSince = good ? (this.#goodSince ?? now) : null;
    if (this.#badSince !== null && now - this.#badSince >= DOWN_AFTER_MS) return this.#down(now);
    if (this.#goodSince !== null && now - this.#goodSince >= this.#upAfterMs) return this.#up(now);
    return false;
  }

  /** @param {number} now */
  #down(now) {
    this.#badSince = now;
    if (this.#step === LAST) return false;
    this.#step += 1;
    if (now - this.#upAt < MISTAKE_MS) this.#upAfterMs = Math.min(UP_AT_MOST_MS, this.#upAfterMs * 2);
    return true;
  }

  /** @param {number} now */
  #up(now) {
    this.#goodSince = now;
    if (this.#step === 0) {
      // It has been well for long: what went wrong once is forgotten.
      this.#upAfterMs = UP_AFTER_MS;
      return false;
    }
    this.#step -= 1;
    this.#upAt = now;
    return true;
  }
}
