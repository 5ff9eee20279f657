/** A voice note to listen to: its waveform is also where one jumps to. */

import { h, icon, svg, write } from "./dom.js";
import { hear } from "./sound.js";
import { minutes } from "./words.js";

const BARS = 48;

/** The one that sounds now. @type {HTMLAudioElement | null} */
let sounding = null;

/**
 * @param {object} options
 * @param {number} options.durationMs as it was told
 * @param {string} options.who whose it is: "Your"
 * @param {HTMLElement} options.status stands beside the time
 * @param {(blob: Blob) => void} options.lost this browser cannot play it
 */
export function player({ durationMs, who, status, lost }) {
  const audio = new Audio();
  let seconds = durationMs / 1000;
  let url = "";
  let frame = 0;

  const button = h("button", { class: "voice-play", type: "button", "data-testid": "voice-play", disabled: true, onclick: toggle });
  const wave = h("div", {
    class: "voice-wave",
    role: "slider",
    tabindex: "0",
    dir: "ltr",
    "data-testid": "voice-seek",
    "aria-label": `Place in ${who === "Your" ? "your" : who} voice note`,
    "aria-valuemin": "0",
    onkeydown,
    onpointerdown: point,
    onpointermove: (/** @type {PointerEvent} */ event) => event.buttons & 1 && wave.hasPointerCapture(event.pointerId) && point(event),
  });
  const time = h("span", { class: "voice-time" });
  const element = h("div", { class: "voice", "data-testid": "voice-player" }, button, h("div", { class: "voice-body" }, wave, h("div", { class: "voice-line" }, time, status)));
  draw(Array.from({ length: BARS }, () => 0));
  show();

  for (const type of ["play", "pause", "ended", "seeked", "timeupdate"]) audio.addEventListener(type, show);
  audio.addEventListener("play", () => {
    if (sounding !== audio) sounding?.pause();
    sounding = audio;
  });
  audio.addEventListener("ended", () => (audio.currentTime = 0));

  return {
    element,

    /** @param {Blob} blob */
    async load(blob) {
      url = URL.createObjectURL(blob);
      audio.src = url;
      audio.addEventListener("error", () => {
        // Other errors are of the loudspeaker, or pass.
        if (audio.error?.code !== MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED || button.disabled) return;
        button.disabled = true;
        lost(blob);
      });
      button.disabled = false;
      try {
        const sound = await hear(blob, BARS);
        seconds = sound.duration;
        draw(sound.peaks);
        show();
        if (audio.readyState < HTMLMediaElement.HAVE_METADATA) await new Promise((known) => audio.addEventListener("loadedmetadata", known, { once: true }));
        // Firefox finds no place in what browsers record. In what it is made of here it does.
        if (!audio.seekable.length && url) swap(sound.wav());
      } catch {
        // What cannot be drawn may still be heard.
      }
    },

    release() {
      cancelAnimationFrame(frame);
      audio.pause();
      audio.removeAttribute("src");
      URL.revokeObjectURL(url);
      url = "";
      if (sounding === audio) sounding = null;
    },
  };

  /** Goes on with the same sound in another form. @param {Blob} blob */
  function swap(blob) {
    const { paused, currentTime } = audio;
    const before = url;
    url = URL.createObjectURL(blob);
    audio.src = url;
    URL.revokeObjectURL(before);
    audio.currentTime = currentTime;
    if (!paused) toggle();
  }

  function toggle() {
    if (!audio.paused) audio.pause();
    // Refused when it is paused again at once, or cannot be played, which `error` tells.
    else audio.play().catch(() => {});
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    const step = Math.max(1, seconds / 20);
    /** @type {Record<string, number>} */
    const places = { ArrowLeft: at() - step, ArrowDown: at() - step, ArrowRight: at() + step, ArrowUp: at() + step, Home: 0, End: seconds };
    if (event.key === " " || event.key === "Enter") toggle();
    else if (event.key in places) seek(places[event.key]);
    else return;
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  function point(event) {
    if (button.disabled) return;
    const { left, width } = wave.getBoundingClientRect();
    wave.setPointerCapture(event.pointerId);
    seek(((event.clientX - left) / width) * seconds);
  }

  /** @param {number} place */
  function seek(place) {
    if (button.disabled) return;
    audio.currentTime = Math.max(0, Math.min(seconds, place));
    show();
  }

  function at() {
    return Math.min(seconds, audio.currentTime);
  }

  function show() {
    const playing = !audio.paused && !audio.ended;
    if (element.dataset.state !== (playing ? "playing" : "paused")) {
      element.dataset.state = playing ? "playing" : "paused";
      button.ariaLabel = `${playing ? "Pause" : "Play"} ${who === "Your" ? "your" : who} voice note`;
      button.replaceChildren(icon(playing ? "pause" : "play"));
    }
    element.dataset.duration = String(Math.round(seconds * 10) / 10);
    wave.style.setProperty("--at", String(seconds ? at() / seconds : 0));
    const total = minutes(seconds * 1000);
    const now = minutes(at() * 1000);
    write(time, playing || at() ? `${now} / ${total}` : total);
    wave.ariaValueMax = String(Math.round(seconds));
    wave.ariaValueNow = String(Math.round(at()));
    wave.ariaValueText = `${now} of ${total}`;
    cancelAnimationFrame(frame);
    if (playing) frame = requestAnimationFrame(show);
  }

  /** @param {number[]} peaks each from 0 to 1 */
  function draw(peaks) {
    const d = peaks.map((peak, index) => `M${index + 0.5} ${16 - Math.max(0.8, peak * 14)}V${16 + Math.max(0.8, peak * 14)}`).join("");
    const bars = (/** @type {string} */ kind) => svg("svg", { class: kind, viewBox: `0 0 ${BARS} 32`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d }));
    wave.replaceChildren(bars("voice-bars"), bars("voice-bars voice-heard"));
  }
}
