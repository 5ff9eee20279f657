/**
 * WebTransport without a network: a class with the browser's face whose other end is a FakeServer.
 * Bytes are cut and joined at random, as a stream may.
 */

import { EventEmitter } from "node:events";
import { Random } from "./random.js";

export function fakeWebTransport(server, seed = 1) {
  return class FakeWebTransport {
    /** What the last one was made with. */
    static last;

    constructor(url, options) {
      this.constructor.last = { url, options, transport: this };
      this.ready = Promise.resolve();
      this.closed = new Promise((resolve) => (this.end = resolve));
      const random = new Random(seed);
      const down = new TransformStream();
      const downWriter = down.writable.getWriter();
      const datagramsDown = new TransformStream();
      const datagramWriter = datagramsDown.writable.getWriter();
      const socket = new EventEmitter();
      const finish = (closeCode) => {
        downWriter.close().catch(() => {});
        datagramWriter.close().catch(() => {});
        this.end({ closeCode, reason: "" });
        socket.emit("close");
      };
      let rest = Buffer.alloc(0);
      socket.send = (text) => {
        const body = Buffer.from(text);
        const frame = Buffer.alloc(4 + body.length);
        frame.writeUInt32BE(body.length);
        body.copy(frame, 4);
        rest = Buffer.concat([rest, frame]);
        const cut = random.below(rest.length + 1);
        downWriter.write(new Uint8Array(rest.subarray(0, cut))).catch(() => {});
        rest = rest.subarray(cut);
        setImmediate(() => {
          downWriter.write(new Uint8Array(rest)).catch(() => {});
          rest = Buffer.alloc(0);
        });
      };
      socket.sendDatagram = (text) => datagramWriter.write(new TextEncoder().encode(text)).catch(() => {});
      socket.close = socket.terminate = (code) => setImmediate(finish, code);
      this.close = () => finish(0);
      this.socket = socket;

      let buffer = Buffer.alloc(0);
      const up = new WritableStream({
        write(bytes) {
          buffer = Buffer.concat([buffer, bytes]);
          while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE()) {
            const end = 4 + buffer.readUInt32BE();
            socket.emit("message", buffer.subarray(4, end));
            buffer = buffer.subarray(end);
          }
        },
      });
      /** Texts of the datagrams that came up. */
      this.datagramsUp = [];
      const datagramsUp = new WritableStream({
        write: (bytes) => {
          this.datagramsUp.push(Buffer.from(bytes).toString());
          socket.emit("message", Buffer.from(bytes));
        },
      });
      this.datagrams = { readable: datagramsDown.readable, writable: datagramsUp };
      this.createBidirectionalStream = async () => {
        server.accept(socket);
        return { readable: down.readable, writable: up };
      };
    }
  };
}
