/** A stretch of network between two programs, as a TCP proxy of this process: it can be cut, or go silent. */

import { once } from "node:events";
import net from "node:net";

export class Wire {
  #port;
  #server;
  /** Both ends of each connection. @type {Set<net.Socket>} */
  #ends = new Set();
  /** @type {"whole" | "cut" | "silent"} */
  #state = "whole";

  /** @param {number} port of 127.0.0.1, where it leads */
  constructor(port) {
    this.#port = port;
    this.#server = net.createServer((near) => this.#join(near));
  }

  async open() {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    return this;
  }

  get port() {
    return /** @type {net.AddressInfo} */ (this.#server.address()).port;
  }

  /** Connections that stand now. */
  get connections() {
    return this.#ends.size / 2;
  }

  /** Every connection is reset, and so is each new one: a cable that both sides see. */
  cut() {
    this.#state = "cut";
    for (const end of this.#ends) end.resetAndDestroy();
  }

  /** Nothing comes through any more, and nobody is told: packets that are dropped. */
  silence() {
    this.#state = "silent";
    for (const end of this.#ends) end.pause();
  }

  /** What was held back comes through now, and new connections do. */
  mend() {
    this.#state = "whole";
    for (const end of this.#ends) end.resume();
  }

  async close() {
    const closed = once(this.#server.close(), "close");
    for (const end of this.#ends) end.destroy();
    await closed;
  }

  /** @param {net.Socket} near */
  #join(near) {
    if (this.#state === "cut") return void near.resetAndDestroy();
    const far = net.connect(this.#port, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#ends.add(from);
      from.setNoDelay(true);
      from.on("data", (bytes) => {
        if (to.write(bytes) || this.#state === "silent") return;
        from.pause();
        to.once("drain", () => this.#state === "whole" && from.resume());
      });
      from.on("end", () => to.end());
      // What the one end hears of a broken connection, the other must hear, too.
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#ends.delete(from);
        to.destroy();
      });
      if (this.#state === "silent") from.pause();
    }
  }
}
