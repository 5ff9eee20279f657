/**
 * @file Looks at a connection once a second: its numbers for whoever shows them, and what they mean for the picture.
 */

import { Numbers } from "./numbers.js";
import { Quality } from "./quality.js";

const EVERY_MS = 1_000;
/** So many readings with nothing coming in, after something did: browsers call such a way lost only after some 8 s. */
const QUIET = 2;
/** What was read this short a time ago is the answer still. */
const FRESH_MS = 200;

/** @typedef {import("./numbers.js").Stats} Stats */

/**
 * @typedef {object} GaugeHost
 * @property {() => import("./peer.js").Peer | null} peer
 * @property {() => boolean} connected whether media flows
 * @property {() => boolean} pictured whether a picture goes out, or would on a better line
 * @property {(stats: Stats) => void} stats
 * @property {() => void} silent nothing comes in any more
 * @property {(level: import("./quality.js").Level, cap: number) => void} quality `cap`: most bits a second for the picture
 */

export class Gauge {
  /** What was read last. @type {Stats} */
  last;
  #host;
  #numbers = new Numbers();
  #quality = new Quality();
  #readAt = -Infinity;
  /** Readings in a row with nothing coming in; `QUIET`: it was told, or nothing has come yet. */
  #quiet = QUIET;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stopped = false;

  /** @param {GaugeHost} host */
  constructor(host) {
    this.#host = host;
    this.last = this.#numbers.read([], performance.now());
    this.#numbers.restart();
    this.#next();
  }

  /** Of all packets of the call. */
  get lossPercent() {
    return this.#numbers.lossPercent;
  }

  /** Most bits a second for the picture. */
  get cap() {
    return this.#quality.cap;
  }

  /** The connection is another one. */
  restart() {
    this.#numbers.restart();
    this.#readAt = -Infinity;
    this.#quiet = QUIET;
  }

  /** @returns {Promise<Stats>} */
  async read() {
    const peer = this.#host.peer();
    if (!peer || performance.now() - this.#readAt < FRESH_MS) return this.last;
    // A connection that is being closed may have nothing to tell.
    const report = await peer.report().catch(() => null);
    if (!report || peer !== this.#host.peer()) return this.last;
    this.#readAt = performance.now();
    this.last = this.#numbers.read(report, this.#readAt);
    return this.last;
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next() {
    this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  async #look() {
    const stats = this.#host.connected() ? await this.read() : null;
    if (this.#stopped) return;
    if (stats && this.#host.connected()) {
      this.#host.stats(stats);
      this.#listen(stats);
      const { lossUpPercent, lossPercent, rttMs, availableUp } = stats;
      const changed = this.#host.pictured() && this.#quality.note({ lossPercent: lossUpPercent ?? lossPercent, rttMs, availableUp }, this.#readAt);
      if (changed) this.#host.quality(this.#quality.level, this.#quality.cap);
    }
    if (!this.#stopped) this.#next();
  }

  /** @param {Stats} stats */
  #listen({ bitrateDown }) {
    if (bitrateDown === null) return;
    const before = this.#quiet;
    this.#quiet = bitrateDown > 0 ? 0 : Math.min(QUIET, before + 1);
    if (before < QUIET && this.#quiet === QUIET) this.#host.silent();
  }
}
