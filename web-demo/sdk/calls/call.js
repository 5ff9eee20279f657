/**
 * @file One call with the partner, as an app sees it: from the ring to its end, on either side.
 */

import { Emitter } from "../emitter.js";
import { list } from "./media.js";

/** @typedef {import("./media.js").Kind} Kind */
/** @typedef {import("./numbers.js").Stats} Stats */

/**
 * `ringing`: not answered; `connecting`: answered, no media yet; `reconnecting`: it was there, and comes back or not;
 * `interrupted`: it stands, but its media went with a reload of the page, and `accept` brings it back.
 * @typedef {"ringing" | "connecting" | "connected" | "reconnecting" | "interrupted" | "ended"} CallState
 */

/**
 * `lost`: the service does not know it any more; `conversation`: the talk is over, and the call with it.
 * @typedef {"hung-up" | "you-hung-up" | "declined" | "you-declined" | "busy" | "cancelled" | "no-answer" | "failed" | "conversation" | "lost"} CallEnd
 */

/**
 * @typedef {object} CallEvents
 * @property {{ state: CallState }} state
 * @property {{ stream: MediaStream }} remote there is sound or a picture of the partner
 * @property {{ stream: MediaStream }} local what goes out is another, or is switched on or off
 * @property {Stats} stats each second while connected
 * @property {{ path: import("./numbers.js").Path }} path
 * @property {{ level: import("./quality.js").Level }} quality how the line is; `audio`: it is too bad for a picture
 * @property {{ reason: CallEnd, error?: import("../errors.js").DuologueError }} ended
 */

/**
 * @typedef {object} CallInfo
 * @property {string} id
 * @property {Kind} kind
 * @property {"incoming" | "outgoing"} direction
 * @property {boolean} relay
 * @property {CallState} [state]
 * @property {number} [generation] how often its media was set up anew
 * @property {boolean} [bare] the partner's client knows no `call:*`
 * @property {number} [ringMs]
 */

/** @typedef {import("./media.js").Wanted & { relay?: boolean, signal?: AbortSignal }} CallOptions */

/** @extends {Emitter<CallEvents>} */
export class Call extends Emitter {
  /** @type {CallState} */
  #state;
  #info;
  #work;

  /** The devices there are; without a permission they have no names yet. */
  static devices() {
    return list();
  }

  /**
   * @internal
   * @param {CallInfo} info
   * @param {import("./calling.js").Calling} work
   */
  constructor(info, work) {
    super();
    this.#info = info;
    this.#state = info.state ?? "ringing";
    this.#work = work;
    /** @readonly */
    this.direction = info.direction;
  }

  get id() {
    return this.#info.id;
  }

  /** As it was asked for; either side may give more or less. */
  get kind() {
    return this.#info.kind;
  }

  get state() {
    return this.#state;
  }

  /** Whether neither side learns the other's address. */
  get relay() {
    return this.#info.relay;
  }

  /** Which way media goes; `null`: not known yet. */
  get path() {
    return this.#work.line.path;
  }

  /** What goes out; `null`: the devices were not asked for yet. */
  get local() {
    return this.#work.line.media?.stream ?? null;
  }

  /** What comes in: one stream for the whole call. */
  get remote() {
    return this.#work.line.remote;
  }

  /** When media came for the first time, by `performance.now()`. */
  get startedAt() {
    return this.#work.line.startedAt;
  }

  get muted() {
    return this.#work.line.media?.muted ?? true;
  }

  get cameraOff() {
    return this.#work.line.media?.cameraOff ?? true;
  }

  /** Whether the screen goes out in place of the camera. */
  get sharing() {
    return this.#work.line.media?.sharing ?? false;
  }

  /** @internal */
  get over() {
    return this.#state === "ended";
  }

  /** @internal whether {@link accept} is what it waits for */
  get waits() {
    return this.#state === "interrupted" || (this.#state === "ringing" && this.direction === "incoming");
  }

  /**
   * Takes an incoming call, or goes on with one that was interrupted. Without audio and video one only listens and
   * looks. Rejects where the devices cannot be had, or with the reason of `signal` if that is aborted before they
   * are there; it waits on then, and may be accepted with less.
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  accept({ audio = true, video = this.kind === "video", relay = false, signal } = {}) {
    return this.#work.accept({ audio, video }, relay, signal);
  }

  /**
   * Declines an incoming call.
   * @param {"declined" | "busy"} [reason]
   */
  decline(reason = "declined") {
    if (this.#state === "ringing" && this.direction === "incoming") this.#work.decline(reason);
    else this.end();
  }

  /** Hangs up, or does not ring any more. */
  end() {
    if (this.#state === "ringing" && this.direction === "incoming") this.#work.decline("declined");
    else this.#work.hangUp();
  }

  /**
   * @param {boolean} on whether nothing is heard of this side. Where there is no microphone, `false` asks for one
   * @returns {Promise<void>}
   */
  mute(on) {
    return this.#work.give((line) => line.mute(on));
  }

  /**
   * @param {boolean} on whether this side is seen. Where there is no camera, `true` asks for one
   * @returns {Promise<void>}
   */
  camera(on) {
    return this.#work.give((line) => line.camera(on));
  }

  /**
   * Another microphone or camera.
   * @param {Kind | "audioinput" | "videoinput"} kind
   * @param {string} deviceId
   * @returns {Promise<void>}
   */
  useDevice(kind, deviceId) {
    return this.#work.give(({ media }) => media?.use(kind.startsWith("audio") ? "audio" : "video", deviceId));
  }

  /**
   * @param {boolean} on whether the screen goes out in place of the camera; the browser asks which
   * @returns {Promise<void>}
   */
  screen(on) {
    return this.#work.give(({ media }) => media?.screen(on));
  }

  /**
   * How it is, in numbers; `null` until there is a connection.
   * @returns {Promise<Stats | null>}
   */
  stats() {
    return this.#work.line.stats();
  }

  /**
   * @internal
   * @param {CallState} state
   */
  become(state) {
    if (this.#state === state || this.over) return;
    this.#state = state;
    this.emit("state", { state });
  }

  /**
   * @internal
   * @template {keyof CallEvents} K
   * @param {K} type
   * @param {CallEvents[K]} detail
   */
  tell(type, detail) {
    this.emit(type, detail);
  }
}
