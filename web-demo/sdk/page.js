/**
 * @file What the page around the SDK tells: whether someone looks, that the network is back, that
 * the page goes away. Outside a browser: someone always looks, and nothing else is ever told.
 */

/** Whether someone can see the page; timers of a hidden one are throttled, up to a minute. */
export function isVisible() {
  return globalThis.document?.visibilityState !== "hidden";
}

/** Whether the browser says that there is no network. It may be wrong either way. */
export function isOffline() {
  return globalThis.navigator?.onLine === false;
}

/**
 * @typedef {object} PageListener
 * @property {() => void} wake the network or the machine may have changed, or someone looks again
 * @property {() => void} offline the browser says that the network is gone
 * @property {(kept: boolean) => void} hide the page goes away or is frozen; `kept`: it may come back
 *   as it is (back/forward cache), if nothing of it is connected
 * @property {() => void} show the page that was kept is back
 * @property {(visible: boolean) => void} look whether someone can see the page; told at the beginning, too
 */

export class PageEvents {
  #listener;
  /** @type {AbortController | null} */
  #watching = null;
  /** Ends the pause of the moment as early as it may end. */
  #hurry = () => {};

  /** @param {PageListener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  watch() {
    const page = globalThis.window;
    if (!page || this.#watching) return;
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    /**
     * @param {EventTarget | undefined} target
     * @param {string} type
     * @param {(event: any) => void} listener
     */
    const on = (target, type, listener) => target?.addEventListener(type, listener, { signal });
    const wake = () => this.#wake();
    on(page, "online", wake);
    on(page, "offline", () => this.#listener.offline());
    on(page, "pagehide", ({ persisted }) => this.#listener.hide(persisted === true));
    on(page, "pageshow", ({ persisted }) => {
      this.#listener.look(isVisible());
      if (persisted) this.#listener.show();
      else this.#wake();
    });
    on(page.document, "freeze", () => this.#listener.hide(false));
    on(page.document, "resume", wake);
    on(page.document, "visibilitychange", () => {
      this.#listener.look(isVisible());
      if (isVisible()) this.#wake();
    });
    // Only Chromium has it; elsewhere the link's own silence tells.
    on(/** @type {any} */ (globalThis.navigator)?.connection, "change", wake);
    this.#listener.look(isVisible());
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
