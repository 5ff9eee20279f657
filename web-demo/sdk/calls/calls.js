/**
 * @file The calls of one conversation: which event belongs to which, and what becomes of two that cross.
 */

import { Deferred } from "../deferred.js";
import { DuologueError } from "../errors.js";
import { Calling } from "./calling.js";
import { canCall, openUnless, unsupported } from "./media.js";
import { Timers } from "./timers.js";

/** Last words that were not taken, as too much waits to be said, are said again after this. */
const AGAIN_MS = 1_000;
/** So many calls are remembered that are over, for what still comes of them. */
const REMEMBERED = 16;

/** @typedef {import("./call.js").Call} Call */
/** @typedef {import("./call.js").CallInfo} CallInfo */

/** @typedef {{ call: string, type: "audio" | "video", relay: boolean, ringMs?: number }} Ring */

/**
 * What a call needs of its conversation.
 * @typedef {object} CallHost
 * @property {(event: string, data: object) => boolean} say false: it was not taken
 * @property {(event: string, data: object) => void} whisper it may be lost
 * @property {() => boolean} linked whether there is a link
 * @property {() => boolean} hopeful whether the partner has one
 * @property {boolean} polite
 * @property {import("./ice.js").IceServers} ice
 * @property {(calling: Calling, reason: import("./call.js").CallEnd) => void} over
 */

export class Calls {
  #host;
  #came;
  /** @type {Calling | null} */
  #current = null;
  /** The devices are asked for, to ring with; rejects when nobody wants that any more. @type {Deferred<never> | null} */
  #asking = null;
  /** The partner's ring that came while this side was about to ring, or did. @type {Ring | null} */
  #crossed = null;
  /** @type {Set<string>} calls that are over */
  #over = new Set();
  /** The last words of calls, until the server has them. @type {Map<string, [event: string, data: object]>} */
  #last = new Map();
  #timers = new Timers();
  #ended = false;

  /**
   * @param {Omit<CallHost, "over">} host
   * @param {(call: Call) => void} came the partner calls, or a call goes on after a reload
   */
  constructor(host, came) {
    this.#host = {
      ...host,
      say: (/** @type {string} */ event, /** @type {any} */ data) => {
        const taken = host.say(event, data);
        if (event !== "call:end" && event !== "call:decline") return taken;
        this.#last.set(data.call, [event, data]);
        if (!taken) this.#repeat(data.call, AGAIN_MS);
        return taken;
      },
      over: (/** @type {Calling} */ calling, /** @type {import("./call.js").CallEnd} */ reason) => this.#finished(calling, reason),
    };
    this.#came = came;
  }

  /** The call that goes on. */
  get current() {
    return this.#current?.call ?? null;
  }

  /**
   * Asks for the devices, then rings. An incoming call is taken instead.
   * @param {import("./call.js").CallOptions} [options] `signal` calls it off until it is answered
   * @returns {Promise<Call>}
   */
  async call({ audio = true, video = true, relay = false, signal } = {}) {
    signal?.throwIfAborted();
    if (this.#ended) throw over();
    if (!canCall()) throw unsupported();
    const current = this.#current;
    if (current?.call.waits) {
      await current.accept({ audio, video }, relay, signal);
      return current.call;
    }
    if (current || this.#asking) throw new DuologueError("call-exists", "There is a call already.");
    const tracks = await this.#ask({ audio, video }, signal);
    if (this.#ended || signal?.aborted) {
      tracks.forEach((track) => track.stop());
      throw signal?.aborted ? signal.reason : over();
    }
    const crossed = this.#uncross();
    if (crossed) {
      const theirs = this.#begin(incoming(crossed));
      theirs.take(tracks, relay);
      return theirs.call;
    }
    const calling = this.#begin({ id: crypto.randomUUID(), kind: video ? "video" : "audio", direction: "outgoing", relay });
    const made = calling.call;
    const abort = () => made.state === "ringing" && made.end();
    signal?.addEventListener("abort", abort);
    made.addEventListener("state", () => signal?.removeEventListener("abort", abort), { once: true });
    calling.ring(tracks);
    return made;
  }

  /**
   * An event of the server. False: it is not about these calls.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    const current = this.#current;
    if (event.startsWith("webrtc:") && data.call === undefined) return this.#hearBare(event, data);
    if (!event.startsWith("call:") && !event.startsWith("webrtc:")) return false;
    if (event === "call:accept" && data.instead !== undefined) this.#yields(data);
    else if (current && current.call.id === data.call) current.hear(event, data);
    else if (event === "call:ring") this.#rings(data);
    else if (event === "call:ended" && this.#crossed?.call === data.call) this.#crossed = null;
    // Anything else is of a call that is not, or not any more: nobody here has taken it.
    return true;
  }

  /**
   * A signal of the original API for which there is no call yet: an offer is one.
   * @param {string} event
   * @param {any} data
   */
  bare(event, data) {
    if (this.hear(event, data) || event !== "webrtc:offer" || this.#current || this.#ended) return;
    const calling = this.#begin({ id: crypto.randomUUID(), kind: data.type === "audio" ? "audio" : "video", direction: "incoming", relay: false, bare: true });
    calling.hearBare(event, data);
    this.#came(calling.call);
  }

  /**
   * The page was reloaded in the middle of a call.
   * @param {import("../types.js").StandingCall} standing
   */
  resume({ call: id, type: kind, mine, accepted, relay, generation }) {
    const direction = mine ? "outgoing" : "incoming";
    const { call } = this.#begin({ id, kind, direction, relay, generation, state: accepted ? "interrupted" : "ringing" });
    this.#came(call);
  }

  /**
   * The server refused what we said. False: it was not about these calls.
   * @param {DuologueError} error
   */
  refused(error) {
    const { event = "", id, code, retryAfterMs } = error;
    if (event === "call:end" || event === "call:decline") {
      if (id !== undefined && code === "too-fast") this.#repeat(id, retryAfterMs ?? AGAIN_MS);
      return true;
    }
    const signal = event.startsWith("webrtc:");
    const current = this.#current;
    if (current && (current.call.id === id || (signal && id === undefined && current.bare))) {
      current.refused(error);
      return true;
    }
    // Of a call that is over; signals that an app says for itself have no call.
    return event.startsWith("call:") || (signal && id !== undefined);
  }

  /**
   * The server has what we said.
   * @param {import("../session.js").Said} said
   */
  acknowledged({ event, data }) {
    if (event !== "call:end" && event !== "call:decline") return;
    this.#last.delete(String(/** @type {{ call?: string }} */ (data).call));
  }

  /** The session is on another link. */
  resumed() {
    this.#current?.resumed();
  }

  /** The node that had them was lost. */
  restored() {
    // What was on its way crosses nothing any more.
    this.#crossed = null;
    for (const words of [...this.#last.values()]) this.#host.say(...words);
    this.#current?.restored();
  }

  /** @param {boolean} told whether the server still hears something of this talk */
  end(told) {
    this.#ended = true;
    this.#crossed = null;
    this.#asking?.reject(over());
    this.#current?.part(told);
    this.#timers.stop();
  }

  /**
   * Says the last words of a call again.
   * @param {string} id
   * @param {number} ms
   */
  #repeat(id, ms) {
    const words = this.#last.get(id);
    if (words) this.#timers.in(ms, () => this.#host.say(...words));
  }

  /**
   * @param {import("./media.js").Wanted} wanted
   * @param {AbortSignal} [signal]
   */
  async #ask(wanted, signal) {
    /** @type {Deferred<never>} */
    const asking = new Deferred();
    this.#asking = asking;
    try {
      return await openUnless(wanted, asking.promise, signal);
    } catch (error) {
      // This side will not ring, so theirs is a call like any other.
      const crossed = this.#uncross();
      if (crossed) this.#came(this.#begin(incoming(crossed)).call);
      throw error;
    } finally {
      this.#asking = null;
    }
  }

  /** @param {CallInfo} info */
  #begin(info) {
    this.#current = new Calling(info, this.#host);
    return this.#current;
  }

  #uncross() {
    const crossed = this.#crossed;
    this.#crossed = null;
    return crossed;
  }

  /** @param {Ring} ring */
  #rings(ring) {
    const current = this.#current?.call;
    // The server will say that theirs is accepted, or this side does when it has its devices.
    if (this.#asking || (current?.state === "ringing" && current.direction === "outgoing")) this.#crossed = ring;
    else if (current) this.#host.say("call:decline", { call: ring.call, reason: "busy" });
    else this.#came(this.#begin(incoming(ring)).call);
  }

  /** Both rang, and theirs stands. @param {{ call: string, instead: string, relay: boolean }} accepted */
  #yields(accepted) {
    const crossed = this.#uncross();
    const current = this.#current;
    if (current?.call.id === accepted.instead) {
      current.yield(accepted.call, crossed?.type);
      current.hear("call:accept", accepted);
    } else {
      // Ours was called off meanwhile: this side does not want theirs either.
      this.#host.say("call:end", { call: accepted.call });
      if (current?.call.id === accepted.call) current.leave("cancelled");
    }
  }

  /**
   * @param {string} event
   * @param {any} data
   */
  #hearBare(event, data) {
    const current = this.#current;
    if (!current?.bare) return false;
    if (current.hearBare(event, data)) return true;
    // They have hung up, and call again.
    current.leave("hung-up");
    return false;
  }

  /**
   * @param {Calling} calling
   * @param {import("./call.js").CallEnd} reason
   */
  #finished(calling, reason) {
    if (this.#current !== calling) return;
    this.#current = null;
    this.#over.add(calling.call.id);
    const [oldest] = this.#over;
    if (this.#over.size > REMEMBERED) this.#over.delete(oldest);
    // Who called off their own ring will hear that theirs was accepted in its place, and does not want it.
    const crossed = this.#uncross();
    if (crossed && reason !== "you-hung-up") this.#came(this.#begin(incoming(crossed)).call);
  }
}

/**
 * @param {Ring} ring
 * @returns {CallInfo}
 */
function incoming({ call: id, type: kind, relay, ringMs }) {
  return { id, kind, direction: "incoming", relay, ringMs };
}

function over() {
  return new DuologueError("conversation-ended", "This conversation is over.");
}
