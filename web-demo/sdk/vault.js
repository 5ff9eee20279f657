/**
 * @file What survives a reload of the page: the session's name and secret, how far it was
 * received, and whose it is. Never a word of a conversation.
 */

/**
 * @typedef {object} Stored
 * @property {string} deviceId this tab: a second session of the same device supersedes the first
 * @property {string} session
 * @property {string} key the secret that resumes it
 * @property {number} received never below what the server believes acknowledged
 * @property {string} userId
 */

export class Vault {
  #store;
  #key;
  /** @type {Stored | null} the same again: the storage may be full or forbidden */
  #kept = null;

  /**
   * @param {import("./types.js").KeyValueStore} store
   * @param {string} base of the server, or the name of a set of nodes
   */
  constructor(store, base) {
    this.#store = store;
    this.#key = `duologue:session:${base}`;
  }

  /** @returns {Stored | null} */
  read() {
    if (this.#kept) return this.#kept;
    try {
      const stored = JSON.parse(this.#store.getItem(this.#key) ?? "null");
      return typeof stored?.session === "string" && Number.isSafeInteger(stored.received) ? stored : null;
    } catch {
      return null;
    }
  }

  /** @param {Stored} stored */
  write(stored) {
    this.#kept = stored;
    try {
      this.#store.setItem(this.#key, JSON.stringify(stored));
    } catch {
      // A full or forbidden storage costs the resume after a reload, no more.
    }
  }

  forget() {
    this.#kept = null;
    try {
      this.#store.removeItem(this.#key);
    } catch {
      // As above.
    }
  }
}

/**
 * The named storage of the page, or one in memory where there is none (Node) or it is forbidden.
 * @param {"sessionStorage" | "localStorage"} name
 * @returns {import("./types.js").KeyValueStore}
 */
export function pageStorage(name) {
  try {
    // A page that may not use storage throws at the mere mention of it; Node warns on localStorage.
    if (globalThis.document && globalThis[name]) return globalThis[name];
  } catch {
    // As above.
  }
  return new MemoryStore();
}

class MemoryStore {
  /** @type {Map<string, string>} */
  #items = new Map();

  /** @param {string} key */
  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  /**
   * @param {string} key
   * @param {string} value
   */
  setItem(key, value) {
    this.#items.set(key, value);
  }

  /** @param {string} key */
  removeItem(key) {
    this.#items.delete(key);
  }
}
