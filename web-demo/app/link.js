/** The link's life: a badge in the corner, and behind it a panel with its round trips and its moves. */

import { h, icon, write } from "./dom.js";
import { LinkHistory } from "./history.js";
import { plotView } from "./plot.js";
import { notify, notifyProblem } from "./shell.js";
import { DOORS, millis, moved, problemOf, wait } from "./words.js";

/** @typedef {import("/sdk/duologue.js").Duologue} Duologue */

const REDRAW_MS = 1000;
const BLOCKED = "Your network seems to block UDP, so we talk over WebSocket. Nothing is lost.";
/** @type {Record<string, string>} */
const ABOUT = { webtransport: "The quick way, over UDP.", websocket: "The way that works in every network, over TCP." };

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

const door = h("span", { class: "door", "data-testid": "door" });
const rtt = h("span", { class: "rtt", "data-testid": "rtt" });
const badge = h(
  "button",
  { class: "badge", type: "button", popovertarget: "link-panel", "aria-haspopup": "dialog", "data-testid": "link", hidden: true },
  h("span", { class: "lamp" }),
  h("span", { class: "hidden" }, "Connection: "),
  door,
  " ",
  rtt,
);
const title = h("h2", { id: "link-title" });
const about = h("p", { class: "panel-about" });
const plot = plotView();
const summary = h("figcaption", { class: "hint" });
const moves = h("ol", { class: "moves" });
const cut = h("button", { class: "button small", type: "button", "data-testid": "cut-link", onclick: () => client?.cutLink() }, "Cut the link");
const ways = [way("auto", "Automatic", "use-auto"), way("webtransport", "WebTransport"), way("websocket", "WebSocket")];
const panel = h(
  "div",
  { class: "panel", id: "link-panel", popover: "auto", role: "dialog", "aria-labelledby": "link-title", tabindex: "-1", autofocus: true, "data-testid": "link-panel" },
  h("div", { class: "panel-head" }, title, h("button", { class: "panel-close", type: "button", popovertarget: "link-panel", popovertargetaction: "hide", "aria-label": "Close" }, icon("close"))),
  about,
  h("figure", { class: "panel-plot" }, plot.element, summary),
  moves,
  h(
    "details",
    { class: "panel-tools" },
    h("summary", {}, "For developers"),
    h("div", { class: "routes", role: "group", "aria-label": "Way to the server" }, ...ways.map(({ button }) => button)),
    cut,
  ),
);
document.querySelector(".top-end")?.prepend(badge);
document.body.append(panel);

let history = new LinkHistory();
/** @type {Duologue | null} */
let client = null;
/** What was asked for; it stays until that link ends. */
let kept = "auto";
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

panel.addEventListener("toggle", (event) => {
  clearInterval(timer);
  if (/** @type {ToggleEvent} */ (event).newState !== "open") return;
  draw();
  timer = setInterval(draw, REDRAW_MS);
});

/**
 * Shows the links of this client until the signal.
 * @param {Duologue} next
 * @param {AbortSignal} signal
 */
export function followLink(next, signal) {
  client = next;
  history = new LinkHistory();
  kept = "auto";
  next.addEventListener("reconnecting", () => mark("reconnecting"), { signal });
  next.addEventListener("link", ({ detail }) => {
    const move = history.note(detail, performance.now());
    // What was asked for ends with its link; a move that is asked for says so when it is done.
    if (!history.door) kept = "auto";
    // A break that ended on the same door was told by the banner; of another server the talk tells.
    if (move && move.door !== move.from && move.why !== "node") notify(moved(move, "is"));
    show(detail);
  }, { signal });
}

export function hideLink() {
  client = null;
  badge.hidden = true;
  if (panel.matches(":popover-open")) panel.hidePopover();
}

/** @param {import("./history.js").LinkDetail} detail */
function show({ door: name, state, rttMs }) {
  if (state === "open") {
    badge.hidden = false;
    write(door, DOORS[name]);
    mark("open");
    if (rttMs !== undefined) write(rtt, millis(rttMs));
  } else if (!history.door) mark("closed");
  const blocked = history.door === "websocket" && history.blocked;
  badge.title = blocked ? BLOCKED : `Connected over ${door.textContent}. The number is the round trip to the server.`;
  if (panel.matches(":popover-open")) draw();
}

/** @param {string} state */
function mark(state) {
  door.dataset.state = badge.dataset.state = state;
}

function draw() {
  const now = performance.now();
  const name = history.door;
  write(title, name ? `Over ${DOORS[name]}` : "Connecting again");
  const since = `In use since ${told(history.since)}, for ${wait(now - history.since)}.`;
  write(about, name ? `${history.blocked ? BLOCKED : ABOUT[name]} ${since}` : "What you write is kept and sent.");
  plot.draw(history.plot(now));
  write(summary, summarize(now));
  const said = history.moves.map((move) => `${told(move.at)} ${moved(move, "was")}`);
  const lines = history.moves.map((move) => h("li", {}, h("time", {}, told(move.at)), " ", h("span", {}, moved(move, "was"))));
  // Those who read the list must not lose their place each second.
  if (moves.textContent !== said.join("")) moves.replaceChildren(...lines);
  for (const { button, name } of ways) button.ariaPressed = String(name === kept);
  cut.disabled = !name;
}

/** @param {number} now */
function summarize(now) {
  const numbers = history.summary(now);
  if (!numbers) return "The round trip is not measured yet.";
  const { last, median, most, overMs } = numbers;
  const count = history.moves.length;
  const times = count === 0 ? "" : count === 1 ? " The link moved once." : ` The link moved ${count} times.`;
  return `Round trip ${millis(last)} now; mostly ${millis(median)}, at most ${millis(most)} in the last ${wait(overMs)}.${times}`;
}

/** The time of day. @param {number} at on the clock of `performance.now()` */
function told(at) {
  return clock.format(Date.now() - performance.now() + at);
}

/**
 * @param {import("./history.js").DoorName | "auto"} name
 * @param {string} text
 * @param {string} [id]
 */
function way(name, text, id = `force-${name}`) {
  const button = h("button", { class: "route", type: "button", "data-testid": id }, text);
  button.addEventListener("click", async () => {
    button.ariaBusy = "true";
    try {
      await client?.useDoor(name);
      kept = name;
    } catch (caught) {
      const problem = problemOf(caught);
      if (problem.code !== "cancelled") notifyProblem(problem);
    }
    button.ariaBusy = null;
    draw();
  });
  return { name, button };
}
