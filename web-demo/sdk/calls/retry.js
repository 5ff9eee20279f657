/**
 * @file What was not passed on is said again after a while: after twice as long each time where the server does not say
 * when, and not too often in a row; then only for a new reason.
 */

const AGAIN_MS = 2_000;
const MOST_TRIES = 5;
/** Refusals that are this far apart are not in a row. */
const APART_MS = 60_000;

export class Retry {
  #tries = 0;
  #triedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** Whether nothing else is to be said now. */
  get waits() {
    return this.#timer !== undefined || this.#spent;
  }

  /**
   * @param {number | undefined} afterMs
   * @param {() => void} act
   */
  in(afterMs, act) {
    const now = performance.now();
    this.#tries = now - this.#triedAt < APART_MS ? this.#tries + 1 : 1;
    this.#triedAt = now;
    this.stop();
    if (this.#spent) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      act();
    }, afterMs ?? AGAIN_MS * 2 ** (this.#tries - 1));
  }

  /** It was passed on, or there is a new reason to say it. Returns whether it was said too often before. */
  anew() {
    const spent = this.#spent;
    this.#tries = 0;
    return spent;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get #spent() {
    return this.#tries >= MOST_TRIES;
  }
}
