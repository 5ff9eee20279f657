/**
 * @file The transfers of one conversation: which event and which bytes belong to which, how many
 * go out at once, and what a server is told of them that goes on with the session.
 */

import { DuologueError } from "./errors.js";
import { MOVING_MS, Receiving } from "./receiving.js";
import { Sending } from "./sending.js";

/** So many are offered or under way at once, where the server does not say. */
const AT_ONCE = 4;
/** So many that have come in are remembered, in case the last word about them is lost with the link. */
const REMEMBERED = 16;
/** After a node was lost, the sender offers again what it sent within this; it may have to find the way back. */
const AGAIN_MS = 30_000;
/** Where the server has no place for an offer, it is made again after so long. */
const TURN_MS = 2_000;

/**
 * What a transfer needs of its conversation.
 * @typedef {object} TransferHost
 * @property {(event: string, data: object) => boolean} say false: it was not taken
 * @property {(event: string, data: object) => void} mention
 * @property {(id: string, offset: number) => import("./link/link.js").Upload | null} upload
 * @property {() => boolean} moving the session is about to be on another link: its hello is said
 * @property {import("./types.js").Limits} limits
 * @property {(work: Sending | Receiving) => void} over
 */

/**
 * @typedef {object} SendOptions
 * @property {string} [name]
 * @property {number} [durationMs]
 * @property {(detail: { transferred: number, size: number | undefined }) => void} [onProgress]
 * @property {AbortSignal} [signal] cancels it
 */

export class Transfers {
  #host;
  #came;
  /** @type {Map<string, Sending | Receiving>} those the server knows of */
  #live = new Map();
  /** @type {Sending[]} not offered yet, oldest first */
  #queue = [];
  /** Whole on this side; the server may not have heard it. @type {Map<string, { received: number, named: boolean }>} */
  #had = new Map();
  /** Those that were declined here; the sender may not have heard it. @type {Set<string>} */
  #declined = new Set();
  /** Those whose node was lost, until they are offered again. @type {Set<Receiving>} */
  #orphans = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} until they are given up */
  #given;
  #ended = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} until an offer is made again for which there was no place */
  #turn;
  #count = 0;

  /**
   * @param {Omit<TransferHost, "over">} host
   * @param {(transfer: import("./transfer.js").Transfer) => void} came the partner offers one
   */
  constructor(host, came) {
    this.#host = { ...host, over: (/** @type {Sending | Receiving} */ work) => this.#over(work) };
    this.#came = came;
  }

  /**
   * Offers one, as soon as there is a place. Never throws: what is wrong with it, `done` says.
   * @param {Blob} blob
   * @param {"file" | "voice"} kind
   * @param {SendOptions} options
   * @param {DuologueError | null} objection why it is not sent at all
   */
  send(blob, kind, { name, durationMs, onProgress, signal }, objection) {
    const named = name || /** @type {Partial<File>} */ (blob).name || kind;
    const work = new Sending(blob, { kind, name: named, durationMs }, this.#host);
    work.order = this.#count += 1;
    const { transfer } = work;
    if (onProgress) transfer.addEventListener("progress", ({ detail }) => onProgress(detail));
    const refusal = objection ?? this.#objection(transfer);
    const abort = () => transfer.cancel();
    // What ends at once ends when whoever asked for it had time to listen.
    if (signal?.aborted) queueMicrotask(abort);
    else if (refusal) queueMicrotask(() => transfer.end("failed", refusal, "file:cancel"));
    else this.#queue.push(work);
    signal?.addEventListener("abort", abort);
    transfer.done.catch(() => {}).finally(() => signal?.removeEventListener("abort", abort));
    this.#advance();
    return transfer;
  }

  /**
   * An event of the server. False: it is not about transfers.
   * @param {string} event
   * @param {any} data
   */
  hear(event, data) {
    if (!event.startsWith("file:")) return false;
    const work = this.#live.get(data.transfer);
    if (event === "file:offer") {
      if (work instanceof Receiving) this.#again(work);
      else if (!work) this.#offered(data);
    } else if (event === "file:reject") {
      work?.transfer.end("rejected", new DuologueError("rejected", "The partner declined it."));
    } else if (event === "file:cancel") {
      work?.transfer.end(data.code === "cancelled" ? "cancelled" : "failed", new DuologueError(data.code, data.message));
    } else {
      work?.hear(event, data);
    }
    return true;
  }

  /**
   * Bytes came; see {@link import("./link/link.js").LinkListener}.
   * @param {string} id
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  bytes(id, offset, bytes) {
    const work = this.#live.get(id);
    return work instanceof Receiving && work.take(offset, bytes);
  }

  /** What the next hello says of them: what is not named is over, since a page that was reloaded has nothing. */
  get resumption() {
    const live = [...this.#live.values()].map((work) => work.resumption);
    const had = [...this.#had].map(([transfer, whole]) => {
      whole.named = true;
      return { transfer, received: whole.received };
    });
    return [...live, ...had];
  }

  /**
   * The session is on another link.
   * @param {{ transfer: string, received: number, acknowledged: number }[]} places where those that go out go on
   */
  resumed(places) {
    for (const [transfer, { received, named }] of [...this.#had]) {
      if (named) this.#had.delete(transfer);
      else this.#host.mention("file:progress", { transfer, received });
    }
    const at = new Map(places.map((place) => [place.transfer, place]));
    for (const [id, work] of [...this.#live]) work.resumed(at.get(id));
  }

  /**
   * A node was lost with all it knew of them. What goes out is offered again by the same id; what comes in
   * waits for that.
   */
  restored() {
    for (const work of [...this.#live.values()]) {
      if (work instanceof Sending) work.restored();
      else if (work.restored()) this.#orphans.add(work);
    }
    clearTimeout(this.#given);
    if (this.#orphans.size > 0) this.#given = setTimeout(() => this.#giveUp(), AGAIN_MS);
  }

  /**
   * The server refused something. False: it was not about transfers.
   * @param {DuologueError} error
   */
  refused(error) {
    const { event = "", id = "", code, retryAfterMs } = error;
    if (!event.startsWith("file:")) return false;
    const answer = event === "file:cancel" || event === "file:reject";
    const work = this.#live.get(id);
    if (code === "transfer-limit" && work instanceof Sending) {
      // Others of this account send too: it waits for its turn.
      this.#live.delete(id);
      this.#queue = [work, ...this.#queue].sort((one, other) => one.order - other.order);
      this.#turn ??= setTimeout(() => {
        this.#turn = undefined;
        // One at a time, or what is refused would use up what the talk may say.
        this.#advance(1);
      }, TURN_MS);
      return true;
    }
    if (event === "file:accept" && work instanceof Receiving && work.elsewhere) return true;
    if (code === "too-fast" && retryAfterMs !== undefined && event !== "file:chunk") {
      setTimeout(() => {
        if (!answer) this.#live.get(id)?.again(event);
        else if (!this.#ended) this.#host.say(event, { transfer: id });
      }, retryAfterMs);
      return true;
    }
    // Of what is over on one side, something is always still on its way from the other.
    const late = (code === "transfer-over" || code === "transfer-unknown") && (event === "file:chunk" || event === "file:progress");
    if (!late && !answer) work?.transfer.end("failed", error, event === "file:offer" ? undefined : "file:cancel");
    return true;
  }

  /** @param {DuologueError} error */
  end(error) {
    this.#ended = true;
    clearTimeout(this.#turn);
    clearTimeout(this.#given);
    for (const { transfer } of [...this.#queue.splice(0), ...this.#live.values()]) transfer.end("failed", error);
  }

  /** @param {any} offer */
  #offered(offer) {
    const { transfer: id } = offer;
    // The word of it went with the node.
    if (this.#declined.has(id)) return void this.#host.say("file:reject", { transfer: id });
    const work = new Receiving(offer, this.#host);
    this.#live.set(id, work);
    // It is here already; only its end has to be told, and the app has had it.
    if (this.#had.has(id)) work.accept();
    else this.#came(work.transfer);
  }

  /** It is offered again. @param {Receiving} work */
  #again(work) {
    if (this.#orphans.delete(work)) work.offered();
  }

  /** Whoever sent these is not offering them again. */
  #giveUp() {
    const error = new DuologueError("lost", "A node was lost, and this with it. It has to be sent again.");
    for (const { transfer } of [...this.#orphans]) transfer.end("failed", error, "file:cancel");
  }

  /** Offers what waits and has a place. @param {number} [most] of them */
  #advance(most = Infinity) {
    const places = this.#host.limits.transfers ?? AT_ONCE;
    for (let offers = 0; this.#queue.length > 0 && offers < most && !this.#turn; offers += 1) {
      const out = [...this.#live.values()].filter(({ transfer }) => transfer.mine);
      if (out.length >= places) return;
      // The hello that is under way does not name it, and what it does not name ends.
      if (this.#host.moving()) return void setTimeout(() => this.#advance(most), MOVING_MS);
      const [work] = this.#queue.splice(0, 1);
      this.#live.set(work.transfer.id, work);
      work.offer();
    }
  }

  /** @param {Sending | Receiving} work */
  #over(work) {
    const { id, state, mine, transferred } = work.transfer;
    this.#live.delete(id);
    this.#queue = this.#queue.filter((other) => other !== work);
    if (work instanceof Receiving) this.#orphans.delete(work);
    if (!mine && state === "complete") {
      this.#had.set(id, { received: transferred, named: false });
      const [oldest] = this.#had.keys();
      if (this.#had.size > REMEMBERED) this.#had.delete(oldest);
    } else if (!mine && (state === "rejected" || state === "cancelled")) {
      this.#declined.add(id);
      const [oldest] = this.#declined;
      if (this.#declined.size > REMEMBERED) this.#declined.delete(oldest);
    }
    this.#advance();
  }

  /** @param {import("./transfer.js").Transfer} transfer */
  #objection({ size = 0, durationMs = 0 }) {
    const { fileBytes = Infinity, voiceMs = Infinity } = this.#host.limits;
    if (size === 0) return new DuologueError("file-empty", "There is nothing in it.");
    if (size > fileBytes) return new DuologueError("file-too-big", `At most ${fileBytes} bytes can be sent.`);
    if (durationMs > voiceMs) return new DuologueError("voice-too-long", `A voice note has at most ${voiceMs / 1000} seconds.`);
    if (globalThis.crypto?.subtle) return null;
    return new DuologueError("insecure-context", "Files can be sent from pages of https only.");
  }
}
