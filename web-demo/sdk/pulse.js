/**
 * @file The heartbeat of the link of the moment, with its timer: pings, measures, and tells when
 * the other side is silent for too long.
 */

import { Heartbeat } from "./heartbeat.js";
import { isVisible } from "./page.js";

/**
 * @typedef {object} Heart
 * @property {(t: number) => void} ping the server sends `t` back
 * @property {() => void} dead told once; the pulse has stopped
 */

export class Pulse {
  /** @type {number | undefined} the last round trip, in milliseconds */
  rttMs;
  #heart;
  /** @type {Heartbeat | null} */
  #beat = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Heart} heart */
  constructor(heart) {
    this.#heart = heart;
  }

  /**
   * A link begins; its first round trip is measured at once.
   * @param {number} everyMs
   */
  start(everyMs) {
    const now = performance.now();
    this.#beat = new Heartbeat(everyMs, now);
    this.#heart.ping(now);
    this.#schedule();
  }

  stop() {
    this.#beat = null;
    clearTimeout(this.#timer);
  }

  /** @param {number} everyMs from now on */
  pace(everyMs) {
    this.#beat?.pace(everyMs, performance.now());
    this.#schedule();
  }

  /** Something arrived. */
  heard() {
    this.#beat?.heard(performance.now());
  }

  /** The network or the machine may have changed: the link has to answer soon. */
  probe() {
    if (!this.#beat) return;
    const now = performance.now();
    this.#beat.probe(now);
    this.#heart.ping(now);
    this.#schedule();
  }

  /**
   * A ping's answer is here.
   * @param {number} t of that ping
   */
  measure(t) {
    this.rttMs = Math.max(0, Math.round((performance.now() - t) * 10) / 10);
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (!this.#beat) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, this.#beat.dueAt - performance.now()));
  }

  #tick() {
    const now = performance.now();
    const verdict = this.#beat?.tick(now, isVisible());
    if (verdict === "dead") {
      this.stop();
      return this.#heart.dead();
    }
    if (verdict === "ping") this.#heart.ping(now);
    this.#schedule();
  }
}
