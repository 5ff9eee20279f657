/**
 * @file The heartbeat of the link of the moment, with its timer: pings, measures, and tells when
 * the other side is silent for too long.
 */

import { Heartbeat } from "./heartbeat.js";
import { isVisible } from "./page.js";

/** A slow path gets this many times the patience at most. */
const MOST_LENIENT = 4;

/**
 * @typedef {object} Heart
 * @property {(t: number) => void} ping the server sends `t` back
 * @property {() => void} suspect the link may be dead
 * @property {() => void} answered a suspected link is alive after all
 * @property {() => void} dead told once; the pulse has stopped
 */

export class Pulse {
  /** @type {number | undefined} the last round trip of this link, in milliseconds */
  rttMs;
  #heart;
  /** @type {Heartbeat | null} */
  #beat = null;
  /** Doubled by each suspicion, until all that was said is acknowledged. */
  #leniency = 1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Heart} heart */
  constructor(heart) {
    this.#heart = heart;
  }

  /** Whether the link of the moment may be dead. */
  get suspect() {
    return this.#beat?.suspect ?? false;
  }

  /**
   * A link begins; its first round trip is measured at once.
   * @param {number} everyMs
   */
  start(everyMs) {
    const now = performance.now();
    this.rttMs = undefined;
    this.#beat = new Heartbeat(everyMs, now, this.#leniency);
    this.#beat.asked(now);
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
    this.#learn((beat, now) => beat.heard(now));
  }

  /** An event that wants an acknowledgement was written. */
  wrote() {
    this.#beat?.wrote(performance.now());
    this.#schedule();
  }

  /** @param {boolean} more whether events still wait for their acknowledgement */
  acked(more) {
    if (!more) this.#leniency = 1;
    this.#learn((beat, now) => beat.acked(more, now));
    this.#schedule();
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
    this.#beat?.measured(this.rttMs);
  }

  /** @param {(beat: Heartbeat, now: number) => void} what */
  #learn(what) {
    const beat = this.#beat;
    if (!beat) return;
    const before = beat.suspect;
    what(beat, performance.now());
    if (!before || beat.suspect) return;
    this.#leniency = 1;
    this.#heart.answered();
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
    if (verdict === "ping" || verdict === "suspect") this.#heart.ping(now);
    this.#schedule();
    if (verdict === "suspect") {
      this.#leniency = Math.min(MOST_LENIENT, 2 * this.#leniency);
      this.#heart.suspect();
    }
  }
}
