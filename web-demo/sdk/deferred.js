/**
 * @file A promise that is settled from outside. It never surfaces as an unhandled rejection: what
 * it would say is said by an event too, and an app may listen to either.
 */

/** @template T */
export class Deferred {
  /** @type {(value: T) => void} */
  resolve = () => {};
  /** @type {(reason: unknown) => void} */
  reject = () => {};

  constructor() {
    /** @readonly @type {Promise<T>} */
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}

/**
 * The same, unless the signal is aborted before: then it rejects with the signal's reason.
 * @template T
 * @param {AbortSignal | undefined} signal
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function unlessAborted(signal, promise) {
  if (!signal) return promise;
  /** @type {Deferred<never>} */
  const aborted = new Deferred();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  return Promise.race([aborted.promise, promise]).finally(() => signal.removeEventListener("abort", abort));
}
