/**
 * @file One file or voice note, as an app sees it: from the offer to its end, on either side.
 */

import { Deferred } from "./deferred.js";
import { Emitter } from "./emitter.js";
import { DuologueError } from "./errors.js";

/**
 * `offered`: not answered yet, or ours and not even sent yet; `moving`: accepted; `complete`: the
 * receiver has all of it; `rejected`: by the receiver; `cancelled`: called off by either side;
 * `failed`: for any other reason.
 * @typedef {"offered" | "moving" | "complete" | "cancelled" | "rejected" | "failed"} TransferState
 */

/**
 * @typedef {object} TransferEvents
 * @property {{ transferred: number, size: number | undefined }} progress
 * @property {{ state: TransferState }} state
 * @property {{}} complete
 * @property {{ code: string, message: string, mine: boolean }} cancelled it ended without being
 *   complete; `mine`: on this side
 */

/**
 * @typedef {object} TransferInfo
 * @property {string} id
 * @property {"file" | "voice"} kind
 * @property {string} name
 * @property {number} [size]
 * @property {string} mime
 * @property {number} [durationMs]
 * @property {boolean} mine
 * @property {string} [link]
 */

/**
 * Who does it: `sending.js` or `receiving.js`.
 * @typedef {object} Work
 * @property {() => void} accept
 * @property {() => Promise<Blob>} blob
 * @property {() => ReadableStream<Uint8Array>} stream
 * @property {(error: DuologueError | null, word: "file:cancel" | "file:reject" | undefined) => void} over it
 *   has ended; `word`: what to tell the server
 */

/** @extends {Emitter<TransferEvents>} */
export class Transfer extends Emitter {
  /** @type {TransferState} */
  #state = "offered";
  #transferred = 0;
  /** @type {Deferred<void>} */
  #done = new Deferred();
  #work;

  /**
   * @internal
   * @param {TransferInfo} info
   * @param {Work} work
   */
  constructor({ id, kind, name, size, mime, durationMs, mine, link }, work) {
    super();
    /** @readonly */
    this.id = id;
    /** @readonly */
    this.kind = kind;
    /** @readonly */
    this.name = name;
    /** In bytes; of some that come in it is known only at the end. */
    this.size = size;
    /** @readonly */
    this.mime = mime;
    /** @readonly */
    this.durationMs = durationMs;
    /** @readonly whether this side sends it */
    this.mine = mine;
    /** @readonly a path on the server where it can be had once over HTTP, in place of {@link accept} */
    this.link = link;
    this.#work = work;
  }

  get state() {
    return this.#state;
  }

  /** How many bytes the receiver has. */
  get transferred() {
    return this.#transferred;
  }

  /** Resolves when it is complete; rejects with a DuologueError. */
  get done() {
    return this.#done.promise;
  }

  /** @internal */
  get over() {
    return this.#state !== "offered" && this.#state !== "moving";
  }

  /** Takes an incoming one; its bytes are kept for {@link blob}, or {@link stream}. */
  accept() {
    this.#work.accept();
  }

  /** Declines an incoming one. */
  reject() {
    if (this.mine || this.#state !== "offered") return this.cancel();
    this.end("rejected", new DuologueError("rejected", "It was declined."), "file:reject");
  }

  /** Calls it off, on either side and at any time. */
  cancel() {
    this.end("cancelled", new DuologueError("cancelled", "It was called off."), "file:cancel");
  }

  /**
   * All of it, once it is complete; accepts it. What arrived is checked against its hash.
   * @returns {Promise<Blob>}
   */
  blob() {
    return this.#work.blob();
  }

  /**
   * Its bytes as they come, in place of {@link blob}; accepts it. The sender goes no faster than
   * this is read; cancelling it cancels the transfer.
   * @returns {ReadableStream<Uint8Array>}
   */
  stream() {
    return this.#work.stream();
  }

  /** @internal */
  begin() {
    if (this.#state === "offered") this.#become("moving");
  }

  /**
   * @internal
   * @param {number} transferred
   */
  progress(transferred) {
    if (this.over || transferred <= this.#transferred) return;
    this.#transferred = transferred;
    this.emit("progress", { transferred, size: this.size });
  }

  /** @internal */
  complete() {
    if (this.over) return;
    this.#become("complete");
    this.#work.over(null, undefined);
    this.#done.resolve();
    this.emit("complete", {});
  }

  /**
   * @internal
   * @param {"cancelled" | "rejected" | "failed"} state
   * @param {DuologueError} error
   * @param {"file:cancel" | "file:reject"} [word] what to tell the server: it ended on this side
   */
  end(state, error, word) {
    if (this.over) return;
    const { code, message } = error;
    this.#become(state);
    this.#work.over(error, word);
    this.#done.reject(error);
    this.emit("cancelled", { code, message, mine: word !== undefined });
  }

  /** @param {TransferState} state */
  #become(state) {
    this.#state = state;
    this.emit("state", { state });
  }
}
