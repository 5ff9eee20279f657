/** @file One call and the server: the ring and its answer, whose signals they are, and what is said again when words were lost. */

import { Deferred, unlessAborted } from "../deferred.js";
import { DuologueError } from "../errors.js";
import { Early, bared, named } from "./bare.js";
import { Call } from "./call.js";
import { Line } from "./line.js";
import { openUnless } from "./media.js";
import { Timers } from "./timers.js";

/** The server ends a ring that nobody answers; if the word of that is lost, it ends here so much later. */
const RING_LATE_MS = 15_000;
/** Longer than servers let it ring. */
const RING_MS = 120_000;
/** An old client's offer is answered within this, or not at all: it has no word for no. */
const BARE_RING_MS = 45_000;
/** What was not taken, as too much waits to be said, is said again after this. */
const AGAIN_MS = 1_000;

/** @typedef {import("./call.js").CallInfo} CallInfo */
/** @typedef {import("./calls.js").CallHost} CallHost */
/** @typedef {import("./media.js").Kind} Kind */

export class Calling {
  #info;
  #host;
  #generation;
  /** Whether it was accepted, and whether the one who accepted knows that the server and the partner know. */
  #accepted = false;
  #known = false;
  /** A node was lost, and the server does not know yet that both are in the call. */
  #lost = false;
  /** Ours was given up for the partner's, who offers. */
  #yielded = false;
  /** Rejoins of ours that are not answered yet, and whether one is to be said once the server knows the call. */
  #joining = 0;
  #rejoins = false;
  #early = new Early();
  /** @type {Promise<void> | null} */
  #accepting = null;
  /** Rejects when it is over. @type {Deferred<never>} */
  #gone = new Deferred();
  #timers = new Timers();
  /** Calls off the end of the ring. */
  #ringOn = () => {};

  /**
   * @param {CallInfo} info
   * @param {CallHost} host
   */
  constructor(info, host) {
    this.#info = { ...info, relay: info.relay || host.ice.relayOnly };
    this.#host = host;
    this.#generation = info.generation ?? 0;
    const { linked, hopeful, polite, ice } = host;
    this.line = new Line({
      say: (event, data) => this.#signal(event, data),
      become: (state) => this.call.become(state),
      tell: (type, detail) => this.call.tell(type, detail),
      gone: () => this.#finish("hung-up"),
      failed: (cause) => this.#fail(new DuologueError("call-failed", "No way between the two was found.", { cause })),
      linked,
      hopeful,
      polite,
      ice,
    });
    this.call = new Call(this.#info, this);
    if (this.call.state === "ringing") this.#ringAtMost(info.ringMs === undefined ? RING_MS : info.ringMs + RING_LATE_MS);
  }

  /** The partner's client knows no `call:*`. */
  get bare() {
    return this.#info.bare === true;
  }

  /**
   * @param {import("./media.js").Wanted} wanted
   * @param {boolean} relay
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  async accept(wanted, relay, signal) {
    signal?.throwIfAborted();
    if (this.call.over) throw callOver();
    if (!this.call.waits) return;
    this.#accepting ??= openUnless(wanted, this.#gone.promise, signal)
      .then((tracks) => this.take(tracks, relay))
      .finally(() => (this.#accepting = null));
    await unlessAborted(signal, this.#accepting);
  }

  /**
   * Changes what this side gives. Rejects if the call is over before it is so.
   * @param {(line: Line) => Promise<void> | undefined} change
   * @returns {Promise<void>}
   */
  async give(change) {
    if (this.call.over) throw callOver();
    await Promise.race([change(this.line), this.#gone.promise]);
  }

  /**
   * Accepts with these.
   * @param {MediaStreamTrack[]} tracks
   * @param {boolean} relay
   */
  take(tracks, relay) {
    if (this.call.over) {
      tracks.forEach((track) => track.stop());
      throw callOver();
    }
    const rejoins = this.call.state === "interrupted";
    this.#info.relay ||= relay;
    this.line.equip(tracks);
    this.#connect();
    if (this.bare) {
      this.#meet(false);
      for (const [event, data] of this.#early.drain()) this.line.hear(event, data);
    } else if (rejoins) {
      this.#rejoins = true;
      if (!this.#lost) this.#rejoin();
    } else {
      this.#accept();
    }
  }

  /** @param {MediaStreamTrack[]} tracks */
  ring(tracks) {
    this.line.equip(tracks);
    this.#ring();
  }

  /** @param {"declined" | "busy"} reason */
  decline(reason) {
    this.#word("call:decline", { reason });
    this.#finish("you-declined");
  }

  hangUp() {
    if (this.call.over) return;
    this.#word("call:end", this.#accepted ? { reason: "hung-up" } : {});
    this.#finish("you-hung-up");
  }

  /** The partner rang at the same moment, and theirs stands in place of ours. @param {string} id @param {Kind} [kind] */
  yield(id, kind = this.#info.kind) {
    this.#info.id = id;
    this.#info.kind = kind;
    this.#yielded = true;
  }

  /**
   * What the server says of it, and what the partner signals.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    switch (event) {
      case "call:ring":
        // A node was lost, and with it the word that it is accepted.
        if (this.#accepted && !this.#known) this.#accept();
        else if (this.call.state === "ringing") this.#ringAtMost(data.ringMs + RING_LATE_MS);
        return;
      case "call:accept":
        return this.#heardAccept(data);
      case "call:join":
        return this.#heardJoin(data);
      case "call:ended":
        return this.#finish(data.reason);
      default:
        return this.#heardSignal(event, data);
    }
  }

  /**
   * A signal without a call. False: it is of another one.
   * @param {string} event
   * @param {any} data
   */
  hearBare(event, data) {
    if (!this.bare) return false;
    if (!this.#early.fits(event, data)) return false;
    const signal = named(event, data);
    if (!this.#accepted && this.call.direction === "incoming") {
      this.#early.keep(signal);
      return true;
    }
    // Who answers, or calls at the same moment, has accepted.
    if (!this.#accepted && event !== "webrtc:ice-candidate") this.#connect();
    this.line.hear(...signal);
    return true;
  }

  /** The server refused what was said of it. @param {DuologueError} error */
  refused(error) {
    const { event, code, retryAfterMs } = error;
    const again = code === "too-fast" && retryAfterMs !== undefined;
    if (event === "call:ring") {
      if (this.call.state !== "ringing") return;
      if (code === "call-unsupported") this.#callBare();
      else if (again) this.#timers.in(retryAfterMs, () => this.call.state === "ringing" && this.#ring());
      else this.#finish("failed", error);
    } else if (event === "call:accept" || event === "call:join") {
      const joins = event === "call:join";
      const began = this.line.startedAt !== null;
      const answers = this.#yielded || this.call.direction === "incoming";
      if (again) this.#timers.in(retryAfterMs, () => (joins ? this.#join() : this.#accept()));
      else if (code !== "call-unknown") this.#fail(error);
      // The partner did not hear that it is accepted, and rings again.
      else if (joins && this.#accepted && !this.#known && !began && answers) this.#accept();
      else this.#finish(joins || began ? "lost" : "cancelled", error);
    } else {
      this.line.refused(error);
    }
  }

  /** The session is on another link. */
  resumed() {
    this.line.linked();
  }

  /** The node that knew of it was lost: what is not settled is said again. */
  restored() {
    if (this.bare) return this.line.linked(true);
    const { state, direction } = this.call;
    // A partner who has not heard that it is accepted rings again; one who has joins.
    if (state === "ringing") return direction === "outgoing" ? this.#ring() : undefined;
    this.#known = false;
    this.#lost = true;
    // What was made up of a new connection may be lost, too.
    this.#rejoins ||= this.#joining > 0;
    this.#joining = 0;
    this.#join();
  }

  /** The talk is over. @param {boolean} told whether the server still hears something of it */
  part(told) {
    this.#finish("conversation", undefined, told);
  }

  /** The partner has left it. @param {import("./call.js").CallEnd} reason */
  leave(reason) {
    this.#finish(reason);
  }

  #ring() {
    const data = { type: this.#info.kind, ...this.#relay };
    if (!this.#word("call:ring", data)) this.#finish("failed", new DuologueError("backlog-full", "Too much waits to be sent. Try again in a moment."));
  }

  #accept() {
    if (!this.#word("call:accept", this.#relay)) this.#timers.in(AGAIN_MS, () => this.#accept());
  }

  /** This side is in the call; `fresh`: and has no connection any more. */
  #join() {
    const [generation, fresh] = [this.#generation, this.#joining > 0];
    const data = { type: this.#info.kind, ...this.#relay, ...(generation > 0 && { generation }), ...(fresh && { fresh }) };
    if (!this.#word("call:join", data)) this.#timers.in(AGAIN_MS, () => this.#join());
  }

  #rejoin() {
    this.#rejoins = false;
    this.#joining += 1;
    this.#join();
  }

  /** A partner whose client knows no rings gets the offer at once. */
  #callBare() {
    this.#info.bare = true;
    this.#ringAtMost(BARE_RING_MS);
    this.#meet(true);
  }

  /** It is answered: media is to come. */
  #connect() {
    this.#accepted = true;
    this.call.become("connecting");
    if (!this.call.over) this.line.begin(this.bare);
  }

  /** @param {boolean} offers */
  #meet(offers) {
    const { kind, relay } = this.#info;
    this.line.meet({ offers, kind, relay, bare: this.bare, generation: this.#generation });
  }

  /** @param {{ relay: boolean }} accepted */
  #heardAccept({ relay }) {
    this.#known = true;
    this.#lost = false;
    this.#info.relay ||= relay;
    if (this.#accepted) return void (this.line.met || this.#meet(false));
    if (this.call.state !== "ringing" || this.call.direction === "incoming") return;
    // The devices went with the page that rang.
    if (!this.line.media) return this.call.become("interrupted");
    this.#connect();
    this.#meet(!this.#yielded);
  }

  /** @param {{ generation: number, relay?: boolean }} joined */
  #heardJoin({ generation, relay = false }) {
    const mine = this.#joining > 0;
    const same = generation === this.#generation;
    // One that shows this side's address stands, and is not to any more.
    const shows = relay && !this.#info.relay && this.line.met;
    if (mine) this.#joining -= 1;
    this.#generation = generation;
    this.#info.relay ||= relay;
    this.#known = true;
    this.#lost = false;
    if (!this.line.media) return;
    if (this.#rejoins || (same && !mine && shows)) return this.#rejoin();
    // Both are in it as before: what was not settled is said again.
    if (same && !mine) return this.line.linked(true);
    if (!this.#accepted) this.#connect();
    // Who has lost everything waits for the other's offer.
    this.#meet(!mine);
  }

  /**
   * @param {string} event
   * @param {any} data
   */
  #heardSignal(event, data) {
    // The page before a reload was meant, or a connection that both have given up.
    if (!this.#accepted || (event === "webrtc:offer" && (data.generation ?? 0) !== this.#generation)) return;
    if (event === "webrtc:offer") {
      this.#known = true;
      if (!this.line.met && this.#joining === 0) this.#meet(false);
    }
    this.line.hear(event, data);
  }

  /**
   * @param {string} event
   * @param {any} data
   */
  #signal(event, data) {
    if (!this.bare) return this.#word(event, data);
    return bared(event, data).every(([name, words]) => this.#host.say(name, words));
  }

  /**
   * Says something of this call. False: it was not taken.
   * @param {string} event
   * @param {object} data
   */
  #word(event, data) {
    // The original API has no words for a call.
    return this.bare || this.#host.say(event, { call: this.#info.id, ...data });
  }

  get #relay() {
    return this.#info.relay ? { relay: true } : {};
  }

  /** @param {DuologueError} error */
  #fail(error) {
    if (this.call.over) return;
    this.#word("call:end", { reason: "failed" });
    this.#finish("failed", error);
  }

  /**
   * @param {import("./call.js").CallEnd} reason
   * @param {DuologueError} [error]
   * @param {boolean} [told] whether the server hears of it
   */
  #finish(reason, error, told = true) {
    if (this.call.over) return;
    this.#timers.stop();
    const { report } = this.line;
    this.line.stop();
    this.#gone.reject(callOver());
    if (this.#accepted && !this.bare && told) this.#host.whisper("call:report", { call: this.#info.id, ...report, reason });
    this.#host.over(this, reason);
    this.call.become("ended");
    this.call.tell("ended", error ? { reason, error } : { reason });
  }

  /**
   * The server ends a ring in time, and passes over what is said of it later; if it does not, nobody is to ring on.
   * @param {number} ms
   */
  #ringAtMost(ms) {
    this.#ringOn();
    this.#ringOn = this.#timers.in(ms, () => {
      if (this.call.state !== "ringing") return;
      this.#word(this.call.direction === "outgoing" ? "call:end" : "call:decline", {});
      this.#finish("no-answer");
    });
  }
}

function callOver() {
  return new DuologueError("call-ended", "This call is over.");
}
