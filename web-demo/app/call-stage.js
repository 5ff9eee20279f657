/** The pictures of a call: one large, one small that can be put into any corner; without a picture, a face and how loud it is. */

import { mirrored, nearest, towards } from "./call-corner.js";
import { h } from "./dom.js";
import { meter } from "./meter.js";
import { avatar } from "./shapes.js";

/** A pointer that moved less, in pixels, was a click. */
const CLICK = 6;

/** @param {{ username: string, id: string }} partner */
export function callStage(partner) {
  const remote = h("video", { class: "call-video", "data-testid": "remote-video", autoplay: true, playsinline: true, "aria-label": `Picture of ${partner.username}` });
  const local = h("video", { class: "call-video", "data-testid": "local-video", autoplay: true, playsinline: true, "aria-label": "Your picture" });
  // As an attribute it would not count for an element made by a script.
  local.muted = true;
  const tiles = {
    remote: h("div", { class: "call-tile", "data-whose": "remote", hidden: true }, remote),
    local: h("div", { class: "call-tile", "data-whose": "local", hidden: true }, local),
  };
  const small = h("button", {
    class: "call-small",
    type: "button",
    hidden: true,
    "data-testid": "call-swap",
    "aria-label": "Small picture. Press to swap the two, an arrow key to move it",
    title: "Click to swap the pictures; drag to move this one",
    onpointerdown: press,
    onclick,
    onkeydown,
  });
  const level = h("canvas", { class: "call-level", "aria-hidden": "true" });
  const face = h("div", { class: "call-face" }, avatar(partner.username, partner.id));
  const sound = h("button", { class: "button small call-sound", type: "button", hidden: true, "data-testid": "call-sound", onclick: () => play() }, "Turn the sound on");
  const element = h("div", { class: "call-pictures", "data-corner": "top-right", "data-large": "remote" }, face, tiles.remote, tiles.local, small, sound);
  /** @type {ReturnType<typeof meter> | null} */
  let loud = null;
  /** The track that is listened to, so that it is not begun anew for the same. */
  let heard = "";
  /** Whether the two changed places by the person's wish. */
  let swapped = false;
  /** A drag ends with a click, which is none. */
  let dragged = false;

  return {
    element,
    level,
    remote,

    /**
     * Shows what there is.
     * @param {object} now
     * @param {MediaStream | null} now.theirs
     * @param {MediaStream | null} now.mine
     * @param {boolean} now.seen whether their picture comes
     * @param {boolean} now.shown whether ours goes
     * @param {boolean} now.sharing
     */
    show({ theirs, mine, seen, shown, sharing }) {
      attach(remote, theirs);
      attach(local, mine);
      local.dataset.mirrored = String(mirrored(mine?.getVideoTracks()[0]?.getSettings() ?? {}, sharing));
      tiles.remote.hidden = !seen;
      tiles.local.hidden = !shown;
      small.hidden = !(seen && shown);
      // Alone, a picture of oneself is small beside the face of the other, but large while it rings.
      element.dataset.large = seen && shown ? (swapped ? "local" : "remote") : seen ? "remote" : theirs ? "face" : "local";
      face.hidden = seen || (shown && !theirs);
      listen(theirs);
    },

    close() {
      loud?.close();
      loud = null;
      for (const video of [remote, local]) video.srcObject = null;
      if (document.pictureInPictureElement === remote) document.exitPictureInPicture().catch(() => {});
    },
  };

  /**
   * @param {HTMLVideoElement} video
   * @param {MediaStream | null} stream
   */
  function attach(video, stream) {
    if (video.srcObject === stream) return;
    video.srcObject = stream;
    if (stream && video === remote) play();
  }

  /** A browser may want a click before it lets a page be heard. */
  async function play() {
    try {
      await remote.play();
      sound.hidden = true;
    } catch (caught) {
      // To be taken away before it played is no refusal.
      sound.hidden = !(caught instanceof Error && caught.name === "NotAllowedError");
    }
  }

  /** @param {MediaStream | null} stream */
  function listen(stream) {
    const track = stream?.getAudioTracks()[0];
    if (!stream || !track || track.id === heard) return;
    heard = track.id;
    loud?.close();
    loud = meter(level, new MediaStream([track]));
  }

  function onclick() {
    if (dragged) return;
    swapped = !swapped;
    element.dataset.large = swapped ? "local" : "remote";
  }

  /** @param {KeyboardEvent} event */
  function onkeydown(event) {
    dragged = false;
    const next = towards(/** @type {import("./call-corner.js").Corner} */ (element.dataset.corner), event.key);
    if (!next) return;
    event.preventDefault();
    element.dataset.corner = next;
  }

  /** @param {PointerEvent} event */
  function press(event) {
    dragged = false;
    if (event.button) return;
    const { clientX, clientY, pointerId } = event;
    small.setPointerCapture(pointerId);
    const off = new AbortController();
    const until = { signal: off.signal };
    small.addEventListener("pointermove", (move) => {
      const [x, y] = [move.clientX - clientX, move.clientY - clientY];
      dragged ||= Math.hypot(x, y) > CLICK;
      if (dragged) shift(x, y);
    }, until);
    small.addEventListener("pointerup", () => drop(off), until);
    small.addEventListener("pointercancel", () => drop(off), until);
  }

  /** Lets the picture go into the corner that is nearest. @param {AbortController} off */
  function drop(off) {
    off.abort();
    if (!dragged) return;
    const field = element.getBoundingClientRect();
    const { left, top, width, height } = small.getBoundingClientRect();
    element.dataset.corner = nearest((left + width / 2 - field.left) / field.width, (top + height / 2 - field.top) / field.height);
    shift(0, 0);
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  function shift(x, y) {
    element.style.setProperty("--x", `${x}px`);
    element.style.setProperty("--y", `${y}px`);
  }
}
