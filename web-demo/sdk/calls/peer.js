/**
 * @file One RTCPeerConnection of a call: perfect negotiation (WebRTC, section 10.7) with a name for each offer, so
 * that what is late is known as such. One thing is done at a time; what comes meanwhile waits for it.
 */

import { Incoming, Outgoing } from "./candidates.js";
import { Retry } from "./retry.js";

/** Bits a second; more is not seen or heard in the picture or sound of one person. */
const AUDIO_BITS = 48_000;
const VIDEO_BITS = 1_500_000;
const SCREEN_BITS = 2_500_000;

/** The name of every offer where they have none. */
export const BARE = "";

const KINDS = /** @type {const} */ (["audio", "video"]);

/** @typedef {import("./media.js").Kind} Kind */

/**
 * What a connection needs of its call.
 * @typedef {object} PeerHost
 * @property {(event: string, data: object) => boolean} say a signal, without the name of the call. False: it was not taken
 * @property {(track: MediaStreamTrack) => void} track the partner's
 * @property {() => void} state of the connection is another
 * @property {(error: unknown) => void} broken a step of the negotiation was not possible
 */

/**
 * @typedef {object} Setup
 * @property {RTCIceServer[]} iceServers
 * @property {boolean} relay
 * @property {boolean} polite
 * @property {boolean} bare the partner's client knows no names of offers
 * @property {Kind} kind
 * @property {number} generation
 * @property {boolean} offers whether it makes the first offer; otherwise it waits for the partner's
 */

export class Peer {
  #pc;
  #host;
  #setup;
  #gone = new AbortController();
  /** @type {Promise<void>} */
  #work = Promise.resolve();
  /** Whether what this side sends is on the connection: for the one who waits, with the partner's first offer. */
  #begun;
  /** Our offer that is not answered yet. @type {string | null} */
  #offer = null;
  /** While a description that was not passed on waits for its time, nothing else is offered. */
  #retry = new Retry();
  /** An offer is to be made after that. */
  #due = false;
  /** Our last answer. @type {{ answer: RTCSessionDescriptionInit, id: string } | null} */
  #answer = null;
  #outgoing;
  #incoming = new Incoming();
  /** @type {Record<Kind, MediaStreamTrack | null>} */
  #sends = { audio: null, video: null };
  #sharing = false;
  /** Most bits a second for the picture, as the line is. */
  #cap = Infinity;

  /**
   * @param {Setup} setup
   * @param {PeerHost} host
   */
  constructor(setup, host) {
    this.#setup = setup;
    this.#host = host;
    this.#begun = setup.offers;
    this.#outgoing = new Outgoing((id, candidates, end) => host.say("webrtc:candidates", { id, candidates, ...(end && { end }) }));
    this.#pc = new RTCPeerConnection({
      iceServers: setup.iceServers,
      iceTransportPolicy: setup.relay ? "relay" : "all",
      bundlePolicy: "max-bundle",
    });
    const { signal } = this.#gone;
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ act) => this.#pc.addEventListener(type, act, { signal });
    on("icecandidate", ({ candidate }) => this.#outgoing.add(candidate));
    on("negotiationneeded", () => this.#do(() => this.#negotiate()));
    on("track", ({ track }) => host.track(track));
    on("connectionstatechange", this.#told);
    on("iceconnectionstatechange", this.#told);
  }

  /**
   * How media is: `faltering` may come back by itself; `gone`: the partner has closed the connection, which is all that
   * a bare call says of its end.
   * @returns {"connected" | "faltering" | "failed" | "gone" | "none"}
   */
  get state() {
    const { connectionState, iceConnectionState } = this.#pc;
    if (this.#setup.bare && this.#pc.getSenders().some(({ transport }) => transport?.state === "closed")) return "gone";
    if (connectionState === "failed" || iceConnectionState === "failed") return "failed";
    if (connectionState === "disconnected" || iceConnectionState === "disconnected") return "faltering";
    return connectionState === "connected" ? "connected" : "none";
  }

  /**
   * What is to be sent from now on.
   * @param {Record<Kind, MediaStreamTrack | null>} tracks
   * @param {boolean} sharing whether the picture is a screen
   */
  send(tracks, sharing) {
    this.#sends = tracks;
    this.#sharing = sharing;
    this.#do(async () => {
      if (!this.#begun) return;
      await this.#attach();
      await this.#shape();
      if ((this.#retry.anew() && this.#due) || this.#pc.localDescription === null) await this.#negotiate();
    });
  }

  /** What was said may be lost: an offer that waits for its answer is made again. */
  again() {
    this.#do(async () => {
      if ((this.#retry.anew() && this.#due) || this.#offer !== null) await this.#negotiate(true);
    });
  }

  /**
   * The server has not passed on what was said.
   * @param {string} event
   * @param {number} [retryAfterMs] when it may be said again
   */
  refused(event, retryAfterMs) {
    if (event === "webrtc:offer") this.#do(() => this.#takeBack(retryAfterMs));
    // What was wrong with an answer would be so again.
    else if (event === "webrtc:answer" && retryAfterMs !== undefined) this.#answerLater(retryAfterMs);
  }

  /** @param {number} bits a second for the picture at most; 0: none */
  bound(bits) {
    this.#cap = bits;
    this.#do(() => this.#shape());
  }

  /** @param {RTCIceServer[]} iceServers that count from the next gathering on */
  renew(iceServers) {
    // Firefox could not for long; there the credentials of the beginning have to do.
    this.#pc.setConfiguration?.({ ...this.#pc.getConfiguration(), iceServers });
  }

  /** Looks for a way anew; media goes on over the one there is, as long as it goes. */
  restart() {
    this.#do(async () => {
      if (!this.#begun) return;
      this.#retry.anew();
      this.#pc.restartIce();
      await this.#negotiate(true);
    });
  }

  /**
   * A signal of the partner about this connection.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    this.#do(async () => {
      if (event === "webrtc:offer") await this.#offered(data);
      else if (event === "webrtc:answer") await this.#answered(data);
      else await this.#add(this.#incoming.take(data.id, [...data.candidates, ...(data.end ? [null] : [])]));
    });
  }

  /** The counters of the moment. */
  async report() {
    /** @type {any[]} */
    const all = [];
    (await this.#pc.getStats()).forEach((one) => all.push(one));
    return all;
  }

  close() {
    this.#gone.abort();
    this.#retry.stop();
    this.#outgoing.drop();
    this.#pc.close();
  }

  /** The partner's end tells of its closing to what carries the media, and to nothing else. */
  #watch() {
    if (!this.#setup.bare) return;
    const { signal } = this.#gone;
    for (const { transport } of this.#pc.getSenders()) transport?.addEventListener("statechange", this.#told, { signal });
  }

  #told = () => this.#host.state();

  /** @param {() => Promise<void>} step */
  #do(step) {
    this.#work = this.#work.then(async () => {
      if (!this.#closed) await step();
    }).catch((error) => {
      // A connection that was closed in the middle of a step has nothing to tell.
      if (!this.#closed) this.#host.broken(error);
    });
  }

  get #closed() {
    return this.#gone.signal.aborted;
  }

  /**
   * Makes an offer. One that waits for its answer is waited for, unless this one is wanted in its place.
   * @param {boolean} [anew]
   */
  async #negotiate(anew = false) {
    const pc = this.#pc;
    const due = pc.signalingState === "stable" || (anew && pc.signalingState === "have-local-offer");
    if (!this.#begun || !due) return;
    this.#due = this.#retry.waits;
    if (this.#due) return;
    this.#outgoing.hold();
    await pc.setLocalDescription();
    if (this.#closed || pc.localDescription?.type !== "offer") return;
    if (this.#offer !== null) this.#incoming.over(this.#offer);
    const { kind, generation, bare } = this.#setup;
    const id = bare ? BARE : crypto.randomUUID();
    this.#offer = id;
    if (!this.#host.say("webrtc:offer", { offer: plain(pc.localDescription), type: kind, id, generation })) return this.#takeBack();
    this.#outgoing.release(id);
  }

  /**
   * The offer of the moment was not passed on: it is taken back, so that the partner's can be taken, and made again.
   * @param {number} [afterMs]
   */
  async #takeBack(afterMs) {
    if (this.#offer === null || this.#pc.signalingState !== "have-local-offer") return;
    this.#incoming.over(this.#offer);
    this.#offer = null;
    this.#outgoing.drop();
    this.#due = true;
    this.#later(afterMs);
    await this.#pc.setLocalDescription({ type: "rollback" });
  }

  /** @param {number} [afterMs] */
  #answerLater(afterMs) {
    const answer = this.#answer;
    if (answer) this.#later(afterMs, () => {
      if (answer !== this.#answer) return;
      // For the server, whoever answers has taken their own offer back.
      this.#due ||= this.#offer !== null;
      this.#sayAnswer(answer);
    });
  }

  /**
   * @param {number | undefined} afterMs
   * @param {() => void} [act]
   */
  #later(afterMs, act) {
    this.#retry.in(afterMs, () => {
      act?.();
      if (this.#due) this.#do(() => this.#negotiate(true));
    });
  }

  /** @param {{ answer: RTCSessionDescriptionInit, id: string }} answer */
  #sayAnswer(answer) {
    if (!this.#host.say("webrtc:answer", answer)) this.#answerLater();
  }

  /** @param {{ offer: RTCSessionDescriptionInit, id: string }} offer */
  async #offered({ offer, id }) {
    const pc = this.#pc;
    if (pc.signalingState !== "stable") {
      // Both offered at once: the partner will take this side's, or this side takes theirs back.
      if (!this.#setup.polite) return this.#incoming.over(id);
      if (this.#offer !== null) this.#incoming.over(this.#offer);
    }
    await pc.setRemoteDescription(offer);
    this.#offer = this.#answer = null;
    this.#begun = true;
    try {
      await this.#add(this.#incoming.stands(id));
      await this.#attach();
      this.#outgoing.hold();
      await pc.setLocalDescription();
    } catch (error) {
      // Or every later offer would find this one in its way.
      if (!this.#closed && pc.signalingState === "have-remote-offer") await pc.setRemoteDescription({ type: "rollback" });
      throw error;
    }
    if (this.#closed || !pc.localDescription) return;
    this.#answer = { answer: plain(pc.localDescription), id };
    this.#sayAnswer(this.#answer);
    this.#outgoing.release(id);
    this.#watch();
    await this.#shape();
  }

  /** @param {{ answer: RTCSessionDescriptionInit, id: string }} answer */
  async #answered({ answer, id }) {
    // Late: another offer stands, or none.
    if (id !== this.#offer || this.#pc.signalingState !== "have-local-offer") return;
    await this.#pc.setRemoteDescription(answer);
    this.#offer = this.#answer = null;
    this.#retry.anew();
    await this.#add(this.#incoming.stands(id));
    this.#watch();
    await this.#shape();
  }

  /** @param {(RTCIceCandidateInit | null)[]} candidates `null`: there are no more */
  async #add(candidates) {
    for (const candidate of candidates) {
      try {
        await this.#pc.addIceCandidate(candidate ?? undefined);
      } catch (error) {
        // One way less; whether one is left, the state of the connection says.
        if (!this.#closed) this.#host.broken(error);
      }
    }
  }

  /** Puts what is to be sent on the connection: in the place of what was sent, where there was something. */
  async #attach() {
    for (const kind of KINDS) {
      const track = this.#sends[kind];
      const place = this.#place(kind);
      if (place && place.sender.track !== track) await place.sender.replaceTrack(track);
      if (this.#closed) return;
      const sends = place?.direction.startsWith("send") ?? false;
      if (place && track && !sends) place.direction = "sendrecv";
      // The partner's track is muted by that, which is how they know. An old client would take the offer for a new call.
      if (place && !track && sends && !this.#setup.bare) place.direction = "recvonly";
      if (!place && track) this.#pc.addTrack(track);
      // Nothing to send, yet the partner's is wanted.
      if (!place && !track && this.#setup.offers && (kind === "audio" || this.#setup.kind === "video")) {
        this.#pc.addTransceiver(kind, { direction: "recvonly" });
      }
    }
  }

  /** @param {Kind} kind */
  #place(kind) {
    const places = this.#pc.getTransceivers().filter((one) => one.receiver.track.kind === kind && one.direction !== "stopped");
    // After an offer was taken back there may be one that the partner knows nothing of.
    return places.find(({ mid }) => mid !== null) ?? places[0];
  }

  /** Bounds what is sent: sound comes first, and a picture of the camera would rather be blurred than jerky. */
  async #shape() {
    for (const kind of KINDS) {
      const { sender } = this.#place(kind) ?? {};
      if (!sender?.track) continue;
      const parameters = sender.getParameters();
      // Before the first description there may be nothing to bound.
      const [encoding] = parameters.encodings ?? [];
      if (!encoding) continue;
      if (kind === "audio") {
        Object.assign(encoding, { maxBitrate: AUDIO_BITS, priority: "high", networkPriority: "high" });
      } else {
        encoding.maxBitrate = Math.min(this.#sharing ? SCREEN_BITS : VIDEO_BITS, this.#cap || VIDEO_BITS);
        encoding.active = this.#cap > 0;
        parameters.degradationPreference = this.#sharing ? "maintain-resolution" : "maintain-framerate";
      }
      try {
        await sender.setParameters(parameters);
      } catch (error) {
        // It goes out unbounded, by the browser's own measure; the next change tries again.
        if (!this.#closed) this.#host.broken(error);
      }
    }
  }
}

/** @param {RTCSessionDescription} description */
function plain({ type, sdp }) {
  return { type, sdp };
}
