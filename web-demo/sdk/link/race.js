/**
 * @file Which door to take. Transports are opened side by side, the next one a little after the
 * one before; the first that opens is greeted, and only if it does not answer the next one is:
 * each greeting takes the session over, so there must never be two at once.
 */

import { DuologueError, asDuologueError } from "../errors.js";

/** How much later the next door is tried while the one before has not opened. */
export const HEAD_START_MS = 500;
/** A door that is not open by then is given up: Firefox needs 30 s to notice that UDP is blocked. */
export const OPEN_DEADLINE_MS = 5_000;

/**
 * @typedef {(door: import("../types.js").DoorName, state: "connecting" | "closed", error?: DuologueError) => void} Report
 */

/**
 * @typedef {(link: import("./link.js").Link, signal: AbortSignal) => Promise<void>} Greet says hello;
 *   resolves when the link is established; rejects with a `closeCode` when the server refused, which
 *   no other door would change
 */

/** One try to get the session onto a link; each door is on its own lane. */
export class Race {
  /** A link is being greeted: the session may be on it already, whatever we know. */
  greeting = false;
  #waiting;
  #greet;
  #report;
  #signal;
  #over = new AbortController();
  /** Why it goes on only until the greeting of the moment is over. */
  #unwanted = /** @type {DuologueError | null} */ (null);
  #underWay = 0;
  /** The doors that have not failed yet, by {@link keyOf}. */
  #keys = new Set();
  /** @type {{ door: import("./link.js").Door, link: import("./link.js").Link }[]} opened and not yet greeted */
  #open = [];
  /** Ends the wait of the moment; true: a lane has news. */
  #wake = (/** @type {boolean} */ _news) => {};
  /** What to throw when no door is left. */
  #failure = new DuologueError("no-door", "No door that this browser can use is open.", { final: true });

  /**
   * @param {import("./link.js").Door[]} doors the one to prefer first
   * @param {Greet} greet
   * @param {{ signal: AbortSignal, report: Report }} options
   */
  constructor(doors, greet, { signal, report }) {
    this.#waiting = [...doors];
    doors.forEach((door) => this.#keys.add(keyOf(door)));
    this.#greet = greet;
    this.#report = report;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
  }

  /**
   * Opens doors until a link is established; call it once.
   * @returns {Promise<import("./link.js").Door>} the door that won
   */
  async run() {
    try {
      for (;;) {
        const { door, link } = await this.#nextOpen();
        this.greeting = true;
        try {
          await this.#greet(link, this.#signal);
          return door;
        } catch (error) {
          link.close();
          this.#keys.delete(keyOf(door));
          this.#signal.throwIfAborted();
          this.#failure = asDuologueError(error, "link-lost");
          this.#report(link.door, "closed", this.#failure);
          if (this.#failure.closeCode !== undefined) throw this.#failure;
          if (this.#unwanted) throw this.#unwanted;
        } finally {
          this.greeting = false;
        }
      }
    } finally {
      this.#close();
    }
  }

  /** Doors that have neither opened nor failed: they may only be slow. */
  get undecided() {
    return this.#underWay > 0;
  }

  /**
   * More depends on it now: these doors are tried too, the first of them at once.
   * @param {import("./link.js").Door[]} doors
   */
  join(doors) {
    this.#unwanted = null;
    this.#put(doors);
    this.#wake(false);
  }

  /**
   * Other doors are known now, which may be open where these are not: the first of them is tried at once.
   * @param {import("./link.js").Door[]} doors
   */
  add(doors) {
    if (this.#put(doors)) this.#wake(false);
  }

  /**
   * It is not needed any more. A greeting that is under way decides all the same: it cannot be unsaid.
   * @param {DuologueError} reason
   */
  giveUp(reason) {
    this.#unwanted = reason;
    if (!this.greeting) this.#over.abort(reason);
  }

  /**
   * The next link that is open. While it is greeted, no further door is begun.
   * @returns {Promise<{ door: import("./link.js").Door, link: import("./link.js").Link }>}
   */
  async #nextOpen() {
    for (;;) {
      this.#signal.throwIfAborted();
      const opened = this.#open.shift();
      if (opened) return opened;
      if (this.#underWay === 0 && !this.#begin()) throw this.#failure;
      if (!(await this.#news())) this.#begin();
    }
  }

  /**
   * Those that are not tried yet have their turn after those there are.
   * @param {import("./link.js").Door[]} doors
   * @returns {boolean} whether there were any
   */
  #put(doors) {
    const others = doors.filter((door) => !this.#keys.has(keyOf(door)));
    others.forEach((door) => this.#keys.add(keyOf(door)));
    this.#waiting.push(...others);
    return others.length > 0;
  }

  /** Gives up every lane, and closes what had opened. */
  #close() {
    this.#over.abort(new DuologueError("slower", "Another door was open first."));
    for (const { link } of this.#open) {
      link.close();
      this.#report(link.door, "closed", this.#signal.reason);
    }
  }

  /** Whether there was another door to begin. */
  #begin() {
    const door = this.#waiting.shift();
    if (!door) return false;
    this.#underWay += 1;
    this.#report(door.name, "connecting");
    openInTime(door, this.#signal).then(
      (link) => this.#opened(door, link),
      (error) => this.#failed(door, error),
    );
    return true;
  }

  /**
   * @param {import("./link.js").Door} door
   * @param {import("./link.js").Link} link
   */
  #opened(door, link) {
    this.#underWay -= 1;
    if (this.#signal.aborted) return link.close();
    this.#open.push({ door, link });
    this.#wake(true);
  }

  /**
   * @param {import("./link.js").Door} door
   * @param {unknown} error
   */
  #failed(door, error) {
    this.#underWay -= 1;
    this.#keys.delete(keyOf(door));
    const failure = asDuologueError(error, "door-shut");
    this.#report(door.name, "closed", failure);
    if (!this.#signal.aborted) this.#failure = failure;
    this.#wake(true);
  }

  /**
   * Waits until a lane has opened or failed, or the head start of the last one is over.
   * @returns {Promise<boolean>} whether a lane has news
   */
  async #news() {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const news = await new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#waiting.length > 0) timer = setTimeout(resolve, HEAD_START_MS, false);
    });
    clearTimeout(timer);
    return news;
  }
}

/**
 * What tells two doors apart: one of another node is another.
 * @param {import("./link.js").Door} door
 */
function keyOf({ name, url = "" }) {
  return `${name} ${url}`;
}

/**
 * @param {import("./link.js").Door} door
 * @param {AbortSignal} signal
 */
async function openInTime(door, signal) {
  const deadline = new AbortController();
  const late = new DuologueError("door-timeout", "The door did not open in time.");
  const timer = setTimeout(() => deadline.abort(late), OPEN_DEADLINE_MS);
  try {
    return await door.open(AbortSignal.any([signal, deadline.signal]));
  } finally {
    clearTimeout(timer);
  }
}
