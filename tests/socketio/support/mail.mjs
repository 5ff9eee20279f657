/** What someone was told and has not looked at yet. */

import assert from "node:assert/strict";

/** Whatever is waited for comes within this, or the test fails; in milliseconds. */
export const DEADLINE_MS = 10_000;

export class Mail {
  /** Every event from the first, in order. @type {[string, any][]} */
  all = [];
  /** @type {[string, any][]} */
  #unread = [];
  #waits = new Set();

  /** @param {string} event @param {any} data */
  put(event, data) {
    this.all.push([event, data]);
    for (const wait of this.#waits) {
      if (!wait.suits(event, data)) continue;
      this.#waits.delete(wait);
      return wait.resolve(data);
    }
    this.#unread.push([event, data]);
  }

  /**
   * The data of the next such event, which may be here already.
   * @param {string} event
   * @param {(data: any) => boolean} [matches]
   * @param {number} [deadline]
   * @returns {Promise<any>}
   */
  next(event, matches = () => true, deadline = DEADLINE_MS) {
    const suits = (name, data) => name === event && matches(data);
    const at = this.#unread.findIndex(([name, data]) => suits(name, data));
    if (at >= 0) return Promise.resolve(this.#unread.splice(at, 1)[0][1]);
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waits.delete(wait);
        reject(new Error(`no "${event}" within ${deadline} ms; heard: ${JSON.stringify(this.all)}`));
      };
      const timer = setTimeout(late, deadline);
      const wait = { suits, resolve: (data) => (clearTimeout(timer), resolve(data)) };
      this.#waits.add(wait);
    });
  }

  /** What came under this name, looked at or not. @param {string} event */
  told(event) {
    return this.all.filter(([name]) => name === event).map(([, data]) => data);
  }

  /** Nothing came under this name. @param {string} event */
  never(event) {
    assert.deepEqual(this.told(event), []);
  }
}
