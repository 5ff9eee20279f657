/**
 * @file Whether the person looks at the page, as far as the server is to know: away once the page has
 * been hidden for a while, back at once. The server keeps it for the session, over every link.
 */

/** A glance at another tab is no news for anyone. */
const AWAY_AFTER_MS = 10_000;

/** @typedef {"online" | "away"} Attentive */

export class Attention {
  #say;
  /** @type {Attentive | null} what the server was told last; `null`: by a page before this one */
  #told = "online";
  /** @type {Attentive} */
  #now = "online";
  /** @type {ReturnType<typeof setTimeout> | undefined} runs while the page is hidden and not away yet */
  #timer;

  /** @param {(status: Attentive) => boolean} say false: it was not taken */
  constructor(say) {
    this.#say = say;
  }

  /** @param {boolean} visible whether someone can see the page */
  look(visible) {
    clearTimeout(this.#timer);
    if (visible) this.#become("online");
    else this.#timer = setTimeout(() => this.#become("away"), AWAY_AFTER_MS);
  }

  /**
   * There is a session.
   * @param {import("./connection.js").Continuity} how
   */
  established(how) {
    // A new session begins as online, whatever the one before was told.
    if (how === "new" || how === "lost") this.#told = "online";
    else if (how === "reloaded") this.#told = null;
    this.#tell();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** @param {Attentive} status */
  #become(status) {
    this.#now = status;
    this.#tell();
  }

  /** What is not taken is told with the next session. */
  #tell() {
    if (this.#now !== this.#told && this.#say(this.#now)) this.#told = this.#now;
  }
}
