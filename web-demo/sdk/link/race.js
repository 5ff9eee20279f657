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
 * Opens doors until a link is established.
 * @param {import("./link.js").Door[]} doors the one to prefer first
 * @param {(link: import("./link.js").Link, signal: AbortSignal) => Promise<void>} greet says hello;
 *   resolves when the link is established; rejects with a `closeCode` when the server refused, which
 *   no other door would change
 * @param {{ signal: AbortSignal, report: Report }} options
 * @returns {Promise<import("../types.js").DoorName>} the door that won
 */
export async function race(doors, greet, { signal, report }) {
  const lanes = new Lanes(doors, signal, report);
  try {
    for (;;) {
      const link = await lanes.nextOpen();
      try {
        await greet(link, signal);
        return link.door;
      } catch (error) {
        link.close();
        signal.throwIfAborted();
        const failure = asDuologueError(error, "link-lost");
        report(link.door, "closed", failure);
        if (failure.closeCode !== undefined) throw failure;
        lanes.failure = failure;
      }
    }
  } finally {
    lanes.close();
  }
}

/** The doors that are being tried, each on its own lane. */
class Lanes {
  #waiting;
  #signal;
  #report;
  #over = new AbortController();
  #underWay = 0;
  /** @type {import("./link.js").Link[]} opened and not yet greeted */
  #open = [];
  /** Ends the wait of the moment: a lane has news. */
  #wake = () => {};
  /** What to throw when no door is left. */
  failure = new DuologueError("no-door", "No door that this browser can use is open.", { final: true });

  /**
   * @param {import("./link.js").Door[]} doors
   * @param {AbortSignal} signal
   * @param {Report} report
   */
  constructor(doors, signal, report) {
    this.#waiting = [...doors];
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    this.#report = report;
  }

  /**
   * The next link that is open. While it is greeted, no further door is begun.
   * @returns {Promise<import("./link.js").Link>}
   */
  async nextOpen() {
    for (;;) {
      this.#signal.throwIfAborted();
      const link = this.#open.shift();
      if (link) return link;
      if (this.#underWay === 0 && !this.#begin()) throw this.failure;
      if (!(await this.#news())) this.#begin();
    }
  }

  /** Gives up every lane, and closes what had opened. */
  close() {
    this.#over.abort(new DuologueError("slower", "Another door was open first."));
    for (const link of this.#open) {
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
      (link) => this.#opened(link),
      (error) => this.#failed(door, error),
    );
    return true;
  }

  /** @param {import("./link.js").Link} link */
  #opened(link) {
    this.#underWay -= 1;
    if (this.#signal.aborted) return link.close();
    this.#open.push(link);
    this.#wake();
  }

  /**
   * @param {import("./link.js").Door} door
   * @param {unknown} error
   */
  #failed(door, error) {
    this.#underWay -= 1;
    const failure = asDuologueError(error, "door-shut");
    this.#report(door.name, "closed", failure);
    if (!this.#signal.aborted) this.failure = failure;
    this.#wake();
  }

  /**
   * Waits until a lane has opened or failed, or the head start of the last one is over.
   * @returns {Promise<boolean>} whether a lane has news
   */
  async #news() {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const news = await new Promise((resolve) => {
      this.#wake = () => resolve(true);
      if (this.#waiting.length > 0) timer = setTimeout(resolve, HEAD_START_MS, false);
    });
    clearTimeout(timer);
    return news;
  }
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
