/**
 * @file Keeps one session alive over link after link: opens doors, says hello, resumes,
 * acknowledges, and reconnects. Knows nothing of conversations; its owner does.
 */

import { Backoff } from "./backoff.js";
import { Courier } from "./courier.js";
import { Deferred } from "./deferred.js";
import { DuologueError, asDuologueError, closingError, lostLinkError } from "./errors.js";
import { greet } from "./greeting.js";
import { race } from "./link/race.js";
import { PageEvents } from "./page.js";
import { Pulse } from "./pulse.js";
import { PROTOCOL } from "./rest.js";
import { Session } from "./session.js";

/** A link that lasted this long proves the service well, and the back-off begins anew. */
const STEADY_MS = 2_000;
/** Unacknowledged events that are kept at most; with more, what is said is refused. */
const MAX_PENDING = 1024;

/**
 * How a session began or went on: `new`; `resumed` in the same page; `reloaded`: resumed with
 * nothing in memory; `lost`: a new one, though another was asked for.
 * @typedef {"new" | "resumed" | "reloaded" | "lost"} Continuity
 */

/**
 * @typedef {object} LinkDetail
 * @property {import("./types.js").DoorName} door
 * @property {"connecting" | "open" | "closed"} state
 * @property {number} [rttMs] the last round trip
 * @property {string} [reason] the code of what closed it
 */

/**
 * Whom the connection tells.
 * @typedef {object} Owner
 * @property {(established: import("./types.js").Established, how: Continuity) => void} established
 * @property {(event: string, data: any) => void} heard each event once, in order
 * @property {(said: import("./session.js").Said) => void} acknowledged
 * @property {(detail: LinkDetail) => void} link
 * @property {(detail: { attempt: number, retryInMs: number, code?: string }) => void} reconnecting
 * @property {(closing: import("./types.js").Closing) => void} closing
 * @property {(error: DuologueError) => void} ended no more links until the next `open`
 */

/**
 * @typedef {object} Setup
 * @property {string} token
 * @property {{ name: string, version: string }} client
 * @property {string} [deviceId]
 * @property {import("./vault.js").Vault} vault
 * @property {import("./doors.js").Doors} doors
 */

/** @typedef {import("./link/link.js").Link} Link */
/** @typedef {import("./vault.js").Stored} Stored */

export class Connection {
  /** @type {"idle" | "connecting" | "open" | "reconnecting" | "closed"} */
  state = "idle";
  /** The token of the next hello. */
  token;
  #setup;
  #owner;
  #backoff = new Backoff();
  /** Lives from `open` to the end; aborts everything that is under way. */
  #life = new AbortController();
  /** @type {Deferred<void>} */
  #opening = new Deferred();
  /** @type {Link | null} */
  #link = null;
  #linkedAt = 0;
  /** A second link is being made; what happens to the first is not yet a loss. */
  #moving = false;
  /** @type {Courier | null} the session; `null`: there is none, or only a stored one */
  #courier = null;
  /** Milliseconds of silence that are worth a ping: as the server says, or as the owner wants it. */
  #beatMs = 0;
  #livelyMs = /** @type {number | null} */ (null);
  #pulse = new Pulse({
    ping: (t) => this.whisper("connection:ping", { t }),
    dead: () => this.#lose(new DuologueError("link-silent", "Nothing came from the server any more.")),
  });
  #page = new PageEvents({ wake: () => this.#pulse.probe(), hide: () => this.#courier?.store() });

  /**
   * @param {Setup} setup
   * @param {Owner} owner
   */
  constructor(setup, owner) {
    this.#setup = setup;
    this.#owner = owner;
    this.token = setup.token;
  }

  /** The door in use. */
  get door() {
    return this.#link?.door ?? null;
  }

  /** The last round trip, in milliseconds. */
  get rttMs() {
    return this.#link ? this.#pulse.rttMs : undefined;
  }

  /**
   * Resolves when established. Rejects when refused or stopped; a network that is away is waited
   * for.
   * @returns {Promise<void>}
   */
  open() {
    if (this.state === "idle" || this.state === "closed") {
      this.state = "connecting";
      this.#life = new AbortController();
      this.#opening = new Deferred();
      this.#backoff.reset();
      this.#page.watch();
      this.#reach();
    }
    return this.#opening.promise;
  }

  /**
   * Keeps a reliable event until the server has it. False: there is no session, or too much waits
   * already.
   * @param {string} event
   * @param {object} data
   */
  say(event, data) {
    if (!this.#courier || this.#courier.pending >= MAX_PENDING) return false;
    this.#courier.say(event, data);
    return true;
  }

  /**
   * Sends an event that may be lost.
   * @param {string} event
   * @param {object} data
   */
  whisper(event, data) {
    this.#link?.sendVolatile({ event, data });
  }

  /**
   * Beats at this interval; `null`: at the server's for someone who is alone.
   * @param {number | null} everyMs
   */
  pace(everyMs) {
    this.#livelyMs = everyMs;
    this.#pulse.pace(everyMs ?? this.#beatMs);
  }

  /**
   * Opens a second link and moves the session to it; the first is given up only then.
   * @param {import("./types.js").DoorName} name
   */
  async move(name) {
    if (!this.#link || this.#moving) {
      throw new DuologueError("not-connected", "There is no settled link to move from.");
    }
    this.#moving = true;
    try {
      await this.#race(await this.#setup.doors.only(name, this.#life.signal));
      this.#setup.doors.prefer(name);
    } finally {
      this.#moving = false;
      if (this.state === "open" && !this.#link) this.#reconnect(lostLinkError(undefined));
    }
  }

  /** Gives up the link of the moment without a word; the session goes on over the next one. */
  cut() {
    this.#lose(new DuologueError("cut", "The link was cut on this side."));
  }

  /**
   * The end, until the next `open`. What is stored stays, so that it resumes as after a reload.
   * @param {DuologueError} error
   */
  stop(error) {
    if (this.state === "closed") return;
    this.#courier?.store();
    this.state = "closed";
    this.#unlink(error);
    this.#courier = null;
    this.#page.unwatch();
    this.#life.abort(error);
    this.#opening.reject(error);
    this.#owner.ended(error);
  }

  /** Nothing will ask for the session again. */
  forget() {
    this.#courier = null;
    this.#setup.vault.forget();
  }

  /**
   * Tries until established, refused or stopped.
   * @param {DuologueError} [cause] why the link before ended; absent on the first attempt
   */
  async #reach(cause) {
    const { signal } = this.#life;
    for (;;) {
      try {
        if (cause) await this.#waitTurn(cause, signal);
        const doors = await this.#setup.doors.all(signal);
        this.#setup.doors.won(await this.#race(doors), doors);
        return;
      } catch (error) {
        if (signal.aborted) return;
        cause = asDuologueError(error, "link-lost");
        this.#setup.doors.expire();
        if (cause.final) return this.#refused(cause);
      }
    }
  }

  /**
   * @param {DuologueError} cause
   * @param {AbortSignal} signal
   */
  async #waitTurn({ code, retryAfterMs = 0 }, signal) {
    const retryInMs = Math.round(this.#backoff.next(retryAfterMs));
    this.#owner.reconnecting({ attempt: this.#backoff.attempt, retryInMs, code });
    await this.#page.pause(retryInMs, retryAfterMs, signal);
  }

  /**
   * Takes the session to the first of these doors that answers.
   * @param {import("./link/link.js").Door[]} doors
   */
  #race(doors) {
    return race(doors, (link, signal) => this.#greet(link, signal), {
      signal: this.#life.signal,
      report: (door, state, error) => this.#owner.link({ door, state, reason: error?.code }),
    });
  }

  /**
   * @param {Link} link
   * @param {AbortSignal} signal
   */
  #greet(link, signal) {
    // A hello acknowledges too: what it says must be stored first.
    this.#courier?.store();
    const asked = this.#setup.vault.read();
    const deviceId = this.#setup.deviceId ?? asked?.deviceId ?? crypto.randomUUID();
    const resume = asked ? { session: asked.session, key: asked.key, received: asked.received } : undefined;
    const hello = { protocol: PROTOCOL, token: this.token, client: { ...this.#setup.client, deviceId }, resume };
    return greet(link, hello, {
      established: (established) => this.#adopt(link, established, asked, deviceId),
      closing: (closing) => this.#farewell(closing),
      ended: (code, reason) => this.#broken(code, reason),
    }, signal);
  }

  /**
   * The server has answered: the session is on this link now, whatever link it was on.
   * @param {Link} link
   * @param {import("./types.js").Established} established
   * @param {Stored | null} asked
   * @param {string} deviceId
   */
  #adopt(link, established, asked, deviceId) {
    const { session: id, key, resumed, received, user, heartbeatMs } = established;
    const ours = resumed ? this.#courier : null;
    const acked = ours ? ours.resume(received) : [];
    if (acked === null) {
      this.forget();
      throw new DuologueError("protocol-error", "The server says it has what was never sent.");
    }
    this.#unlink(new DuologueError("superseded", "The session goes on over another link."));
    const reloaded = resumed ? { received: asked?.received, sent: received } : {};
    this.#courier = ours
      ?? new Courier(new Session({ id, key, ...reloaded }), { deviceId, userId: user.id }, this.#setup.vault);
    this.#courier.use(link);
    this.#link = link;
    this.#linkedAt = performance.now();
    this.state = "open";
    link.listen({
      frame: (frame) => this.#receive(frame),
      ended: (code, reason) => this.#lose(this.#broken(code, reason)),
    });
    this.#beatMs = heartbeatMs;
    this.#pulse.start(this.#livelyMs ?? heartbeatMs);
    this.#owner.link({ door: link.door, state: "open", rttMs: this.rttMs });
    // Someone else logged in: their new session is no loss of the one before.
    const began = asked && asked.userId === user.id ? "lost" : "new";
    this.#owner.established(established, ours ? "resumed" : resumed ? "reloaded" : began);
    acked.forEach((said) => this.#owner.acknowledged(said));
    this.#courier?.flush();
    this.#opening.resolve();
  }

  /** @param {import("./types.js").Frame} frame */
  #receive(frame) {
    const courier = this.#courier;
    if (!courier) return;
    this.#pulse.heard();
    const { arrival, acked } = courier.receive(frame);
    if (arrival === "gap") return this.#lose(new DuologueError("gap", "A frame of the server is missing."));
    // The event first: an error that refuses a message must be known before its acknowledgement.
    if (arrival === "fresh") this.#handle(frame.event, frame.data ?? {});
    acked.forEach((said) => this.#owner.acknowledged(said));
    courier.acknowledge();
  }

  /**
   * @param {string} event
   * @param {any} data
   */
  #handle(event, data) {
    switch (event) {
      case "ack":
        return;
      case "connection:ping":
        return this.whisper("connection:pong", { t: data.t });
      case "connection:pong":
        this.#pulse.measure(data.t);
        return this.#link && this.#owner.link({ door: this.#link.door, state: "open", rttMs: this.rttMs });
      case "connection:closing":
        return this.#lose(this.#farewell(data));
      default:
        return this.#owner.heard(event, data);
    }
  }

  /**
   * The link of the moment is gone.
   * @param {DuologueError} error
   */
  #lose(error) {
    if (!this.#link) return;
    if (!this.#moving && !error.final) this.state = "reconnecting";
    this.#unlink(error);
    // Whoever was just told of it may have closed the client.
    if (this.state === "closed") return;
    if (performance.now() - this.#linkedAt >= STEADY_MS) this.#backoff.reset();
    // While moving, "superseded" is the server taking the first link down, and any other loss is
    // mended by the second link; `move` looks after it if that fails.
    if (this.#moving) return;
    if (error.final) this.#refused(error);
    else this.#reconnect(error);
  }

  /** @param {DuologueError} cause */
  #reconnect(cause) {
    this.state = "reconnecting";
    if (cause.closeCode !== undefined) this.#setup.doors.expire();
    this.#reach(cause);
  }

  /**
   * The server does not want this client back with the same request.
   * @param {DuologueError} error
   */
  #refused(error) {
    this.stop(error);
    // These would only be refused again; after "token-invalid" a new token may resume the session.
    if (error.code === "superseded" || error.code === "protocol-error") this.forget();
  }

  /** @param {DuologueError} why */
  #unlink(why) {
    if (!this.#link) return;
    const { door } = this.#link;
    this.#pulse.stop();
    this.#courier?.use(null);
    this.#link.close();
    this.#link = null;
    this.#owner.link({ door, state: "closed", reason: why.code });
  }

  /** @param {import("./types.js").Closing} closing */
  #farewell(closing) {
    this.#owner.closing(closing);
    return closingError(closing);
  }

  /**
   * A link ended without a farewell; a close code says the same.
   * @param {number | undefined} code
   * @param {string} reason
   */
  #broken(code, reason) {
    const error = lostLinkError(code, reason);
    const { closeCode, message, final } = error;
    if (closeCode !== undefined) {
      this.#owner.closing({ code: closeCode, reason: error.code, message, reconnect: !final });
    }
    return error;
  }
}
