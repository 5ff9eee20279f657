/**
 * @file Keeps one session alive over link after link: says hello, resumes, and acknowledges, on the
 * links that its keeper makes. Knows nothing of conversations; its owner does.
 */

import { Attention } from "./attention.js";
import { Courier } from "./courier.js";
import { Deferred } from "./deferred.js";
import { DuologueError } from "./errors.js";
import { Farewells } from "./farewells.js";
import { greet } from "./greeting.js";
import { Keeper } from "./keeper.js";
import { PageEvents } from "./page.js";
import { Pulse } from "./pulse.js";
import { PROTOCOL } from "./rest.js";
import { Session } from "./session.js";

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
 * @property {import("./types.js").DoorName} [from] once, when the session goes on over another link:
 *   the door of the one before
 * @property {import("./keeper.js").Why} [why] beside `from`
 */

/**
 * Whom the connection tells.
 * @typedef {object} Owner
 * @property {(established: import("./types.js").Established, how: Continuity) => void} established
 * @property {(event: string, data: any) => void} heard each event once, in order
 * @property {NonNullable<import("./link/link.js").LinkListener["bytes"]>} bytes of a transfer
 * @property {() => object[]} transfers what the next hello says of them
 * @property {(said: import("./session.js").Said) => void} acknowledged
 * @property {(detail: LinkDetail) => void} link
 * @property {(detail: { attempt: number, retryInMs: number, code?: string }) => void} reconnecting
 * @property {(closing: import("./types.js").Closing) => void} closing
 * @property {(error: DuologueError) => void} ended no more links until the next `open`
 */

/**
 * @typedef {object} Setup
 * @property {string} token
 * @property {{ name: string, version: string, calls?: boolean }} client `calls`: it understands `call:*`
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
  /** @type {Deferred<void>} */
  #opening = new Deferred();
  /** @type {Link | null} */
  #link = null;
  /**
   * The link that is gone and has no successor yet.
   * @type {{ door: import("./types.js").DoorName, why: import("./keeper.js").Why | undefined } | null}
   */
  #before = null;
  /** @type {Courier | null} the session; `null`: there is none, or only a stored one */
  #courier = null;
  /** Milliseconds of silence that are worth a ping: as the server says, or as the owner wants it. */
  #beatMs = 0;
  #livelyMs = /** @type {number | null} */ (null);
  #pulse = new Pulse({
    ping: (t) => this.whisper("connection:ping", { t }),
    suspect: () => this.#keeper.suspect(),
    answered: () => this.#keeper.answered(),
    dead: () => this.#lose(new DuologueError("link-silent", "Nothing came from the server any more.")),
  });
  #page = new PageEvents({
    wake: () => {
      this.#pulse.probe();
      this.#keeper.wake();
    },
    // It may be wrong: the link itself is asked.
    offline: () => this.#pulse.probe(),
    hide: (kept) => this.#hide(kept),
    show: () => this.#keeper.start(),
    look: (visible) => this.#attention.look(visible),
  });
  #attention = new Attention((status) => this.say("user:presence", { status }));
  #keeper;
  #farewells = new Farewells((closing) => this.#owner.closing(closing));

  /**
   * @param {Setup} setup
   * @param {Owner} owner
   */
  constructor(setup, owner) {
    this.#setup = setup;
    this.#owner = owner;
    this.token = setup.token;
    this.#keeper = new Keeper(setup.doors, this.#page, {
      greet: (link, signal) => this.#greet(link, signal),
      door: () => this.door,
      calm: () => this.#link !== null && !this.#pulse.suspect && !this.#courier?.pending,
      // A second link by the door in use is no news until it is the first.
      report: (door, state, error) => door !== this.door && this.#owner.link({ door, state, reason: error?.code }),
      reconnecting: (detail) => {
        if (this.state === "open") this.state = "reconnecting";
        this.#owner.reconnecting(detail);
      },
      refused: (error) => this.#refused(error),
    });
  }

  /** The door in use. */
  get door() {
    return this.#link?.door ?? null;
  }

  /** The link of the moment, for what may be lost with it. */
  get link() {
    return this.#link;
  }

  /** A hello is under way beside the link of the moment: it does not know what is said on this one. */
  get moving() {
    return this.#link !== null && this.#keeper.greeting;
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
      this.#opening = new Deferred();
      this.#page.watch();
      this.#keeper.start();
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
    if (this.#link) this.#pulse.wrote();
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
   * Opens a second link and moves the session to it; the first is given up only then. `auto`: the
   * choice is the keeper's again.
   * @param {import("./types.js").DoorName | "auto"} name
   */
  async move(name) {
    if (!this.#link) throw new DuologueError("not-connected", "There is no link to move from.");
    await this.#keeper.move(name);
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
    this.#keeper.rest(error);
    this.#unlink(error);
    this.#courier = this.#before = null;
    this.#page.unwatch();
    this.#attention.stop();
    this.#opening.reject(error);
    this.#owner.ended(error);
  }

  /** Nothing will ask for the session again. */
  forget() {
    this.#courier = null;
    this.#setup.vault.forget();
  }

  /**
   * The page goes away, or stands still for a while.
   * @param {boolean} kept it may come back as it is, if nothing of it is connected
   */
  #hide(kept) {
    this.#courier?.store();
    if (!kept) return;
    const away = new DuologueError("page-away", "The page was left, and may come back.");
    this.#keeper.rest(away);
    if (this.#link) {
      this.#before = { door: this.#link.door, why: "lost" };
      this.state = "reconnecting";
    }
    this.#unlink(away);
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
    // After a reload there are no files to go on with, and nothing is said of them.
    const transfers = this.#courier ? this.#owner.transfers() : undefined;
    const resume = asked ? { session: asked.session, key: asked.key, received: asked.received, transfers } : undefined;
    const hello = { protocol: PROTOCOL, token: this.token, client: { ...this.#setup.client, deviceId }, resume };
    const answered = this.#farewells.hello();
    return greet(link, hello, {
      established: (established) => {
        answered();
        this.#adopt(link, established, asked, deviceId);
      },
      // Beside a link that works it is no news for anyone.
      closing: (closing) => {
        answered();
        return this.#farewells.said(closing, this.#link !== null);
      },
      ended: (code, reason) => this.#farewells.broken(code, reason, this.#link !== null),
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
    const from = this.#link?.door ?? this.#before?.door;
    const why = this.#before ? this.#before.why : this.#pulse.suspect ? "silent" : this.#keeper.why;
    this.#unlink(new DuologueError("superseded", "The session goes on over another link."));
    // Whoever was just told of it may have closed the client.
    if (this.state === "closed") throw new DuologueError("closed", "This client was closed.");
    const reloaded = resumed ? { received: asked?.received, sent: received } : {};
    this.#courier = ours
      ?? new Courier(new Session({ id, key, ...reloaded }), { deviceId, userId: user.id }, this.#setup.vault);
    this.#courier.use(link);
    this.#link = link;
    this.#before = null;
    this.state = "open";
    this.#keeper.linked(link.door, why);
    link.listen({
      frame: (frame) => this.#receive(frame),
      bytes: (id, offset, bytes) => {
        this.#pulse.heard();
        return this.#owner.bytes(id, offset, bytes);
      },
      ended: (code, reason) => this.#lose(this.#farewells.broken(code, reason)),
    });
    this.#beatMs = heartbeatMs;
    this.#pulse.start(this.#livelyMs ?? heartbeatMs);
    const moved = ours ? { from, why } : established.lost === "node" && { from, why: /** @type {const} */ ("node") };
    this.#owner.link({ door: link.door, state: "open", ...(from && moved) });
    // Someone else logged in: their new session is no loss of the one before.
    const began = asked && asked.userId === user.id ? "lost" : "new";
    const how = ours ? "resumed" : resumed ? "reloaded" : began;
    this.#owner.established(established, how);
    this.#attention.established(how);
    acked.forEach((said) => this.#owner.acknowledged(said));
    this.#courier?.flush();
    if (this.#link === link) this.#courier?.pending ? this.#pulse.wrote() : this.#pulse.acked(false);
    this.#opening.resolve();
  }

  /** @param {import("./types.js").Frame} frame */
  #receive(frame) {
    const courier = this.#courier;
    if (!courier) return;
    this.#pulse.heard();
    const { arrival, acked } = courier.receive(frame);
    if (acked.length > 0) this.#pulse.acked(courier.pending > 0);
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
        return this.#lose(this.#farewells.said(data));
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
    // While a hello is under way on another link, its answer tells whether this end matters.
    const { greeting, why } = this.#keeper;
    const lost = error.code === "link-silent" ? "silent" : "lost";
    this.#before = { door: this.#link.door, why: greeting ? why : lost };
    if (!greeting && !error.final) this.state = "reconnecting";
    this.#unlink(error);
    // Whoever was just told of it may have closed the client.
    if (this.state === "closed") return;
    if (error.final && !greeting) this.#refused(error);
    else this.#keeper.lost(error);
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
}
