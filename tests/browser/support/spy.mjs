/**
 * What runs in a page before its own scripts: it notes what every RTCPeerConnection was told and what became of it.
 * Nothing is changed by it. It is told to the browser as text, so it stands alone.
 */
export function spy() {
  const EVERY_MS = 50;
  const Native = window.RTCPeerConnection;
  /** All connections there ever were, the closed ones too. */
  const connections = [];
  /** All that came in which may tell of an address: `wire` as the server said it, the rest as it was given to the connection. */
  const heard = [];
  /** Every candidate of its own. */
  const gathered = [];
  /** Each growth of what was decoded: when, in ms. */
  const decodedAt = [];

  window.RTCPeerConnection = class RTCPeerConnection extends Native {
    constructor(configuration, ...more) {
      super(configuration, ...more);
      const note = { peer: this, configuration, began: { at: performance.now(), time: Date.now() }, states: [], restarts: 0, frames: 0, energy: 0, bytes: 0, framesSent: 0, pairs: [], pair: null, remotes: [] };
      connections.push(note);
      const look = (kind) => () => note.states.push({ at: performance.now(), is: `${kind} ${kind === "ice" ? this.iceConnectionState : this.connectionState}` });
      this.addEventListener("iceconnectionstatechange", look("ice"));
      this.addEventListener("connectionstatechange", look("connection"));
      this.addEventListener("signalingstatechange", () => note.states.push({ at: performance.now(), is: `signaling ${this.signalingState}` }));
      this.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => note.states.push({ at: performance.now(), is: `refused by ${url}: ${errorCode} ${errorText}` }));
      this.addEventListener("icecandidate", ({ candidate }) => candidate && gathered.push(candidate.candidate));
    }

    setRemoteDescription(description) {
      heard.push({ what: "description", text: description?.sdp ?? "" });
      return super.setRemoteDescription(description);
    }

    addIceCandidate(candidate) {
      heard.push({ what: "candidate", text: candidate?.candidate ?? "" });
      return super.addIceCandidate(candidate);
    }

    restartIce() {
      const note = connections.find(({ peer }) => peer === this);
      note.restarts += 1;
      note.states.push({ at: performance.now(), is: "restart" });
      super.restartIce();
    }
  };

  /** What a device or a screen gave. */
  const tracks = [];
  /** How often one was asked for. */
  let asked = 0;
  for (const name of ["getUserMedia", "getDisplayMedia"]) {
    const get = navigator.mediaDevices?.[name];
    if (!get) continue;
    navigator.mediaDevices[name] = async (wanted) => {
      asked += 1;
      const stream = await get.call(navigator.mediaDevices, wanted);
      tracks.push(...stream.getTracks());
      return stream;
    };
  }

  const { parse } = JSON;
  JSON.parse = (text, ...more) => {
    if (typeof text === "string" && /"(?:webrtc:|call:)/u.test(text)) heard.push({ what: "wire", text });
    return parse(text, ...more);
  };

  const place = ({ candidateType, address, ip, port, relayProtocol, protocol, url }) => ({ type: candidateType, address: address ?? ip, port, protocol: relayProtocol ?? protocol, url });

  /** @param {any} note */
  async function measure(note) {
    const stats = await note.peer.getStats();
    let [frames, sent, energy, bytes] = [0, 0, 0, 0];
    let pair = null;
    stats.forEach((one) => {
      if (one.type === "inbound-rtp") {
        frames += one.framesDecoded ?? 0;
        energy += one.totalAudioEnergy ?? 0;
        bytes += one.bytesReceived ?? 0;
      }
      // Also those that were found by what came from them (prflx).
      if (one.type === "remote-candidate") {
        const { type, address } = place(one);
        if (!note.remotes.includes(`${type} ${address}`)) note.remotes.push(`${type} ${address}`);
      }
      if (one.type === "outbound-rtp") sent += one.framesSent ?? 0;
      // Chromium names the pair in its transport, Firefox marks it.
      if (one.type === "transport" && one.selectedCandidatePairId) pair = stats.get(one.selectedCandidatePairId);
      if (one.type === "candidate-pair" && one.selected) pair = one;
    });
    if (frames > note.frames) decodedAt.push(performance.now());
    // A connection that is closed says nothing more: what it had decoded it has decoded.
    Object.assign(note, {
      frames: Math.max(frames, note.frames), energy: Math.max(energy, note.energy), bytes: Math.max(bytes, note.bytes), framesSent: Math.max(sent, note.framesSent),
    });
    const [local, remote] = [stats.get(pair?.localCandidateId), stats.get(pair?.remoteCandidateId)];
    if (!local || !remote) return;
    note.pair = { local: place(local), remote: place(remote) };
    const types = `${local.candidateType} ${remote.candidateType}`;
    if (note.pairs.at(-1) !== types) note.pairs.push(types);
  }

  // One that is closed while it is asked may never answer: none waits for another.
  setInterval(() => {
    for (const note of connections) {
      if (note.asked || note.peer.connectionState === "closed") continue;
      note.asked = true;
      measure(note).finally(() => (note.asked = false));
    }
  }, EVERY_MS);

  window.spied = {
    heard,
    gathered: () => gathered,
    /** All connections added up; `connections` one by one, without what cannot leave the page. */
    read: () => {
      const sum = (name) => connections.reduce((total, note) => total + note[name], 0);
      return {
        now: performance.now(), asked,
        frames: sum("frames"), energy: sum("energy"), bytes: sum("bytes"), framesSent: sum("framesSent"), restarts: sum("restarts"),
        connections: connections.map(({ peer, configuration, ...note }) => ({
          ...note, state: peer.connectionState, policy: configuration?.iceTransportPolicy ?? "all", usernames: (configuration?.iceServers ?? []).map(({ username }) => username),
        })),
      };
    },
    /** The kinds of the devices that are in use still. */
    live: () => tracks.filter(({ readyState }) => readyState === "live").map(({ kind }) => kind),
    /** What the newest connection sends of this kind, as its track tells it. */
    sending: (kind) => connections.at(-1)?.peer.getSenders().find(({ track }) => track?.kind === kind)?.track.getSettings(),
    /** The longest time without a new picture since then, up to now. */
    longestGap: (since) => {
      const times = [since, ...decodedAt.filter((time) => time >= since), performance.now()];
      return Math.max(...times.slice(1).map((time, index) => time - times[index]));
    },
  };
}
