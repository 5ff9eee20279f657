/**
 * @file The door over QUIC: a control stream of length-prefixed frames that the client opens,
 * datagrams for what may be lost, and one stream each way for each transfer.
 */

import { asDuologueError } from "../errors.js";
import { decodeChunk, encodeChunk } from "./chunk.js";
import { Link } from "./link.js";

/** Largest frame either side may send, in bytes; four bytes of length come before each. */
const MAX_FRAME = 64 * 1024;
const LENGTH_BYTES = 4;
/** A datagram larger than this does not fit every path: Firefox sends 1024 bytes at most. */
const MAX_DATAGRAM = 1000;
/** What a transfer's stream is reset with when it was called off. */
const CALLED_OFF = 4499;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Whether this browser's WebTransport can be relied on. WebKit's sessions stall after some 16 MiB
 * (WebKit bug 319818), and every browser on iOS is WebKit. The user agent is asked because nothing
 * else tells before the stall: Chromium says AppleWebKit too, but with Chrome beside it.
 * @param {string} [userAgent]
 */
export function webTransportWorks(userAgent = globalThis.navigator?.userAgent ?? "") {
  return !/AppleWebKit\//.test(userAgent) || /Chrom(e|ium)\//.test(userAgent);
}

/**
 * @param {NonNullable<import("../types.js").Directions["webtransport"]>} target
 * @param {import("../types.js").WebTransportClass} WebTransport
 * @returns {import("./link.js").Door}
 */
export function webTransportDoor(target, WebTransport) {
  return { name: "webtransport", url: target.url, open: (signal) => open(target, WebTransport, signal) };
}

/**
 * @param {NonNullable<import("../types.js").Directions["webtransport"]>} target
 * @param {import("../types.js").WebTransportClass} WebTransport
 * @param {AbortSignal} signal
 * @returns {Promise<Link>}
 */
async function open({ url, serverCertificateHashes }, WebTransport, signal) {
  signal.throwIfAborted();
  const hashes = serverCertificateHashes?.map(({ algorithm, value }) => ({ algorithm, value: fromBase64(value) }));
  const transport = new WebTransport(url, hashes?.length ? { serverCertificateHashes: hashes } : {});
  // Told through `ready` here and through the link later; unheard it would be an unhandled rejection.
  transport.closed.catch(() => {});
  /** @type {Promise<never>} */
  const aborted = new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    await Promise.race([transport.ready, aborted]);
    const stream = await Promise.race([transport.createBidirectionalStream(), aborted]);
    return new WebTransportLink(transport, stream);
  } catch (error) {
    closeQuietly(transport);
    throw signal.aborted ? signal.reason : asDuologueError(error, "door-shut");
  }
}

class WebTransportLink extends Link {
  #transport;
  #control;
  #datagrams;
  #downloading = false;

  /**
   * @param {WebTransport} transport that is ready
   * @param {WebTransportBidirectionalStream} stream the first: the control stream
   */
  constructor(transport, stream) {
    super("webtransport");
    this.#transport = transport;
    this.#control = stream.writable.getWriter();
    this.#datagrams = transport.datagrams.writable.getWriter();
    this.#readControl(stream.readable.getReader());
    this.#readDatagrams(transport.datagrams.readable.getReader());
    transport.closed.then(
      ({ closeCode, reason }) => this.finish(closeCode, reason ?? ""),
      (error) => this.finish(undefined, String(error?.message ?? "")),
    );
  }

  /** @override @param {string} text */
  write(text) {
    const body = encoder.encode(text);
    const frame = new Uint8Array(LENGTH_BYTES + body.length);
    new DataView(frame.buffer).setUint32(0, body.length);
    frame.set(body, LENGTH_BYTES);
    // A failed write is the end of the link, and `closed` tells it.
    this.#control.write(frame).catch(() => {});
  }

  /** @override @param {string} text */
  writeVolatile(text) {
    const body = encoder.encode(text);
    if (body.length <= MAX_DATAGRAM) this.#datagrams.write(body).catch(() => {});
    else this.write(text);
  }

  /**
   * @override
   * @param {import("./link.js").LinkListener} listener
   */
  listen(listener) {
    super.listen(listener);
    // Not sooner: a stream may overtake the answer to the hello, and is no use to anyone before it.
    if (!listener.bytes || this.#downloading) return;
    this.#downloading = true;
    this.#readDownloads(this.#transport.incomingUnidirectionalStreams.getReader());
  }

  /**
   * @override
   * @param {string} id
   * @param {number} offset
   */
  upload(id, offset) {
    // Below the control stream, where the browser knows of priorities.
    const opening = this.#transport.createUnidirectionalStream({ sendOrder: -1 }).then((stream) => {
      const writer = stream.getWriter();
      writer.closed.catch(() => {});
      writer.write(encodeChunk(id, offset)).catch(() => {});
      return writer;
    });
    opening.catch(() => {});
    return {
      /** @param {Uint8Array} bytes */
      write: async (bytes) => (await opening).write(bytes),
      close: () => void opening.then((writer) => writer.close()).catch(() => {}),
      abort: () => void opening.then((writer) => writer.abort(calledOff())).catch(() => {}),
    };
  }

  /** @override */
  close() {
    super.close();
    closeQuietly(this.#transport);
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #readControl(reader) {
    const frames = new FrameReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        for (const text of frames.push(value)) this.deliver(text);
      }
      this.finish(undefined, "The server ended the control stream.");
    } catch (error) {
      // The close code, if any, comes with `closed`; it is told first where the browser knows it.
      await Promise.race([this.#transport.closed.catch(() => {}), new Promise((wait) => setTimeout(wait, 100))]);
      this.finish(undefined, error instanceof Error ? error.message : "");
    } finally {
      closeQuietly(this.#transport);
    }
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #readDatagrams(reader) {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.deliver(decoder.decode(value));
      }
    } catch {
      // The control stream tells the same end.
    }
  }

  /** @param {ReadableStreamDefaultReader<ReadableStream<Uint8Array>>} reader */
  async #readDownloads(reader) {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        // Each by itself: one that nobody reads holds up no other.
        this.#readDownload(value.getReader());
      }
    } catch {
      // As above.
    }
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #readDownload(reader) {
    let head = /** @type {Uint8Array | null} */ (new Uint8Array());
    let id = "";
    let offset = 0;
    try {
      for (;;) {
        let { value: bytes, done } = await reader.read();
        if (done || !bytes) return;
        if (head) {
          head = concat(head, bytes);
          const chunk = decodeChunk(head);
          if (!chunk) continue;
          head = null;
          ({ id, offset, bytes } = chunk);
        }
        const more = this.deliverBytes({ id, offset, bytes });
        offset += bytes.length;
        // Without a tick between where none is needed: a download is many small reads.
        if (more !== true && !(await more)) return void reader.cancel(calledOff()).catch(() => {});
      }
    } catch {
      // Reset by the server, which says why by a frame; or the link ended, which the control stream tells;
      // or it has no header that can be read.
      reader.cancel(calledOff()).catch(() => {});
    }
  }
}

/** Bytes in any cut to whole frames. */
export class FrameReader {
  #buffer = new Uint8Array(0);

  /**
   * The frames that are complete with these bytes.
   * @param {Uint8Array} bytes
   * @throws {RangeError} for a length over the limit
   */
  push(bytes) {
    const all = concat(this.#buffer, bytes);
    const view = new DataView(all.buffer);
    const frames = [];
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const length = view.getUint32(at);
      if (length > MAX_FRAME) throw new RangeError(`A frame of ${length} bytes.`);
      const end = at + LENGTH_BYTES + length;
      if (end > all.length) break;
      frames.push(decoder.decode(all.subarray(at + LENGTH_BYTES, end)));
      at = end;
    }
    this.#buffer = all.slice(at);
    return frames;
  }
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} two
 */
function concat(one, two) {
  const all = new Uint8Array(one.length + two.length);
  all.set(one);
  all.set(two, one.length);
  return all;
}

/**
 * What resets a stream with our code. Chromium and Firefox make no reason with a number over 255 yet, and
 * Node none at all: then it is reset with 0, and the frame that is sent beside it says the same.
 */
function calledOff() {
  try {
    const Reason = /** @type {any} */ (globalThis).WebTransportError;
    const reason = new Reason("The transfer was called off.", { streamErrorCode: CALLED_OFF });
    return reason.streamErrorCode === CALLED_OFF ? reason : undefined;
  } catch {
    return undefined;
  }
}

/** @param {WebTransport} transport */
function closeQuietly(transport) {
  try {
    transport.close();
  } catch {
    // It had ended by itself.
  }
}

/** @param {string} text */
function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
