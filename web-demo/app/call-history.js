/** How a call went in its last minute: round trips, losses and bitrates, and where each lies in its plot. Pure. */

/**
 * @typedef {{ rttMs?: number | null, lossPercent?: number | null, bitrateUp?: number | null, bitrateDown?: number | null }} Numbers as the SDK gives them, bits a second
 * @typedef {{ at: number, rtt: number | null, loss: number | null, up: number | null, down: number | null }} Sample
 * @typedef {"rtt" | "loss" | "up" | "down"} Series
 */

/** Nothing older is kept or drawn; in milliseconds. */
const KEPT_MS = 60_000;
/** Without a number for this long a line is broken. */
const GAP_MS = 3500;

/** The plots: what is in each, and the heights that its axis may have. */
const PLOTS = {
  rtt: { series: /** @type {Series[]} */ (["rtt"]), heights: [20, 50, 100, 200, 500, 1000, 2000, 5000] },
  loss: { series: /** @type {Series[]} */ (["loss"]), heights: [2, 5, 10, 20, 50, 100] },
  rate: { series: /** @type {Series[]} */ (["up", "down"]), heights: [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000] },
};

export class CallHistory {
  /** @type {Sample[]} the oldest first */
  #samples = [];

  /**
   * @param {Numbers} numbers
   * @param {number} now
   */
  note({ rttMs, lossPercent, bitrateUp, bitrateDown }, now) {
    this.#samples.push({ at: now, rtt: number(rttMs), loss: number(lossPercent), up: kilo(bitrateUp), down: kilo(bitrateDown) });
    this.#samples = this.#samples.filter(({ at }) => at > now - KEPT_MS);
  }

  /** The newest; `undefined`: nothing was measured yet. */
  get last() {
    return this.#samples.at(-1);
  }

  /**
   * Where everything lies: `x` and `y` from 0 to 1, `y` upwards.
   * @param {keyof typeof PLOTS} name
   * @param {number} now
   */
  plot(name, now) {
    const { series, heights } = PLOTS[name];
    const most = Math.max(0, ...this.#samples.flatMap((sample) => series.map((key) => sample[key] ?? 0)));
    const height = heights.find((height) => height >= most * 1.1) ?? Math.ceil(most);
    const lines = series.flatMap((key) => this.#stretches(key).map((stretch) => ({
      door: key,
      points: stretch.map(({ at, value }) => ({ x: Math.max(0, 1 - (now - at) / KEPT_MS), y: value / height })),
    })));
    return { minutes: KEPT_MS / 60_000, height, lines, gaps: [], marks: [] };
  }

  /** What was measured without a break. @param {Series} key */
  #stretches(key) {
    /** @type {{ at: number, value: number }[][]} */
    const stretches = [];
    for (const sample of this.#samples) {
      const value = sample[key];
      if (value === null) continue;
      const open = stretches.at(-1);
      const before = open?.at(-1);
      if (open && before && sample.at - before.at < GAP_MS) open.push({ at: sample.at, value });
      else stretches.push([{ at: sample.at, value }]);
    }
    return stretches;
  }
}

/** @param {number | null | undefined} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? Math.max(0, value) : null;
}

/** @param {number | null | undefined} bits a second */
function kilo(bits) {
  const value = number(bits);
  return value === null ? null : value / 1000;
}
