/**
 * @file Which door won lately, so that a network without UDP costs its wait once, not at each page.
 */

/** After this long the preferred door gets its head start again: networks change. */
const REMEMBER_MS = 10 * 60_000;

export class DoorMemory {
  #store;
  #key;

  /**
   * @param {import("../types.js").KeyValueStore} store
   * @param {string} base of the server, or the name of a set of nodes
   */
  constructor(store, base) {
    this.#store = store;
    this.#key = `duologue:door:${base}`;
  }

  /**
   * The door that beat a preferred one not long ago.
   * @param {number} now wall clock, milliseconds
   * @returns {string | null}
   */
  recall(now) {
    try {
      const { door, at } = JSON.parse(this.#store.getItem(this.#key) ?? "{}");
      return now - at >= 0 && now - at < REMEMBER_MS ? door : null;
    } catch {
      return null;
    }
  }

  /**
   * @param {import("../types.js").DoorName} door
   * @param {number} now wall clock, milliseconds
   */
  note(door, now) {
    try {
      this.#store.setItem(this.#key, JSON.stringify({ door, at: now }));
    } catch {
      // Without storage the next page waits half a second again.
    }
  }

  forget() {
    try {
      this.#store.removeItem(this.#key);
    } catch {
      // As above.
    }
  }
}
