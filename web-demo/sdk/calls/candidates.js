/**
 * @file The candidates of one side on their way to the other: each batch belongs to the exchange of one
 * offer, and of one side there are so many for an offer and no more.
 */

/** So long they are gathered for one event. */
const BATCH_MS = 30;
/** The server takes so many of one side for one offer; more are not needed to meet. */
const MOST = 50;
/** So many that came before their description are kept, for all offers together. */
const MOST_EARLY = 50;
/** So many offers are remembered that are over. */
const REMEMBERED = 32;

/** Ours, on their way out. */
export class Outgoing {
  #say;
  /** The offer they belong to; `null`: one whose description was not said yet. @type {string | null} */
  #offer = null;
  /** @type {RTCIceCandidateInit[]} */
  #batch = [];
  #count = 0;
  #ended = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(offer: string, candidates: RTCIceCandidateInit[], end: boolean) => void} say */
  constructor(say) {
    this.#say = say;
  }

  /** A new description is being made: what comes from now on may belong to it, and waits until it was said. */
  hold() {
    this.#flush();
    this.#offer = null;
    this.#count = 0;
    this.#ended = false;
  }

  /**
   * The description was said.
   * @param {string} offer whose exchange it belongs to
   */
  release(offer) {
    this.#offer = offer;
    if (this.#ended) this.#flush();
    else if (this.#batch.length > 0) this.#soon();
  }

  /** @param {RTCIceCandidate | null} candidate `null`: there are no more */
  add(candidate) {
    // An empty one says that those of one way are at their end; a browser says `null` when all are.
    if (candidate?.candidate === "") return;
    if (candidate && this.#count >= MOST) return;
    if (candidate) {
      this.#count += 1;
      this.#batch.push(candidate.toJSON());
      if (this.#offer !== null) this.#soon();
      return;
    }
    this.#ended = true;
    this.#flush();
  }

  /** What there is belongs to nothing any more. */
  drop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#batch = [];
    this.#offer = null;
    this.#count = 0;
    this.#ended = false;
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush() {
    if (this.#offer === null) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#batch.splice(0);
    if (batch.length > 0 || this.#ended) this.#say(this.#offer, batch, this.#ended);
    this.#ended = false;
  }
}

/** The partner's: those of the exchange that stands are taken, those of one to come are kept, others are late. */
export class Incoming {
  /** The offer of the exchange that stands. @type {string | null} */
  #offer = null;
  /** @type {{ offer: string, candidate: RTCIceCandidateInit | null }[]} `null`: no more of that offer */
  #early = [];
  /** @type {Set<string>} offers that are over */
  #over = new Set();

  /**
   * Which of these can be used now.
   * @param {string} offer
   * @param {(RTCIceCandidateInit | null)[]} candidates
   * @returns {(RTCIceCandidateInit | null)[]}
   */
  take(offer, candidates) {
    if (offer === this.#offer) return candidates;
    if (this.#over.has(offer)) return [];
    for (const candidate of candidates) if (this.#early.length < MOST_EARLY) this.#early.push({ offer, candidate });
    return [];
  }

  /**
   * The description of the partner that belongs to this offer is set. Returns those that came before it.
   * @param {string} offer
   */
  stands(offer) {
    if (this.#offer !== null && this.#offer !== offer) this.over(this.#offer);
    this.#offer = offer;
    this.#over.delete(offer);
    const early = this.#early.filter((one) => one.offer === offer).map(({ candidate }) => candidate);
    this.#early = this.#early.filter((one) => one.offer !== offer);
    return early;
  }

  /**
   * This offer does not count, or not any more.
   * @param {string} offer
   */
  over(offer) {
    this.#early = this.#early.filter((one) => one.offer !== offer);
    this.#over.add(offer);
    const [oldest] = this.#over;
    if (this.#over.size > REMEMBERED) this.#over.delete(oldest);
  }
}
