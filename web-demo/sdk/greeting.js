/**
 * @file The first frame of a link and its answer.
 */

import { DuologueError } from "./errors.js";

/** The server answers a hello within this, or another door is tried. */
const DEADLINE_MS = 5_000;

/**
 * Says hello on a link that is open. Resolves once `answers.established` has run.
 * @param {import("./link/link.js").Link} link
 * @param {object} hello
 * @param {object} answers
 * @param {(established: import("./types.js").Established) => void} answers.established called as the
 *   answer is read, so that the frames right behind it find the link's next listener in place
 * @param {(closing: import("./types.js").Closing) => DuologueError} answers.closing
 * @param {(code: number | undefined, reason: string) => DuologueError} answers.ended
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function greet(link, hello, answers, signal) {
  return new Promise((resolve, reject) => {
    const late = new DuologueError("hello-unanswered", "The server did not answer in time.");
    const timer = setTimeout(() => settle(() => reject(late)), DEADLINE_MS);
    const abort = () => settle(() => reject(signal.reason));
    let settled = false;
    /** @param {() => void} how */
    const settle = (how) => {
      // An answer that comes after all must not take the session to a link that was given up.
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      how();
    };
    signal.addEventListener("abort", abort);
    link.listen({
      frame: ({ event, data }) => {
        if (event === "connection:established") {
          settle(() => {
            try {
              resolve(answers.established(/** @type {import("./types.js").Established} */ (data)));
            } catch (error) {
              reject(error);
            }
          });
        } else if (event === "connection:closing") {
          settle(() => reject(answers.closing(/** @type {import("./types.js").Closing} */ (data))));
        }
        // Anything else is a datagram that overtook the answer: volatile, and passed over.
      },
      ended: (code, reason) => settle(() => reject(answers.ended(code, reason))),
    });
    link.send({ event: "connection:hello", data: hello });
  });
}
