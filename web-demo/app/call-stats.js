/** The numbers of a call while it goes on: three small plots, and what they say now. */

import { CallHistory } from "./call-history.js";
import { h, icon, write } from "./dom.js";
import { plotView } from "./plot.js";
import { millis } from "./words.js";

const ID = "call-stats";

/** @typedef {import("./calls.js").Stats} Stats */

export function callStats() {
  const history = new CallHistory();
  const rows = { rtt: row("Round trip", "ms"), loss: row("Lost on the way", "%"), rate: row("Sent and received", "kbit/s") };
  const [up, down] = [h("span", { class: "call-key" }), h("span", { class: "call-key call-key-down" })];
  rows.rate.value.append(up, down);
  const more = h("p", { class: "hint call-stats-more" });
  const button = h("button", { class: "call-tool", type: "button", popovertarget: ID, "data-testid": "call-details", "aria-label": "Numbers of this call", title: "Numbers of this call" }, icon("numbers"));
  const panel = h(
    "div",
    { class: "panel call-panel", id: ID, popover: "auto", role: "dialog", "aria-labelledby": "call-stats-title", tabindex: "-1", autofocus: true, "data-testid": "call-stats" },
    h("div", { class: "panel-head" }, h("h2", { id: "call-stats-title" }, "This call"), h("button", { class: "panel-close", type: "button", popovertarget: ID, popovertargetaction: "hide", "aria-label": "Close" }, icon("close"))),
    ...Object.values(rows).map(({ element }) => element),
    more,
  );
  panel.addEventListener("toggle", draw);

  return {
    button,
    panel,
    /** @param {Stats} stats */
    note(stats) {
      history.note(stats, performance.now());
      write(more, told(stats));
      draw();
    },
  };

  function draw() {
    if (!panel.matches(":popover-open")) return;
    const now = performance.now();
    const last = history.last;
    for (const [name, { plot }] of Object.entries(rows)) plot.draw(history.plot(/** @type {keyof typeof rows} */ (name), now));
    write(rows.rtt.value, last?.rtt == null ? "Not measured yet" : millis(last.rtt));
    write(rows.loss.value, last?.loss == null ? "Not measured yet" : `${last.loss.toFixed(last.loss < 10 ? 1 : 0)} %`);
    write(up, rate(last?.up));
    write(down, rate(last?.down));
  }
}

/**
 * @param {string} name
 * @param {string} unit
 */
function row(name, unit) {
  const value = h("span", { class: "call-stat-value" });
  const plot = plotView(unit);
  return { value, plot, element: h("figure", { class: "call-stat" }, h("figcaption", {}, h("span", {}, name), value), plot.element) };
}

/** @param {number | null} [kilobits] a second */
function rate(kilobits) {
  if (kilobits == null) return "–";
  return kilobits < 999.5 ? `${Math.round(kilobits)}\u00a0kbit/s` : `${(kilobits / 1000).toFixed(1)}\u00a0Mbit/s`;
}

/** @param {Stats} stats */
function told({ width, height, framesPerSecond, localCandidate, remoteCandidate }) {
  const picture = width && height ? `Their picture is ${width} × ${height}${framesPerSecond ? `, ${Math.round(framesPerSecond)} times a second` : ""}. ` : "";
  const way = localCandidate && remoteCandidate ? `Candidates: ${localCandidate} here, ${remoteCandidate} there.` : "";
  return `${picture}${way}`;
}
