/**
 * @file How much of a transfer may be on its way, so that it fills a line and yet keeps the queue
 * before it short: what is said beside it waits in the same queue. By delay, after the idea of
 * LEDBAT (RFC 6817). No clock: delays are passed in. One for each link, since each has its own delay.
 *
 * The rule. Each acknowledgement tells how long its bytes took; what it took longer than the
 * quickest were queued. Below the target the window grows, at first by what was acknowledged
 * (doubling with each round trip), after the first sample over the target by one chunk each round
 * trip. Over the target it shrinks, once each round trip.
 */

/** Bytes are handed to a door, and acknowledged, in pieces of this size. */
export const CHUNK = 16 * 1024;
const FIRST = 2 * CHUNK;
/** More queueing than this is noticed by those who talk. */
const TARGET_MS = 25;
const SHRINK = 0.7;

export class Pace {
  #most;
  #window;
  #baseMs = Infinity;
  /** Nothing was queued for too long yet. */
  #opening = true;
  /** What was sent up to here went out before the window shrank: it says nothing new. */
  #shrunkAt = 0;

  /** @param {number} most bytes that the receiver allows on their way */
  constructor(most) {
    this.#most = most;
    this.#window = Math.min(FIRST, most);
  }

  /** How many bytes may be on their way. */
  get window() {
    return Math.floor(this.#window);
  }

  /**
   * @param {number} bytes that were acknowledged just now
   * @param {number} delayMs since the last of them was handed to the link
   * @param {number} received the offset up to which all is acknowledged
   * @param {number} sent the offset up to which all was handed to the link
   */
  acked(bytes, delayMs, received, sent) {
    this.#baseMs = Math.min(this.#baseMs, delayMs);
    if (delayMs - this.#baseMs <= TARGET_MS) {
      this.#window += this.#opening ? bytes : (CHUNK * bytes) / this.#window;
    } else {
      this.#opening = false;
      if (received <= this.#shrunkAt) return;
      this.#shrunkAt = sent;
      this.#window *= SHRINK;
    }
    this.#window = Math.min(this.#most, Math.max(CHUNK, this.#window));
  }
}
