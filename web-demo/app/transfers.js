/** The files and voice notes of a talk: what may be sent, and a card for each, here and there. */

import { dropping } from "./drop.js";
import { h } from "./dom.js";
import { notify } from "./shell.js";
import { transferCard } from "./transfer-card.js";
import { unsendable } from "./words.js";

/**
 * @typedef {"offered" | "moving" | "complete" | "cancelled" | "rejected" | "failed"} TransferState
 * @typedef {object} Moving what the SDK gives for a file or voice note on its way
 * @property {string} id
 * @property {"file" | "voice"} kind
 * @property {string} name
 * @property {number} [size] absent: not known before its end
 * @property {string} mime
 * @property {number} [durationMs]
 * @property {boolean} mine
 * @property {TransferState} state
 * @property {number} transferred bytes that the receiver has
 * @property {Promise<unknown>} done
 * @property {() => unknown} accept
 * @property {() => unknown} reject
 * @property {() => unknown} cancel
 * @property {() => Promise<Blob>} blob
 * @typedef {EventTarget & Moving} Transfer
 * @typedef {{ text: number, fileBytes: number, voiceMs: number, transfers: number }} Limits
 * @typedef {EventTarget & { status: string, partner: { username: string }, sendFile(blob: Blob, options?: { name?: string }): Transfer,
 *   sendVoice(blob: Blob, options: { durationMs: number }): Transfer }} Talk
 */

/** A voice note of this size, and so many a minute, is taken without asking: five minutes of speech are smaller. */
const MODEST_BYTES = 2 * 1024 * 1024;
const MODEST_PER_MINUTE = 10;

/**
 * @param {object} options
 * @param {Talk} options.conversation
 * @param {ReturnType<typeof import("./log.js").messageLog>} options.log
 * @param {Limits} options.limits
 * @param {() => void} options.heard something came
 * @param {AbortSignal} options.signal the talk is closed
 */
export function transfers({ conversation, log, limits, heard, signal }) {
  const partner = conversation.partner.username;
  /** @type {Set<ReturnType<typeof transferCard>>} */
  const cards = new Set();
  let over = false;
  let offline = false;
  /** When voice notes were taken without asking. @type {number[]} */
  let taken = [];
  // A log tells all that changes in it; of a transfer only this is worth telling.
  const told = h("p", { class: "hidden", role: "status" });
  const drop = dropping({ partner, open: () => !over, take: sendFiles, signal });

  conversation.addEventListener("file", (event) => {
    const { detail } = /** @type {CustomEvent<Transfer>} */ (event);
    add(detail);
    // What is spoken is small, and asked for by whoever talks. A stranger's file is not.
    if (detail.kind === "voice" && detail.state === "offered" && isModest(detail)) detail.accept();
    heard();
  }, { signal });
  conversation.addEventListener("status", hold, { signal });

  /** @param {Transfer} note */
  function isModest({ size = Infinity }) {
    const now = performance.now();
    taken = taken.filter((at) => now - at < 60_000);
    if (size > MODEST_BYTES || taken.length >= MODEST_PER_MINUTE) return false;
    taken.push(now);
    return true;
  }

  return {
    told,
    drop,
    sendFiles,
    sendVoice,

    /** @param {boolean} lost whether our own link is away */
    link(lost) {
      offline = lost;
      hold();
    },

    /** Takes away what is over. What is on its way goes on, and so stays to be seen. */
    clear() {
      for (const card of cards) if (!card.live()) forget(card);
      return [...cards].map(({ element }) => element);
    },

    end() {
      over = true;
      for (const card of cards) card.end();
    },

    close() {
      for (const card of cards) card.release();
    },
  };

  /** @param {File[]} files */
  function sendFiles(files) {
    /** @type {string[]} */
    const problems = [];
    for (const file of files) {
      const going = [...cards].filter((card) => card.mine && card.live()).length;
      const problem = unsendable(file, limits.fileBytes) || (going < limits.transfers ? "" : `${limits.transfers} files at a time. Send the others when one has arrived.`);
      if (!problem) sendFile(file);
      else if (!problems.includes(problem)) problems.push(problem);
    }
    if (problems.length) notify(problems.length < 3 ? problems.join(" ") : `${problems[0]} ${problems.length - 1} others were not sent either.`);
  }

  /** @param {File} file */
  function sendFile(file) {
    add(conversation.sendFile(file, { name: file.name }), file, () => sendFile(file));
  }

  /**
   * @param {Blob} blob
   * @param {number} durationMs
   */
  function sendVoice(blob, durationMs) {
    add(conversation.sendVoice(blob, { durationMs }), blob, () => sendVoice(blob, durationMs));
  }

  /**
   * @param {Transfer} transfer
   * @param {Blob} [blob] what is sent
   * @param {() => void} [again] sends it once more
   */
  function add(transfer, blob, again) {
    const retry = again && (() => {
      forget(card);
      log.take(card.element);
      again();
    });
    const card = transferCard({ transfer, partner, blob, retry, grew: log.settle, tell: (text) => (told.textContent = text) });
    cards.add(card);
    card.hold(held());
    log.put(card.element, { mine: transfer.mine, timestamp: Date.now() });
  }

  /** @param {ReturnType<typeof transferCard>} card */
  function forget(card) {
    card.release();
    cards.delete(card);
  }

  function held() {
    // Whoever is away has a link all the same.
    return offline || conversation.status === "reconnecting";
  }

  function hold() {
    for (const card of cards) card.hold(held());
  }
}
