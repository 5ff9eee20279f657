/** A screen with one thing to say: connecting, unreachable, or open elsewhere. */

import { h } from "./dom.js";

/**
 * @param {{ title: string, text?: string, code?: string, action?: string, act?(): void, busy?: boolean }} options
 */
export function pause({ title, text, code, action, act, busy }) {
  const button = action ? h("button", { class: "button primary", type: "button", onclick: act }, action) : null;
  const words = h("p", { class: "lead", role: "status" }, text);
  const element = h(
    "section",
    { class: "pause", "aria-busy": busy ? "true" : "false" },
    h("h1", {}, title),
    words,
    button,
    code && h("details", { class: "code" }, h("summary", {}, "Details"), code),
  );
  return {
    element,
    focus: () => button?.focus(),
    /** @param {string} text */
    say: (text) => (words.textContent = text),
  };
}
