/**
 * @file What one side of a call gives: the microphone, and one picture, which is the camera's or the screen's.
 * Everything that was asked for here is stopped here.
 *
 * A browser may take long to open a device, as it asks the person. What they wish meanwhile counts: what comes in
 * the end and is not wanted any more is let go at once.
 */

import { open, openScreen } from "./media.js";

/** A camera that is turned off sends black for this long, so that no last picture stays, and is then let go. */
const BLACK_MS = 1_000;

/** @typedef {import("./media.js").Kind} Kind */
/** @typedef {Kind | "screen"} Source */

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
  /** What the person wants to give, by their last word. @type {Record<Source, boolean>} */
  #wants = { audio: false, video: false, screen: false };
  /** What the browser was asked for last and has not answered. @type {Partial<Record<Source, Promise<void>>>} */
  #asked = {};
  /** Which camera and microphone the person chose. @type {Partial<Record<Kind, string>>} */
  #chosen = {};
  /** Which choice the camera of the moment is. @type {string | undefined} */
  #cameraIs;
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

  /**
   * What there is at the beginning.
   * @param {MediaStreamTrack[]} tracks
   */
  adopt(tracks) {
    for (const track of tracks) {
      const kind = /** @type {Kind} */ (track.kind);
      this.#wants[kind] = true;
      this.#take(kind, track);
    }
  }

  /** @param {boolean} on whether nothing is heard of this side */
  async mute(on) {
    this.#wants.audio = !on;
    if (!this.#microphone) return on ? undefined : this.#ask("audio");
    if (this.#microphone.enabled !== on) return;
    this.#microphone.enabled = !on;
    this.#changed("audio");
  }

  /** @param {boolean} on */
  async camera(on) {
    this.#wants.video = on;
    if (on !== this.#cameraOff) return;
    // One that was let go meanwhile, or is another than was chosen meanwhile, is no use.
    if (on && (!this.#camera || this.#cameraIs !== this.#chosen.video)) return this.#ask("video");
    clearTimeout(this.#resting);
    this.#cameraOff = !on;
    if (this.#camera) this.#camera.enabled = on;
    if (!on) this.#resting = setTimeout(() => this.#release(), BLACK_MS);
    this.#changed("video");
  }

  /**
   * Another microphone or camera, in place of the one of the moment.
   * @param {Kind} kind
   * @param {string} deviceId
   */
  async use(kind, deviceId) {
    const before = this.#chosen[kind];
    this.#chosen[kind] = deviceId;
    // What is off is off; the choice counts once it is on. Who is muted has a microphone still.
    if (!this.#wants[kind] && !(kind === "audio" && this.#microphone)) return;
    try {
      await this.#ask(kind, true);
    } catch (error) {
      // What cannot be had would be in the way of the one that works.
      if (this.#chosen[kind] === deviceId) this.#chosen[kind] = before;
      throw error;
    }
  }

  /** @param {boolean} on */
  async screen(on) {
    this.#wants.screen = on;
    if (on === this.sharing) return;
    if (on) await this.#ask("screen");
    else this.#unshare();
  }

  stop() {
    this.#stopped = true;
    this.#wants = { audio: false, video: false, screen: false };
    clearTimeout(this.#resting);
    for (const track of [this.#microphone, this.#camera, this.#screen]) track?.stop();
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
    this.#microphone = this.#camera = this.#screen = null;
    this.#cameraOff = true;
  }

  /**
   * Asks the browser; while it has not answered, once for all who want the same. Resolves when what was asked for
   * last is here, or is not wanted any more.
   * @param {Source} source
   * @param {boolean} [anew] another one than was asked for before
   * @returns {Promise<void>}
   */
  #ask(source, anew = false) {
    const before = this.#asked[source];
    if (this.#stopped || (before && !anew)) return before ?? Promise.resolve();
    const opening = source === "screen" ? openScreen().then((track) => [track]) : open({ [source]: this.#constraints(source) });
    const last = () => this.#asked[source] === asked;
    /** @type {Promise<void>} */
    const asked = opening.then(([track]) => {
      if (!last()) {
        track.stop();
        return this.#asked[source];
      }
      delete this.#asked[source];
      this.#take(source, track);
    }, (error) => {
      if (!last()) return this.#asked[source];
      delete this.#asked[source];
      // As it is, it stays.
      this.#wants[source] = source === "audio" ? !this.muted : source === "video" ? !this.#cameraOff : this.sharing;
      throw error;
    });
    this.#asked[source] = asked;
    return asked;
  }

  /** @param {Kind} kind */
  #constraints(kind) {
    const deviceId = this.#chosen[kind];
    return deviceId === undefined ? true : { deviceId: { exact: deviceId } };
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack} track
   */
  #take(source, track) {
    // It may be over while the browser asked the person. Who was muted while it took another microphone is so with that one.
    const muted = source === "audio" && this.#microphone !== null;
    if (this.#stopped || (!this.#wants[source] && !muted)) return track.stop();
    if (source === "audio") this.#takeMicrophone(track);
    else if (source === "video") this.#takeCamera(track);
    else this.#takeScreen(track);
  }

  /** @param {MediaStreamTrack} track */
  #takeMicrophone(track) {
    const before = this.#microphone;
    track.enabled = this.#wants.audio;
    track.addEventListener("ended", () => this.#microphone === track && this.#lose("audio"));
    this.#microphone = track;
    this.#replace(before, track);
    before?.stop();
    this.#changed("audio");
  }

  /** @param {MediaStreamTrack} track */
  #takeCamera(track) {
    const before = this.#camera;
    clearTimeout(this.#resting);
    track.contentHint = "motion";
    track.addEventListener("ended", () => this.#camera === track && this.#lose("video"));
    this.#camera = track;
    this.#cameraIs = this.#chosen.video;
    this.#cameraOff = false;
    this.#show();
    before?.stop();
  }

  /** @param {MediaStreamTrack} track */
  #takeScreen(track) {
    track.contentHint = "detail";
    // The browser has a button of its own for the end of it.
    track.addEventListener("ended", () => this.#screen === track && this.#unshare());
    this.#screen = track;
    this.#show();
  }

  /** The device was pulled out, or taken away. @param {Kind} kind */
  #lose(kind) {
    // Another one that was asked for may come yet.
    if (!this.#asked[kind]) this.#wants[kind] = false;
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
    this.#wants.screen = false;
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
