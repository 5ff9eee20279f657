/**
 * @file The signals of the original API, which have no call, no ring and no names: `webrtc:offer {offer, type}`,
 * `webrtc:answer {answer}` and `webrtc:ice-candidate {candidate}`, as they are said and as the SDK's own are.
 */

import { BARE } from "./peer.js";

export const SIGNALS = /** @type {const} */ (["webrtc:offer", "webrtc:answer", "webrtc:ice-candidate"]);

/** @typedef {{ name: typeof SIGNALS[number], data: any }} Signal */

/**
 * A bare signal in the words of one with a call.
 * @param {string} event
 * @param {any} data
 * @returns {[event: string, data: any]}
 */
export function named(event, data) {
  if (event !== "webrtc:ice-candidate") return [event, { ...data, id: BARE }];
  const { candidate } = data;
  const end = !candidate || candidate.candidate === "";
  return ["webrtc:candidates", { id: BARE, candidates: end ? [] : [candidate], end }];
}

/**
 * The other way round: all that a signal is in bare ones.
 * @param {string} event
 * @param {any} data
 * @returns {[event: string, data: object][]}
 */
export function bared(event, data) {
  if (event === "webrtc:offer") return [[event, { offer: data.offer, type: data.type }]];
  if (event === "webrtc:answer") return [[event, { answer: data.answer }]];
  const candidates = [...data.candidates, ...(data.end ? [null] : [])];
  return candidates.map((candidate) => ["webrtc:ice-candidate", { candidate }]);
}

/** So much is kept until a call is accepted: an offer and its candidates. */
const MOST_EARLY = 51;

/** The partner's side of a bare call: which connection of theirs it is with, and what came before it was accepted. */
export class Early {
  /** @type {[event: string, data: any][]} */
  #signals = [];
  /** @type {string | null} */
  #session = null;

  /**
   * Whether a signal is of the connection that the call is with, which the first offer says.
   * @param {string} event
   * @param {any} data
   */
  fits(event, data) {
    if (event !== "webrtc:offer") return true;
    const session = sessionOf(data.offer);
    this.#session ??= session;
    return this.#session === session;
  }

  /** @param {[event: string, data: any]} signal */
  keep(signal) {
    // Its last offer counts.
    if (signal[0] === "webrtc:offer") this.#signals = [];
    if (this.#signals.length < MOST_EARLY) this.#signals.push(signal);
  }

  /** All that was kept. */
  drain() {
    return this.#signals.splice(0);
  }
}

/**
 * Which connection an offer is of: the origin of its description names it (RFC 8866, section 5.2).
 * @param {RTCSessionDescriptionInit} offer
 */
function sessionOf({ sdp = "" }) {
  return /^o=\S+ (\S+)/mu.exec(sdp)?.[1] ?? "";
}
