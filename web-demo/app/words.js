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
