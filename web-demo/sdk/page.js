/**
 * @file What the page around the SDK tells: whether someone looks, that the network is back, that
 * the page goes away. Outside a browser: someone always looks, and nothing else is ever told.
 */

/** Whether someone can see the page; timers of a hidden one are throttled, up to a minute. */
export function isVisible() {
  return globalThis.document?.visibilityState !== "hidden";
}

export class PageEvents {
  #listener;
  /** @type {AbortController | null} */
  #watching = null;
  /** Ends the pause of the moment as early as it may end. */
  #hurry = () => {};

  /** @param {{ wake: () => void, hide: () => void }} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  watch() {
    const page = globalThis.window;
    if (!page || this.#watching) return;
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    page.addEventListener("online", () => this.#wake(), { signal });
    page.addEventListener("pageshow", () => this.#wake(), { signal });
    page.addEventListener("pagehide", () => this.#listener.hide(), { signal });
    page.document.addEventListener("visibilitychange", () => {
      if (isVisible()) this.#wake();
    }, { signal });
  }

  unwatch() {
    this.#watching?.abort();
    this.#watching = null;
  }

  /**
   * Waits `ms`, or less when the page wakes up, but never less than `atLeastMs`.
   * @param {number} ms
   * @param {number} atLeastMs
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  pause(ms, atLeastMs, signal) {
    return new Promise((resolve, reject) => {
      const from = performance.now();
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.#hurry = () => {};
        if (signal.aborted) reject(signal.reason);
        else resolve();
      };
      let timer = setTimeout(end, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        timer = setTimeout(end, Math.max(0, atLeastMs - (performance.now() - from)));
      };
      signal.addEventListener("abort", end);
    });
  }

  #wake() {
    this.#hurry();
    this.#listener.wake();
  }
}
