/**
 * WebTransport without a network: a class with the browser's face whose other end is a FakeServer.
 * Bytes are cut and joined at random, as a stream may.
 */

import { EventEmitter } from "node:events";
import { decodeChunk, encodeChunk } from "../../../web-demo/sdk/link/chunk.js";
import { Random } from "./random.js";

/** A stream's writes wait while so many bytes are on their way. */
const SEND_BUFFER = 256 * 1024;

/** What a browser has and Node has not. */
export class WebTransportError extends Error {
  constructor(message, { streamErrorCode = null } = {}) {
    super(message);
    this.streamErrorCode = streamErrorCode;
  }
}

/** A path on which nothing takes time and nothing goes wrong. */
const IDEAL = { opens: async () => {}, lane: () => (deliver) => deliver() };

export function fakeWebTransport(server, seed = 1, pathOf = () => IDEAL) {
  return class FakeWebTransport {
    /** What the last one was made with. */
    static last;
    /** How many were made. */
    static made = 0;

    constructor(url, options) {
      this.constructor.last = { url, options, transport: this };
      this.constructor.made += 1;
      const path = pathOf(url);
      const [up, down] = [path.lane(), path.lane()];
      this.ready = path.opens();
      this.closed = new Promise((resolve) => (this.end = resolve));
      const random = new Random(seed);
      const streamDown = new TransformStream();
      const downWriter = streamDown.writable.getWriter();
      const datagramsDown = new TransformStream();
      const datagramWriter = datagramsDown.writable.getWriter();
      const socket = new EventEmitter();
      let ended = false;
      const finish = (closeCode) => {
        ended = true;
        downWriter.close().catch(() => {});
        datagramWriter.close().catch(() => {});
        for (const { end } of downloads.values()) end(new Error("closed"));
        this.end({ closeCode, reason: "" });
      };
      const downloads = new Map();
      let rest = Buffer.alloc(0);
      socket.send = (text) => down(() => {
        if (ended) return;
        const body = Buffer.from(text);
        const frame = Buffer.alloc(4 + body.length);
        frame.writeUInt32BE(body.length);
        body.copy(frame, 4);
        rest = Buffer.concat([rest, frame]);
        const cut = random.below(rest.length + 1);
        downWriter.write(new Uint8Array(rest.subarray(0, cut))).catch(() => {});
        rest = rest.subarray(cut);
        setImmediate(() => {
          if (ended) return;
          downWriter.write(new Uint8Array(rest)).catch(() => {});
          rest = Buffer.alloc(0);
        });
      });
      socket.sendDatagram = (text) => down(() => {
        if (!ended) datagramWriter.write(new TextEncoder().encode(text)).catch(() => {});
      }, { volatile: true });
      socket.close = socket.terminate = (code) => {
        down(() => setImmediate(finish, code));
        setImmediate(() => socket.emit("close"));
      };
      this.close = () => {
        finish(0);
        up(() => socket.emit("close"));
      };
      this.socket = socket;

      let buffer = Buffer.alloc(0);
      const read = (bytes) => {
        buffer = Buffer.concat([buffer, bytes]);
        while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE()) {
          const end = 4 + buffer.readUInt32BE();
          socket.emit("message", buffer.subarray(4, end));
          buffer = buffer.subarray(end);
        }
      };
      const streamUp = new WritableStream({ write: (bytes) => up(() => read(bytes)) });
      /** Texts of the datagrams that came up. */
      this.datagramsUp = [];
      const datagramsUp = new WritableStream({
        write: (bytes) => up(() => {
          this.datagramsUp.push(Buffer.from(bytes).toString());
          socket.emit("message", Buffer.from(bytes));
        }, { volatile: true }),
      });
      /** Bytes of transfers that were read. */
      this.downloaded = 0;
      let incoming;
      this.incomingUnidirectionalStreams = new ReadableStream({ start: (controller) => (incoming = controller) });
      const download = (id, offset) => {
        const lane = path.lane();
        const parts = [];
        let ended = false;
        let wake = () => {};
        let end;
        const stream = new ReadableStream({
          start: (controller) => (end = (error) => controller.error(error)),
          pull: async (controller) => {
            while (parts.length === 0 && !ended) await new Promise((resolve) => (wake = resolve));
            if (parts.length === 0) return controller.close();
            const part = parts.shift();
            this.downloaded += part.length;
            controller.enqueue(part);
          },
          cancel: (reason) => up(() => socket.emit("reset", id, reason?.streamErrorCode)),
        }, { highWaterMark: 0 });
        incoming.enqueue(stream);
        const write = (bytes) => lane(() => {
          const cut = random.below(bytes.length + 1);
          parts.push(...[bytes.slice(0, cut), bytes.slice(cut)].filter(({ length }) => length > 0));
          wake();
        }, { bytes: bytes.length });
        write(encodeChunk(id, offset));
        const close = () => lane(() => {
          ended = true;
          wake();
        });
        return { write, close, end };
      };
      socket.sendBytes = (id, offset, bytes) => {
        if (!downloads.has(id)) downloads.set(id, download(id, offset));
        downloads.get(id).write(new Uint8Array(bytes));
      };
      socket.endBytes = (id) => {
        downloads.get(id)?.close();
        downloads.delete(id);
      };
      /** What each of the client's streams was made with. */
      this.uploads = [];
      this.createUnidirectionalStream = async (options) => {
        this.uploads.push(options);
        const lane = path.lane();
        let head = Buffer.alloc(0);
        let at = null;
        let underWay = 0;
        let wake = () => {};
        const take = (bytes) => {
          if (at) {
            socket.emit("bytes", at.id, at.offset, bytes);
            at.offset += bytes.length;
            return;
          }
          head = Buffer.concat([head, bytes]);
          const chunk = decodeChunk(head);
          if (!chunk) return;
          at = { id: chunk.id, offset: chunk.offset };
          take(chunk.bytes);
        };
        return new WritableStream({
          write: async (bytes) => {
            underWay += bytes.length;
            lane(() => {
              underWay -= bytes.length;
              take(bytes);
              wake();
            }, { bytes: bytes.length });
            while (underWay > SEND_BUFFER) await new Promise((resolve) => (wake = resolve));
          },
          close: () => lane(() => socket.emit("fin", at.id)),
          abort: (reason) => lane(() => socket.emit("reset", at?.id, reason?.streamErrorCode)),
        });
      };
      this.datagrams = { readable: datagramsDown.readable, writable: datagramsUp };
      this.createBidirectionalStream = async () => {
        up(() => server.accept(socket));
        return { readable: streamDown.readable, writable: streamUp };
      };
    }
  };
}
