/**
 * @file How a call is, in numbers, from the counters of `RTCPeerConnection.getStats`: what changed since they
 * were read last. Pure; reads what Chromium and Firefox have in common, and where they differ, both.
 */

/** @typedef {"direct" | "relay"} Path */

/**
 * `null`: not known, or not known yet. Bitrates in bits a second, losses in percent of the packets.
 * @typedef {object} Stats
 * @property {number | null} rttMs round trip between the two
 * @property {number | null} lossPercent of what comes in
 * @property {number | null} lossUpPercent of what goes out, as the partner says
 * @property {number | null} jitterMs
 * @property {number | null} bitrateUp
 * @property {number | null} bitrateDown
 * @property {number | null} availableUp as the browser guesses
 * @property {Path | null} path
 * @property {string | null} localCandidate its type: `host`, `srflx`, `prflx` or `relay`
 * @property {string | null} remoteCandidate
 * @property {number | null} width of the picture that comes in
 * @property {number | null} height
 * @property {number | null} framesPerSecond
 * @property {number} framesDecoded
 * @property {number | null} audioLevel of the sound that comes in, from 0 to 1
 */

/** @typedef {{ sent: number, got: number, lost: number, bytes: number, at: number }} Counters */

export class Numbers {
  /** @type {Counters | null} as they were read last */
  #before = null;
  #packets = 0;
  #lost = 0;

  /** Of all packets that were to come in, how many did not; in percent. */
  get lossPercent() {
    return share(this.#lost, this.#packets + this.#lost);
  }

  /** The connection is another one, whose counters begin anew. */
  restart() {
    this.#before = null;
  }

  /**
   * @param {Iterable<any>} report the values of an RTCStatsReport
   * @param {number} now in milliseconds of any monotonic clock
   * @returns {Stats}
   */
  read(report, now) {
    const all = [...report];
    const of = (/** @type {string} */ type) => all.filter((one) => one.type === type);
    const inbound = of("inbound-rtp");
    const video = inbound.find(({ kind }) => kind === "video");
    const audio = inbound.find(({ kind }) => kind === "audio");
    const echo = of("remote-inbound-rtp");
    const pair = selected(all);
    const [local, remote] = [pair?.localCandidateId, pair?.remoteCandidateId].map((id) => all.find((one) => one.id === id));
    const { up, down, lossPercent } = this.#since({
      at: now,
      sent: sum(of("outbound-rtp"), "bytesSent"),
      bytes: sum(inbound, "bytesReceived"),
      got: sum(inbound, "packetsReceived"),
      lost: sum(inbound, "packetsLost"),
    });
    const roundTrip = pair?.currentRoundTripTime ?? largest(echo, "roundTripTime");
    const fraction = largest(echo, "fractionLost");
    return {
      rttMs: thousand(roundTrip),
      lossPercent,
      lossUpPercent: fraction === null ? null : fraction * 100,
      jitterMs: thousand((audio ?? video)?.jitter),
      bitrateUp: up,
      bitrateDown: down,
      availableUp: pair?.availableOutgoingBitrate ?? null,
      path: local && remote ? ([local, remote].some(({ candidateType }) => candidateType === "relay") ? "relay" : "direct") : null,
      localCandidate: local?.candidateType ?? null,
      remoteCandidate: remote?.candidateType ?? null,
      width: video?.frameWidth ?? null,
      height: video?.frameHeight ?? null,
      framesPerSecond: video?.framesPerSecond ?? null,
      framesDecoded: video?.framesDecoded ?? 0,
      audioLevel: audio?.audioLevel ?? null,
    };
  }

  /** @param {Counters} counters */
  #since(counters) {
    const before = this.#before;
    this.#before = counters;
    const ms = before ? counters.at - before.at : 0;
    if (!before || ms <= 0) return { up: null, down: null, lossPercent: null };
    // What came twice is counted as less lost; a connection that was made anew counts from the beginning.
    const [got, lost] = [Math.max(0, counters.got - before.got), Math.max(0, counters.lost - before.lost)];
    this.#packets += got;
    this.#lost += lost;
    const rate = (/** @type {number} */ bytes) => Math.round((Math.max(0, bytes) * 8000) / ms);
    return { up: rate(counters.sent - before.sent), down: rate(counters.bytes - before.bytes), lossPercent: share(lost, got + lost) };
  }
}

/**
 * The pair of candidates in use: Chromium names it in its transport, Firefox marks it.
 * @param {any[]} all
 */
function selected(all) {
  const named = all.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
  const pairs = all.filter(({ type }) => type === "candidate-pair");
  return pairs.find(({ id }) => id === named?.selectedCandidatePairId)
    ?? pairs.find(({ selected }) => selected)
    ?? pairs.find(({ nominated, state }) => nominated && state === "succeeded");
}

/**
 * @param {any[]} all
 * @param {string} key
 */
function sum(all, key) {
  return all.reduce((total, one) => total + (one[key] ?? 0), 0);
}

/**
 * @param {any[]} all
 * @param {string} key
 * @returns {number | null}
 */
function largest(all, key) {
  const numbers = all.map((one) => one[key]).filter((value) => typeof value === "number");
  return numbers.length > 0 ? Math.max(...numbers) : null;
}

/** @param {number | null | undefined} seconds */
function thousand(seconds) {
  return typeof seconds === "number" ? seconds * 1000 : null;
}

/**
 * @param {number} part
 * @param {number} whole
 */
function share(part, whole) {
  return whole > 0 ? (100 * part) / whole : null;
}
