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
