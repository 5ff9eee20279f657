/**
 * @file The media of a call: what this side gives, the connection of the moment, what brings it back, and how it is.
 * Knows nothing of rings.
 */

import { Gauge } from "./gauge.js";
import { Peer } from "./peer.js";
import { Recovery } from "./recovery.js";
import { LocalMedia } from "./tracks.js";

/** @typedef {import("./call.js").CallEvents} CallEvents */

/**
 * What a line needs of its call.
 * @typedef {object} LineHost
 * @property {(event: string, data: object) => boolean} say a signal, without the name of the call. False: it was not taken
 * @property {(state: "connected" | "reconnecting") => void} become
 * @property {<K extends keyof CallEvents>(type: K, detail: CallEvents[K]) => void} tell
 * @property {() => void} gone the partner's end of it is gone, as far as that can be seen
 * @property {(cause: unknown) => void} failed media does not come, or not again
 * @property {() => boolean} linked whether signals can be said now
 * @property {() => boolean} hopeful whether the partner can hear them
 * @property {boolean} polite
 * @property {import("./ice.js").IceServers} ice
 */

export class Line {
  /** What this side gives; `null`: the devices were not asked for yet. @type {LocalMedia | null} */
  media = null;
  /** What comes in. @type {MediaStream | null} */
  remote = null;
  /** @type {import("./numbers.js").Path | null} */
  path = null;
  /** When media came for the first time. @type {number | null} */
  startedAt = null;
  #host;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {Recovery | null} */
  #recovery = null;
  /** @type {Gauge | null} */
  #gauge = null;
  #beganAt = 0;
  #connected = false;
  /** The last step that failed: why no media comes, if none does. @type {unknown} */
  #trouble = null;
  #release = () => {};
  /** What is to be off from the beginning, as it was said before the devices were there. */
  #muted = false;
  #dark = false;

  /** @param {LineHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** Whether there is a connection, or an attempt at one. */
  get met() {
    return this.#peer !== null;
  }

  /** How it was, for the counters of the service. */
  get report() {
    const setupMs = this.startedAt === null ? undefined : Math.round(this.startedAt - this.#beganAt);
    return {
      setupMs,
      path: this.path ?? undefined,
      lossPercent: this.#gauge?.lossPercent ?? undefined,
      rttMs: this.#gauge?.last?.rttMs ?? undefined,
    };
  }

  /**
   * What this side gives.
   * @param {MediaStreamTrack[]} tracks
   */
  equip(tracks) {
    this.media = new LocalMedia(() => this.#give());
    this.#release = this.#host.ice.use(() => this.#peer?.renew(this.#host.ice.servers));
    const unwanted = this.#dark ? tracks.filter(({ kind }) => kind === "video") : [];
    for (const track of unwanted) track.stop();
    this.media.adopt(tracks.filter((track) => !unwanted.includes(track)));
    if (this.#muted) void this.media.mute(true);
  }

  /** @param {boolean} on whether nothing is heard of this side */
  async mute(on) {
    if (this.media) return this.media.mute(on);
    this.#muted = on;
  }

  /** @param {boolean} on whether this side is seen */
  async camera(on) {
    if (this.media) return this.media.camera(on);
    this.#dark = !on;
  }

  /**
   * Media is to come from now on.
   * @param {boolean} bare the partner's client knows no restart
   */
  begin(bare) {
    const { linked, hopeful } = this.#host;
    this.#beganAt = performance.now();
    this.#recovery = new Recovery({
      restart: () => !bare && this.#peer?.restart(),
      linked,
      hopeful,
      lost: () => this.#lose(),
      giveUp: () => this.#host.failed(this.#trouble),
    }, this.#host.polite);
    this.#recovery.begin();
    this.#gauge = new Gauge({
      peer: () => this.#peer,
      connected: () => this.#connected,
      pictured: () => Boolean(this.media?.track("video")),
      stats: (stats) => {
        this.#host.tell("stats", stats);
        if (!stats.path || stats.path === this.path) return;
        this.path = stats.path;
        this.#host.tell("path", { path: stats.path });
      },
      silent: () => this.#recovery?.silent(),
      quality: (level, cap) => {
        this.#peer?.bound(cap);
        this.#host.tell("quality", { level });
      },
    });
    this.#look();
  }

  /**
   * Makes a connection, in place of the one of the moment.
   * @param {Omit<import("./peer.js").Setup, "iceServers" | "polite">} setup
   */
  meet(setup) {
    this.#peer?.close();
    const peer = new Peer({ ...setup, iceServers: this.#host.ice.servers, polite: setup.bare || this.#host.polite }, {
      say: (event, data) => this.#host.say(event, data),
      track: (track) => this.#take(track),
      state: () => this.#look(),
      broken: (error) => (this.#trouble = error),
    });
    const again = this.#peer !== null;
    this.#peer = peer;
    this.#gauge?.restart();
    if (this.#gauge) peer.bound(this.#gauge.cap);
    this.#give();
    if (!again) return;
    this.path = null;
    // It has as long as the first one had.
    this.#recovery?.begin();
    this.#lose();
  }

  /**
   * A signal of the partner.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    this.#peer?.hear(event, data);
  }

  /**
   * The server would not pass on one of ours.
   * @param {import("../errors.js").DuologueError} error
   */
  refused(error) {
    // One way less; if none is found without it, that is why.
    this.#trouble = error;
    this.#peer?.refused(error.event ?? "", error.retryAfterMs);
  }

  /** Signals can be said again; `anew`: what was said before may be lost. */
  linked(anew = false) {
    const looks = this.#recovery?.linked(anew) ?? false;
    if (anew && !looks) this.#peer?.again();
  }

  /** @returns {Promise<import("./numbers.js").Stats | null>} */
  async stats() {
    return (await this.#gauge?.read()) ?? null;
  }

  stop() {
    this.#release();
    this.#recovery?.stop();
    this.#gauge?.stop();
    this.#peer?.close();
    this.media?.stop();
    this.#peer = null;
    this.#connected = false;
  }

  /** What goes out is another. */
  #give() {
    const { media } = this;
    if (!media) return;
    this.#peer?.send({ audio: media.track("audio"), video: media.track("video") }, media.sharing);
    this.#host.tell("local", { stream: media.stream });
  }

  /** @param {MediaStreamTrack} track of the partner */
  #take(track) {
    const stream = (this.remote ??= new MediaStream());
    // Those of a connection that was given up make room.
    for (const other of stream.getTracks()) if (other.kind === track.kind && other !== track) stream.removeTrack(other);
    stream.addTrack(track);
    this.#host.tell("remote", { stream });
  }

  /** The connection tells of itself. */
  #look() {
    const state = this.#peer?.state ?? "none";
    if (state === "gone") return this.#host.gone();
    this.#recovery?.become(state);
    if (state !== "connected" || !this.#recovery) return;
    this.#connected = true;
    this.startedAt ??= performance.now();
    this.#host.become("connected");
  }

  /** Media is away. */
  #lose() {
    this.#connected = false;
    // The first time it only takes longer.
    if (this.startedAt !== null) this.#host.become("reconnecting");
  }
}
