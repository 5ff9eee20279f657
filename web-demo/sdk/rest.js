/**
 * @file The few things that are asked over plain HTTP: who someone is, and where the doors are.
 */

import { DuologueError, asDuologueError, refusalError } from "./errors.js";

/** The version of the wire that this SDK speaks. */
export const PROTOCOL = 1;

/** A request that hangs longer is given up; `connect` then tries again. */
const DEADLINE_MS = 10_000;

/**
 * @param {string} base
 * @param {"guest" | "register" | "login"} how
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./types.js").Credentials>}
 */
export function authenticate(base, how, body, signal) {
  return request(`${base}/api/auth/${how}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }, signal);
}

/**
 * Where the doors are.
 * @param {string} base
 * @param {AbortSignal} signal
 * @returns {Promise<import("./types.js").Directions>}
 */
export async function askDirections(base, signal) {
  /** @type {import("./types.js").Directions} */
  const directions = await request(`${base}/api/connect`, {}, signal);
  if (directions.protocol !== PROTOCOL) {
    throw new DuologueError(
      "protocol-unsupported",
      `The server speaks protocol ${directions.protocol}, this client ${PROTOCOL}. Load the page again.`,
      { final: true },
    );
  }
  return directions;
}

/**
 * The origin of the server, without a slash at its end.
 * @param {string | undefined} base
 */
export function originOf(base) {
  const origin = base ?? globalThis.location?.origin;
  if (!origin) {
    throw new DuologueError("base-missing", "Outside a browser, say where the server is: { base: \"https://...\" }.");
  }
  return origin.replace(/\/+$/, "");
}

/**
 * Makes a request and opens the envelope of its answer.
 * @param {string} url
 * @param {RequestInit} init
 * @param {AbortSignal} [signal]
 */
async function request(url, init, signal) {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const joined = signal ? AbortSignal.any([signal, deadline]) : deadline;
  let response;
  let body;
  try {
    response = await fetch(url, { ...init, signal: joined, credentials: "omit" });
    body = await response.json().catch(() => null);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw asDuologueError(error, "network");
  }
  if (response.ok && body?.success) return body.data;
  throw refused(response, body);
}

/**
 * @param {Response} response
 * @param {any} body the envelope, or what a proxy in between put in its place
 */
function refused(response, body) {
  const { status } = response;
  // 408 and 429 pass with time, 5xx are the server's own; any other 4xx is what we asked for.
  const final = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const retryAfterMs = body?.error?.retryAfterMs ?? (Number.isFinite(seconds) ? seconds * 1000 : undefined);
  const code = body?.error?.code ?? "unavailable";
  const message = body?.message ?? `The server answered ${status}.`;
  return refusalError({ code, message, details: body?.error?.details }, { retryAfterMs, final });
}
