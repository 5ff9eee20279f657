/**
 * @file How long to wait before the next attempt. Full jitter: after a server restart a hundred
 * thousand clients come back spread over the whole interval, not in waves.
 */

/** Nearly at once: most lost links are a changed network, and the server is fine. */
const FIRST_MS = 150;
const BASE_MS = 250;
const CAP_MS = 10_000;

export class Backoff {
  #attempt = 0;
  #random;

  /** @param {() => number} [random] uniform in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** How many attempts were made since the last {@link reset}. */
  get attempt() {
    return this.#attempt;
  }

  /**
   * The wait before the next attempt, in milliseconds.
   * @param {number} [atLeastMs] what the server asked for; it has its own jitter already, and is waited
   *   for no longer than twice: it knows best
   */
  next(atLeastMs = 0) {
    const ceiling = this.#attempt === 0 ? FIRST_MS : Math.min(CAP_MS, BASE_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    const waitMs = this.#random() * ceiling;
    return atLeastMs > 0 ? Math.max(atLeastMs, Math.min(waitMs, 2 * atLeastMs)) : waitMs;
  }

  /** The service is well again: the next loss starts from the beginning. */
  reset() {
    this.#attempt = 0;
  }
}
