/** Every sentence about calls. Plain, no blame, and always what to do. */

import { sentence } from "./words.js";

/** @typedef {"audio" | "video"} CallKind */

/** How a call is called. @param {CallKind} kind */
export function callName(kind) {
  return kind === "video" ? "Video call" : "Voice call";
}

/** What keeps a call from coming about, or ends it. @type {Record<string, string>} */
const CALLS = {
  "media-denied": "Your browser does not let us use the {things}. Click the icon beside the address and allow it, then try again.",
  "media-missing": "We found {none} here. Plug one in and try again{instead}.",
  "media-busy": "The {things} is in use by another program. Close that and try again{instead}.",
  "media-unsupported": "Browsers make calls on secure pages only, and old ones not at all. Open this page with https in a current browser, or write instead.",
  "media-failed": "The {things} did not start. Try again{instead}.",
  "call-exists": "There is a call already. End it first.",
  "call-unsupported": "The app that {name} uses cannot make calls. Write instead.",
  "call-unknown": "This call is over. Call again.",
  "relay-unavailable": "This server cannot hide addresses in calls, so there is no call. Take the tick from “Hide my address” to call directly; {name} could then see it.",
  busy: "{name} is in another call. Try again later.",
  "no-answer": "{name} did not answer. Try again later, or write instead.",
  declined: "{name} does not want a call now.",
  cancelled: "{name} did not wait.",
  "screen-denied": "Your screen is not shared.",
  failed: "The call could not get through. Your network or theirs may block calls. Try again, or write instead.",
  lost: "The call was cut off. Call again.",
  "hung-up": "{name} hung up.",
};

/** Codes that mean the same to people. @type {Record<string, string>} */
const SAME = { "call-failed": "failed", "backlog-full": "too-fast" };

/** Where the same once more would end the same way. */
const NO_CALL = new Set(["declined", "media-unsupported", "call-exists", "call-unsupported", "relay-unavailable", "hung-up", "cancelled"]);

/** What is in the way here, and not in the way of a voice call. */
const CAMERA = new Set(["media-denied", "media-missing", "media-busy", "media-failed"]);

/**
 * Why there is no call, and what to do.
 * @param {import("./words.js").Problem} problem of which the code is known, or what it says stands
 * @param {string} name the partner's
 * @param {CallKind} kind what was wanted
 */
export function callProblem(problem, name, kind) {
  const video = kind === "video";
  /** @type {Record<string, string>} */
  const filled = {
    name,
    things: video ? "camera or the microphone" : "microphone",
    none: video ? "no camera or no microphone" : "no microphone",
    instead: video ? ", or go on with voice only" : "",
  };
  const code = SAME[problem.code] ?? problem.code;
  const said = CALLS[code] ?? sentence({ ...problem, code });
  return said.replace(/\{(\w+)\}/gu, (_, key) => filled[key]);
}

/**
 * What else can be done: the same once more, or a call without a camera.
 * @param {string} code
 * @param {CallKind} kind
 */
export function afterCall(code, kind) {
  return { again: !NO_CALL.has(code), voice: kind === "video" && CAMERA.has(code) };
}

/** How a call went that was answered, if it did not end as it should. @type {Record<string, string>} */
const BROKEN_CALLS = { failed: " The connection was lost.", lost: " The connection was lost." };

/** @type {Record<string, string>} */
const OUTGOING = {
  "no-answer": "They did not answer.",
  declined: "They declined the call.",
  busy: "They are in another call.",
  "you-hung-up": "You cancelled the call.",
  "hung-up": "They hung up before the call began.",
  conversation: "The call ended with the talk.",
};

/** @type {Record<string, string>} */
const INCOMING = {
  "no-answer": "Missed call",
  cancelled: "Missed call",
  busy: "Missed call",
  "you-declined": "You declined the call.",
  "you-hung-up": "You ended the call before it began.",
  "hung-up": "They hung up before the call began.",
  conversation: "The call ended with the talk.",
};

/**
 * The line that a call leaves among the messages.
 * @param {{ kind: CallKind, direction: "incoming" | "outgoing", reason: string, ms: number | null }} call `ms`: how long they talked; null: they never did
 */
export function callLine({ kind, direction, reason, ms }) {
  if (ms !== null) return `${callName(kind)}, ${callLength(ms)}${BROKEN_CALLS[reason] ? `.${BROKEN_CALLS[reason]}` : ""}`;
  return (direction === "outgoing" ? OUTGOING : INCOMING)[reason] ?? "The call could not get through.";
}

/** "12 s", "3 min 12 s", "1 h 2 min". @param {number} ms */
export function callLength(ms) {
  const seconds = Math.round(ms / 1000);
  const [hours, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${rest} min`;
  return rest ? `${rest} min ${seconds % 60} s` : `${seconds} s`;
}

/** "0:07", "12:05", "1:02:05". @param {number} ms */
export function callClock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, rest] = [Math.floor(seconds / 3600), seconds % 3600];
  const tail = `:${String(rest % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${String(Math.floor(rest / 60)).padStart(2, "0")}${tail}` : `${Math.floor(rest / 60)}${tail}`;
}

/** What calls show of addresses, before there is one. */
export const RELAYING = {
  always: "Here all calls are relayed, so that neither of you learns the other’s network address.",
  chosen: "In a call the two of you are connected directly where that is possible, and each can learn the other’s network address. Relayed, neither can.",
  never: "In a call the two of you are connected directly, and each can learn the other’s network address.",
};

/**
 * What the other end can know of one's address. Which way media goes does not say it: where the call is not relayed by its
 * rule, addresses were told before a way was found.
 * @param {"direct" | "relay"} path
 * @param {boolean} hidden whether the call was relayed by its rule from its beginning
 */
export function callPath(path, hidden) {
  if (path === "direct") return "Direct: your address can be seen by the other side";
  return hidden ? "Relayed: your address is hidden" : "Relayed, but the other side may have seen your address";
}

/** What is said of a weak line. @type {Record<string, string>} */
export const QUALITY = {
  poor: "Your connection is weak: the picture may stutter.",
  audio: "Your connection is weak: the picture is off so that you can hear each other.",
};

/**
 * How a call stands; nothing once they talk.
 * @param {string} state as on the panel
 * @param {CallKind} kind
 */
export function callStatus(state, kind) {
  /** @type {Record<string, string>} */
  const said = {
    asking: kind === "video" ? "Your browser may ask for the camera and the microphone" : "Your browser may ask for the microphone",
    "ringing-out": "Calling…",
    "ringing-in": kind === "video" ? "is calling you, with video" : "is calling you",
    connecting: "Connecting…",
    reconnecting: "Connecting again…",
    interrupted: "Your call goes on. Rejoin?",
    waiting: "is in a call with you. Join?",
  };
  return said[state] ?? "";
}
