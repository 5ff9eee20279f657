/** Where one writes. Enter sends, Shift+Enter breaks the line. */

import { h, icon, write } from "./dom.js";
import { recorder } from "./recorder.js";

/** From this share of the limit on, what is left is shown. */
const WARN = 0.85;
/** After this long without a key, typing has stopped; in milliseconds. */
const PAUSE = 4000;

const bytes = new TextEncoder();

/**
 * @param {object} options
 * @param {import("./transfers.js").Limits} options.limits
 * @param {string} options.partner
 * @param {(text: string) => void} options.send
 * @param {(on: boolean) => void} options.typing
 * @param {(files: File[]) => void} options.sendFiles
 * @param {(blob: Blob, durationMs: number) => void} options.sendVoice
 */
export function composer({ limits, partner, send, typing, sendFiles, sendVoice }) {
  const limit = limits.text;
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
  const chosen = h("input", { type: "file", multiple: true, hidden: true, "data-testid": "file-input", "aria-label": "Files to send", onchange });
  const attach = h("button", { class: "tool", type: "button", "data-testid": "attach", "aria-label": "Send a file", title: "Send a file", onclick: () => chosen.click() }, icon("attach"));
  const voice = recorder({ most: limits.voiceMs, send: sendVoice, shown, say: (text) => write(count, text) });
  const element = h("form", { class: "composer", onsubmit }, attach, chosen, input, voice.button, button, voice.row);
  check();

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;

  return {
    element,
    count,
    focus: () => input.focus({ preventScroll: true }),
    /** Whether something is being written. */
    busy: () => input.value.trim() !== "",
    close() {
      clearTimeout(quiet);
      voice.close();
    },
  };

  function onchange() {
    sendFiles([...(chosen.files ?? [])]);
    // So that the same file can be chosen again.
    chosen.value = "";
  }

  /** The row of the recorder stands in place of all else. @param {boolean} recording */
  function shown(recording) {
    for (const part of [attach, input]) part.hidden = recording;
    check();
    element.dataset.recording = String(recording);
    if (recording) for (const part of [voice.button, button]) part.hidden = true;
  }

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
    // One place for both: who has written sends, who has not may speak.
    button.hidden = !text;
    voice.button.hidden = Boolean(text);
    input.ariaInvalid = String(over);
    count.dataset.over = String(over);
    const left = (limit - size).toLocaleString();
    const said = over ? `Too long by ${(size - limit).toLocaleString()} bytes. Send it in parts.` : size > limit * WARN ? `${left} bytes left` : "";
    write(count, said);
    return !over;
  }
}
