/**
 * @file What is to be done a little later, unless it is over by then.
 */

export class Timers {
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #running = new Set();

  /**
   * @param {number} ms
   * @param {() => void} act
   * @returns {() => void} calls it off
   */
  in(ms, act) {
    const timer = setTimeout(() => {
      this.#running.delete(timer);
      act();
    }, ms);
    this.#running.add(timer);
    return () => {
      clearTimeout(timer);
      this.#running.delete(timer);
    };
  }

  stop() {
    for (const timer of this.#running) clearTimeout(timer);
    this.#running.clear();
  }
}
