/**
 * @file When to look whether a better door is open again. No timer and no clock of its own: times
 * are passed in, in milliseconds of any monotonic clock.
 *
 * The rule. On a door that is not the preferred one, a better one is tried beside it: 15 s after the
 * link was made, and after each failure in twice the time, up to 5 min; each wait a quarter shorter
 * or longer by chance. One that had not failed when another had won may only have been slow (a busy
 * machine, a server that was just starting): it is tried once more after 2 s. A sign that the network changed brings that forward, but not to less than the
 * first wait since the last try. The session moves when the better link answers its hello. If that
 * link dies within 2 min, moving was a mistake: the first wait is doubled from then on, up to 30 min;
 * a link that lasts longer resets it. A door that the app asked for is kept as long as its link lives.
 */

/** Wait before the first try. */
export const FIRST_MS = 15_000;
/** Wait before a door is tried again that may only have been slow. */
export const SLOW_MS = 2_000;
/** Failures do not make the waits longer than this. */
export const MOST_MS = 5 * 60_000;
/** A link that was moved to and lasts less was not worth it. */
export const WORTH_MS = 2 * 60_000;
/** Mistakes do not make the first wait longer than this. */
export const DAMPED_MS = 30 * 60_000;

export class Steward {
  #random;
  /** The doors that are preferred to the one in use. */
  #better = /** @type {import("../types.js").DoorName[]} */ ([]);
  #kept = false;
  #firstMs = FIRST_MS;
  #waitMs = FIRST_MS;
  #triedAt = -Infinity;
  /** When the link of the moment was moved to for being better. */
  #movedAt = /** @type {number | null} */ (null);
  #dueAt = Infinity;

  /** @param {() => number} [random] uniform in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** When to try a better door; `Infinity`: not at all. */
  get dueAt() {
    return this.#kept || this.#better.length === 0 ? Infinity : this.#dueAt;
  }

  /**
   * The session is on a new link.
   * @param {import("../types.js").DoorName[]} better the doors that are preferred to its door
   * @param {string | undefined} why it moved there: `better`, `asked`, or anything else
   * @param {number} now
   * @param {boolean} [slow] a better one may still have opened when this one had won
   */
  linked(better, why, now, slow = false) {
    this.#better = better;
    this.#kept = why === "asked";
    this.#movedAt = why === "better" ? now : null;
    // Not after a mistake: then being slow is no excuse.
    this.#waitMs = slow && this.#firstMs === FIRST_MS ? SLOW_MS : this.#firstMs;
    // Every door was tried for it.
    if (why === undefined || why === "lost") this.#triedAt = now;
    this.#schedule(now);
  }

  /**
   * The link ended, or stopped answering; not told of one that was moved from while it worked.
   * @param {number} now
   */
  ended(now) {
    if (this.#movedAt !== null) {
      const worth = now - this.#movedAt >= WORTH_MS;
      this.#firstMs = worth ? FIRST_MS : Math.min(DAMPED_MS, 2 * this.#firstMs);
    }
    this.#better = [];
    this.#kept = false;
    this.#movedAt = null;
  }

  /** The app wants the door of the moment. */
  keep() {
    this.#kept = true;
  }

  /**
   * The app leaves the choice of the door to this rule again.
   * @param {number} now
   */
  release(now) {
    this.#kept = false;
    this.#dueAt = now;
  }

  /**
   * The network may be another one now.
   * @param {number} now
   */
  hint(now) {
    this.#dueAt = Math.min(this.#dueAt, Math.max(now, this.#triedAt + this.#firstMs));
  }

  /**
   * Better doors are tried now; returns which.
   * @param {number} now
   */
  begin(now) {
    this.#triedAt = now;
    this.#dueAt = Infinity;
    return this.#better;
  }

  /**
   * The try came to nothing.
   * @param {number} now
   * @param {number} [atLeastMs] what the server asked for
   */
  failed(now, atLeastMs = 0) {
    this.#waitMs = Math.max(this.#firstMs, Math.min(MOST_MS, 2 * this.#waitMs));
    this.#schedule(now, atLeastMs);
  }

  /**
   * @param {number} now
   * @param {number} [atLeastMs]
   */
  #schedule(now, atLeastMs = 0) {
    this.#dueAt = now + Math.max(atLeastMs, this.#waitMs * (0.75 + this.#random() / 2));
  }
}
