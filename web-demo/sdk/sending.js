/**
 * @file One transfer that goes out: reads the file piece by piece, and hands over no more than the
 * receiver allows and the line bears.
 */

import { DuologueError } from "./errors.js";
import { Pace } from "./pace.js";
import { Transfer } from "./transfer.js";

/** So much of the file is read at once, and no more ahead. */
const READ_BYTES = 64 * 1024;
/** Bytes that a receiver allows on their way, where the server does not say. */
const WINDOW = 192 * 1024;

/** @typedef {import("./transfers.js").TransferHost} TransferHost */

export class Sending {
  /** Its place among those that wait. */
  order = 0;
  #blob;
  #host;
  /** Told to the server: as long as this is not so, nothing is. */
  #offered = false;
  /** It was accepted before, at a node that is gone. */
  #anew = false;
  /** What the partner has, and what was handed to the link of the moment. */
  #acked = 0;
  #sent = 0;
  #pace;
  /** Since when what was handed over and is not acknowledged is on its way, oldest first. */
  #marks = /** @type {{ end: number, at: number }[]} */ ([]);
  /** @type {import("./link/link.js").Upload | null} that of the moment: any other run has ended */
  #upload = null;
  /** Ends the wait for an acknowledgement. */
  #wake = () => {};
  /** @type {Promise<string> | undefined} */
  #hash;
  /** @type {{ transfer: string, size: number, sha256: string } | undefined} said when all was sent */
  #completion;

  /**
   * @param {Blob} blob
   * @param {Omit<import("./transfer.js").TransferInfo, "id" | "size" | "mime" | "mine">} info
   * @param {TransferHost} host
   */
  constructor(blob, info, host) {
    this.#blob = blob;
    this.#host = host;
    this.#pace = new Pace(this.#window);
    const more = { id: crypto.randomUUID(), size: blob.size, mime: blob.type || "application/octet-stream", mine: true };
    this.transfer = new Transfer({ ...info, ...more }, this);
  }

  /** Offers it; again, if the server did not take the offer. */
  offer() {
    const { id, kind, name, size, mime, durationMs } = this.transfer;
    this.#offered = true;
    this.#say("file:offer", { transfer: id, kind, name, size, mime, durationMs });
  }

  /**
   * An event of the server about it.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    if (event === "file:accept") {
      if (this.transfer.state !== "offered" && !this.#anew) return;
      this.#anew = false;
      return this.#run(0);
    }
    if (event === "file:progress") return this.#progress(data.received);
    if (event !== "file:complete") return;
    this.transfer.progress(this.#blob.size);
    this.transfer.complete();
  }

  /**
   * The server did not take an event because it came too soon.
   * @param {string} event
   */
  again(event) {
    if (event === "file:offer") this.offer();
    else if (this.#completion) this.#say(event, this.#completion);
  }

  /** What to tell a server about it that goes on with the session. */
  get resumption() {
    return { transfer: this.transfer.id };
  }

  /**
   * The session is on another link.
   * @param {{ received: number, acknowledged: number } | undefined} at what the server and the partner have; absent:
   *   it was not accepted, or an event tells that it is over
   */
  resumed(at) {
    this.#stop();
    if (!at) return;
    this.#acked = Math.max(this.#acked, at.acknowledged);
    this.transfer.progress(this.#acked);
    this.#run(at.received);
  }

  /** The node that had it was lost: it is offered again, and begins anew where it was accepted. */
  restored() {
    this.#stop();
    this.#acked = this.#sent = 0;
    this.#completion = undefined;
    this.#anew = this.transfer.state === "moving";
    this.offer();
  }

  accept() {}

  blob() {
    return Promise.resolve(this.#blob);
  }

  stream() {
    return this.#blob.stream();
  }

  /** @type {import("./transfer.js").Work["over"]} */
  over(error, word) {
    if (error) this.#upload?.abort();
    this.#stop();
    if (word && this.#offered) this.#host.say(word, { transfer: this.transfer.id });
    this.#host.over(this);
  }

  get #window() {
    return this.#host.limits.transferWindow ?? WINDOW;
  }

  #stop() {
    this.#upload = null;
    this.#wake();
  }

  /** @param {number} received */
  #progress(received) {
    if (!(received > this.#acked) || received > this.#blob.size) return;
    const bytes = received - this.#acked;
    this.#acked = received;
    while (this.#marks.length > 0 && this.#marks[0].end < received) this.#marks.shift();
    const mark = this.#marks[0];
    if (mark) this.#pace.acked(bytes, performance.now() - mark.at, received, this.#sent);
    this.transfer.progress(received);
    this.#wake();
  }

  /**
   * Sends the rest over the link of the moment.
   * @param {number} from
   */
  async #run(from) {
    this.transfer.begin();
    // Whoever was just told of it may have called it off.
    if (this.transfer.over) return;
    const { id } = this.transfer;
    this.#hash ??= sha256(this.#blob);
    this.#hash.catch(() => {});
    const upload = (this.#upload = this.#host.upload(id, from));
    if (!upload) return;
    this.#sent = from;
    this.#marks = [];
    this.#pace = new Pace(this.#window, from > 0);
    try {
      if (!(await this.#pour(upload))) return;
      const hash = await this.#hash;
      if (this.#completion || this.transfer.over) return;
      this.#completion = { transfer: id, size: this.#blob.size, sha256: hash };
      this.#say("file:complete", this.#completion);
    } catch (cause) {
      const error = new DuologueError("file-unreadable", "The file cannot be read any more.", { cause });
      this.transfer.end("failed", error, "file:cancel");
    }
  }

  /**
   * False: something else goes on in its place.
   * @param {import("./link/link.js").Upload} upload
   */
  async #pour(upload) {
    let ahead = new Uint8Array();
    while (this.#sent < this.#blob.size) {
      const room = this.#acked + Math.min(this.#window, this.#pace.window) - this.#sent;
      if (room <= 0) {
        await new Promise((/** @type {(value: void) => void} */ resolve) => (this.#wake = resolve));
      } else if (ahead.length === 0) {
        ahead = await read(this.#blob.slice(this.#sent, this.#sent + READ_BYTES));
        if (ahead.length === 0) throw new Error("The file is shorter than it was.");
      } else {
        const piece = ahead.subarray(0, Math.min(this.#pace.piece, room));
        ahead = ahead.subarray(piece.length);
        this.#sent += piece.length;
        this.#marks.push({ end: this.#sent, at: performance.now() });
        try {
          await upload.write(piece);
        } catch {
          // The link is gone and the next one goes on; or the server wants no more, and says why.
          return false;
        }
      }
      if (this.#upload !== upload) return false;
    }
    upload.close();
    return true;
  }

  /**
   * @param {string} event
   * @param {object} data
   */
  #say(event, data) {
    if (this.#host.say(event, data)) return;
    const error = new DuologueError("backlog-full", "Too much waits to be sent. Try again in a moment.");
    this.transfer.end("failed", error, "file:cancel");
  }
}

/** @param {Blob} blob */
async function read(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

/**
 * In hexadecimal digits.
 * @param {Blob} blob
 */
export async function sha256(blob) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
