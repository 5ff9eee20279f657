/**
 * @file One talk with one person, from the match to its end.
 */

import { SIGNALS } from "./calls/bare.js";
import { Calls } from "./calls/calls.js";
import { Emitter } from "./emitter.js";
import { DuologueError } from "./errors.js";
import { MOST_OPEN, Outbox } from "./outbox.js";
import { Transfers } from "./transfers.js";

/** "Is typing" is said again at most this often while it goes on. */
const TYPING_REPEAT_MS = 2_000;
/** Without news the partner has stopped typing: the word that says so may be lost. */
const TYPING_FADES_MS = 5_000;
/** So many ids of received messages are remembered, to drop what comes twice. */
const REMEMBERED_IDS = MOST_OPEN;
/** Most of one kind that is kept for the first who listens. */
const MOST_EARLY = 1000;

const encoder = new TextEncoder();

/**
 * Why a conversation ended. `left`, `skipped`, `disconnected`, `blocked`: by the partner; `ended`:
 * by the service; `lost`: the server does not know it any more, or this client was closed.
 * @typedef {import("./types.js").Unmatched["reason"] | "lost" | "you-left" | "you-skipped"} EndReason
 */

/** @typedef {import("./calls/bare.js").Signal} Signal */

/**
 * @typedef {object} ConversationEvents
 * @property {import("./types.js").IncomingMessage} message the partner says something
 * @property {import("./transfer.js").Transfer} file the partner offers a file or voice note
 * @property {{ id: string }} delivered the partner's client has a message of ours
 * @property {{ id: string, state: import("./outbox.js").MessageState, error?: DuologueError }} state
 * @property {import("./calls/call.js").Call} call the partner calls, or a call goes on after a reload
 * @property {Signal} signal what the partner says to set up a call that the app makes by itself
 * @property {{ typing: boolean }} typing
 * @property {{ by: string, mine: boolean }} clear
 * @property {{ status: import("./types.js").Presence | "ended" }} status
 * @property {{}} restored a node was lost with what it was about to pass on: messages, files and calls go on by
 *   themselves, but a call that the app makes by itself has to be set up anew
 * @property {{ reason: EndReason }} ended
 */

/**
 * What a conversation needs of its client.
 * @typedef {object} Host
 * @property {(event: string, data: object) => boolean} say false: it was not taken
 * @property {(event: string, data: object) => void} whisper it may be lost
 * @property {(event: string, data: object) => void} mention it may be lost, with the link
 * @property {(id: string, offset: number) => import("./link/link.js").Upload | null} upload
 * @property {() => boolean} moving the session is about to be on another link
 * @property {(signal?: AbortSignal) => Promise<Conversation>} skip
 * @property {() => Promise<void>} leave
 * @property {() => boolean} linked whether there is a link
 * @property {import("./calls/ice.js").IceServers} ice
 * @property {import("./types.js").User} user
 * @property {import("./types.js").Limits} limits
 */

/** @extends {Emitter<ConversationEvents>} */
export class Conversation extends Emitter {
  /** @type {import("./types.js").Presence | "ended"} */
  #status;
  #host;
  #outbox;
  #transfers;
  #calls;
  #typingSaidAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the partner is typing */
  #typingFades;
  /** @type {Set<string>} the partner's, in the order of arrival */
  #seen = new Set();
  /** A clear is on its way to the server, and nothing was said since. */
  #clearing = false;
  /**
   * What came before anyone listened: an app that awaits the match attaches its listener a moment
   * later than the partner's first word may be here. A kind that is missing has a listener.
   * @type {{ [type in keyof ConversationEvents]?: any[] }}
   */
  #early = { message: [], file: [], call: [], signal: [] };

  /**
   * @internal
   * @param {import("./types.js").Matched} matched
   * @param {Host} host
   */
  constructor({ conversation, matchedUser, role, common, status = "online", call }, host) {
    super();
    this.#status = status;
    /** @readonly */
    this.id = conversation;
    /** @readonly */
    this.partner = matchedUser;
    /** @readonly this side's part in WebRTC's perfect negotiation */
    this.role = role;
    /** @readonly the interests both named */
    this.common = common;
    this.#host = host;
    this.#outbox = new Outbox(host.say, (message, error) => {
      const { id, state } = message;
      this.emit("state", error ? { id, state, error } : { id, state });
      if (state === "delivered") this.emit("delivered", { id });
    });
    this.#transfers = new Transfers(host, (transfer) => this.#tell("file", transfer));
    const hopeful = () => this.#status !== "reconnecting";
    this.#calls = new Calls({ ...host, hopeful, polite: role === "polite" }, (made) => this.#tell("call", made));
    if (call) this.#calls.resume(call);
  }

  /**
   * What came before the first listener for it is told to it right after this: messages, files, calls and signals.
   * @template {keyof ConversationEvents} K
   * @param {K} type
   * @param {import("./emitter.js").Listener<ConversationEvents[K]> | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    const early = this.#early[type];
    if (!early) return;
    delete this.#early[type];
    // A file that is over by now is no news.
    for (const detail of early) if (!detail.over) this.emit(type, detail);
    // An app that wants calls, and does not make them by itself.
    if (type === "call") for (const { name, data } of this.#early.signal?.splice(0) ?? []) this.#calls.bare(name, data);
  }

  /** How the partner is. */
  get status() {
    return this.#status;
  }

  /**
   * Sends a message. Never throws: what is wrong with it, `delivered` says.
   * @param {string} text
   */
  send(text) {
    // The message itself says that the typing is over.
    this.#typingSaidAt = -Infinity;
    this.#clearing = false;
    return this.#outbox.send(text, this.#objection(text));
  }

  /**
   * Offers a file. Never throws: what is wrong with it, the transfer says.
   * @param {Blob} blob a File, too
   * @param {Omit<import("./transfers.js").SendOptions, "durationMs">} [options]
   */
  sendFile(blob, options = {}) {
    return this.#transfers.send(blob, "file", options, this.#status === "ended" ? over() : null);
  }

  /**
   * Offers a voice note.
   * @param {Blob} blob
   * @param {import("./transfers.js").SendOptions & { durationMs: number }} options
   */
  sendVoice(blob, options) {
    return this.#transfers.send(blob, "voice", options, this.#status === "ended" ? over() : null);
  }

  /**
   * Asks for the devices, then rings. A call that comes in is taken instead, and one that was interrupted goes on.
   * @param {import("./calls/call.js").CallOptions & { signal?: AbortSignal }} [options]
   */
  call(options) {
    return this.#calls.call(options);
  }

  /** The call that rings or goes on. */
  get currentCall() {
    return this.#calls.current;
  }

  /**
   * Tells whether the person is typing; call it at every key.
   * @param {boolean} on
   */
  typing(on) {
    const now = performance.now();
    const due = on ? now - this.#typingSaidAt >= TYPING_REPEAT_MS : this.#typingSaidAt > -Infinity;
    if (!due || this.#status === "ended") return;
    this.#typingSaidAt = on ? now : -Infinity;
    this.#host.whisper("chat:typing", { typing: on });
  }

  /** Clears the messages of both sides. */
  clear() {
    if (this.#status === "ended" || !this.#host.say("chat:clear", {})) return;
    this.#clearing = true;
    this.emit("clear", { by: this.#host.user.id, mine: true });
  }

  /**
   * Passes on what sets up a call, as it is: for apps that bring their own `RTCPeerConnection`.
   * @param {Signal["name"]} name
   * @param {object} data `{offer, type: "audio" | "video"}`, `{answer}` or `{candidate}`
   * @returns {boolean} false: it was not taken, as the conversation is over or the link is far behind
   */
  signal(name, data) {
    if (!SIGNALS.includes(name)) throw new TypeError(`"${name}" is none of ${SIGNALS.join(", ")}.`);
    return this.#status !== "ended" && this.#host.say(name, data);
  }

  /**
   * Ends this conversation and looks for the next partner.
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Conversation>} the next conversation
   */
  skip({ signal } = {}) {
    if (this.#status === "ended") return Promise.reject(over());
    this.end("you-skipped");
    return this.#host.skip(signal);
  }

  /**
   * Resolves when the server knows.
   * @returns {Promise<void>}
   */
  leave() {
    if (this.#status === "ended") return Promise.resolve();
    this.end("you-left");
    return this.#host.leave();
  }

  /**
   * An event of the server about this conversation. False: it means nothing here.
   * @internal
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    switch (event) {
      case "chat:message":
        this.#message(data);
        return true;
      case "chat:delivered":
        this.#outbox.delivered(data.id);
        return true;
      case "chat:typing":
        this.#partnerTypes(data.typing);
        return true;
      case "chat:clear":
        // Our own was told when it was asked for.
        if (data.by !== this.#host.user.id) this.emit("clear", { by: data.by, mine: false });
        return true;
      case "user:status":
        this.#become(data.status);
        return true;
      default:
        return this.#calls.hear(event, data) || this.#transfers.hear(event, data) || this.#signalled(event, data);
    }
  }

  /**
   * @internal bytes of a transfer came
   * @param {string} id
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  bytes(id, offset, bytes) {
    return this.#transfers.bytes(id, offset, bytes);
  }

  /** @internal what the next hello says of its transfers */
  get resumption() {
    return this.#transfers.resumption;
  }

  /**
   * @internal the session is on another link
   * @param {{ transfer: string, received: number, acknowledged: number }[]} places
   */
  resumed(places) {
    this.#transfers.resumed(places);
    this.#calls.resumed();
  }

  /**
   * The node that had it was lost; it goes on in a new session, which knows only that it stands.
   * @internal
   * @param {import("./types.js").Presence} [status]
   */
  restored(status = "online") {
    this.#partnerTypes(false);
    this.#typingSaidAt = -Infinity;
    this.#outbox.restore();
    // What the partner may have read since must not be cleared: then it is not said again.
    if (this.#clearing) this.#host.say("chat:clear", {});
    this.#transfers.restored();
    this.#become(status);
    this.#calls.restored();
    this.emit("restored", {});
  }

  /**
   * @internal the server has what we said
   * @param {import("./session.js").Said} said
   */
  acknowledged(said) {
    const { event, data } = said;
    this.#calls.acknowledged(said);
    if (event === "chat:clear") this.#clearing = false;
    if (event === "chat:message" && "id" in data) this.#outbox.acknowledged(String(data.id));
  }

  /**
   * @internal the server refused what we said. False: it was not of this conversation
   * @param {DuologueError} error
   */
  refused(error) {
    return this.#transfers.refused(error) || this.#calls.refused(error) || (error.id !== undefined && this.#outbox.refused(error.id, error));
  }

  /**
   * @internal
   * @param {EndReason} reason
   * @param {DuologueError} [error] what its open messages fail with
   */
  end(reason, error = over()) {
    if (this.#status === "ended") return;
    this.#partnerTypes(false);
    this.#become("ended");
    this.#outbox.failAll(error);
    this.#transfers.end(error);
    // Who leaves says so only after this.
    this.#calls.end(reason.startsWith("you-"));
    this.emit("ended", { reason });
  }

  /**
   * Why a text cannot be sent.
   * @param {string} text
   */
  #objection(text) {
    if (this.#status === "ended") return over();
    const limit = this.#host.limits.text;
    if (text.length === 0) return new DuologueError("invalid-data", "A message needs some text.");
    if (encoder.encode(text).length <= limit) return null;
    return new DuologueError("text-too-long", `A message holds at most ${limit} bytes of text.`);
  }

  /** @param {import("./types.js").IncomingMessage} message */
  #message(message) {
    if (this.#seen.has(message.id)) return;
    this.#seen.add(message.id);
    if (this.#seen.size > REMEMBERED_IDS) {
      const [oldest] = this.#seen;
      this.#seen.delete(oldest);
    }
    this.#partnerTypes(false);
    this.#tell("message", message);
  }

  /**
   * A signal that is of no call here: it is the app's, or it calls.
   * @param {string} event
   * @param {any} data
   */
  #signalled(event, data) {
    const name = SIGNALS.find((signal) => signal === event);
    if (name && this.#early.signal && !this.#early.call) this.#calls.bare(name, data);
    else if (name) this.#tell("signal", { name, data });
    return name !== undefined;
  }

  /**
   * @template {keyof ConversationEvents} K
   * @param {K} type
   * @param {ConversationEvents[K]} detail
   */
  #tell(type, detail) {
    const early = this.#early[type];
    if (!early) this.emit(type, detail);
    else if (early.length < MOST_EARLY) early.push(detail);
  }

  /** @param {boolean} typing */
  #partnerTypes(typing) {
    const before = this.#typingFades !== undefined;
    clearTimeout(this.#typingFades);
    this.#typingFades = typing ? setTimeout(() => this.#partnerTypes(false), TYPING_FADES_MS) : undefined;
    if (typing !== before) this.emit("typing", { typing });
  }

  /** @param {import("./types.js").Presence | "ended"} status */
  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.emit("status", { status });
  }
}

function over() {
  return new DuologueError("conversation-ended", "This conversation is over.");
}
