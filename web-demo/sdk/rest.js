/**
 * @file The few things that are asked over plain HTTP: who someone is, and where the doors are.
 */

import { DuologueError, asDuologueError, refusalError } from "./errors.js";

/** The version of the wire that this SDK speaks. */
export const PROTOCOL = 1;

/** A request that hangs longer is given up; `connect` then tries again. */
const DEADLINE_MS = 10_000;

/**
 * Asks the next node only when one cannot be reached: an answer is the same on all of them.
 * @param {string[]} bases
 * @param {"guest" | "register" | "login"} how
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./types.js").Credentials>}
 */
export async function authenticate([base, ...others], how, body, signal) {
  try {
    return await request(`${base}/api/auth/${how}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }, DEADLINE_MS, signal);
  } catch (error) {
    if (others.length === 0 || !(error instanceof DuologueError) || error.code !== "network") throw error;
    return authenticate(others, how, body, signal);
  }
}

/**
 * Where the doors are.
 * @param {string} base
 * @param {AbortSignal} signal
 * @param {number} [withinMs]
 * @returns {Promise<import("./types.js").Directions>}
 */
export async function askDirections(base, signal, withinMs = DEADLINE_MS) {
  /** @type {import("./types.js").Directions} */
  const directions = await request(`${base}/api/connect`, {}, withinMs, signal);
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
 * The origins of the server's nodes, without a slash at their ends.
 * @param {string | string[] | undefined} base
 */
export function originsOf(base = globalThis.location?.origin) {
  const origins = [base ?? []].flat().map((origin) => origin.replace(/\/+$/, ""));
  if (origins.length === 0) {
    throw new DuologueError("base-missing", "Outside a browser, say where the server is: { base: \"https://...\" }.");
  }
  return origins;
}

/**
 * Makes a request and opens the envelope of its answer.
 * @param {string} url
 * @param {RequestInit} init
 * @param {number} withinMs
 * @param {AbortSignal} [signal]
 */
async function request(url, init, withinMs, signal) {
  const deadline = AbortSignal.timeout(withinMs);
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
