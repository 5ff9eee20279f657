/** A browser's media without media: devices, tracks, and peer connections that find each other through the air. */

import { setGlobals } from "./globals.js";

/** What is between the connections of one test. */
export class Air {
  /** Every connection that was made, oldest first. */
  made = [];
  /** Whether a way is found at all. */
  open = true;
  /** How many candidates one gathering finds. */
  candidates = 2;
  /** Errors of what was done to a connection that a browser would not allow. */
  wrong = [];

  /** The connection of the moment that sends a call's tracks. */
  of(call) {
    const tracks = call.local.getTracks();
    return this.made.findLast((pc) => !pc.closed && pc.getSenders().some(({ track }) => tracks.includes(track)));
  }

  /** The ways in use are gone: only a restart finds others. */
  breaks() {
    for (const pc of this.made) pc.breaks();
  }

  meet() {
    if (!this.open) return;
    for (const one of this.made) {
      const other = this.made.find((pc) => pc !== one && pc.finds(one) && one.finds(pc));
      if (other) [one, other].forEach((pc) => pc.becomes("connected"));
    }
  }
}

class FakeTrack extends EventTarget {
  readyState = "live";
  enabled = true;
  contentHint = "";

  constructor(kind, label = kind) {
    super();
    Object.assign(this, { kind, label });
  }

  stop() {
    this.readyState = "ended";
  }

  /** The device is gone, or the browser's own button was pressed. */
  ends() {
    this.readyState = "ended";
    this.dispatchEvent(new Event("ended"));
  }
}

class FakeStream {
  #tracks = [];

  getTracks() {
    return [...this.#tracks];
  }

  getAudioTracks() {
    return this.#tracks.filter(({ kind }) => kind === "audio");
  }

  getVideoTracks() {
    return this.#tracks.filter(({ kind }) => kind === "video");
  }

  addTrack(track) {
    this.#tracks.push(track);
  }

  removeTrack(track) {
    this.#tracks = this.#tracks.filter((other) => other !== track);
  }
}

class FakeSender {
  transport = null;
  parameters = { encodings: [] };

  constructor(track) {
    this.track = track;
  }

  async replaceTrack(track) {
    this.track = track;
  }

  getParameters() {
    return structuredClone(this.parameters);
  }

  async setParameters(parameters) {
    this.parameters = parameters;
  }
}

let count = 0;

function fakePeerConnection(air) {
  return class FakePeerConnection extends EventTarget {
    signalingState = "stable";
    iceConnectionState = "new";
    connectionState = "new";
    localDescription = null;
    remoteDescription = null;
    closed = false;
    /** What `getStats` answers. */
    stats = [];
    #transceivers = [];
    #session = (count += 1);
    #stable = { local: null, remote: null };
    #ufrag = null;
    #broken = null;
    #remoteUfrag = null;
    #heard = 0;
    #restarts = false;
    #busy = false;
    #asked = false;

    constructor(configuration) {
      super();
      this.configuration = configuration;
      air.made.push(this);
    }

    getConfiguration() {
      return this.configuration;
    }

    setConfiguration(configuration) {
      this.configuration = configuration;
    }

    getTransceivers() {
      return [...this.#transceivers];
    }

    getSenders() {
      return this.#transceivers.map(({ sender }) => sender);
    }

    addTrack(track) {
      const free = this.#transceivers.find(({ sender, receiver }) => !sender.track && receiver.track.kind === track.kind);
      if (free) {
        free.sender.track = track;
        free.direction = "sendrecv";
      } else {
        this.#place(track.kind, "sendrecv", track);
      }
      this.#ask();
    }

    addTransceiver(kind, { direction }) {
      this.#place(kind, direction, null);
      this.#ask();
    }

    restartIce() {
      this.#restarts = true;
      this.#ask();
    }

    setLocalDescription(description) {
      return this.#alone(async () => {
        if (description?.type === "rollback") {
          if (this.signalingState !== "have-local-offer") throw new DOMException("There is no offer.", "InvalidStateError");
          this.#rollback();
          return this.#ask();
        }
        const type = this.signalingState === "have-remote-offer" ? "answer" : "offer";
        if (this.#ufrag === null || this.#restarts || this.#fresh) this.#ufrag = `u${(count += 1)}`;
        this.#fresh = this.#restarts = false;
        for (const [at, one] of this.#transceivers.entries()) {
          one.mid ??= String(at);
          one.sender.parameters.encodings = [{ active: true, ...one.sender.parameters.encodings[0] }];
        }
        this.localDescription = { type, sdp: this.#sdp() };
        if (type === "offer") this.#turn("have-local-offer");
        else this.#settle();
        this.#gather(this.#ufrag);
      });
    }

    /** The partner restarted: this side's answer names a new way, too. */
    #fresh = false;

    setRemoteDescription({ type, sdp }) {
      return this.#alone(async () => {
        if (!sdp?.startsWith("v=0")) throw new DOMException("This is no SDP.", "InvalidAccessError");
        const due = type === "offer" ? "stable" : "have-local-offer";
        if (type === "offer" && this.signalingState === "have-local-offer") this.#rollback();
        if (this.signalingState !== due) throw new DOMException(`A ${type} in ${this.signalingState}.`, "InvalidStateError");
        const ufrag = /a=ice-ufrag:(\w+)/u.exec(sdp)[1];
        if (ufrag !== this.#remoteUfrag) {
          this.#fresh = this.#remoteUfrag !== null && type === "offer";
          this.#remoteUfrag = ufrag;
          this.#heard = 0;
        }
        this.remoteDescription = { type, sdp };
        for (const media of JSON.parse(/a=media:(.*)/u.exec(sdp)[1])) this.#hear(media);
        if (type === "offer") this.#turn("have-remote-offer");
        else this.#settle();
        air.meet();
      });
    }

    async addIceCandidate(candidate) {
      if (this.closed || !this.remoteDescription) throw new DOMException("No description.", "InvalidStateError");
      if (!candidate) return;
      if (candidate.usernameFragment !== this.#remoteUfrag) throw new DOMException("Of another description.", "OperationError");
      this.#heard += 1;
      air.meet();
    }

    async getStats() {
      return new Map(this.stats.map((one, at) => [one.id ?? at, one]));
    }

    close() {
      this.closed = true;
      this.signalingState = this.connectionState = this.iceConnectionState = "closed";
    }

    /** Whether it can reach the other. */
    finds(other) {
      const ways = this.#ufrag !== null && this.#ufrag !== this.#broken && this.#heard > 0;
      return !this.closed && this.signalingState === "stable" && ways && other.ufrag === this.#remoteUfrag;
    }

    get ufrag() {
      return this.#ufrag;
    }

    breaks() {
      if (this.iceConnectionState !== "connected") return;
      this.#broken = this.#ufrag;
      this.becomes("disconnected");
    }

    becomes(state) {
      if (this.closed || this.iceConnectionState === state) return;
      this.iceConnectionState = this.connectionState = state;
      this.dispatchEvent(new Event("iceconnectionstatechange"));
      this.dispatchEvent(new Event("connectionstatechange"));
    }

    #place(kind, direction, track) {
      const place = { mid: null, direction, agreed: null, sender: new FakeSender(track), receiver: { track: new FakeTrack(kind) }, told: false };
      this.#transceivers.push(place);
      return place;
    }

    #hear({ mid, kind, direction }) {
      const same = this.#transceivers.find((one) => one.mid === mid);
      const free = this.#transceivers.find((one) => one.mid === null && one.sender.track && one.receiver.track.kind === kind);
      const place = same ?? free ?? this.#place(kind, "recvonly", null);
      place.mid = mid;
      if (!direction.startsWith("send") || place.told) return;
      place.told = true;
      this.dispatchEvent(Object.assign(new Event("track"), { track: place.receiver.track }));
    }

    #rollback() {
      for (const one of this.#transceivers) if (one.agreed === null) one.mid = null;
      this.localDescription = this.#stable.local;
      this.#restarts = this.#stable.local !== null;
      this.#turn("stable");
    }

    #settle() {
      this.#stable = { local: this.localDescription, remote: this.remoteDescription };
      for (const one of this.#transceivers) if (one.mid !== null) one.agreed = one.direction;
      this.#turn("stable");
      this.#ask();
      air.meet();
    }

    #turn(state) {
      this.signalingState = state;
    }

    #ask() {
      if (this.#asked) return;
      this.#asked = true;
      setTimeout(() => {
        this.#asked = false;
        const needs = this.#restarts || this.#transceivers.some((one) => one.agreed !== one.direction);
        if (!this.closed && this.signalingState === "stable" && needs) this.dispatchEvent(new Event("negotiationneeded"));
      }, 0);
    }

    #gather(ufrag) {
      const tell = (candidate) => this.closed || this.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate }));
      setTimeout(() => {
        for (let at = 0; at < air.candidates; at += 1) {
          const line = { candidate: `candidate:${at} 1 udp 1 192.0.2.7 ${5000 + at} typ host`, sdpMid: "0", sdpMLineIndex: 0, usernameFragment: ufrag };
          tell({ ...line, toJSON: () => line });
        }
        tell({ candidate: "", toJSON: () => ({}) });
        tell(null);
      }, 5);
    }

    #sdp() {
      const media = this.#transceivers.map(({ mid, direction, receiver }) => ({ mid, kind: receiver.track.kind, direction }));
      return `v=0\r\no=- ${this.#session} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:${this.#ufrag}\r\na=media:${JSON.stringify(media)}`;
    }

    async #alone(step) {
      if (this.closed) throw new DOMException("It is closed.", "InvalidStateError");
      if (this.#busy) air.wrong.push("two steps of one negotiation at once");
      this.#busy = true;
      try {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (this.closed) throw new DOMException("It is closed.", "InvalidStateError");
        await step();
      } finally {
        this.#busy = false;
      }
    }
  };
}

/** The devices of the machine. */
export class FakeDevices extends EventTarget {
  /** Every track that was given out. */
  tracks = [];
  /** What asking fails with, by its name. */
  refusal = null;
  /** Asking takes this long, and choosing a screen. */
  asksMs = 0;
  picksMs = 0;
  asked = [];

  async getUserMedia(constraints) {
    this.asked.push(constraints);
    if (this.asksMs > 0) await new Promise((resolve) => setTimeout(resolve, this.asksMs));
    return this.#give(["audio", "video"].filter((kind) => constraints[kind]));
  }

  async getDisplayMedia() {
    if (this.picksMs > 0) await new Promise((resolve) => setTimeout(resolve, this.picksMs));
    return this.#give(["video"], "screen");
  }

  async enumerateDevices() {
    return [{ kind: "audioinput", deviceId: "one", label: "One" }];
  }

  get live() {
    return this.tracks.filter(({ readyState }) => readyState === "live");
  }

  #give(kinds, label) {
    if (this.refusal) throw new DOMException("No.", this.refusal);
    const stream = new FakeStream();
    for (const kind of kinds) {
      const track = new FakeTrack(kind, label ?? kind);
      this.tracks.push(track);
      stream.addTrack(track);
    }
    return stream;
  }
}

/** A browser that can make calls, for one test. */
export function openMedia(t) {
  const air = new Air();
  const devices = new FakeDevices();
  const navigator = globalThis.navigator ?? {};
  const globals = { RTCPeerConnection: fakePeerConnection(air), MediaStream: FakeStream, navigator: Object.assign(navigator, { mediaDevices: devices }) };
  setGlobals(t, globals);
  return { air, devices };
}
