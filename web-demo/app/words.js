/** Every sentence that answers a code. Plain, no blame, and always what to do. */

/**
 * @typedef {{ field: string, code: string, message: string }} FieldProblem
 * @typedef {{ code: string, message: string, retryAfterMs?: number, details?: FieldProblem[] }} Problem
 */

const SHUT = "That way is not open now, so we stay on this one.";

/** @type {Record<string, string>} */
const PROBLEMS = {
  "username-taken": "That username is taken.",
  "email-taken": "That email already has an account.",
  "invalid-data": "Some fields need a change.",
  "credentials-wrong": "Email and password do not match. Check both.",
  "guests-disabled": "This server does not take guests. Sign up instead, it takes a moment.",
  "token-invalid": "Please log in again.",
  "token-expired": "Please log in again.",
  "rate-limited": "That was a little fast.",
  "too-fast": "That was a little fast.",
  unavailable: "The server does not answer as it should. Try again in a moment.",
  network: "We cannot reach the server. Check your connection and try again.",
  overloaded: "The server is very busy.",
  timeout: "The server took too long to answer. Try again.",
  "no-door": "No such way to the server is open to this browser.",
  "door-shut": SHUT,
  "door-timeout": SHUT,
  "hello-unanswered": SHUT,
  "not-connected": "There is no link at the moment. Try again when it is back.",
};

/** What to do, said beside the field. @type {Record<string, FieldProblem>} */
export const FIELD_OF = {
  "username-taken": { field: "username", code: "username-taken", message: "Try another one." },
  "email-taken": { field: "email", code: "email-taken", message: "Log in with it, or use another one." },
};

/** @type {Record<string, string>} */
const ENDED = {
  left: "They left. Find someone else?",
  skipped: "They moved on. Find someone else?",
  disconnected: "Their connection did not come back. Find someone else?",
  lost: "The connection was lost, and this talk with it. Find someone else?",
  "you-left": "You left. Find someone else?",
};

/**
 * Anything caught, as a problem with a code.
 * @param {unknown} caught
 * @returns {Problem}
 */
export function problemOf(caught) {
  if (caught && typeof caught === "object" && "code" in caught && typeof caught.code === "string") {
    return /** @type {Problem} */ (caught);
  }
  return { code: "unexpected", message: caught instanceof Error ? caught.message : String(caught) };
}

/** @param {Problem} problem */
export function sentence(problem) {
  const said = PROBLEMS[problem.code] ?? (problem.message || "That did not work. Try again.");
  if (problem.retryAfterMs === undefined) return said;
  return `${said} Try again in ${wait(problem.retryAfterMs).replace(/ s$/u, " seconds").replace(/ min$/u, " minutes")}.`;
}

/**
 * Why a message did not arrive, and what to do.
 * @param {Problem} problem
 */
export function unsent(problem) {
  if (problem.code === "conversation-ended" || problem.code === "session-lost") return "Not delivered: the talk ended first.";
  return `Not sent. ${sentence(problem)}`;
}

/** Said once the server that a talk went through is gone and another goes on with it. */
export const GOES_ON = "Back. Your conversation goes on.";

/** @param {string} reason why a conversation ended */
export function endedSentence(reason) {
  return ENDED[reason] ?? "This conversation has ended. Find someone else?";
}

/** @type {Record<string, string>} */
export const DOORS = { webtransport: "WebTransport", websocket: "WebSocket" };

/**
 * What happened to the link, said at once (`is`) or told later (`was`).
 * @param {import("./history.js").Move} move
 * @param {"is" | "was"} tense
 */
export function moved({ door, from, why }, tense) {
  const to = DOORS[door];
  if (why === "node") return `Back over ${to}: the server you were on stopped, another took over.`;
  if (door === from) return `Back on ${to} after a break. Nothing ${tense} lost.`;
  if (why === "better") return `Back on ${to}.`;
  if (why === "asked") return `Moved to ${to}, as you asked.`;
  const udp = from === "webtransport" && why === "silent";
  const silent = tense === "is" ? "your network stopped passing UDP" : "UDP went silent";
  return `Moved to ${to}: ${udp ? silent : `${DOORS[from]} was cut off`}. Nothing ${tense} lost.`;
}

/** @param {number} ms a round trip */
export function millis(ms) {
  return `${Math.max(1, Math.round(ms))}\u00a0ms`;
}

/** @param {number} ms */
export function wait(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

/**
 * "jazz", "jazz and tea", "jazz, tea and trains".
 * @param {string[]} things
 * @param {"and" | "or"} [word]
 */
export function list(things, word = "and") {
  return things.length < 2 ? things.join("") : `${things.slice(0, -1).join(", ")} ${word} ${things.at(-1)}`;
}

/** What is said of a file or voice note that did not arrive. `{again}` is what to do. @type {Record<string, string>} */
const TRANSFERS = {
  cancelled: "{name} cancelled this.",
  unanswered: "{unanswered} {again}",
  stalled: "Nothing moved for half a minute, so it was stopped. {again}",
  lost: "The page was reloaded or a server stopped, and this was lost with it. {again}",
  busy: "The server has no room for it now. {again}",
  "size-mismatch": "The {thing} changed on its way, so it was stopped. {again}",
  "hash-mismatch": "It arrived damaged, so it was thrown away. {again}",
  "type-mismatch": "This file is not what its name says, so it was stopped. {other}",
  "type-not-allowed": "Files of this kind cannot be sent here. {other}",
  "too-big": "This {thing} is too big. {smaller}",
  "file-empty": "There is nothing in this {thing}. {other}",
  "voice-too-long": "This voice note is too long. {smaller}",
  "voice-mismatch": "This voice note is longer than it claims, so it was stopped. {again}",
  "voice-unreadable": "This voice note cannot be read. {again}",
  "transfer-limit": "Too many are on their way at once. Try again when one has arrived.",
  "transfer-unknown": "This {thing} cannot be had any more. {again}",
  "conversation-ended": "The talk ended before this arrived.",
  "invalid-data": "The server did not take this {thing}. {again}",
  "too-fast": "That was a little fast. {again}",
  broken: "Something went wrong on the way. {again}",
};

/** Codes that mean the same to people. @type {Record<string, string>} */
const SAME = {
  "file-too-big": "too-big",
  "transfer-over": "transfer-unknown",
  "no-conversation": "conversation-ended",
  "session-lost": "conversation-ended",
  "credit-exceeded": "broken",
  "offset-mismatch": "broken",
  "transfer-exists": "broken",
  "transfer-busy": "broken",
  "chunk-malformed": "broken",
};

/** Where the same once more would end the same way. */
const HOPELESS = new Set(["cancelled", "rejected", "type-mismatch", "type-not-allowed", "too-big", "file-empty", "voice-too-long", "conversation-ended"]);

/**
 * Why a file or voice note did not arrive, and what to do.
 * @param {string} code
 * @param {string} name the partner's
 * @param {{ mine?: boolean, kind?: "file" | "voice", byMe?: boolean }} [of] `byMe`: who sits here called it off
 */
export function transferProblem(code, name, { mine = true, kind = "file", byMe = false } = {}) {
  const thing = kind === "voice" ? "voice note" : "file";
  if (code === "rejected") return mine ? `${name} does not want this ${thing}.` : `You did not take this ${thing}.`;
  if (byMe) return "You cancelled this.";
  /** @type {Record<string, string>} */
  const filled = {
    name,
    thing,
    unanswered: mine ? `${name} did not answer in time.` : "It was not answered in time.",
    // Of one's own there is a button that says so.
    again: mine ? "" : `Ask ${name} to send it again.`,
    other: mine ? "Send another one." : `Ask ${name} what it is.`,
    smaller: mine ? "Send it in smaller parts." : `Ask ${name} to send it in smaller parts.`,
  };
  return (TRANSFERS[SAME[code] ?? code] ?? TRANSFERS.broken).replace(/\{(\w+)\}/gu, (_, key) => filled[key]).trim();
}

/** Whether sending it once more may help. @param {string} code */
export function mayRetry(code) {
  return !HOPELESS.has(SAME[code] ?? code);
}

/**
 * Why a chosen file is not sent; empty: it can be.
 * @param {{ name: string, size: number }} file
 * @param {number} most bytes
 */
export function unsendable({ name, size }, most) {
  if (size === 0) return `“${name}” is empty, so there is nothing to send.`;
  if (size > most) return `“${name}” is bigger than ${bytes(most)}, which is the most. Make it smaller, or send it in parts.`;
  return "";
}

/** @param {string} name of the error that the browser gave instead of the microphone */
export function microphoneProblem(name) {
  if (name === "NotAllowedError" || name === "SecurityError") return "This page may not use the microphone. Allow it beside the address of the page, then try again.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "There is no microphone. Plug one in and try again, or write instead.";
  if (name === "NotReadableError" || name === "AbortError") return "The microphone is in use elsewhere. Close the other program and try again.";
  if (name === "insecure") return "Browsers give the microphone to secure pages only. Open this page with https, or write instead.";
  if (name === "unsupported") return "This browser cannot record. Use another one, or write instead.";
  return "The microphone did not start. Try again.";
}

const UNITS = ["bytes", "KB", "MB", "GB"];
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 2 });

/** @param {number} count */
function unitOf(count) {
  // What would be shown as 1,000 of a unit is shown as one of the next.
  return count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.ceil(Math.log(count / 999.5) / Math.log(1024)));
}

/**
 * @param {number} count
 * @param {number} unit
 */
function inUnit(count, unit) {
  const value = count / 1024 ** unit;
  return value < 10 && unit ? short.format(value) : Math.round(value).toLocaleString();
}

/** "820 bytes", "12 KB", "2.1 MB". @param {number} count */
export function bytes(count) {
  const unit = unitOf(count);
  return `${inUnit(count, unit)}\u00a0${unit || count !== 1 ? UNITS[unit] : "byte"}`;
}

/**
 * "2.1 of 10 MB"; the whole in one unit, so that the numbers compare.
 * @param {number} part
 * @param {number} whole
 */
export function bytesOf(part, whole) {
  return `${inUnit(part, unitOf(whole))} of ${bytes(whole)}`;
}

/** "0:07", "5:00". @param {number} ms */
export function minutes(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * Where someone is, as far as it is known.
 * @param {import("/sdk/duologue.js").Conversation["partner"]["place"]} [place]
 */
export function whereabouts(place) {
  if (!place) return "";
  const country = place.countryName ?? place.country;
  return place.city ? `${place.city}, ${country}` : country;
}
