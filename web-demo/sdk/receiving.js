/**
 * @file One transfer that comes in: keeps its bytes, or gives them to whoever reads, and tells the
 * sender how far that is.
 */

import { Deferred } from "./deferred.js";
import { DuologueError } from "./errors.js";
import { ACK_DELAY_MS, CHUNK } from "./pace.js";
import { sha256 } from "./sending.js";
import { Transfer } from "./transfer.js";

/** How long the session may take to be on another link. */
export const MOVING_MS = 50;

export class Receiving {
  #host;
  /** Kept for the blob, or not read from the stream yet. */
  #parts = /** @type {Uint8Array[]} */ ([]);
  /** All before this is here. */
  #arrived = 0;
  /** All before this was read from the stream. */
  #read = 0;
  /** All before this was kept, or read; and the sender was told so. */
  #consumed = 0;
  #told = 0;
  /** All before this came from the node that carries it now: no more of it can be acknowledged there. */
  #came = 0;
  /** Its node is gone, and it was not offered again yet. */
  #orphan = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {{ size: number, sha256: string } | null} the server says that this is all */
  #whole = null;
  /** @type {Promise<Blob> | null} */
  #blob = null;
  /** @type {ReadableStreamDefaultController<Uint8Array> | null} */
  #reader = null;
  /** @type {Deferred<void> | null} the reader waits */
  #news = null;
  /** @type {Deferred<boolean> | null} the door waits */
  #drained = null;
  /** Its link was opened: the bytes go there. */
  #elsewhere = false;

  /**
   * @param {any} offer
   * @param {import("./transfers.js").TransferHost} host
   */
  constructor({ transfer, kind, name, size, mime, durationMs, link }, host) {
    this.#host = host;
    this.transfer = new Transfer({ id: transfer, kind, name, size, mime, durationMs, link, mine: false }, this);
  }

  /**
   * An event of the server about it.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    if (event === "file:accept") {
      // Also where it was wanted here in the same moment: the link was quicker.
      this.#elsewhere = true;
      if (this.transfer.state === "offered") this.transfer.begin();
    }
    if (event !== "file:complete") return;
    if (this.#elsewhere) return this.transfer.complete();
    this.#whole = data;
    this.transfer.size = data.size;
    this.#check();
  }

  /**
   * Bytes came; see {@link import("./link/link.js").LinkListener}.
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  take(offset, bytes) {
    if (this.transfer.state !== "moving") return false;
    // After a change of links some come again.
    const fresh = bytes.subarray(Math.max(0, this.#arrived - offset));
    this.#arrived += fresh.length;
    this.#came = Math.max(this.#came, offset + bytes.length);
    if (offset > this.#arrived - fresh.length) this.#fail("offset-mismatch", "Some of it was lost on the way.");
    else if (this.#arrived > (this.transfer.size ?? Infinity)) this.#fail("size-mismatch", "It is larger than it was said to be.");
    if (this.transfer.over) return false;
    if (fresh.length > 0) this.#parts.push(fresh);
    if (!this.#reader) {
      this.#consume(this.#arrived);
      return true;
    }
    this.#news?.resolve();
    // What comes a second time is read already.
    if (fresh.length === 0) this.#consume(this.#read);
    if (this.#parts.length === 0) return true;
    this.#drained ??= new Deferred();
    return this.#drained.promise;
  }

  /** The server did not take the one event that may come too soon. */
  again() {
    this.#say();
  }

  /** Its bytes go another way. */
  get elsewhere() {
    return this.#elsewhere;
  }

  /** What to tell a server about it that goes on with the session. */
  get resumption() {
    const transfer = this.transfer.id;
    return this.transfer.state === "offered" || this.#elsewhere ? { transfer } : { transfer, received: this.#have };
  }

  /** The session is on another link: what was told on the one before may be lost. */
  resumed() {
    if (!this.#elsewhere) this.#tell();
  }

  /**
   * The node that had it was lost. False: it does not wait to be offered again.
   */
  restored() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#elsewhere) {
      this.transfer.end("failed", new DuologueError("lost", "A node was lost, and this with it. It has to be sent again."));
      return false;
    }
    this.#orphan = true;
    this.#told = this.#came = 0;
    this.#whole = null;
    return true;
  }

  /** It is offered again: what was accepted is wanted still. */
  offered() {
    this.#orphan = false;
    if (this.transfer.state === "moving") this.#say();
  }

  accept() {
    if (this.transfer.state !== "offered") return;
    if (this.#orphan) return this.transfer.begin();
    // The hello that is under way may not have named it, and what it does not name ends.
    if (this.#host.moving()) return void setTimeout(() => this.accept(), MOVING_MS);
    if (this.#say()) this.transfer.begin();
  }

  #say() {
    if (this.#host.say("file:accept", { transfer: this.transfer.id })) return true;
    this.#fail("backlog-full", "Too much waits to be sent. Try again in a moment.");
    return false;
  }

  blob() {
    if (this.#reader) return Promise.reject(read());
    this.accept();
    this.#blob ??= this.#collect();
    this.#blob.catch(() => {});
    return this.#blob;
  }

  /** @returns {ReadableStream<Uint8Array>} */
  stream() {
    if (this.#blob || this.#reader) throw read();
    // Nothing ahead of the reader: what is in the stream's own queue nobody has read.
    const stream = new ReadableStream({
      start: (controller) => void (this.#reader = controller),
      pull: () => this.#pull(),
      cancel: () => this.transfer.cancel(),
    }, { highWaterMark: 0 });
    this.accept();
    this.transfer.done.catch((error) => this.#reader?.error(error));
    return stream;
  }

  /** @type {import("./transfer.js").Work["over"]} */
  over(error, word) {
    clearTimeout(this.#timer);
    if (error) this.#parts = [];
    if (word) this.#host.say(word, { transfer: this.transfer.id });
    this.#news?.resolve();
    this.#drained?.resolve(false);
    this.#host.over(this);
  }

  async #collect() {
    await this.transfer.done;
    if (this.#elsewhere) throw fetched();
    const blob = new Blob(/** @type {BlobPart[]} */ (this.#parts), { type: this.transfer.mime });
    this.#parts = [];
    // The server has checked it; where nobody could have touched it since, that is enough.
    if (globalThis.crypto?.subtle && (await sha256(blob)) !== this.#whole?.sha256) {
      throw new DuologueError("hash-mismatch", "It did not arrive as it was sent.");
    }
    return blob;
  }

  async #pull() {
    while (this.#parts.length === 0 && !this.transfer.over) {
      this.#news = new Deferred();
      await this.#news.promise;
    }
    const part = this.#parts.shift();
    if (!part && this.#elsewhere) return this.#reader?.error(fetched());
    if (!part) return this.transfer.state === "complete" ? this.#reader?.close() : undefined;
    this.#reader?.enqueue(part);
    this.#read += part.length;
    this.#consume(this.#read);
    if (this.#parts.length > 0) return;
    this.#drained?.resolve(true);
    this.#drained = null;
  }

  /** @param {number} upTo */
  #consume(upTo) {
    // What was kept before the stream was asked for is told already.
    this.#consumed = Math.max(this.#consumed, upTo);
    this.transfer.progress(this.#consumed);
    if (this.transfer.over) return;
    // A sender waits for no less than a piece, or for the end: no timer, late as it may be, holds it up.
    if (this.#have - this.#told >= CHUNK || this.#have === this.transfer.size) this.#tell();
    else this.#timer ??= setTimeout(() => this.#tell(), ACK_DELAY_MS);
    this.#check();
  }

  /** What can be acknowledged. */
  get #have() {
    return Math.min(this.#consumed, this.#came);
  }

  #tell() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#have === 0) return;
    this.#told = this.#have;
    this.#host.mention("file:progress", { transfer: this.transfer.id, received: this.#told });
  }

  #check() {
    if (!this.#whole || this.#have < this.#whole.size) return;
    if (this.#arrived > this.#whole.size) return this.#fail("size-mismatch", "It is larger than it was said to be.");
    // How large it is may be known only now.
    if (this.#told < this.#have) this.#tell();
    this.transfer.complete();
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #fail(code, message) {
    this.transfer.end("failed", new DuologueError(code, message), "file:cancel");
  }
}

function fetched() {
  return new DuologueError("fetched-elsewhere", "It was fetched by its link.");
}

function read() {
  return new DuologueError("already-read", "A transfer is read once: as a blob or as a stream.");
}
