/**
 * WebTransport without a network: a class with the browser's face whose other end is a FakeServer.
 * Bytes are cut and joined at random, as a stream may.
 */

import { EventEmitter } from "node:events";
import { Random } from "./random.js";

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
        this.end({ closeCode, reason: "" });
      };
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
      this.datagrams = { readable: datagramsDown.readable, writable: datagramsUp };
      this.createBidirectionalStream = async () => {
        up(() => server.accept(socket));
        return { readable: streamDown.readable, writable: streamUp };
      };
    }
  };
}
