/**
 * @file Everything that can go wrong, as one class with a stable `code` for programs and a
 * sentence for people. Codes of the server pass through unchanged (`docs/protocol.md` lists
 * them); the SDK's own are named where they are made.
 */

/** Close codes and their names: the same list, and the same numbers, on every door. */
const CLOSE_REASONS = /** @type {Record<number, string>} */ ({
  4400: "protocol-error",
  4401: "token-invalid",
  4403: "forbidden",
  4408: "hello-timeout",
  4409: "superseded",
  4413: "too-big",
  4429: "too-fast",
  4500: "internal",
  4503: "draining",
  4508: "slow",
});

/**
 * @typedef {object} ErrorDetails
 * @property {unknown} [cause] what lies beneath
 * @property {number} [retryAfterMs] when the same request may be made again
 * @property {import("./types.js").FieldError[]} [details] what is wrong with each field of a form
 * @property {string} [event] the event the server refused
 * @property {string} [id] the id inside the refused event
 * @property {number} [closeCode] the number the link was closed with
 * @property {boolean} [final] trying the same again cannot help
 */

export class DuologueError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {ErrorDetails} [more]
   */
  constructor(code, message, more = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "DuologueError";
    /** @readonly stable, for programs */
    this.code = code;
    /** @readonly */
    this.retryAfterMs = more.retryAfterMs;
    /** @readonly */
    this.details = more.details;
    /** @readonly */
    this.event = more.event;
    /** @readonly */
    this.id = more.id;
    /** @readonly */
    this.closeCode = more.closeCode;
    /** @readonly trying the same again cannot help */
    this.final = more.final ?? false;
  }
}

/**
 * The error that a `connection:closing` stands for.
 * @param {import("./types.js").Closing} closing
 */
export function closingError({ code, reason, message, retryAfterMs }) {
  return new DuologueError(reason, message, { closeCode: code, retryAfterMs, final: isFinal(code) });
}

/**
 * The error that the end of a link stands for when no `connection:closing` came before it.
 * @param {number | undefined} code
 * @param {string} [reason] what the transport says, for people
 */
export function lostLinkError(code, reason) {
  const known = code === undefined ? undefined : CLOSE_REASONS[code];
  const message = reason || "The connection was lost.";
  if (known === undefined || code === undefined) return new DuologueError("link-lost", message);
  return new DuologueError(known, message, { closeCode: code, final: isFinal(code) });
}

/**
 * The error of an `error` event or of the body of an HTTP refusal.
 * @param {import("./types.js").Refusal} refusal
 * @param {ErrorDetails} [more]
 */
export function refusalError({ code, message, event, id, retryAfterMs, details }, more = {}) {
  return new DuologueError(code, message, { event, id, retryAfterMs, details, ...more });
}

/**
 * Whatever was thrown, as a DuologueError.
 * @param {unknown} thrown
 * @param {string} code for what is none yet
 * @returns {DuologueError}
 */
export function asDuologueError(thrown, code) {
  if (thrown instanceof DuologueError) return thrown;
  const message = thrown instanceof Error && thrown.message ? thrown.message : "The connection failed.";
  return new DuologueError(code, message, { cause: thrown });
}

/**
 * 44xx: do not come back with the same request; 4429 only asks for a pause.
 * @param {number} code
 */
function isFinal(code) {
  return code >= 4400 && code < 4500 && code !== 4429;
}
