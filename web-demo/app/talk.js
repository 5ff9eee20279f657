/** A conversation: the partner, the messages, the composer, and how it ends. */

import { calls } from "./calls.js";
import { composer } from "./composer.js";
import { described } from "./described.js";
import { ask } from "./dialog.js";
import { h, icon } from "./dom.js";
import { messageLog } from "./log.js";
import { avatar } from "./shapes.js";
import { transfers } from "./transfers.js";
import { endedSentence, list, problemOf, unsent, whereabouts } from "./words.js";

/**
 * @typedef {import("/sdk/duologue.js").Conversation} Conversation
 * @typedef {import("./calls.js").Relaying} Relaying
 */

/** @type {Record<string, string>} */
const STATUS = { online: "Online", reconnecting: "Reconnecting", away: "Away", ended: "Gone" };

/**
 * @param {object} options
 * @param {Conversation} options.conversation
 * @param {boolean} options.resumed after a reload, when what was said before is gone
 * @param {import("./transfers.js").Limits} options.limits
 * @param {() => Relaying} options.relaying
 * @param {() => void} options.skip leave, and look for someone else
 * @param {() => void} options.again find someone else
 * @param {() => void} options.done back to the interests
 * @param {() => void} options.heard something came
 * @param {(kind: import("./call-words.js").CallKind | null) => void} options.ringing a call comes in; null: no more
 */
export function talk({ conversation, resumed, limits, relaying, skip, again, done, heard, ringing }) {
  const name = conversation.partner.username;
  const gone = new AbortController();
  const { signal } = gone;

  const status = h("span", { class: "status", "data-testid": "status", role: "status" });
  const typing = h(
    "p",
    { class: "typing", "data-testid": "typing", role: "status", hidden: true },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    h("bdi", { class: "typing-name" }, name),
    h("span", {}, " is typing"),
  );
  const log = messageLog(name);
  // The types of the SDK come to know them with the part that sends them.
  const talk = /** @type {import("./transfers.js").Talk} */ (/** @type {unknown} */ (conversation));
  const files = transfers({ conversation: talk, log, limits, heard, signal });
  const writer = composer({ limits, partner: name, send, typing: (on) => conversation.typing(on), sendFiles: files.sendFiles, sendVoice: files.sendVoice });
  const phone = calls({
    conversation,
    relaying,
    log,
    busy: () => writer.busy() && writer.element.contains(document.activeElement),
    focus: () => writer.element.isConnected && writer.focus(),
    ringing,
    clear,
    signal,
  });
  const actions = h(
    "div",
    { class: "actions", role: "group", "aria-label": "This conversation" },
    action("skip", "Skip to someone else", "Leave this talk and find someone else", skip),
    action("clear", "Clear messages", "Clear the messages", clear),
    action("leave", "Leave", "Leave this talk", leave),
  );
  const foot = h("div", { class: "foot" }, h("div", { class: "below" }, typing, writer.count), writer.element);
  const element = h(
    "section",
    { class: "talk", "aria-label": `Talk with ${name}` },
    h(
      "header",
      { class: "who" },
      avatar(name, conversation.partner.id),
      h(
        "div",
        { class: "who-words" },
        h("h1", { class: "partner", "data-testid": "partner", title: name }, h("bdi", {}, name)),
        h("p", { class: "who-line" }, status, h("span", { class: "guest" }, conversation.partner.guest ? "Guest" : "")),
        h("p", { class: "place", "data-testid": "place" }, whereabouts(conversation.partner.place)),
      ),
      phone.buttons,
      common(conversation.common),
      actions,
    ),
    phone.element,
    log.element,
    foot,
    files.drop,
    files.told,
  );

  say(conversation.status);
  log.note(resumed ? `You are still talking with ${name}. What was said before the reload is not kept.` : opening());

  conversation.addEventListener("message", ({ detail }) => {
    const said = detail.type === "text" ? { content: detail.content } : described(detail.type, detail.content, location.origin);
    log.add({ id: detail.id, mine: false, ...said, timestamp: detail.timestamp, state: "delivered" });
    heard();
  }, { signal });
  conversation.addEventListener("delivered", ({ detail }) => log.mark(detail.id, "delivered"), { signal });
  conversation.addEventListener("state", ({ detail }) => log.mark(detail.id, detail.state, detail.error && unsent(detail.error)), { signal });
  conversation.addEventListener("typing", ({ detail }) => (typing.hidden = !detail.typing), { signal });
  conversation.addEventListener("status", ({ detail }) => say(detail.status), { signal });
  conversation.addEventListener("clear", ({ detail }) => {
    log.clear(files.clear());
    log.note(detail.mine ? "You cleared the messages." : `${name} cleared the messages.`);
  }, { signal });
  conversation.addEventListener("ended", ({ detail }) => end(detail.reason), { signal });

  return {
    element,
    conversation,
    focus: () => writer.focus(),
    /** Whether our own link is away. */
    link: files.link,
    close() {
      phone.close();
      gone.abort();
      files.close();
      log.close();
      writer.close();
    },
  };

  function opening() {
    const shared = conversation.common.length ? ` You share ${list(conversation.common)}.` : "";
    return `You are talking with ${name}.${shared} Say hello.`;
  }

  /** @param {string} text */
  function send(text) {
    const sent = conversation.send(text);
    log.add({ id: sent.id, mine: true, content: text, timestamp: Date.now(), state: sent.state });
    sent.delivered.then(
      () => log.mark(sent.id, "delivered"),
      (caught) => log.mark(sent.id, "failed", unsent(problemOf(caught))),
    );
  }

  /** @param {string} now */
  function say(now) {
    status.dataset.status = now;
    status.textContent = STATUS[now] ?? "Online";
  }

  function leave() {
    // What is said here, `ended` says too; a leave the server did not hear ends with the session.
    conversation.leave().catch(() => {});
  }

  async function clear() {
    const sure = await ask({
      title: "Clear the messages?",
      text: `They disappear for you and for ${name}, and cannot be brought back.`,
      yes: "Clear for both",
      no: "Keep them",
    });
    if (sure && !signal.aborted) conversation.clear();
    if (writer.element.isConnected) writer.focus();
  }

  /** @param {string} reason */
  function end(reason) {
    if (reason === "you-left") return done();
    // The server is already looking; the next screen comes with `matching`.
    if (reason === "you-skipped") return;
    typing.hidden = true;
    phone.end();
    files.end();
    const midword = writer.busy();
    const next = h("button", { class: "button primary", type: "button", "data-testid": "find", onclick: again }, "Find someone else");
    const words = h("p", { class: "ended-words", tabindex: "-1" }, endedSentence(reason));
    const change = h("button", { class: "button", type: "button", onclick: done }, "Change interests");
    element.dataset.ended = reason;
    actions.remove();
    foot.replaceChildren(h("div", { class: "ended", role: "group", "data-testid": "ended" }, words, h("div", { class: "pair" }, next, change)));
    writer.close();
    log.toEnd();
    // Someone in the middle of a word would press the button with their next Enter.
    if (midword) words.focus();
    else next.focus();
  }
}

/** @param {string[]} things */
function common(things) {
  if (!things.length) return null;
  return h("ul", { class: "common", "aria-label": "You both like" }, ...things.map((thing) => h("li", { dir: "auto" }, thing)));
}

/**
 * @param {"skip" | "clear" | "leave"} name
 * @param {string} text
 * @param {string} title
 * @param {() => unknown} onclick
 */
function action(name, text, title, onclick) {
  return h(
    "button",
    { class: "action", type: "button", "data-testid": name, title, onclick },
    icon(name),
    h("span", { class: "action-words" }, text),
  );
}
