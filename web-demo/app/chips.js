/** A field of chips: type and press Enter or a comma, or pick one below. */

import { h, icon } from "./dom.js";

/**
 * @typedef {object} ChipsOptions
 * @property {string} label
 * @property {string} hint
 * @property {string} testid goes on the input
 * @property {string[]} values chosen at the start
 * @property {string[]} suggestions
 * @property {number} most how many may be chosen
 * @property {(value: string) => string} [show] a value as words
 * @property {(typed: string) => string | null} [read] typed words as a value; null when they mean nothing
 * @property {string} [unknown] said when they mean nothing
 */

/** Longest value, in bytes of UTF-8: the server's limit. */
const LONGEST = 48;

/** @param {ChipsOptions} options */
export function chips(options) {
  const { label, hint, testid, suggestions, most, show = same, read = tidy, unknown = "That is too long. A shorter word works better." } = options;
  /** @type {string[]} */
  const values = options.values.slice(0, most);
  const id = `chips-${testid}`;

  const input = h("input", {
    id,
    "data-testid": testid,
    type: "text",
    autocomplete: "off",
    autocapitalize: "none",
    enterkeyhint: "enter",
    maxlength: LONGEST,
    dir: "auto",
    "aria-describedby": `${id}-hint`,
    onkeydown,
    oninput,
  });
  const box = h("div", { class: "chips-box", onclick: () => input.focus() }, input);
  const note = h("p", { class: "hint", id: `${id}-hint`, "aria-live": "polite" }, hint);
  const picks = h("div", { class: "picks", role: "group", "aria-label": `Suggested ${label.toLowerCase()}` }, ...suggestions.map(pick));
  const element = h("div", { class: "field" }, h("label", { for: id }, label), box, note, picks);
  draw();

  return {
    element,
    focus: () => input.focus(),
    /** What is chosen, with what is typed and not yet a chip. */
    values: () => (take(false), [...values]),
  };

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && input.value.trim()) {
      event.preventDefault();
      take(true);
    } else if (event.key === "Backspace" && !input.value && values.length) {
      remove(values.length - 1);
    }
  }

  function oninput() {
    if (/[,;،、，]$/u.test(input.value)) take(true);
  }

  /** Makes chips of what is typed. @param {boolean} loud say so when a word means nothing */
  function take(loud) {
    const parts = input.value.split(/[,;،、，]/u).map((part) => part.trim()).filter(Boolean);
    if (!parts.length) {
      input.value = "";
      return;
    }
    const strange = parts.filter((part) => {
      const value = read(part);
      if (value === null) return true;
      add(value);
      return false;
    });
    input.value = strange.join(", ");
    if (loud && strange.length) say(unknown);
    draw();
  }

  /** @param {string} value */
  function add(value) {
    if (!value || values.includes(value)) return;
    if (values.length >= most) return say(`${most} is the most. Take one away to add another.`);
    values.push(value);
    say(hint);
  }

  /** @param {number} index */
  function remove(index) {
    values.splice(index, 1);
    say(hint);
    draw();
  }

  /** @param {string} text */
  function say(text) {
    if (note.textContent !== text) note.textContent = text;
  }

  function draw() {
    // The field itself stays where it is: to move it would take the focus from it.
    for (const old of box.querySelectorAll(".chip")) old.remove();
    input.before(...values.map(chip));
    for (const [index, value] of suggestions.entries()) {
      picks.children[index]?.setAttribute("aria-pressed", String(values.includes(value)));
    }
  }

  /**
   * @param {string} value
   * @param {number} index
   */
  function chip(value, index) {
    return h(
      "button",
      { class: "chip", type: "button", "aria-label": `Take away ${show(value)}`, onclick: () => (remove(index), input.focus()) },
      h("bdi", {}, show(value)),
      icon("close"),
    );
  }

  /** @param {string} value */
  function pick(value) {
    return h("button", { class: "pick", type: "button", onclick: () => toggle(value) }, show(value));
  }

  /** @param {string} value */
  function toggle(value) {
    if (values.includes(value)) return remove(values.indexOf(value));
    add(value);
    draw();
  }
}

/** @param {string} value */
function same(value) {
  return value;
}

/** @param {string} typed @returns {string | null} */
function tidy(typed) {
  const text = typed.trim().replace(/\s+/gu, " ").toLocaleLowerCase();
  return new TextEncoder().encode(text).length > LONGEST ? null : text;
}
