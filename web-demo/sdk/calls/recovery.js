/**
 * @file Brings media back: when to look for a way anew, and when to give up. Knows no RTCPeerConnection; it is
 * told how media is, and what may have changed beneath it.
 */

/** Media that falters comes back by itself, mostly. */
const FALTER_MS = 1_500;
/** Both sides see it: the polite one lets the other go first, so that their offers seldom meet. */
const POLITE_MS = 500;
/** A try takes the time of an offer, its answer, and the checks of what they name. */
const TRY_MS = 4_000;
/** The first connection may take longer: nothing of it is known yet. */
const FIRST_TRY_MS = 8_000;
/** A network that changes in steps tells of each. */
const CHANGE_MS = 1_000;
/** While media flows, one look for a better way in so long. */
const CALM_MS = 10_000;
/** It is told once for each silence, so that this need only be longer than a try that works takes. */
const HUSH_MS = 2_000;
/** Without media for this long, while it could have come back: it does not. */
const GIVE_UP_MS = 30_000;
const TICK_MS = 250;

/**
 * @typedef {object} Patient
 * @property {() => void} restart look for a way anew
 * @property {() => boolean} linked whether signals can be said now
 * @property {() => boolean} hopeful whether the partner can hear them
 * @property {() => void} lost media is gone, or has never been
 * @property {() => void} giveUp
 */

export class Recovery {
  #patient;
  #polite;
  #down = false;
  /** Milliseconds without media during which it could have come back. */
  #without = 0;
  /** When that was counted last. */
  #countedAt = 0;
  /** When the next try is due, and when the last one was made. */
  #dueAt = 0;
  #triedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while media is down */
  #ticking;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while it falters */
  #faltering;
  #gone = new AbortController();

  /**
   * @param {Patient} patient
   * @param {boolean} polite
   */
  constructor(patient, polite) {
    this.#patient = patient;
    this.#polite = polite;
    const { signal } = this.#gone;
    globalThis.window?.addEventListener("online", () => this.changed(), { signal });
    // Only Chromium has it; elsewhere the silence of the way tells.
    const { connection } = /** @type {any} */ (globalThis.navigator ?? {});
    connection?.addEventListener?.("change", () => this.changed(), { signal });
  }

  /** A connection is being made. */
  begin() {
    this.#fall(performance.now() + FIRST_TRY_MS);
  }

  /** @param {import("./peer.js").Peer["state"]} state */
  become(state) {
    if (state === "connected") return this.#rise();
    if (state === "failed") return this.#lose();
    if (state !== "faltering" || this.#down) return;
    this.#faltering ??= setTimeout(() => this.#lose(), FALTER_MS + (this.#polite ? POLITE_MS : 0));
  }

  /** The network may be another one: browsers say so for less. */
  changed() {
    this.#look(CALM_MS);
  }

  /** Media has fallen silent, though nobody says that its way is gone. */
  silent() {
    this.#look(HUSH_MS);
  }

  /** Signals can be said again, and what was said before may be lost: `anew`. Returns whether a way is looked for. */
  linked(anew = false) {
    if (this.#down) this.#hurry(anew ? 0 : this.#triedAt + CHANGE_MS);
    return this.#down;
  }

  stop() {
    this.#gone.abort();
    this.#rise();
  }

  /** @param {number} apart since the last look, where media may flow */
  #look(apart) {
    const now = performance.now();
    if (this.#down) return this.#hurry(this.#triedAt + CHANGE_MS);
    if (now - this.#triedAt >= apart) this.#try(now);
  }

  #rise() {
    this.#down = false;
    clearTimeout(this.#ticking);
    clearTimeout(this.#faltering);
    this.#faltering = undefined;
  }

  #lose() {
    clearTimeout(this.#faltering);
    this.#faltering = undefined;
    const now = performance.now();
    if (this.#down) return this.#hurry(this.#triedAt + TRY_MS);
    this.#fall(Math.max(now, this.#triedAt + TRY_MS));
    this.#patient.lost();
  }

  /** @param {number} dueAt when the first try is due */
  #fall(dueAt) {
    clearTimeout(this.#ticking);
    this.#down = true;
    this.#without = 0;
    this.#countedAt = performance.now();
    this.#dueAt = dueAt;
    this.#tick();
  }

  /** @param {number} dueAt the next try is due no later than this */
  #hurry(dueAt) {
    this.#dueAt = Math.min(this.#dueAt, dueAt);
    clearTimeout(this.#ticking);
    this.#tick();
  }

  #tick() {
    const now = performance.now();
    const { linked, hopeful, giveUp } = this.#patient;
    if (linked() && hopeful()) this.#without += now - this.#countedAt;
    this.#countedAt = now;
    if (this.#without >= GIVE_UP_MS) return giveUp();
    // What is said without a link would only be old when it arrives.
    if (linked() && now >= this.#dueAt) this.#try(now);
    this.#ticking = setTimeout(() => this.#tick(), TICK_MS);
  }

  /** @param {number} now */
  #try(now) {
    this.#triedAt = now;
    this.#dueAt = now + TRY_MS;
    this.#patient.restart();
  }
}
