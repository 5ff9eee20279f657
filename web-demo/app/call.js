/** The panel of one call: from the question for a camera, or the ring, to its end. */

import { callBar } from "./call-bar.js";
import { callStage } from "./call-stage.js";
import { QUALITY, afterCall, callClock, callPath, callProblem, callStatus } from "./call-words.js";
import { h, icon, write } from "./dom.js";
import { problemOf } from "./words.js";

/** @typedef {import("./calls.js").Call} Call */
/** @typedef {import("./call-words.js").CallKind} CallKind */

/** A picture of which nothing new came for so many seconds is none. */
const STILL = 4;
const TICK_MS = 500;
/** What a browser that does not ask takes at most, in milliseconds. */
const ASKS = 600;

/**
 * @param {object} options
 * @param {{ username: string, id: string }} options.partner
 * @param {CallKind} options.kind
 * @param {HTMLElement} options.relay the choice to hide the address
 * @param {() => void} options.end cancels, or hangs up
 * @param {(video: boolean) => void} options.answer
 * @param {() => void} options.decline
 * @param {(kind: CallKind) => void} options.again
 * @param {() => void} options.close
 */
export function callPanel({ partner, kind, relay, end, answer, decline, again, close }) {
  /** @type {Call | null} */
  let call = null;
  let state = "asking";
  /** Frames of the other side so far, and since how many seconds there were no more. */
  let frames = -1;
  let still = 0;
  /** The browser asks the person, or else it would have answered. */
  let slow = false;
  /** Whether this page was in the call before it was interrupted. */
  let known = false;
  /** Whether addresses were told at any time of it. */
  let shown = false;
  const off = new AbortController();

  const status = h("span", { class: "call-status", role: "status" });
  const time = h("span", { class: "call-time", "data-testid": "call-time", hidden: true });
  const path = h("p", { class: "call-path", "data-testid": "call-path" });
  const note = h("p", { class: "call-note", "data-testid": "call-note", role: "status", hidden: true });
  const stage = callStage(partner);
  const head = h(
    "div",
    { class: "call-head" },
    h("p", { class: "call-line" }, h("bdi", { class: "call-name" }, partner.username), time, status),
    path,
    note,
  );
  const accept = choice("call-accept", "primary", () => answer(kind === "video"));
  const voice = choice("call-accept-audio", "", () => answer(false), "Voice only");
  const refuse = choice("call-decline", "", decline);
  const answers = h("div", { class: "call-answers" }, accept, voice, refuse);
  const after = h("div", { class: "call-answers" });
  const foot = h("div", { class: "call-foot" }, relay, answers, after);
  const element = h("section", {
    class: "call",
    "data-testid": "call",
    "data-kind": kind,
    "data-picture": String(kind === "video"),
    tabindex: "-1",
    "aria-label": `Call with ${partner.username}`,
    onkeydown,
  });
  const bar = callBar({ call: () => call, frame: element, remote: stage.remote, end, failed });
  element.append(stage.element, h("div", { class: "call-words" }, head, stage.level, foot), bar.element, ...bar.panels);
  const timer = setInterval(tick, TICK_MS);
  const asking = setTimeout(() => {
    slow = true;
    show();
  }, ASKS);
  for (const type of ["resize", "loadedmetadata"]) stage.remote.addEventListener(type, () => bar.mark(), { signal: off.signal });
  show();

  return {
    element,
    answering,
    failed,

    /**
     * The call is there.
     * @param {Call} now
     * @param {import("./store.js").CallChoice | null} before this page was in it
     */
    take(now, before) {
      call = now;
      known = before !== null;
      shown = before?.shown ?? false;
      const until = { signal: off.signal };
      for (const type of /** @type {const} */ (["state", "path", "local", "remote"])) now.addEventListener(type, show, until);
      now.addEventListener("remote", watch, until);
      now.addEventListener("stats", ({ detail }) => measured(detail), until);
      now.addEventListener("quality", ({ detail }) => weak(detail.level), until);
      watch();
      show();
    },

    /**
     * There is no call, or none any more.
     * @param {import("./words.js").Problem} problem
     * @returns {boolean} whether there is something to do about it
     */
    over(problem) {
      state = "ended";
      // A sentence alone needs little room.
      if (!call) element.dataset.picture = "false";
      show();
      write(status, callProblem(problem, partner.username, kind));
      const { again: more, voice: without } = afterCall(problem.code, kind);
      after.replaceChildren(
        ...(without ? [choice("call-voice-instead", "primary", () => again("audio"), "Voice call instead")] : []),
        ...(more ? [choice("call-again", without ? "" : "primary", () => again(kind), "Try again")] : []),
        choice("call-close", "", close, "Close"),
      );
      return more || without;
    },

    /** Puts the focus where the next action is. */
    focus() {
      if (!accept.hidden && !answers.hidden) accept.focus({ preventScroll: true });
      else if (state === "ended") after.querySelector("button")?.focus({ preventScroll: true });
      else bar.focusEnd();
    },

    close() {
      off.abort();
      clearInterval(timer);
      clearTimeout(asking);
      bar.close();
      stage.close();
    },
  };

  /** Nothing can be pressed twice while the browser asks. @param {boolean} busy */
  function answering(busy) {
    for (const button of answers.querySelectorAll("button")) button.disabled = busy && button !== refuse;
    element.ariaBusy = busy ? "true" : null;
    if (busy) tell("");
  }

  function show() {
    if (call && state !== "ended") state = stateOf(call);
    const held = element.contains(document.activeElement);
    const [theirs, mine] = [call?.remote ?? null, call?.local ?? null];
    const comes = hasPicture(theirs) && still < STILL && (talking() || state === "connecting");
    const goes = state !== "ended" && call !== null && hasPicture(mine) && (!call.cameraOff || call.sharing);
    stage.show({ theirs: talking() || state === "connecting" ? theirs : null, mine, seen: comes, shown: goes, sharing: call?.sharing ?? false });
    element.dataset.state = state;
    // Once there is a picture the room for it stays: nothing jumps when a camera goes off.
    if (comes || goes) element.dataset.picture = "true";
    if (state === "interrupted") answering(false);
    const asked = state === "ringing-in" || state === "interrupted";
    answers.hidden = !asked;
    after.hidden = state !== "ended";
    label(accept, kind === "video" ? "camera" : "phone", state !== "interrupted" ? "Answer" : known ? "Rejoin" : "Join");
    label(refuse, "phone", state === "interrupted" ? "Leave the call" : "Decline");
    voice.hidden = kind !== "video";
    stage.level.toggleAttribute("hidden", !talking());
    const stands = state === "asking" && !slow ? "ringing-out" : state === "interrupted" && !known ? "waiting" : state;
    if (state !== "ended") write(status, callStatus(stands, kind));
    shown ||= call !== null && !call.relay && (talking() || state === "connecting");
    const way = talking() ? (call?.path ?? null) : null;
    const hidden = !shown && (call?.relay ?? false);
    write(path, way ? callPath(way, hidden) : "");
    if (way) element.dataset.path = way;
    else delete element.dataset.path;
    element.dataset.hidden = String(way !== null && hidden);
    bar.show(state);
    bar.changed();
    tick();
    // What had the focus may be gone; it stays in the panel, so that its keys go on to work.
    const seen = document.activeElement?.checkVisibility() && element.contains(document.activeElement);
    if (held && !seen) element.focus({ preventScroll: true });
  }

  function talking() {
    return state === "connected" || state === "reconnecting";
  }

  /** Tracks come, go, and fall silent. */
  function watch() {
    const stream = call?.remote;
    if (!stream) return;
    const until = { signal: off.signal };
    const look = () => {
      for (const track of stream.getTracks()) for (const type of ["mute", "unmute", "ended"]) track.addEventListener(type, show, until);
      show();
    };
    for (const type of ["addtrack", "removetrack"]) stream.addEventListener(type, look, until);
    look();
  }

  /** @param {import("./calls.js").Stats} stats */
  function measured(stats) {
    bar.stats.note(stats);
    const { framesDecoded } = stats;
    const moves = framesDecoded == null || framesDecoded !== frames;
    frames = framesDecoded ?? -1;
    const before = still;
    // While the line is down, the last picture is better than none.
    still = moves || state !== "connected" ? 0 : still + 1;
    if (before >= STILL !== still >= STILL) show();
  }

  /** @param {string} level */
  function weak(level) {
    tell(QUALITY[level] ?? "");
  }

  function tick() {
    const since = call?.startedAt ?? null;
    time.hidden = since === null || !talking();
    if (since !== null && talking()) write(time, callClock(performance.now() - since));
  }

  /**
   * Something did not work, and the call goes on.
   * @param {unknown} caught
   * @param {CallKind} [of] what it was about
   */
  function failed(caught, of = kind) {
    const problem = problemOf(caught);
    // Over meanwhile: that is told by itself.
    if (problem.code !== "call-ended") tell(callProblem(problem, partner.username, of));
  }

  /** @param {string} words */
  function tell(words) {
    note.hidden = !words;
    write(note, words);
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
    if (event.key === "Escape" && state === "ringing-in") decline();
    else if (!call?.local || state === "ended" || event.repeat) return;
    else if (event.key === "m" || event.key === "M") bar.toggleMute();
    else if (event.key === "v" || event.key === "V") bar.toggleCamera();
    else return;
    event.preventDefault();
  }
}

/** @param {Call} call */
function stateOf({ state, direction }) {
  if (state !== "ringing") return state;
  return direction === "incoming" ? "ringing-in" : "ringing-out";
}

/** @param {MediaStream | null} stream */
function hasPicture(stream) {
  return stream?.getVideoTracks().some((track) => track.readyState === "live" && !track.muted) ?? false;
}

/**
 * @param {string} id
 * @param {string} look
 * @param {() => void} onclick
 * @param {string} [text]
 */
function choice(id, look, onclick, text = "") {
  return h("button", { class: `button small call-choice ${look}`, type: "button", "data-testid": id, onclick: () => onclick() }, text);
}

/**
 * @param {HTMLButtonElement} button
 * @param {Parameters<typeof icon>[0]} picture
 * @param {string} text
 */
function label(button, picture, text) {
  if (button.textContent !== text) button.replaceChildren(icon(picture), h("span", {}, text));
}
