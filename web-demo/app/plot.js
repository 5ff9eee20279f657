/** Draws numbers over time: a line for each link, or series, in its colour; gaps, and marks for moves. */

import { h, svg } from "./dom.js";
import { DOORS } from "./words.js";

/**
 * Where everything lies: `x` and `y` from 0 to 1, `y` upwards.
 * @typedef {object} Plot
 * @property {number} minutes how much time there is from left to right
 * @property {number} height what the top stands for
 * @property {{ door: string, points: { x: number, y: number }[] }[]} lines
 * @property {{ from: number, to: number }[]} gaps
 * @property {{ x: number, door: string, row: number, side: string }[]} marks
 */

/** The drawing is this wide and high, and stretched to its place; the words around it are not. */
const SIZE = 100;

/** @param {string} [unit] of the numbers */
export function plotView(unit = "ms") {
  const lines = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, preserveAspectRatio: "none" });
  const marks = h("div", { class: "plot-marks" });
  const height = h("span", { class: "plot-height" });
  const begin = h("span");
  const element = h(
    "div",
    { class: "plot", "aria-hidden": "true" },
    h("div", { class: "plot-field" }, lines, marks, height),
    h("div", { class: "plot-time" }, begin, h("span", {}, "now")),
  );
  return {
    element,
    /** @param {Plot} plot */
    draw(plot) {
      height.textContent = `${plot.height} ${unit}`;
      begin.textContent = `${plot.minutes} min ago`;
      lines.replaceChildren(...plot.gaps.map(gap), ...plot.lines.map(line));
      // A newer name lies over the line of an older mark.
      marks.replaceChildren(...plot.marks.map(mark).reverse());
    },
  };
}

/** @param {Plot["lines"][number]} line */
function line({ door, points }) {
  const steps = points.map(({ x, y }) => `${(x * SIZE).toFixed(2)} ${((1 - y) * SIZE).toFixed(2)}`);
  // A single point is a line of no length, and its round end a dot.
  const dot = steps.length > 1 ? "" : " plot-dot";
  return svg("path", { class: `plot-line plot-${door}${dot}`, d: `M${steps.join("L")}${dot && "h0"}` });
}

/** @param {Plot["gaps"][number]} gap */
function gap({ from, to }) {
  return svg("rect", { class: "plot-gap", x: String(from * SIZE), y: "0", width: String((to - from) * SIZE), height: String(SIZE) });
}

/** @param {Plot["marks"][number]} mark */
function mark({ x, door, row, side }) {
  const element = h("div", { class: `plot-mark plot-${door}`, "data-side": side, "data-row": row }, row >= 0 && h("span", {}, DOORS[door]));
  element.style.left = `${x * 100}%`;
  return element;
}
