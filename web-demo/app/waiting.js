/** Looking for someone: how long, what is being tried, and how to try it alone. */

import { h, write } from "./dom.js";
import { languageName } from "./languages.js";
import { approach } from "./shapes.js";
import { list, wait } from "./words.js";

/**
 * @typedef {"exact" | "wider" | "anyone"} Stage
 * @typedef {{ stage: Stage, waitedMs: number, widensInMs?: number }} Matching
 */

/** @type {Stage[]} */
const STAGES = ["exact", "wider", "anyone"];

/**
 * @param {{ choice: import("./store.js").Choice, cancel(): void }} options
 */
export function waiting({ choice, cancel }) {
  const shapes = approach();
  const clock = h("p", { class: "clock", role: "timer", "aria-live": "off", "aria-label": "Time waited" }, "0:00");
  const said = h("p", { class: "hidden", role: "status" });
  const steps = plan(choice).map((step) => ({
    ...step,
    row: h("li", { class: "step" }, h("bdi", { class: "step-words" }, step.words), h("span", { class: "step-when" })),
  }));
  const stop = h("button", { class: "button wide", type: "button", "data-testid": "cancel", onclick: cancel }, "Stop looking");
  const element = h(
    "section",
    { class: "waiting", "data-testid": "waiting" },
    shapes,
    h("h1", {}, "Looking for someone"),
    clock,
    h("ol", { class: "steps" }, ...steps.map((step) => step.row)),
    said,
    stop,
    alone(),
  );

  let since = performance.now();
  /** When the next stage begins, on the clock of `performance.now()`. */
  let widensAt = Infinity;
  /** @type {Stage} */
  let stage = "exact";
  draw();
  const timer = setInterval(tick, 250);

  return {
    element,
    focus: () => stop.focus({ preventScroll: true }),
    close: () => clearInterval(timer),
    /** @param {Matching} matching */
    update(matching) {
      since = performance.now() - matching.waitedMs;
      widensAt = matching.widensInMs === undefined ? Infinity : performance.now() + matching.widensInMs;
      stage = matching.stage;
      draw();
    },
  };

  function draw() {
    const at = now();
    shapes.dataset.stage = stage;
    element.dataset.stage = stage;
    for (const [index, step] of steps.entries()) {
      step.row.dataset.is = index < at ? "past" : index === at ? "now" : "next";
      if (index === at) step.row.setAttribute("aria-current", "step");
      else step.row.removeAttribute("aria-current");
    }
    write(said, `Looking for: ${steps[at]?.words}`);
    tick();
  }

  function now() {
    return steps.findIndex((step) => step.stages.includes(stage));
  }

  function tick() {
    const seconds = Math.floor((performance.now() - since) / 1000);
    write(clock, `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
    const left = widensAt - performance.now();
    for (const [index, step] of steps.entries()) {
      const soon = index === now() + 1 && step.stages.includes(following(stage)) && left > 0 && Number.isFinite(left);
      const when = step.row.lastElementChild;
      if (when) write(when, soon ? `in ${wait(left)}` : "");
    }
  }
}

/** @param {Stage} stage */
function following(stage) {
  return STAGES[STAGES.indexOf(stage) + 1] ?? "anyone";
}

/**
 * What is tried in each stage: first all that was chosen, then no shared interest, then nothing shared.
 * Stages that come to the same are one step.
 * @param {import("./store.js").Choice} choice
 */
function plan({ interests, languages }) {
  const into = interests.length ? ` into ${list(interests, "or")}` : "";
  const speaks = languages.length ? ` who speaks ${list(languages.map(languageName), "or")}` : "";
  const tried = [into ? `Someone${into}${speaks}` : `Anyone${speaks}`, `Anyone${speaks}`, "Anyone who is here"];
  /** @type {{ words: string, stages: Stage[] }[]} */
  const steps = [];
  for (const [index, stage] of STAGES.entries()) {
    const words = tried[index] === "Anyone" ? "Anyone who is here" : tried[index] ?? "";
    const same = steps.find((step) => step.words === words);
    if (same) same.stages.push(stage);
    else steps.push({ words, stages: [stage] });
  }
  return steps;
}

/** The hint for a first visitor, who is often the only one here. */
function alone() {
  const address = location.origin + location.pathname;
  const said = h("span", { class: "hidden", role: "status" });
  const copy = h("button", { class: "button small", type: "button" }, "Copy link");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(address);
      copy.textContent = "Copied";
      said.textContent = "Link copied";
    } catch {
      // Without leave to copy, the address itself can be picked up by hand.
      copy.replaceWith(h("span", { class: "address" }, address));
    }
  });
  // `noopener` also gives the new window a session storage of its own: a second person, not a copy of this one.
  const open = () => window.open(address, "_blank", "popup,noopener,width=480,height=800");
  return h(
    "aside",
    { class: "alone" },
    h("p", {}, "Trying this out by yourself? Open this page in a second window."),
    h("div", { class: "pair" }, h("button", { class: "button small", type: "button", onclick: open }, "Open a window"), copy, said),
  );
}
