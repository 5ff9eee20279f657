/** Where one writes. Enter sends, Shift+Enter breaks the line. */

import { h, icon } from "./dom.js";

/** From this share of the limit on, what is left is shown. */
const WARN = 0.85;
/** After this long without a key, typing has stopped; in milliseconds. */
const PAUSE = 4000;

const bytes = new TextEncoder();

/**
 * @param {{ limit: number, partner: string, send(text: string): void, typing(on: boolean): void }} options
 */
export function composer({ limit, partner, send, typing }) {
  const count = h("span", { class: "count", role: "status" });
  const input = h("textarea", {
    class: "write",
    "data-testid": "composer",
    rows: "1",
    dir: "auto",
    enterkeyhint: "send",
    placeholder: `Write to ${partner}`,
    "aria-label": `Write to ${partner}`,
    oninput,
    onkeydown,
  });
  const button = h("button", { class: "send", type: "submit", "data-testid": "send", "aria-label": "Send", disabled: true }, icon("send"));
  // A tap on the button must not take the focus, or the phone's keyboard closes.
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  const element = h("form", { class: "composer", onsubmit }, input, button);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;

  return {
    element,
    count,
    focus: () => input.focus({ preventScroll: true }),
    /** Whether something is being written. */
    busy: () => input.value.trim() !== "",
    close: () => clearTimeout(quiet),
  };

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    element.requestSubmit();
  }

  function oninput() {
    fit();
    check();
    clearTimeout(quiet);
    if (!input.value.trim()) return typing(false);
    quiet = setTimeout(() => typing(false), PAUSE);
    typing(true);
  }

  /** @param {SubmitEvent} event */
  function onsubmit(event) {
    event.preventDefault();
    const text = input.value.trim();
    if (!text || !check()) return;
    send(text);
    input.value = "";
    clearTimeout(quiet);
    fit();
    check();
    input.focus();
  }

  function fit() {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
  }

  /** Whether it may be sent. */
  function check() {
    const text = input.value.trim();
    const size = bytes.encode(text).length;
    const over = size > limit;
    button.disabled = !text || over;
    input.ariaInvalid = String(over);
    count.dataset.over = String(over);
    const left = (limit - size).toLocaleString();
    const said = over ? `Too long by ${(size - limit).toLocaleString()} bytes. Send it in parts.` : size > limit * WARN ? `${left} bytes left` : "";
    if (count.textContent !== said) count.textContent = said;
    return !over;
  }
}
