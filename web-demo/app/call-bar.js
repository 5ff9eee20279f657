/** What can be done in a call: mute, camera, devices, screen, picture in picture, full screen, numbers, hang up. */

import { deviceMenu } from "./call-devices.js";
import { callStats } from "./call-stats.js";
import { h, icon } from "./dom.js";
import { problemOf } from "./words.js";

/** @typedef {import("./calls.js").Call} Call */
/** @typedef {Parameters<typeof icon>[0]} IconName */

/**
 * @param {object} options
 * @param {() => Call | null} options.call
 * @param {HTMLElement} options.frame what fills the screen
 * @param {HTMLVideoElement} options.remote
 * @param {() => void} options.end
 * @param {(caught: unknown, of?: import("./call-words.js").CallKind) => void} options.failed
 */
export function callBar({ call, frame, remote, end, failed }) {
  const devices = deviceMenu({ call, speaker: remote, failed });
  const stats = callStats();
  const mute = tool("call-mute", toggleMute);
  const camera = tool("call-camera", toggleCamera);
  const screen = tool("call-screen", toggleScreen);
  const pip = tool("call-pip", togglePip);
  const full = tool("call-full", toggleFull);
  const hangUp = tool("call-end", end);
  hangUp.classList.add("call-hang-up");
  const element = h("div", { class: "call-bar", role: "group", "aria-label": "Controls of the call" }, mute, camera, devices.button, screen, pip, full, stats.button, hangUp);
  const off = new AbortController();
  document.addEventListener("fullscreenchange", mark, { signal: off.signal });
  for (const type of ["enterpictureinpicture", "leavepictureinpicture"]) remote.addEventListener(type, mark, { signal: off.signal });

  return {
    element,
    panels: [devices.panel, stats.panel],
    stats,
    mark,
    toggleMute,
    toggleCamera,
    /** Where the focus goes once they talk. */
    focus: () => mute.focus({ preventScroll: true }),
    focusEnd: () => hangUp.focus({ preventScroll: true }),

    /**
     * Shows what can be done now.
     * @param {string} state as on the panel
     */
    show(state) {
      const on = Boolean(call()?.local);
      const talking = state === "connected" || state === "reconnecting";
      element.hidden = state === "ringing-in" || state === "interrupted" || state === "ended";
      mute.hidden = camera.hidden = devices.button.hidden = !on;
      screen.hidden = !talking || !navigator.mediaDevices?.getDisplayMedia;
      pip.hidden = !talking || !document.pictureInPictureEnabled || !("requestPictureInPicture" in remote);
      full.hidden = !talking || !document.fullscreenEnabled;
      stats.button.hidden = !talking;
      if (element.hidden) for (const panel of [devices.panel, stats.panel]) if (panel.matches(":popover-open")) panel.hidePopover();
      name(hangUp, "phone", state === "asking" || state === "ringing-out" ? "Cancel the call" : "Hang up");
      mark();
    },

    changed: devices.changed,

    close() {
      off.abort();
      devices.close();
      if (document.fullscreenElement === frame) document.exitFullscreen().catch(() => {});
    },
  };

  /** Shows each as it stands. */
  function mark() {
    const now = call();
    const [muted, seen, sharing] = [now?.muted ?? false, !(now?.cameraOff ?? true), now?.sharing ?? false];
    press(mute, muted, muted ? "muted" : "record", muted ? "Unmute (M)" : "Mute (M)", "Mute");
    press(camera, seen, seen ? "camera" : "camera-off", seen ? "Turn the camera off (V)" : "Turn the camera on (V)", "Camera");
    press(screen, sharing, "screen", sharing ? "Stop sharing your screen" : "Share your screen", "Share your screen");
    // Without a picture there is nothing to take out of the page.
    pip.disabled = remote.videoWidth === 0;
    const out = document.pictureInPictureElement === remote;
    press(pip, out, "pip", out ? "Put the picture back" : "Picture in a window of its own", "Picture in picture");
    const wide = document.fullscreenElement === frame;
    press(full, wide, "full", wide ? "Leave full screen" : "Full screen", "Full screen");
  }

  function toggleMute() {
    const now = call();
    return now && attempt(mute, () => now.mute(!now.muted), { of: "audio" });
  }

  function toggleCamera() {
    const now = call();
    return now && attempt(camera, () => now.camera(now.cameraOff));
  }

  function toggleScreen() {
    const now = call();
    return now && attempt(screen, () => now.screen(!now.sharing), { denied: "screen-denied" });
  }

  function togglePip() {
    return attempt(pip, () => (document.pictureInPictureElement ? document.exitPictureInPicture() : remote.requestPictureInPicture()));
  }

  function toggleFull() {
    return attempt(full, () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()));
  }

  /**
   * @param {HTMLButtonElement} button busy meanwhile
   * @param {() => unknown} deed
   * @param {object} [means]
   * @param {import("./call-words.js").CallKind} [means.of] what it is about, if not all of the call
   * @param {string} [means.denied] what it means that it may not be: of a screen it is most often a change of mind
   */
  async function attempt(button, deed, { of, denied = "media-denied" } = {}) {
    if (button.ariaBusy) return;
    button.ariaBusy = "true";
    try {
      await deed();
    } catch (caught) {
      const problem = problemOf(caught);
      failed(problem.code === "media-denied" ? { ...problem, code: denied } : problem, of);
    }
    button.ariaBusy = null;
    devices.changed();
    mark();
  }
}

/**
 * @param {string} id
 * @param {() => unknown} onclick
 */
function tool(id, onclick) {
  return h("button", { class: "call-tool", type: "button", "data-testid": id, onclick: () => void onclick() });
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} on
 * @param {IconName} picture
 * @param {string} title what it does
 * @param {string} label what it is, which stays
 */
function press(button, on, picture, title, label) {
  button.ariaPressed = String(on);
  name(button, picture, title, label);
}

/**
 * @param {HTMLButtonElement} button
 * @param {IconName} picture
 * @param {string} title
 * @param {string} [label]
 */
function name(button, picture, title, label = title) {
  button.title = title;
  button.ariaLabel = label;
  if (button.dataset.icon === picture) return;
  button.dataset.icon = picture;
  button.replaceChildren(icon(picture));
}
