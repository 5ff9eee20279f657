/** The calls of a talk: the buttons that begin one, the one that comes in, and what each leaves among the messages. */

import { ring } from "./call-ring.js";
import { RELAYING, callLine, callName } from "./call-words.js";
import { callPanel } from "./call.js";
import { h, icon } from "./dom.js";
import { loadCall, loadRelay, saveCall, saveRelay } from "./store.js";
import { problemOf } from "./words.js";

/**
 * @typedef {import("./call-words.js").CallKind} CallKind
 * @typedef {import("/sdk/duologue.js").Call} Call
 * @typedef {import("/sdk/duologue.js").Duologue["relaying"]} Relaying
 * @typedef {NonNullable<Awaited<ReturnType<Call["stats"]>>>} Stats
 */

/** An end that asks for nothing is shown for this long, in milliseconds. */
const ENDED_STAYS = 5000;
const MENU = "call-menu";

/** Ends of one's own making need no word. */
const OWN = new Set(["you-hung-up", "you-declined", "conversation"]);

/**
 * @param {object} options
 * @param {import("/sdk/duologue.js").Conversation} options.conversation
 * @param {() => Relaying} options.relaying whether calls can hide addresses
 * @param {ReturnType<typeof import("./log.js").messageLog>} options.log
 * @param {() => boolean} options.busy whether someone is in the middle of a word
 * @param {() => void} options.focus back to the composer
 * @param {(kind: CallKind | null) => void} options.ringing
 * @param {() => void} options.clear
 * @param {AbortSignal} options.signal the talk is closed
 */
export function calls({ conversation, relaying, log, busy, focus, ringing, clear, signal }) {
  const { partner } = conversation;
  const able = "RTCPeerConnection" in globalThis;
  const choice = h("input", { type: "checkbox", class: "call-relay-box", "data-testid": "call-relay", onchange: () => saveRelay(choice.checked) });
  // One choice, wherever it is to be made: in the menu before a call, in the panel of one.
  const relay = h("label", { class: "call-relay" }, choice, h("span", {}, "Hide my address ", h("span", { class: "call-relay-more" }, "(relayed)")));
  const begin = { audio: button("audio", "phone", "Voice"), video: button("video", "camera", "Video") };
  const hint = h("p", { class: "hint" });
  const menu = h(
    "div",
    { class: "menu", id: MENU, popover: "auto", role: "dialog", "aria-label": "More" },
    hint,
    h("button", { class: "action menu-clear", type: "button", "data-testid": "menu-clear", onclick: () => (menu.hidePopover(), clear()) }, icon("clear"), h("span", {}, "Clear messages")),
  );
  const more = h("button", { class: "call-begin call-more", type: "button", popovertarget: MENU, "data-testid": "call-menu", "aria-label": "More", title: "More" }, icon("more"));
  const buttons = h("div", { class: "calls", role: "group", "aria-label": "Calls" }, begin.audio, begin.video, more, menu);
  const element = h("div", { class: "call-place" });

  /** @type {{ panel: ReturnType<typeof callPanel>, kind: CallKind, off: AbortController, call: Call | null } | null} */
  let open = null;
  /** @type {ReturnType<typeof ring> | null} */
  let bell = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let closing;

  home();
  mark();
  menu.addEventListener("beforetoggle", (event) => /** @type {ToggleEvent} */ (event).newState === "open" && place());
  conversation.addEventListener("call", ({ detail }) => incoming(detail), { signal });

  return {
    buttons,
    element,
    /** The talk is over, and its call with it. */
    end() {
      buttons.remove();
      close();
    },
    close() {
      open?.call?.end();
      close();
    },
  };

  /** @param {CallKind} kind */
  async function call(kind) {
    if (open && live()) return;
    const mine = show(kind);
    mine.panel.focus();
    try {
      const call = await conversation.call({ audio: true, video: kind === "video", relay: choice.checked, signal: mine.off.signal });
      // Cancelled while the browser asked.
      if (open !== mine) return void call.end();
      take(mine, call);
      mine.panel.focus();
    } catch (caught) {
      if (open === mine) over(mine, problemOf(caught));
    }
  }

  /** @param {Call} call */
  function incoming(call) {
    if (call.state === "ended") return;
    // Who is still asked for a camera has no call yet, and then theirs is the one.
    if (open?.call && live()) return void call.decline("busy");
    const mine = show(call.kind);
    take(mine, call);
    // To put the focus on a button while someone writes would answer with their next key.
    if (!busy()) mine.panel.focus();
    if (call.state === "ringing" && call.direction === "incoming") {
      bell = ring();
      ringing(call.kind);
    }
  }

  /**
   * After a reload: at once where the browser asks nothing, and nobody is to be asked.
   * @param {NonNullable<typeof open>} mine
   * @param {Call} call
   */
  async function rejoin(mine, call) {
    const devices = byItself(call.kind, loadCall(call.id));
    const granted = devices !== null && (await allowed(devices));
    if (granted && open === mine && call.state === "interrupted") answer(devices.includes("camera"));
  }

  /** @param {boolean} video */
  async function answer(video) {
    const mine = open;
    if (!mine?.call) return;
    quiet();
    mine.panel.answering(true);
    const before = loadCall(mine.call.id);
    try {
      if (before?.muted) await mine.call.mute(true);
      await mine.call.accept({ audio: true, video, relay: choice.checked });
    } catch (caught) {
      if (open !== mine || mine.call.state === "ended") return;
      mine.panel.answering(false);
      mine.panel.failed(caught);
    }
  }

  function decline() {
    const call = open?.call;
    quiet();
    if (call?.state === "interrupted") call.end();
    else call?.decline();
  }

  function hangUp() {
    if (open?.call) open.call.end();
    else close();
  }

  /**
   * @param {NonNullable<typeof open>} mine
   * @param {Call} call
   */
  function take(mine, call) {
    mine.call = call;
    mine.panel.take(call, loadCall(call.id));
    const until = { signal: mine.off.signal };
    call.addEventListener("state", () => {
      if (call.state !== "ringing") quiet();
      fix(call);
      if (call.state === "interrupted") rejoin(mine, call);
    }, until);
    const keep = () => {
      // Who rings is in no call yet.
      if (!call.local || call.state === "ringing" || call.state === "ended") return;
      const { id, muted, cameraOff } = call;
      saveCall({ id, muted, cameraOff, shown: !call.relay || (loadCall(id)?.shown ?? false) });
    };
    for (const type of /** @type {const} */ (["state", "local"])) call.addEventListener(type, keep, until);
    call.addEventListener("ended", ({ detail }) => ended(mine, detail), until);
    fix(call);
    if (call.state === "interrupted") rejoin(mine, call);
  }

  /**
   * @param {NonNullable<typeof open>} mine
   * @param {{ reason: string, error?: import("./words.js").Problem }} detail
   */
  function ended(mine, { reason, error }) {
    const { direction, kind, startedAt } = /** @type {Call} */ (mine.call);
    quiet();
    saveCall(null);
    // What never rang is no line among the messages.
    if (!error || startedAt !== null || error.code === "call-failed") log.note(callLine({ kind, direction, reason, ms: startedAt === null ? null : performance.now() - startedAt }));
    if (OWN.has(reason) || (direction === "incoming" && startedAt === null && reason !== "failed")) close();
    else over(mine, error ?? { code: reason, message: "" });
  }

  /**
   * @param {NonNullable<typeof open>} mine
   * @param {import("./words.js").Problem} problem
   */
  function over(mine, problem) {
    relay.hidden = true;
    const held = element.contains(document.activeElement);
    const remedy = mine.panel.over(problem);
    if (held) mine.panel.focus();
    mark();
    clearTimeout(closing);
    if (!remedy) closing = setTimeout(close, ENDED_STAYS);
  }

  /** @param {CallKind} kind */
  function show(kind) {
    close();
    const panel = callPanel({ partner, kind, relay, end: hangUp, answer, decline, again: call, close });
    open = { panel, kind, off: new AbortController(), call: null };
    relay.hidden = true;
    element.replaceChildren(panel.element);
    mark();
    return open;
  }

  function close() {
    quiet();
    clearTimeout(closing);
    if (!open) return;
    const held = element.contains(document.activeElement);
    const { panel, off } = open;
    open = null;
    off.abort();
    panel.close();
    element.replaceChildren();
    home();
    mark();
    if (held) focus();
  }

  function live() {
    return open?.panel.element.dataset.state !== "ended";
  }

  function quiet() {
    if (bell) ringing(null);
    bell?.stop();
    bell = null;
  }

  /** The choice is made before a call, or by who answers one; a rule of the server or a wish of the other stands. @param {Call} call */
  function fix({ state, direction, relay: hidden }) {
    const asked = (state === "ringing" && direction === "incoming") || state === "interrupted";
    const able = asked && relaying() !== "never";
    relay.hidden = state === "ended" || state === "connected" || state === "reconnecting" || !(able || hidden);
    choice.checked = hidden || (able && loadRelay());
    choice.disabled = hidden || !asked;
  }

  /** The choice is back in the menu, as it was made. */
  function home() {
    const how = relaying();
    choice.checked = how === "always" || (how === "chosen" && loadRelay());
    choice.disabled = how !== "chosen";
    relay.hidden = how === "never";
    hint.textContent = RELAYING[how];
    menu.prepend(relay);
  }

  function mark() {
    const standing = open !== null && live();
    for (const [kind, button] of Object.entries(begin)) {
      button.disabled = !able || standing;
      const name = callName(/** @type {CallKind} */ (kind));
      button.title = able ? (standing ? "You are in a call" : name) : "This browser cannot make calls. Use another one, or write instead.";
    }
  }

  /** The menu opens below its button. */
  function place() {
    const { left, bottom } = more.getBoundingClientRect();
    menu.style.setProperty("--left", `${left}px`);
    menu.style.setProperty("--top-edge", `${bottom}px`);
  }

  /**
   * @param {CallKind} kind
   * @param {Parameters<typeof icon>[0]} picture
   * @param {string} text
   */
  function button(kind, picture, text) {
    return h("button", { class: "call-begin", type: "button", "data-testid": `call-${kind}`, "aria-label": callName(kind), onclick: () => call(kind) }, icon(picture), h("span", { class: "call-begin-words" }, text));
  }
}

/**
 * What a call that was interrupted goes on with by itself; `null`: the person is asked. Nobody is heard or seen by the word
 * of others: this page was in that very call before.
 * @param {CallKind} kind
 * @param {import("./store.js").CallChoice | null} before
 */
export function byItself(kind, before) {
  if (!before) return null;
  return kind === "video" && !before.cameraOff ? ["microphone", "camera"] : ["microphone"];
}

/** Whether the browser will not ask. @param {string[]} names */
async function allowed(names) {
  try {
    const all = await Promise.all(names.map((name) => navigator.permissions.query({ name: /** @type {PermissionName} */ (name) })));
    return all.every(({ state }) => state === "granted");
  } catch {
    // A browser that does not know these names: then there is the button.
    return false;
  }
}
