/**
 * What the link did lately: round trips, gaps, and moves between doors; and where all of it lies on a plot.
 * Pure: no clock, no page. Times are milliseconds of one monotonic clock.
 */

/**
 * @typedef {"webtransport" | "websocket"} DoorName
 * @typedef {object} LinkDetail what the SDK's `link` event tells
 * @property {DoorName} door
 * @property {"connecting" | "open" | "closed"} state
 * @property {number} [rttMs]
 * @property {string} [reason]
 * @property {DoorName} [from] the door before, when the session goes on over a new link
 * @property {"lost" | "silent" | "better" | "asked" | "node"} [why]
 *
 * @typedef {{ at: number, door: DoorName, from: DoorName, why: LinkDetail["why"] }} Move
 * @typedef {{ at: number, ms: number }} Sample
 * @typedef {{ door: DoorName, from: number, to: number | null, samples: Sample[] }} Stretch one link's life; `to`: its end
 */

const MINUTE = 60_000;
/** Nothing older than this is kept or drawn. */
const KEPT_MS = 5 * MINUTE;
/** The plot begins this wide, and widens by whole minutes up to what is kept. */
const NARROWEST_MS = MINUTE;
const MOST_MOVES = 5;
/** More round trips than this are thinned out by dropping the oldest. */
const MOST_SAMPLES = 600;
/** Heights that the axis may have, in milliseconds. */
const HEIGHTS = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
/** How wide the name at a mark is, as a share of the plot; nearer marks take the next row. */
const LABEL = 0.34;
const ROWS = 2;
/** Reasons of a door that was tried and did not open; `slower` is one, where another is begun half a second later. */
const NO_DOOR = new Set(["slower", "door-shut", "door-timeout", "hello-unanswered"]);

export class LinkHistory {
  /** @type {Stretch[]} the oldest first */
  #stretches = [];
  /** @type {Move[]} the newest first */
  #moves = [];
  #since = 0;
  #blocked = false;

  /** The door in use; `null`: there is no link. */
  get door() {
    return this.#open?.door ?? null;
  }

  /** Since when the door in use is the one in use: a new link through the same door changes nothing. */
  get since() {
    return this.#since;
  }

  /** WebTransport was tried and did not open, or went silent: most likely the network drops UDP. */
  get blocked() {
    return this.#blocked;
  }

  /** The last moves, the newest first. */
  get moves() {
    return this.#moves;
  }

  /**
   * Takes in what the SDK told. Returns the move, if it was one.
   * @param {LinkDetail} detail
   * @param {number} now
   * @returns {Move | null}
   */
  note({ door, state, rttMs, reason = "", from, why }, now) {
    if (state === "closed") {
      if (door === this.door) this.#end(now);
      else if (door === "webtransport" && NO_DOOR.has(reason)) this.#blocked = true;
    }
    if (state !== "open") return null;
    if (door === "webtransport") this.#blocked = false;
    else if (why === "silent" && from === "webtransport") this.#blocked = true;
    const fresh = from !== undefined || door !== this.door;
    if (fresh) {
      this.#end(now);
      if (door !== (from ?? this.#stretches.at(-1)?.door)) this.#since = now;
      this.#stretches.push({ door, from: now, to: null, samples: [] });
    }
    // On a new link, the round trip told is still that of the link before.
    if (rttMs !== undefined && !fresh) this.#open?.samples.push({ at: now, ms: rttMs });
    this.#forget(now);
    if (from === undefined) return null;
    const move = { at: now, door, from, why };
    this.#moves = [move, ...this.#moves].slice(0, MOST_MOVES);
    return move;
  }

  /**
   * Where everything lies: `x` and `y` from 0 to 1, `y` upwards.
   * @param {number} now
   */
  plot(now) {
    this.#forget(now);
    const begin = this.#stretches[0]?.from ?? now;
    const span = Math.min(KEPT_MS, Math.max(NARROWEST_MS, MINUTE * Math.ceil((now - begin) / MINUTE)));
    const samples = this.#samples;
    const most = Math.max(0, ...samples.map(({ ms }) => ms));
    const height = HEIGHTS.find((height) => height >= most * 1.1) ?? most;
    /** @param {number} at */
    const x = (at) => Math.max(0, 1 - (now - at) / span);
    const lines = this.#stretches.map(({ door, samples }) => ({
      door,
      points: samples.map(({ at, ms }) => ({ x: x(at), y: ms / height })),
    }));
    const ends = this.#stretches.map(({ to }, index) => ({ from: to, to: this.#stretches[index + 1]?.from ?? now }));
    const gaps = ends.flatMap(({ from, to }) => (from !== null && to > from ? [{ from: x(from), to: x(to) }] : []));
    return { minutes: span / MINUTE, height, lines: lines.filter(({ points }) => points.length), gaps, marks: this.#marks(now, span) };
  }

  /**
   * The numbers in short; `null`: nothing was measured yet.
   * @param {number} now
   */
  summary(now) {
    this.#forget(now);
    const sorted = this.#samples.map(({ ms }) => ms).sort((a, b) => a - b);
    const first = this.#samples[0];
    if (!first) return null;
    return {
      last: /** @type {Sample} */ (this.#samples.at(-1)).ms,
      median: sorted[Math.floor(sorted.length / 2)],
      most: sorted[sorted.length - 1],
      overMs: now - first.at,
    };
  }

  get #open() {
    const last = this.#stretches.at(-1);
    return last?.to === null ? last : undefined;
  }

  get #samples() {
    return this.#stretches.flatMap(({ samples }) => samples);
  }

  /** @param {number} now */
  #end(now) {
    const open = this.#open;
    if (open) open.to = now;
  }

  /**
   * Marks with room for their names: the newest first in the lowest row; where no row has room, a mark has no name.
   * @param {number} now
   * @param {number} span
   */
  #marks(now, span) {
    const taken = Array(ROWS).fill(Infinity);
    return this.#moves.filter(({ at }) => now - at < span).map(({ at, door }) => {
      const x = 1 - (now - at) / span;
      // In the right half the name stands to the left of its mark.
      const [left, right] = x > 0.5 ? [x - LABEL, x] : [x, x + LABEL];
      const row = taken.findIndex((until) => right <= until);
      if (row >= 0) taken[row] = left;
      return { x, door, row, side: x > 0.5 ? "left" : "right" };
    });
  }

  /** @param {number} now */
  #forget(now) {
    const from = now - KEPT_MS;
    let spare = this.#samples.length - MOST_SAMPLES;
    for (const stretch of this.#stretches) {
      const old = stretch.samples.filter((sample) => sample.at < from).length;
      const dropped = Math.min(stretch.samples.length, Math.max(old, spare));
      stretch.samples.splice(0, dropped);
      spare -= dropped;
    }
    this.#stretches = this.#stretches.filter(({ to }) => to === null || to >= from);
  }
}
