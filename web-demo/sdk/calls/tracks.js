/**
 * @file What one side of a call gives: the microphone, and one picture, which is the camera's or the screen's.
 * Everything that was asked for here is stopped here.
 */

import { open, openScreen } from "./media.js";

/** A camera that is turned off sends black for this long, so that no last picture stays, and is then let go. */
const BLACK_MS = 1_000;

/** @typedef {import("./media.js").Kind} Kind */

export class LocalMedia {
  /** What goes out, to be shown beside the partner's. */
  stream = new MediaStream();
  /** @type {MediaStreamTrack | null} */
  #microphone = null;
  /** @type {MediaStreamTrack | null} */
  #camera = null;
  /** @type {MediaStreamTrack | null} */
  #screen = null;
  #cameraOff = true;
  #changed;
  /** Which camera and microphone the person chose. @type {Partial<Record<Kind, string>>} */
  #chosen = {};
  /** @type {ReturnType<typeof setTimeout> | undefined} until the camera is let go */
  #resting;
  #stopped = false;

  /** @param {(kind: Kind) => void} changed what goes out is another, or is switched on or off */
  constructor(changed) {
    this.#changed = changed;
  }

  get muted() {
    return !this.#microphone?.enabled;
  }

  get cameraOff() {
    return this.#cameraOff;
  }

  get sharing() {
    return this.#screen !== null;
  }

  /**
   * What is to be sent of a kind.
   * @param {Kind} kind
   */
  track(kind) {
    return kind === "audio" ? this.#microphone : (this.#screen ?? this.#camera);
  }

  /** @param {MediaStreamTrack[]} tracks */
  adopt(tracks) {
    // It may be over while the browser asked the person.
    if (this.#stopped) return tracks.forEach((track) => track.stop());
    for (const track of tracks) this.#put(track);
  }

  /** @param {boolean} on whether nothing is heard of this side */
  async mute(on) {
    if (!on && !this.#microphone) return this.adopt(await open({ audio: this.#constraints("audio") }));
    if (!this.#microphone || this.#microphone.enabled !== on) return;
    this.#microphone.enabled = !on;
    this.#changed("audio");
  }

  /** @param {boolean} on */
  async camera(on) {
    if (on !== this.#cameraOff) return;
    clearTimeout(this.#resting);
    if (!on) {
      this.#cameraOff = true;
      if (this.#camera) this.#camera.enabled = false;
      this.#resting = setTimeout(() => this.#release(), BLACK_MS);
    } else if (this.#camera) {
      this.#cameraOff = false;
      this.#camera.enabled = true;
    } else {
      return this.adopt(await open({ video: this.#constraints("video") }));
    }
    this.#changed("video");
  }

  /**
   * Another microphone or camera, in place of the one of the moment.
   * @param {Kind} kind
   * @param {string} deviceId
   */
  async use(kind, deviceId) {
    this.#chosen[kind] = deviceId;
    // What is off is off; the choice counts once it is on.
    if (kind === "video" ? this.#cameraOff : !this.#microphone) return;
    const muted = kind === "audio" && this.muted;
    const [track] = await open({ [kind]: this.#constraints(kind) });
    track.enabled = !muted;
    this.adopt([track]);
  }

  /** @param {boolean} on */
  async screen(on) {
    if (on === this.sharing) return;
    if (!on) return this.#unshare();
    const track = await openScreen();
    if (this.#stopped) return track.stop();
    this.#screen = track;
    track.contentHint = "detail";
    // The browser has a button of its own for the end of it.
    track.addEventListener("ended", () => this.#screen === track && this.#unshare());
    this.#show();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#resting);
    for (const track of [this.#microphone, this.#camera, this.#screen]) track?.stop();
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
    this.#microphone = this.#camera = this.#screen = null;
    this.#cameraOff = true;
  }

  /** @param {Kind} kind */
  #constraints(kind) {
    const deviceId = this.#chosen[kind];
    return deviceId === undefined ? true : { deviceId: { exact: deviceId } };
  }

  /** @param {MediaStreamTrack} track */
  #put(track) {
    if (track.kind === "audio") {
      const before = this.#microphone;
      this.#microphone = track;
      this.#replace(before, track);
      before?.stop();
      track.addEventListener("ended", () => this.#microphone === track && this.#lose("audio"));
      this.#changed("audio");
      return;
    }
    const before = this.#camera;
    clearTimeout(this.#resting);
    this.#camera = track;
    this.#cameraOff = false;
    track.contentHint = "motion";
    track.addEventListener("ended", () => this.#camera === track && this.#lose("video"));
    this.#show();
    before?.stop();
  }

  /** The device was pulled out, or taken away. @param {Kind} kind */
  #lose(kind) {
    if (kind === "video") {
      this.#cameraOff = true;
      return this.#release();
    }
    this.#replace(this.#microphone, null);
    this.#microphone = null;
    this.#changed("audio");
  }

  /** The camera is not held any more. */
  #release() {
    this.#camera?.stop();
    this.#camera = null;
    this.#show();
  }

  #unshare() {
    this.#screen?.stop();
    this.#screen = null;
    this.#show();
  }

  /** The picture of the moment is the one in the stream. */
  #show() {
    const [before] = this.stream.getVideoTracks();
    this.#replace(before ?? null, this.track("video"));
    this.#changed("video");
  }

  /**
   * @param {MediaStreamTrack | null} before
   * @param {MediaStreamTrack | null} after
   */
  #replace(before, after) {
    if (before === after) return;
    if (before) this.stream.removeTrack(before);
    if (after) this.stream.addTrack(after);
  }
}
