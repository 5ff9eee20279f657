/** One file or voice note in the log: what it is, how far it got, and what can be done about it. */

import { h, icon, write } from "./dom.js";
import { player } from "./player.js";
import { isPicture, thumbnail } from "./thumbnail.js";
import { bytes, bytesOf, mayRetry, problemOf, transferProblem } from "./words.js";

/** @typedef {import("./transfers.js").Transfer} Transfer */

/** @type {Record<string, "sending" | "delivered" | "failed">} */
const TICKS = { offered: "sending", moving: "sending", complete: "delivered" };
const SAID = { sending: "On its way", delivered: "Delivered", failed: "Not delivered" };

/**
 * @param {object} options
 * @param {Transfer} options.transfer
 * @param {string} options.partner
 * @param {Blob} [options.blob] of our own, which is there to be seen from the start
 * @param {() => void} [options.retry]
 * @param {() => void} options.grew
 * @param {(text: string) => void} options.tell to those who listen
 */
export function transferCard({ transfer, partner, blob, retry, grew, tell }) {
  const { kind, name, mime, mine } = transfer;
  const voice = kind === "voice";
  const thing = voice ? "voice note" : isPicture(mime) ? "picture" : "file";
  const gone = new AbortController();
  /** @type {{ code: string, mine?: boolean } | null} why it is over */
  let ending = null;
  let held = false;
  let refocus = false;
  let drawn = "";
  let url = "";

  const meta = h("p", { class: "transfer-meta" });
  const status = h("p", { class: "transfer-status" });
  const tile = h("span", { class: "transfer-tile" }, icon(iconOf(mime, name)));
  const act = h("div", { class: "transfer-act" });
  const foot = h("div", { class: "transfer-foot" });
  const bar = h("i");
  const line = h("div", { class: "transfer-line", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": `Progress of ${name}` }, bar);
  const tick = mine ? h("span", { class: "tick" }) : null;
  const sound = voice ? player({ durationMs: transfer.durationMs ?? 0, who: mine ? "Your" : `${partner}’s`, status, lost: unplayable }) : null;
  let picture = isPicture(mime) && !voice ? thumbnail({ name, mime }) : null;
  const element = h(
    "div",
    {
      class: "message transfer",
      "data-testid": "transfer",
      "data-id": transfer.id,
      "data-kind": kind,
      "data-mine": String(mine),
      role: "group",
      "aria-label": voice ? `${mine ? "Your" : `${partner}’s`} voice note` : `${mine ? "Your file" : `File from ${partner}`}: ${name}`,
      "aria-live": "off",
    },
    h("div", { class: "transfer-row" }, ...(sound ? [sound.element] : [tile, h("div", { class: "transfer-words" }, nameLine(name), meta, status)]), act),
    line,
    foot,
    tick,
  );

  // A moment later, when what else is told with it is known: a state comes with its reason.
  for (const type of ["progress", "state", "complete"]) transfer.addEventListener(type, () => queueMicrotask(draw), { signal: gone.signal });
  transfer.addEventListener("cancelled", (event) => {
    ending = /** @type {CustomEvent<{ code: string, mine?: boolean }>} */ (event).detail;
    queueMicrotask(draw);
  }, { signal: gone.signal });
  transfer.done.then(draw, (caught) => {
    ending ??= problemOf(caught);
    draw();
  });
  if (blob) look(blob);
  if (blob) sound?.load(blob);
  draw();
  if (!mine) tell(voice ? `${partner} sends a voice note.` : `${partner} wants to send you ${name}${sized(", ")}.`);

  return { element, mine, live, hold, end, release };

  /** Whether it is still on its way. */
  function live() {
    return !gone.signal.aborted && !ending && (transfer.state === "offered" || transfer.state === "moving");
  }

  /** @param {boolean} on there is no way to the other just now */
  function hold(on) {
    held = on;
    draw();
  }

  /** The talk is over, and all that was on its way with it. */
  function end() {
    if (!live()) return;
    ending = { code: "conversation-ended" };
    draw();
  }

  function release() {
    gone.abort();
    picture?.release();
    sound?.release();
    URL.revokeObjectURL(url);
  }

  function draw() {
    if (gone.signal.aborted) return;
    const state = ending && /offered|moving/u.test(transfer.state) ? "cancelled" : transfer.state;
    const { size, transferred } = transfer;
    const share = state === "complete" ? 1 : size ? Math.min(1, transferred / size) : 0;
    const percent = Math.floor(share * 100);
    element.dataset.progress = String(percent);
    element.dataset.held = String(held && live());
    bar.style.transform = `scaleX(${share})`;
    if (size) line.ariaValueNow = String(percent);
    line.dataset.unknown = String(size === undefined && state === "moving");
    write(meta, state === "moving" ? (size ? `${bytesOf(transferred, size)} · ${percent}%` : bytes(transferred)) : sized());
    write(status, statusOf(state));
    const now = `${state} ${ending ? why(state) : ""}`;
    if (drawn === now) return;
    drawn = now;
    become(state);
  }

  /** @param {string} state what it is from now on */
  function become(state) {
    const focused = element.contains(document.activeElement) && !sound?.element.contains(document.activeElement);
    element.dataset.state = state;
    line.hidden = state !== "moving";
    tick?.replaceChildren(icon(TICKS[state] ?? "failed", SAID[TICKS[state] ?? "failed"]));
    act.replaceChildren();
    foot.replaceChildren();
    const offer = state === "offered" && !mine && !voice;
    if (offer) foot.append(h("div", { class: "transfer-answers" }, button("accept", "Accept", () => transfer.accept()), button("reject", "No thanks", () => transfer.reject())));
    else if (live()) act.append(round("cancel", "close", `Cancel ${name}`, () => transfer.cancel()));
    else if (state === "complete") complete();
    else {
      tell(why(state));
      foot.append(h("p", { class: "why" }, why(state)));
      if (retry && mine && mayRetry(codeOf(state))) foot.append(button("retry", "Try again", retry));
    }
    // A box for what was agreed to; what is not coming needs none.
    if (mine || state === "moving") box();
    else if (state !== "complete") picture?.element.remove();
    if (focused) {
      const next = element.querySelector(".transfer-act > *, .transfer-foot button");
      refocus = !next;
      /** @type {HTMLElement | null} */ (next ?? element.closest("[tabindex]"))?.focus({ preventScroll: true });
    }
    grew();
  }

  async function complete() {
    if (mine) return tell(`${partner} has ${voice ? "your voice note" : name}.`);
    tell(voice ? `A voice note from ${partner} is here.` : `${name} is here.`);
    try {
      const came = await transfer.blob();
      if (gone.signal.aborted) return;
      sound?.load(came);
      look(came);
      if (!voice) keepable(came);
    } catch (caught) {
      ending = problemOf(caught);
      // Its link was opened: whoever did so has it.
      if (ending.code !== "fetched-elsewhere") become("failed");
    }
  }

  /** @param {Blob} given */
  async function look(given) {
    box();
    if (!picture || (await picture.show(given))) return;
    picture.release();
    picture.element.remove();
    picture = null;
  }

  function box() {
    if (picture && picture.element.parentNode !== element) element.prepend(picture.element);
    grew();
  }

  /** Puts the way to save it. Opened in a window of its own it stays a file to save: never a page of ours. @param {Blob} came */
  function keepable(came) {
    url = URL.createObjectURL(new Blob([came], { type: "application/octet-stream" }));
    const link = h("a", { class: "round", "data-testid": "transfer-save", href: url, download: name, "aria-label": `Save ${name}`, title: "Save" }, icon("save"));
    act.replaceChildren(link);
    if (refocus && document.activeElement === element.closest("[tabindex]")) link.focus({ preventScroll: true });
  }

  /** This browser has no ear for it. @param {Blob} given */
  function unplayable(given) {
    foot.replaceChildren(h("p", { class: "why" }, mine ? "This browser cannot play it." : "This browser cannot play it. Save it, and listen elsewhere."));
    if (!mine) keepable(given);
    grew();
  }

  /** @param {string} state */
  function statusOf(state) {
    if (state === "offered" && !mine && !voice) return `Do you want this ${thing}?`;
    if (!live()) return "";
    if (held) return "Waiting for the connection";
    if (state === "offered" && mine && !voice) return `Waiting for ${partner} to accept`;
    return mine ? "Sending" : "Receiving";
  }

  /** @param {string} state */
  function codeOf(state) {
    return state === "rejected" ? state : ending?.code ?? (state === "cancelled" ? state : "broken");
  }

  /** @param {string} state */
  function why(state) {
    return transferProblem(codeOf(state), partner, { mine, kind, byMe: ending?.mine === true && state === "cancelled" });
  }

  function sized(before = "") {
    return transfer.size === undefined ? "" : before + bytes(transfer.size);
  }
}

/** The name in one line; what is cut off is before its ending. @param {string} name */
function nameLine(name) {
  const dot = name.lastIndexOf(".");
  const ending = dot > 0 && name.length - dot <= 8 ? name.slice(dot) : "";
  const stem = h("span", { class: "transfer-stem" }, name.slice(0, name.length - ending.length));
  stem.style.maxWidth = `calc(100% - ${ending.length}ch)`;
  return h("bdi", { class: "transfer-name", dir: "auto", title: name }, stem, ending);
}

/**
 * @param {string} id
 * @param {string} text
 * @param {() => unknown} onclick
 */
function button(id, text, onclick) {
  return h("button", { class: "transfer-button", type: "button", "data-testid": `transfer-${id}`, onclick }, text);
}

/**
 * @param {string} id
 * @param {Parameters<typeof icon>[0]} mark
 * @param {string} label
 * @param {() => unknown} onclick
 */
function round(id, mark, label, onclick) {
  return h("button", { class: "round", type: "button", "data-testid": `transfer-${id}`, "aria-label": label, title: "Cancel", onclick }, icon(mark));
}

/**
 * @param {string} mime
 * @param {string} name
 * @returns {Parameters<typeof icon>[0]}
 */
function iconOf(mime, name) {
  if (mime.startsWith("image/")) return "picture";
  if (mime.startsWith("audio/")) return "sound";
  if (mime.startsWith("video/")) return "film";
  if (/zip|tar|compressed|rar|7z/u.test(mime) || /\.(zip|gz|tar|rar|7z|xz|zst)$/iu.test(name)) return "archive";
  if (/^text\/|pdf|word|document|sheet|presentation/u.test(mime)) return "text";
  return "file";
}
