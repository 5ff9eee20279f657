/** Which screen is shown, and the one client behind it. Every move of the page passes through here. */

import { Duologue } from "/sdk/duologue.js";
import { callName } from "./call-words.js";
import { find } from "./find.js";
import { followLink, hideLink } from "./link.js";
import { pause } from "./pause.js";
import { followKeyboard, hideNotice, hideReconnecting, notify, notifyProblem, showAccount, showReconnecting } from "./shell.js";
import { forgetLogin, loadChoice, loadLogin, saveChoice, saveLogin } from "./store.js";
import { talk } from "./talk.js";
import { waiting } from "./waiting.js";
import { welcome } from "./welcome.js";
import { GOES_ON, problemOf, sentence } from "./words.js";

/**
 * @typedef {import("./store.js").Login} Login
 * @typedef {{ element: HTMLElement, focus(): void, close?(): void }} Screen
 */

const TOKEN = 4401;
const SUPERSEDED = 4409;
/** Until the server says its own. */
const LIMITS = { text: 8192, fileBytes: 10 * 1024 * 1024, voiceMs: 300_000, transfers: 4 };

const stage = /** @type {HTMLElement} */ (document.querySelector("#screen"));

/** @type {Screen | null} */
let screen = null;
/** @type {ReturnType<typeof waiting> | null} */
let looking = null;
/** @type {ReturnType<typeof talk> | null} */
let talking = null;
/** @type {{ client: Duologue, off: AbortController } | null} */
let live = null;
let unread = 0;
/** What comes in, while it rings. @type {import("./call-words.js").CallKind | null} */
let ringing = null;

followKeyboard();
document.addEventListener("visibilitychange", () => retitle(0));
const kept = loadLogin();
if (kept) open(kept);
else toWelcome();

/** @param {Login} login */
function enter(login) {
  saveLogin(login);
  open(login);
}

/**
 * Connects, and goes where the session says: to a talk, to waiting, or to the interests.
 * @param {Login} login
 */
async function open(login) {
  drop();
  hideNotice();
  const client = new Duologue({ token: login.token });
  const off = new AbortController();
  live = { client, off };
  const connecting = pause({ title: "Connecting", busy: true });
  listen(client, off.signal, login);
  client.addEventListener("reconnecting", () => connecting.say("The server does not answer yet. We keep trying."), { signal: off.signal });
  showAccount(login.user, logOut);
  show(connecting, "connecting");
  try {
    await client.connect({ signal: off.signal });
  } catch (caught) {
    if (!off.signal.aborted) refused(problemOf(caught), login);
    return;
  }
  // `matched` or `matching` may have moved the page already.
  if (!off.signal.aborted && screen === connecting) toFind();
}

/**
 * @param {Duologue} client
 * @param {AbortSignal} signal
 * @param {Login} login
 */
function listen(client, signal, login) {
  const until = { signal };
  followLink(client, signal);
  client.addEventListener("link", ({ detail }) => {
    if (detail.state !== "open") return;
    hideReconnecting();
    talking?.link(false);
  }, until);
  client.addEventListener("reconnecting", ({ detail }) => {
    showReconnecting(detail.retryInMs);
    talking?.link(true);
  }, until);
  client.addEventListener("resumed", ({ detail }) => detail.lost && notify(GOES_ON), until);
  // A talk says by itself that it ended; a search goes on in the new session.
  client.addEventListener("lost", () => looking && look(), until);
  client.addEventListener("matching", ({ detail }) => {
    // After a reload nobody here has asked. Otherwise it is an answer that crossed with a cancel.
    if (!looking && detail.resumed) toWaiting();
    looking?.update(detail);
  }, until);
  client.addEventListener("matched", ({ detail }) => toTalk(detail.conversation, detail.resumed), until);
  client.addEventListener("error", ({ detail }) => notifyProblem(detail), until);
  client.addEventListener("closing", ({ detail }) => {
    if (detail.code === TOKEN) expired();
    else if (detail.code === SUPERSEDED) elsewhere(login);
    else if (!detail.reconnect) stopped(login, detail.message, `${detail.code} ${detail.reason}`);
  }, until);
}

/**
 * @param {import("./words.js").Problem} problem
 * @param {Login} login
 */
function refused(problem, login) {
  if (/^token-/u.test(problem.code)) expired();
  else if (problem.code === "superseded") elsewhere(login);
  else stopped(login, sentence(problem), `${problem.code}: ${problem.message}`);
}

function expired() {
  forgetLogin();
  toWelcome();
  notify("Please log in again.");
}

/** @param {Login} login */
function elsewhere(login) {
  drop();
  toPause({
    title: "This conversation is open in another window",
    text: "It can be in one window at a time.",
    action: "Use it here",
    act: () => open(login),
  });
}

/**
 * @param {Login} login
 * @param {string} text
 * @param {string} code
 */
function stopped(login, text, code) {
  drop();
  toPause({ title: "Not connected", text, code, action: "Try again", act: () => open(login) });
}

function toWelcome() {
  const first = screen === null;
  drop();
  showAccount(null, logOut);
  show(welcome({ enter }), "welcome", first);
}

function toFind() {
  show(find({ choice: loadChoice(), find: choose }), "find");
}

/** @param {import("./store.js").Choice} choice */
function choose(choice) {
  saveChoice(choice);
  look();
}

function look() {
  return seek((client) => client.match(loadChoice()));
}

/**
 * Waits for the next partner; `matching` and `matched` tell how it goes.
 * @param {(client: Duologue) => Promise<unknown>} ask
 */
async function seek(ask) {
  if (!live) return;
  if (!looking) toWaiting();
  const mine = looking;
  try {
    await ask(live.client);
  } catch (caught) {
    const problem = problemOf(caught);
    // Once the page has moved on, nobody waits for this answer.
    if (looking !== mine || problem.code === "already-matching") return;
    toFind();
    notifyProblem(problem);
  }
}

function toWaiting() {
  const next = waiting({ choice: loadChoice(), cancel });
  show(next, "waiting");
  looking = next;
}

function cancel() {
  const client = live?.client;
  toFind();
  // Refused only when nothing is searched for, which is what was wanted.
  client?.cancel().catch(() => {});
}

/**
 * @param {import("/sdk/duologue.js").Conversation} conversation
 * @param {boolean} resumed
 */
function toTalk(conversation, resumed) {
  hideNotice();
  const next = talk({
    conversation,
    resumed,
    limits: { ...LIMITS, ...live?.client.limits },
    relaying: () => live?.client.relaying ?? "never",
    skip: () => seek(() => conversation.skip()),
    again: look,
    done: toFind,
    heard: () => document.hidden && retitle(unread + 1),
    ringing(kind) {
      ringing = kind;
      retitle(unread);
    },
  });
  show(next, "talk");
  talking = next;
  retitle(0);
}

function logOut() {
  const client = live?.client;
  forgetLogin();
  toWelcome();
  // Also leaves the talk or the search.
  client?.close();
}

/** Lets go of the client, if there is one. Its session can be taken up again: only `close` forgets it. */
function drop() {
  live?.off.abort();
  live = null;
  hideLink();
  hideReconnecting();
}

/** @param {Parameters<typeof pause>[0]} options */
function toPause(options) {
  show(pause(options), "pause");
}

/**
 * @param {Screen} next
 * @param {string} name
 * @param {boolean} [calm] leaves the focus alone, as on a page just opened
 */
function show(next, name, calm = false) {
  screen?.close?.();
  screen = next;
  looking = null;
  talking = null;
  document.documentElement.dataset.screen = name;
  stage.replaceChildren(next.element);
  stage.scrollTop = 0;
  retitle(0);
  if (!calm) next.focus();
}

/** @param {number} count messages that came while nobody looked */
function retitle(count) {
  unread = count;
  const name = talking?.conversation.partner.username;
  const title = name ? `${name} · Duologue` : looking ? "Looking for someone · Duologue" : "Duologue";
  const calling = ringing && name ? `${callName(ringing)} from ${title}` : title;
  document.title = unread ? `(${unread}) ${calling}` : calling;
}
