/**
 * @file The servers that help to find a way for media, and their credentials, which live for minutes: as each
 * hello is told them, and renewed while there is a call.
 */

/** A renewal that was refused, or not taken, is asked for again after this, where the server does not say when. */
const AGAIN_MS = 10_000;
/** Longest wait that a timer of browsers can hold. */
const MOST_MS = 2 ** 31 - 1;

export class IceServers {
  /** @type {RTCIceServer[]} */
  servers = [];
  /** In no call of this service does anyone learn the other's address. */
  relayOnly = false;
  #say;
  /** How long they live, and from when; `Infinity`: for ever. */
  #lifeMs = Infinity;
  #since = 0;
  /** Who hears of new ones. @type {Set<() => void>} */
  #users = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while there is a call */
  #timer;

  /** @param {(event: string, data: object) => boolean} say */
  constructor(say) {
    this.#say = say;
  }

  /**
   * There is a session, or it goes on.
   * @param {import("../types.js").Established} established
   */
  established({ iceServers, iceTtlMs, relayOnly = false }) {
    this.relayOnly = relayOnly;
    if (iceServers) this.#take(iceServers, iceTtlMs);
  }

  /**
   * Whether calls are relayed: `always`, by the choice of either, or `never`, as there is no relay.
   * @returns {"always" | "chosen" | "never"}
   */
  get relaying() {
    if (this.relayOnly) return "always";
    const turn = (/** @type {string} */ url) => /^turns?:/u.test(url);
    return this.servers.some(({ urls }) => [urls].flat().some(turn)) ? "chosen" : "never";
  }

  /** @param {import("../types.js").IceRenewed} renewed */
  renewed({ iceServers, ttlMs }) {
    this.#take(iceServers, ttlMs);
  }

  /**
   * The server did not renew them: they are asked for again while there is a call.
   * @param {import("../errors.js").DuologueError} error
   */
  refused({ retryAfterMs = AGAIN_MS }) {
    if (this.#users.size > 0) this.#renewIn(retryAfterMs);
  }

  /**
   * There is a call: they are kept fresh until what is returned is called.
   * @param {() => void} changed there are new ones
   * @returns {() => void}
   */
  use(changed) {
    this.#users.add(changed);
    if (this.#users.size === 1) this.#watch();
    return () => {
      this.#users.delete(changed);
      if (this.#users.size === 0) clearTimeout(this.#timer);
    };
  }

  /**
   * @param {RTCIceServer[]} servers
   * @param {number} [lifeMs]
   */
  #take(servers, lifeMs = Infinity) {
    this.servers = servers;
    this.#lifeMs = lifeMs;
    this.#since = performance.now();
    for (const changed of [...this.#users]) changed();
    if (this.#users.size > 0) this.#watch();
  }

  /** At half of their life, or now if that is over. */
  #watch() {
    clearTimeout(this.#timer);
    const left = this.#since + this.#lifeMs / 2 - performance.now();
    if (left === Infinity) return;
    if (left > 0) this.#renewIn(left);
    else this.#renew();
  }

  /** Said once: it is kept until the server has it, and each hello of a new link is told new ones anyway. */
  #renew() {
    if (!this.#say("ice:renew", {})) this.#renewIn(AGAIN_MS);
  }

  /** @param {number} ms */
  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renew(), Math.min(ms, MOST_MS));
  }
}
