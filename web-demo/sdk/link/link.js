/**
 * @file What every door gives: a link that carries frames, both ways, until it ends.
 */

/**
 * @typedef {object} LinkListener
 * @property {(frame: import("../types.js").Frame) => void} frame
 * @property {(code: number | undefined, reason: string) => void} ended the other side or the
 *   network ended it; told once, and never after our own {@link Link.close}
 * @property {(id: string, offset: number, bytes: Uint8Array) => boolean | Promise<boolean>} [bytes] of a
 *   transfer came. False: nobody wants more of it; while a promise is open, a door that can lets the
 *   rest of that transfer wait at the server
 */

/**
 * The bytes of one transfer, on their way out. After the end of its link all of it comes to nothing.
 * @typedef {object} Upload
 * @property {(bytes: Uint8Array) => Promise<void>} write resolves when the door can take more
 * @property {() => void} close that was all
 * @property {() => void} abort no more will come
 */

/**
 * A way to open links.
 * @typedef {object} Door
 * @property {import("../types.js").DoorName} name
 * @property {string} [url] where it is; two of one name are two doors
 * @property {(signal: AbortSignal) => Promise<Link>} open once the signal aborts, nothing stays open
 */

/** @abstract */
export class Link {
  /** @type {LinkListener | null} */
  #listener = null;
  /** @type {[code: number | undefined, reason: string] | null} */
  #end = null;

  /** @param {import("../types.js").DoorName} door */
  constructor(door) {
    /** @readonly */
    this.door = door;
  }

  /**
   * Who hears of frames from now on, in place of any listener before.
   * @param {LinkListener} listener
   */
  listen(listener) {
    this.#listener = listener;
    if (this.#end) listener.ended(...this.#end);
  }

  /**
   * Sends a frame, in order. On a link that has ended it is lost, as if the network had lost it.
   * @param {import("../types.js").Frame} frame
   */
  send(frame) {
    this.write(JSON.stringify(frame));
  }

  /**
   * Sends a frame that may be lost and must not delay others.
   * @param {import("../types.js").Frame} frame
   */
  sendVolatile(frame) {
    this.writeVolatile(JSON.stringify(frame));
  }

  /**
   * For doors to define: a way for a transfer's bytes, beside the frames and after them where both wait.
   * @param {string} _id
   * @param {number} _offset of the first byte that will be written
   * @returns {Upload}
   */
  upload(_id, _offset) {
    throw new TypeError(`${this.door} does not upload`);
  }

  /** Ends the link and listens no more. Frames sent before may still go out. */
  close() {
    this.#listener = null;
  }

  /**
   * For doors to define: writes one frame.
   * @param {string} _text
   * @protected
   */
  write(_text) {
    throw new TypeError(`${this.door} does not write`);
  }

  /**
   * For doors to define: writes one frame that may be lost.
   * @param {string} _text
   * @protected
   */
  writeVolatile(_text) {
    throw new TypeError(`${this.door} does not write`);
  }

  /**
   * For doors: a frame came.
   * @param {string} text
   */
  deliver(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.finish(undefined, "The server sent what cannot be read.");
    }
    this.#listener?.frame(frame);
  }

  /**
   * For doors: bytes of a transfer came; see {@link LinkListener}.
   * @param {{ id: string, offset: number, bytes: Uint8Array }} chunk
   */
  deliverBytes({ id, offset, bytes }) {
    return this.#listener?.bytes?.(id, offset, bytes) ?? false;
  }

  /**
   * For doors: the link has ended.
   * @param {number | undefined} code
   * @param {string} reason
   */
  finish(code, reason) {
    if (this.#end) return;
    this.#end = [code, reason];
    this.#listener?.ended(code, reason);
  }
}
