/**
 * @file `@duologue/client`: talk to one other person in real time. This file is the whole public
 * face; README.md shows a chat in fifteen lines.
 */

import { Call } from "./calls/call.js";
import { IceServers } from "./calls/ice.js";
import { canCall } from "./calls/media.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Doors } from "./doors.js";
import { Emitter } from "./emitter.js";
import { DuologueError, refusalError } from "./errors.js";
import { Lobby } from "./lobby.js";
import { Renewals } from "./renewals.js";
import { setOf } from "./nodes.js";
import { authenticate, originsOf } from "./rest.js";
import { Transfer } from "./transfer.js";
import { Vault, pageStorage } from "./vault.js";

export { Call, Conversation, DuologueError, Transfer };

/** Two people who talk want to know within five seconds that the other is gone. */
const TALKING_BEAT_MS = 2_000;
/** A client that is closed waits this long for the server to hear its last words. */
const FAREWELL_MS = 1_000;
const SELF = { name: "@duologue/client", version: "0.1.0" };

/**
 * @typedef {object} DuologueOptions
 * @property {string} token
 * @property {string | string[]} [base] the server's origin, or those of its nodes: any will do, and
 *   they are tried in turn; the page's own if absent
 * @property {import("./types.js").DoorName[]} [doors] allowed, the one to prefer first
 * @property {string} [deviceId] a second session of the same device supersedes the first; made for
 *   each tab if absent
 * @property {import("./types.js").KeyValueStore} [storage] in place of the page's sessionStorage (and
 *   localStorage, for the door that won last); one client each
 * @property {import("./types.js").WebSocketClass} [WebSocket] in place of the platform's; Node 20 has none
 * @property {import("./types.js").WebTransportClass} [WebTransport] in place of the platform's
 * @property {{ name: string, version: string }} [client] the app, as it names itself to the server
 */

/**
 * @typedef {object} DuologueEvents
 * @property {import("./connection.js").LinkDetail} link
 * @property {{ attempt: number, retryInMs: number, code?: string }} reconnecting
 * @property {{ door: import("./types.js").DoorName, lost?: "node" }} resumed `lost`: a node was lost, and the
 *   conversation goes on at another
 * @property {{ reason: string }} lost the session that was asked for is gone; a new one began
 * @property {import("./types.js").Matching & { resumed?: boolean }} matching
 * @property {{ conversation: Conversation, resumed: boolean }} matched `resumed`: after a reload
 * @property {{}} idle neither talking nor waiting
 * @property {import("./types.js").Closing} closing the server ends the link, and says why
 * @property {DuologueError} error the server refused what nothing here waits for
 */

/** @extends {Emitter<DuologueEvents>} */
export class Duologue extends Emitter {
  #connection;
  #lobby = new Lobby((event, data) => this.#connection.say(event, data));
  #renewals = new Renewals();
  #ice = new IceServers((event, data) => this.#connection.say(event, data));
  /** @type {Conversation | null} */
  #conversation = null;
  /** @type {import("./types.js").Myself | null} */
  #user = null;
  /** @type {import("./types.js").Limits | null} */
  #limits = null;

  /**
   * A throw-away account.
   * @param {{ base?: string | string[], signal?: AbortSignal }} [options]
   */
  static async guest({ base, signal } = {}) {
    return authenticate(originsOf(base), "guest", {}, signal);
  }

  /**
   * A new account. A field that is not right is named in the error's `details`.
   * @param {{ username: string, email: string, password: string, base?: string | string[], signal?: AbortSignal }} form
   */
  static async register({ username, email, password, base, signal }) {
    return authenticate(originsOf(base), "register", { username, email, password }, signal);
  }

  /** @param {{ email: string, password: string, base?: string | string[], signal?: AbortSignal }} form */
  static async login({ email, password, base, signal }) {
    return authenticate(originsOf(base), "login", { email, password }, signal);
  }

  /** @param {DuologueOptions} options */
  constructor(options) {
    super();
    const { token, doors: names = ["webtransport", "websocket"], deviceId, storage, client = SELF } = options;
    const bases = originsOf(options.base);
    const vault = new Vault(storage ?? pageStorage("sessionStorage"), setOf(bases));
    const doors = new Doors({
      bases,
      names,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      WebTransport: options.WebTransport ?? globalThis.WebTransport,
      store: storage ?? pageStorage("localStorage"),
    });
    const able = canCall() ? { ...client, calls: true } : client;
    this.#connection = new Connection({ token, client: able, deviceId, vault, doors }, {
      established: (established, how) => this.#established(established, how),
      heard: (event, data) => this.#heard(event, data),
      bytes: (id, offset, bytes) => this.#conversation?.bytes(id, offset, bytes) ?? false,
      transfers: () => this.#conversation?.resumption ?? [],
      acknowledged: (said) => this.#conversation?.acknowledged(said),
      link: (detail) => this.emit("link", detail),
      reconnecting: (detail) => this.emit("reconnecting", detail),
      closing: (closing) => this.emit("closing", closing),
      ended: (error) => this.#ended(error),
    });
  }

  /** `idle` before the first `connect`; `closed` after `close`, or when the server refused. */
  get state() {
    return this.#connection.state;
  }

  /** The door in use. */
  get door() {
    return this.#connection.door;
  }

  /** The last round trip, in milliseconds. */
  get rtt() {
    return this.#connection.rttMs;
  }

  /** The conversation that goes on. */
  get conversation() {
    return this.#conversation;
  }

  /** Who the server says is speaking, and where from; known once established. */
  get user() {
    return this.#user;
  }

  /** Whether calls hide the two people's addresses from each other; as far as it is known, before there is one. */
  get relaying() {
    return this.#ice.relaying;
  }

  /** Sizes and rates to keep to; known once established. */
  get limits() {
    return this.#limits;
  }

  /**
   * Resolves when established. A network that is away is waited for (`reconnecting` events tell);
   * rejects when the server refuses, or on abort. After a refusal it may be called again.
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  async connect({ signal } = {}) {
    signal?.throwIfAborted();
    const stop = () => this.#connection.stop(new DuologueError("aborted", "Connecting was called off."));
    const opening = this.#connection.open();
    signal?.addEventListener("abort", stop);
    try {
      await opening;
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /**
   * Looks for a partner.
   * @param {import("./types.js").Wish & { signal?: AbortSignal }} [wish]
   * @returns {Promise<Conversation>}
   */
  match({ signal, ...wish } = {}) {
    return this.#lobby.match(wish, signal);
  }

  /**
   * Calls the search off, also one that was begun before a reload. Resolves when nothing is
   * searched for any more.
   * @returns {Promise<void>}
   */
  cancel() {
    return this.#lobby.cancel();
  }

  /**
   * Gives the session a newer token of the same person. Where there is no link it counts from the
   * next one on.
   * @param {string} token
   * @returns {Promise<{ expiresAt?: string }>}
   */
  renew(token) {
    const before = this.#connection.token;
    // At once: a link that is lost meanwhile must not come back with the old one.
    this.#connection.token = token;
    if (this.state !== "open" || !this.#connection.say("auth:renew", { token })) return Promise.resolve({});
    return this.#renewals.add(() => {
      if (this.#connection.token === token) this.#connection.token = before;
    });
  }

  /**
   * Moves to another door with no gap: the first link is given up when the second stands. That door
   * is kept as long as its link lives, also when a preferred one is open. `auto` ends that: the
   * preferred door is tried soon. Of two moves at once the later one counts.
   * @param {import("./types.js").DoorName | "auto"} name
   * @returns {Promise<void>}
   */
  useDoor(name) {
    return this.#connection.move(name);
  }

  /** For developers' panels: drops the link without a word, as a bad network would. */
  cutLink() {
    this.#connection.cut();
  }

  /** Leaves the partner or the search, closes the link, and forgets the session. */
  async close() {
    if (this.state === "open") {
      const left = this.#conversation ? this.#conversation.leave() : this.#lobby.searching && this.#lobby.cancel();
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const enough = new Promise((resolve) => (timer = setTimeout(resolve, FAREWELL_MS)));
      await Promise.race([left, enough]).catch(() => {});
      clearTimeout(timer);
    }
    this.#connection.stop(new DuologueError("closed", "This client was closed."));
    this.#connection.forget();
  }

  /**
   * @param {import("./types.js").Established} established
   * @param {import("./connection.js").Continuity} how
   */
  #established(established, how) {
    const { user, limits, state, conversation, transfers = [] } = established;
    this.#user = user;
    this.#limits = limits;
    this.#ice.established(established);
    if (how === "lost" || how === "new") return this.#anew(established, how);
    this.emit("resumed", { door: /** @type {import("./types.js").DoorName} */ (this.door) });
    if (how === "resumed") return this.#conversation?.resumed(transfers);
    if (conversation) this.#meet(conversation, true);
    // How long it has been going on, the server's next `user:matching` tells.
    else if (state === "waiting") this.emit("matching", { stage: "exact", waitedMs: 0, resumed: true });
  }

  /**
   * A new session began; where a node was lost, it may begin in the conversation of the one before.
   * @param {import("./types.js").Established} established
   * @param {"lost" | "new"} how
   */
  #anew({ lost, conversation }, how) {
    const talk = this.#conversation;
    const searching = this.#lobby.searching;
    this.#renewals.settle();
    if (conversation && talk?.id === conversation.conversation) {
      this.#lobby.restart(talk.id);
      talk.restored(conversation.status);
      this.emit("resumed", { door: /** @type {import("./types.js").DoorName} */ (this.door), lost: "node" });
      return;
    }
    const error = new DuologueError("session-lost", "The server does not know this session any more.");
    this.#part()?.end("lost", error);
    const wanted = this.#lobby.restart(conversation?.conversation);
    if (how === "lost") this.emit("lost", { reason: lost ?? "unknown" });
    // Nobody here asked for it: it is that of the page before a reload.
    if (conversation && wanted) this.#meet(conversation, !talk && !searching);
  }

  /**
   * @param {string} event
   * @param {any} data as `types.js` has it for each event; unknown events are passed over
   */
  #heard(event, data) {
    switch (event) {
      case "user:matching":
        return this.emit("matching", data);
      case "user:matched":
        return this.#meet(data, false);
      case "user:unmatched":
        if (this.#conversation?.id === data.conversation) this.#part()?.end(data.reason);
        return;
      case "user:idle":
        this.#lobby.idle();
        return this.emit("idle", {});
      case "ice:renewed":
        return this.#ice.renewed(data);
      case "auth:renewed":
        return this.#renewals.renewed(data);
      case "error":
        return this.#refused(refusalError(data));
      default:
        this.#conversation?.hear(event, data);
    }
  }

  /**
   * @param {import("./types.js").Matched} matched
   * @param {boolean} resumed
   */
  #meet(matched, resumed) {
    // Resumed after a reload, the match itself may come again: its acknowledgement was lost.
    if (this.#conversation?.id === matched.conversation) return;
    if (this.#lobby.calledOff) {
      // The match won the race against the cancel; nobody here wants it.
      this.#lobby.leave(matched.conversation);
      return;
    }
    this.#part()?.end("ended");
    const conversation = new Conversation(matched, {
      say: (event, data) => this.#connection.say(event, data),
      whisper: (event, data) => this.#connection.whisper(event, data),
      mention: (event, data) => this.#connection.link?.send({ event, data }),
      upload: (id, offset) => this.#connection.link?.upload(id, offset) ?? null,
      moving: () => this.#connection.moving,
      skip: (signal) => {
        this.#part();
        return this.#lobby.skip(matched.conversation, signal);
      },
      leave: () => {
        this.#part();
        return this.#lobby.leave(matched.conversation);
      },
      linked: () => this.state === "open",
      ice: this.#ice,
      user: /** @type {import("./types.js").User} */ (this.#user),
      limits: /** @type {import("./types.js").Limits} */ (this.#limits),
    });
    this.#conversation = conversation;
    this.#connection.pace(TALKING_BEAT_MS);
    this.#lobby.matched(conversation);
    this.emit("matched", { conversation, resumed });
  }

  /** The conversation is not this client's any more; returns it. */
  #part() {
    const conversation = this.#conversation;
    this.#conversation = null;
    if (conversation) this.#connection.pace(null);
    return conversation;
  }

  /** @param {DuologueError} error */
  #refused(error) {
    if (error.event === "auth:renew") return this.#renewals.refused(error);
    if (error.event === "ice:renew") return this.#ice.refused(error);
    // Nobody asked for it: a server that does not know of it, or was told too often, is left alone.
    if (error.event === "user:presence") return;
    if (this.#lobby.refused(error) || this.#conversation?.refused(error)) return;
    // Said while the partner was leaving: the end of the conversation has told it.
    if (error.code === "no-conversation" && error.event?.startsWith("chat:")) return;
    if (!this.#conversation && (error.event?.startsWith("file:") || error.event?.startsWith("call:"))) return;
    // Signals that an app says for itself have no call, and are its own.
    if (!this.#conversation && error.event?.startsWith("webrtc:") && error.id !== undefined) return;
    this.emit("error", error);
  }

  /** @param {DuologueError} error */
  #ended(error) {
    this.#part()?.end("lost", error);
    this.#lobby.close(error);
    this.#renewals.close(error);
  }
}
