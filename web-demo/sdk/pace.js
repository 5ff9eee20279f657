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

/** So many bytes are acknowledged at once, where they come quickly enough. */
export const CHUNK = 16 * 1024;
/** A receiver that has less waits so long for more before it acknowledges: that is no queueing. */
export const ACK_DELAY_MS = 50;
const FIRST = 2 * CHUNK;
/** Where a transfer went on over another link, that one may be gone for being narrow. */
const AGAIN = CHUNK;
/** More queueing than this is noticed by those who talk. */
const TARGET_MS = 10;
const SHRINK = 0.7;

export class Pace {
  #most;
  #window;
  #baseMs = Infinity;
  /** Nothing was queued for too long yet. */
  #opening = true;
  /** What was sent up to here went out before the window shrank: it says nothing new. */
  #shrunkAt = 0;

  /**
   * @param {number} most bytes that the receiver allows on their way
   * @param {boolean} [again] the same transfer was on another link
   */
  constructor(most, again = false) {
    this.#most = most;
    this.#window = Math.min(again ? AGAIN : FIRST, most);
  }

  /** How many bytes may be on their way. */
  get window() {
    return Math.floor(this.#window);
  }

  /**
   * How many to hand over at once: on a narrow line so few that something arrives every now and
   * then, which says that the link is alive, and is not lost when it is not.
   */
  get piece() {
    return Math.min(CHUNK, this.window >> 3);
  }

  /**
   * @param {number} bytes that were acknowledged just now
   * @param {number} delayMs since the last of them was handed to the link
   * @param {number} received the offset up to which all is acknowledged
   * @param {number} sent the offset up to which all was handed to the link
   */
  acked(bytes, delayMs, received, sent) {
    this.#baseMs = Math.min(this.#baseMs, delayMs);
    const slackMs = bytes < CHUNK ? ACK_DELAY_MS : 0;
    if (delayMs - this.#baseMs <= TARGET_MS + slackMs) {
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
