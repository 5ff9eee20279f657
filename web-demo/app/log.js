/** The messages of a talk, grouped by speaker and minute. It follows the end only when the reader is there. */

import { h, icon } from "./dom.js";

/**
 * @typedef {"sending" | "sent" | "delivered" | "failed"} SendState
 * @typedef {{ id: string, mine: boolean, content: string, link?: string, timestamp: number, state: SendState }} Line
 */

const MINUTE = 60_000;
/** How near the end, in pixels, still counts as reading the end. */
const NEAR = 64;

/** @type {Record<SendState, string>} */
const TICKS = { sending: "Sending", sent: "Sent", delivered: "Delivered", failed: "Not sent" };

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

/** @param {string} partner */
export function messageLog(partner) {
  const list = h("div", { class: "log", "data-testid": "messages", role: "log", "aria-label": "Messages", tabindex: "0" });
  const pill = h("button", { class: "pill", type: "button", hidden: true, onclick: toEnd });
  const element = h("div", { class: "log-frame" }, list, pill);
  /** @type {Map<string, HTMLElement>} */
  const lines = new Map();
  /** @type {{ element: HTMLElement, mine: boolean, minute: number } | null} */
  let group = null;
  let atEnd = true;
  let unread = 0;
  let frame = 0;

  list.addEventListener("scroll", () => {
    if (frame) return;
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    if (atEnd) read();
  });
  // A composer that grows or a keyboard that opens must not hide the last line.
  const watch = new ResizeObserver(() => atEnd && toEnd());
  watch.observe(list);

  return {
    element,
    close() {
      watch.disconnect();
      cancelAnimationFrame(frame);
    },
    toEnd,

    /** @param {Line} line */
    add(line) {
      if (lines.has(line.id)) return;
      const element = bubble(line);
      lines.set(line.id, element);
      put(element, line);
    },
    put,
    take,

    /** Something in it grew. */
    settle: () => atEnd && toEnd(),

    /**
     * @param {string} id
     * @param {SendState} state
     * @param {string} [why] said beside it when it failed
     */
    mark(id, state, why = "Not sent. Write it again.") {
      const line = lines.get(id);
      if (!line || line.dataset.state === "delivered") return;
      line.dataset.state = state;
      line.querySelector(".tick")?.replaceChildren(icon(state, TICKS[state]));
      line.querySelector(".why")?.remove();
      if (state === "failed") line.append(h("span", { class: "why" }, why));
      if (atEnd) toEnd();
    },

    /** A line said by nobody. @param {string} text */
    note(text) {
      group = null;
      list.append(h("p", { class: "note", dir: "auto" }, text));
      if (atEnd) toEnd();
    },

    /** @param {Element[]} [kept] what stays, of what was put there */
    clear(kept = []) {
      lines.clear();
      for (const line of list.querySelectorAll(".note, .message")) if (!kept.includes(line)) take(line);
      read();
    },
  };

  /**
   * A message, or whatever else one of the two gave, after what is there.
   * @param {HTMLElement} element
   * @param {{ mine: boolean, timestamp: number }} by
   */
  function put(element, by) {
    groupFor(by).append(element);
    if (by.mine || atEnd) return toEnd();
    unread += 1;
    pill.replaceChildren(unread === 1 ? "1 new message" : `${unread} new messages`, icon("down"));
    pill.hidden = false;
  }

  /** Away with it, and with its group if nothing else is in that. @param {Element} element */
  function take(element) {
    const home = element.parentElement;
    element.remove();
    if (!home || home === list || home.querySelector(".message")) return;
    home.remove();
    if (group?.element === home) group = null;
  }

  function toEnd() {
    atEnd = true;
    read();
    // Once a frame: to ask for the height after each of many messages would lay all of them out each time.
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      list.scrollTop = list.scrollHeight;
    });
  }

  function read() {
    unread = 0;
    if (pill.contains(document.activeElement)) list.focus({ preventScroll: true });
    pill.hidden = true;
  }

  /** @param {{ mine: boolean, timestamp: number }} by */
  function groupFor({ mine, timestamp }) {
    const minute = Math.floor(timestamp / MINUTE);
    if (group?.mine === mine && group.minute === minute) return group.element;
    const date = new Date(timestamp);
    // The minute is said once, however often the two take turns in it.
    const told = group?.minute === minute;
    const fresh = h(
      "div",
      { class: told ? "group turn" : "group", "data-mine": String(mine) },
      h(
        "p",
        { class: told ? "hidden" : "group-head" },
        h("bdi", { class: "hidden" }, mine ? "You" : partner),
        " ",
        h("time", { datetime: date.toISOString() }, clock.format(date)),
      ),
    );
    list.append(fresh);
    group = { element: fresh, mine, minute };
    return fresh;
  }
}

/** @param {Line} line */
function bubble({ id, mine, content, link, state }) {
  const words = link ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, content) : content;
  return h(
    "div",
    { class: "message", dir: "auto", "data-testid": "message", "data-id": id, "data-mine": String(mine), "data-state": state },
    h("p", { class: "bubble" }, words),
    mine && h("span", { class: "tick" }, icon(state, TICKS[state])),
  );
}
