/** Recording a voice note. A tap starts and a tap sends; or hold, and let go to send. Esc and sliding away throw it away. */

import { h, icon, write } from "./dom.js";
import { meter } from "./meter.js";
import { notify } from "./shell.js";
import { microphoneProblem, minutes } from "./words.js";

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const BITS_PER_SECOND = 32_000;
/** In milliseconds. */
const HOLD = 400;
const SHORTEST = 300;
const WARN = 10_000;
/** The clock here and the sound differ a little, and the last frame is filled up: the claim must not be too short. */
const SPARE = 100;
/** In pixels. */
const AWAY = 80;

/** @typedef {{ ended: boolean, stream?: MediaStream, media?: MediaRecorder, stopped?: Promise<unknown>, parts: Blob[], from: number, ms: number, halted?: Promise<void>, level?: ReturnType<typeof meter> }} Take */

/**
 * @param {object} options
 * @param {number} options.most milliseconds
 * @param {(blob: Blob, durationMs: number) => void} options.send
 * @param {(on: boolean) => void} options.shown the row comes and goes
 * @param {(text: string) => void} options.say
 */
export function recorder({ most, send, shown, say }) {
  /** @type {Take | null} */
  let take = null;
  /** Where the finger went down; null: nothing is held. @type {{ x: number, y: number } | null} */
  let held = null;
  let away = false;
  let releasedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let holding;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let ticking;

  const button = h("button", { class: "tool", type: "button", "data-testid": "record", "aria-label": "Record a voice note", title: "Record a voice note", onclick, onpointerdown: press });
  button.append(icon("record"));
  // A long press is ours.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  const time = h("span", { class: "recorder-time" });
  const left = h("span", { class: "recorder-left" });
  const canvas = h("canvas", { class: "recorder-level", "aria-hidden": "true" });
  const stop = h("button", { class: "send", type: "button", "data-testid": "record-stop", "aria-label": "Send the voice note", title: "Send", onclick: () => finish(true) }, icon("send"));
  const row = h(
    "div",
    { class: "recorder", role: "group", "aria-label": "Recording", hidden: true },
    h("button", { class: "tool", type: "button", "data-testid": "record-cancel", "aria-label": "Throw it away", title: "Throw it away", onclick: () => finish(false) }, icon("discard")),
    h("span", { class: "recorder-lamp", "aria-hidden": "true" }),
    time,
    canvas,
    left,
    stop,
  );

  return { button, row, close: () => finish(false) };

  function onclick() {
    // Some browsers make a click of a hold, too, when it ends.
    if (!take && performance.now() - releasedAt > HOLD) start();
  }

  /** @param {PointerEvent} event */
  function press(event) {
    if (event.button || take) return;
    const { clientX: x, clientY: y } = event;
    const off = new AbortController();
    const until = { signal: off.signal };
    holding = setTimeout(() => {
      held = { x, y };
      start();
    }, HOLD);
    addEventListener("pointermove", (move) => held && lean(move), until);
    addEventListener("pointerup", () => release(off), until);
    // The browser took the finger, for a question perhaps: then it goes on as after a tap.
    addEventListener("pointercancel", () => release(off, true), until);
  }

  /**
   * @param {AbortController} off
   * @param {boolean} [taken]
   */
  function release(off, taken = false) {
    off.abort();
    clearTimeout(holding);
    if (!held) return;
    held = null;
    releasedAt = performance.now();
    if (away) finish(false);
    else if (take?.from && !taken) finish(true);
    else hint();
  }

  /** @param {PointerEvent} move */
  function lean({ clientX, clientY }) {
    away = held !== null && Math.hypot(clientX - held.x, clientY - held.y) > AWAY;
    row.dataset.away = String(away);
    hint();
  }

  async function start() {
    /** @type {Take} */
    const mine = { ended: false, parts: [], from: 0, ms: 0 };
    take = mine;
    away = false;
    row.dataset.state = "asking";
    row.dataset.away = "false";
    tick();
    row.hidden = false;
    shown(true);
    stop.focus({ preventScroll: true });
    document.addEventListener("keydown", onkeydown);
    const slow = setTimeout(() => say("Allow the microphone to begin."), HOLD);
    try {
      mine.stream = await microphone();
      // Thrown away while the question was open.
      if (mine.ended) return quiet(mine);
      await begin(mine, mine.stream);
    } catch (caught) {
      quiet(mine);
      if (mine.ended) return;
      drop();
      notify(microphoneProblem(caught instanceof Error ? caught.name : String(caught)));
    } finally {
      clearTimeout(slow);
      if (take === mine) hint();
    }
  }

  /**
   * @param {Take} mine
   * @param {MediaStream} stream
   */
  async function begin(mine, stream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const media = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
    media.addEventListener("dataavailable", ({ data }) => mine.parts.push(data));
    mine.media = media;
    mine.stopped = new Promise((resolve) => media.addEventListener("stop", resolve, { once: true }));
    const begun = new Promise((resolve) => media.addEventListener("start", resolve, { once: true }));
    media.start();
    await begun;
    if (mine.ended) return;
    mine.from = performance.now();
    mine.level = meter(canvas, stream);
    row.dataset.state = "recording";
    ticking = setInterval(tick, 100);
    // Pulled out, or taken away by the system: what there is can still be sent.
    stream.getAudioTracks()[0].addEventListener("ended", () => take === mine && halt(mine));
  }

  function tick() {
    const ms = take?.from ? (take.ms || performance.now() - take.from) : 0;
    const rest = Math.max(0, most - ms);
    write(time, minutes(Math.floor(ms / 1000) * 1000));
    write(left, take?.ms ? "" : `${minutes(Math.ceil(rest / 1000) * 1000)} left`);
    row.dataset.late = String(rest < WARN);
    if (take && !take.ms && ms >= most - 3 * SPARE) halt(take);
    if (take && !held) hint();
  }

  /** Stops, and leaves what was said to be sent or not. @param {Take} mine */
  function halt(mine) {
    return (mine.halted ??= (async () => {
      mine.ms = Math.min(most, Math.round(performance.now() - mine.from) + SPARE);
      clearInterval(ticking);
      if (mine.media?.state !== "inactive") mine.media?.stop();
      await mine.stopped;
      quiet(mine);
      if (take !== mine) return;
      row.dataset.state = "full";
      tick();
    })());
  }

  /** @param {boolean} wanted */
  async function finish(wanted) {
    const mine = take;
    if (!mine || (wanted && !mine.from)) return;
    mine.ended = true;
    drop();
    if (mine.from) await halt(mine);
    quiet(mine);
    if (!wanted) return;
    if (mine.ms < SHORTEST) return notify("That was too short. Hold longer to record.");
    send(new Blob(mine.parts, { type: mine.media?.mimeType.split(";")[0] }), mine.ms);
  }

  /** The row goes, and the composer is back. */
  function drop() {
    take = null;
    held = null;
    clearTimeout(holding);
    clearInterval(ticking);
    document.removeEventListener("keydown", onkeydown);
    const focused = row.contains(document.activeElement);
    row.hidden = true;
    say("");
    shown(false);
    if (focused) button.focus({ preventScroll: true });
  }

  /** Lets go of the microphone. @param {Take} mine */
  function quiet({ stream, level }) {
    for (const track of stream?.getTracks() ?? []) track.stop();
    level?.close();
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    finish(false);
  }

  function hint() {
    if (row.dataset.state === "full") say("That is the longest. Send it, or throw it away.");
    else if (held) say(away ? "Let go to throw it away" : "Let go to send, slide away to throw away");
    else say(row.dataset.late === "true" ? "It stops by itself in a moment" : "");
  }
}

function microphone() {
  if (!isSecureContext) throw "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) throw "unsupported";
  return navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
}
