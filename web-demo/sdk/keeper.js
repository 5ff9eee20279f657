/**
 * @file Keeps the session on the best link that works, from the first to the last: which doors to
 * try, when, and beside what. One race at a time, since each greeting takes the session over; what
 * is under way when more depends on it goes on with more doors. Knows nothing of frames.
 */

import { Backoff } from "./backoff.js";
import { DuologueError, asDuologueError } from "./errors.js";
import { Race } from "./link/race.js";
import { Steward } from "./link/steward.js";
import { isOffline, isVisible } from "./page.js";

/** A link that lasted this long proves the service well, and the back-off begins anew. */
const STEADY_MS = 2_000;
/** A better door waits this long when the session is busy. */
const CALM_MS = 2_000;
/** No door of the node in use has opened by then: it may be gone, and the server is asked where the doors are. */
const ELSEWHERE_MS = 500;
/** While the browser says that there is no network, it is believed this long. */
const OFFLINE_MS = 30_000;

/**
 * Why the session is on another link than before: the one before ended (`lost`) or stopped
 * answering (`silent`), this door is preferred (`better`), or the app asked for it (`asked`). `node`:
 * in a new session, as the node that had the one before is gone.
 * @typedef {"lost" | "silent" | "better" | "asked" | "node"} Why
 */

/**
 * @typedef {object} Charge who is kept on a link
 * @property {import("./link/race.js").Greet} greet takes the session to a link; calls
 *   {@link Keeper.linked} when it is there
 * @property {() => import("./types.js").DoorName | null} door in use
 * @property {() => boolean} calm there is a link, and nothing waits for an answer on it
 * @property {import("./link/race.js").Report} report
 * @property {(detail: { attempt: number, retryInMs: number, code?: string }) => void} reconnecting
 * @property {(error: DuologueError) => void} refused no link will be had with the same request
 */

export class Keeper {
  #doors;
  #page;
  #charge;
  #backoff = new Backoff();
  #steward = new Steward();
  /** Aborted: at rest. Everything that is under way ends with it. */
  #work = new AbortController();
  /** @type {Race | null} */
  #race = null;
  /** Settles, whatever comes of it, with the race of the moment. */
  #raced = Promise.resolve();
  /** @type {Why | undefined} of the race of the moment; none where there was no link to begin with */
  #why;
  #linkedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} until a better door is tried */
  #timer;

  /**
   * @param {import("./doors.js").Doors} doors
   * @param {import("./page.js").PageEvents} page
   * @param {Charge} charge
   */
  constructor(doors, page, charge) {
    this.#work.abort();
    this.#doors = doors;
    this.#page = page;
    this.#charge = charge;
  }

  /** What the race of the moment is for. */
  get why() {
    return this.#why;
  }

  /** A hello is under way: from now on the server may end the link before as superseded. */
  get greeting() {
    return this.#race?.greeting ?? false;
  }

  /** At rest, looks for a link until there is one, the server refuses, or {@link rest}. */
  start() {
    if (!this.#work.signal.aborted) return;
    this.#work = new AbortController();
    this.#backoff.reset();
    this.#reach();
  }

  /** @param {DuologueError} reason of whatever is under way and ends with it */
  rest(reason) {
    clearTimeout(this.#timer);
    this.#work.abort(reason);
  }

  /**
   * The session is on a link.
   * @param {import("./types.js").DoorName} door
   * @param {Why} [why]
   */
  linked(door, why) {
    const now = performance.now();
    const slow = this.#race?.undecided && why !== "silent";
    // What happens to this link from now on is no matter of the race that made it.
    this.#race = null;
    this.#linkedAt = now;
    if (why === "silent") this.#steward.ended(now);
    this.#steward.linked(this.#doors.better(door), why, now, slow);
    this.#arm();
  }

  /**
   * The link of the moment is gone.
   * @param {DuologueError} cause
   */
  lost(cause) {
    const now = performance.now();
    clearTimeout(this.#timer);
    if (now - this.#linkedAt >= STEADY_MS) this.#backoff.reset();
    // The hello that is under way has done it, or mends it; whoever waits for its race sees to the rest.
    if (this.greeting) return;
    if (cause.closeCode === undefined) this.#steward.ended(now);
    else this.#doors.turn();
    if (!this.#race) return this.#reach(cause);
    // What the server says it may say to the other link too, and it may want to be waited for.
    if (cause.closeCode !== undefined) return this.#race.giveUp(cause);
    this.#backoff.next();
    this.#charge.reconnecting({ attempt: this.#backoff.attempt, retryInMs: 0, code: cause.code });
    this.#race?.join(this.#doors.known());
  }

  /** The link of the moment does not answer: another one is made beside it. */
  suspect() {
    const here = this.#charge.door();
    if (!here || this.#offline) return;
    const known = this.#doors.known();
    // The same door last: a new network may have it open again.
    const doors = [...known.filter(({ name }) => name !== here), ...known.filter(({ name }) => name === here)];
    if (!this.#race) {
      this.#beside(doors, "silent").catch(() => {});
    } else if (this.#why === "better") {
      this.#why = "silent";
      this.#race.join(doors);
    }
  }

  /** The link of the moment answers after all. */
  answered() {
    if (this.#why === "silent") this.#race?.giveUp(new DuologueError("not-needed", "The link before answers again."));
  }

  /** The network may be another one now, or back. */
  wake() {
    this.#steward.hint(performance.now());
    this.#arm();
  }

  /**
   * Moves the session to a door, where it stays until that link ends; `auto`: on to the best again.
   * @param {import("./types.js").DoorName | "auto"} name
   */
  async move(name) {
    if (name === "auto") {
      this.#steward.release(performance.now());
      return this.#arm();
    }
    const doors = this.#doors.only(name);
    while (this.#race) {
      this.#race.giveUp(new DuologueError("cancelled", "Another door was asked for."));
      await this.#raced;
    }
    const here = this.#charge.door();
    if (!here) throw new DuologueError("not-connected", "There is no link to move from.");
    if (here === name) {
      this.#steward.keep();
      return this.#arm();
    }
    const winner = await this.#beside(doors, "asked");
    // The link before ended meanwhile, and another door was open first.
    if (winner !== name) throw new DuologueError("door-shut", `${name} did not open.`);
  }

  /**
   * Tries until established, refused or at rest.
   * @param {DuologueError} [cause] why the link before ended; absent on the first attempt
   */
  async #reach(cause) {
    const { signal } = this.#work;
    for (;;) {
      let answered = false;
      try {
        if (cause?.final) return this.#charge.refused(cause);
        if (cause) await this.#waitTurn(cause, signal);
        const asked = this.#doors.old;
        const doors = await this.#doors.all(signal);
        answered = asked;
        await this.#run(doors, undefined, !asked);
        return;
      } catch (error) {
        if (signal.aborted) return;
        cause = asDuologueError(error, "link-lost");
        // A node that answers and whose doors do not open is passed over. When none answers it is the
        // network, and the node that knows the session comes first again.
        if (answered || cause.closeCode !== undefined) this.#doors.turn();
        else this.#doors.expire();
      }
    }
  }

  /**
   * @param {DuologueError} cause
   * @param {AbortSignal} signal
   */
  async #waitTurn({ code, retryAfterMs = 0 }, signal) {
    const offline = this.#offline;
    // Believed, but not for ever; it is no attempt that would make the next wait longer.
    const retryInMs = offline ? Math.max(OFFLINE_MS, retryAfterMs) : Math.round(this.#backoff.next(retryAfterMs));
    const attempt = Math.max(1, this.#backoff.attempt);
    this.#charge.reconnecting({ attempt, retryInMs, code: offline ? "offline" : code });
    await this.#page.pause(retryInMs, retryAfterMs, signal);
  }

  get #offline() {
    return isOffline() && !this.#doors.local;
  }

  /**
   * Races beside a link. If that link is gone when nothing came of it, another is looked for.
   * @param {import("./link/link.js").Door[]} doors
   * @param {Why} why
   */
  async #beside(doors, why) {
    const { signal } = this.#work;
    try {
      return await this.#run(doors, why, why === "silent");
    } catch (error) {
      if (!signal.aborted && !this.#charge.door()) this.#reach(asDuologueError(error, "link-lost"));
      throw error;
    }
  }

  /**
   * @param {import("./link/link.js").Door[]} doors
   * @param {Why | undefined} why
   * @param {boolean} [elsewhere] whether other doors will do than the server has told of so far
   */
  async #run(doors, why, elsewhere) {
    const { signal } = this.#work;
    signal.throwIfAborted();
    const over = new AbortController();
    const race = new Race(doors, this.#charge.greet, { signal, report: this.#charge.report });
    this.#race = race;
    this.#why = why;
    const racing = race.run();
    this.#raced = racing.then(() => {}, () => {});
    if (elsewhere) this.#lookElsewhere(race, AbortSignal.any([signal, over.signal]));
    try {
      const winner = await racing;
      // What the app wanted says nothing about the network.
      if (why !== "asked") this.#doors.won(winner, this.#doors.known());
      return winner.name;
    } finally {
      over.abort();
      if (this.#race === race) this.#race = null;
    }
  }

  /**
   * The node in use may be gone, which a dead UDP port does not tell: soon the server is asked where its
   * doors are now, beside those that are tried.
   * @param {Race} race
   * @param {AbortSignal} signal of its end
   */
  async #lookElsewhere(race, signal) {
    try {
      await this.#page.pause(ELSEWHERE_MS, ELSEWHERE_MS, signal);
      race.add(await this.#doors.anew(signal));
    } catch {
      // The race is over, or no node answers: how it ends says enough.
    }
  }

  /** Sets the time for {@link #improve}. */
  #arm() {
    clearTimeout(this.#timer);
    const { dueAt } = this.#steward;
    if (dueAt === Infinity || !this.#charge.door()) return;
    this.#timer = setTimeout(() => this.#improve(), Math.max(0, dueAt - performance.now()));
  }

  /** Looks whether a better door is open. */
  async #improve() {
    const { signal } = this.#work;
    // `wake` comes when that changes.
    if (signal.aborted || !this.#charge.door() || !isVisible() || this.#offline) return;
    if (this.#race || !this.#charge.calm()) {
      this.#timer = setTimeout(() => this.#improve(), CALM_MS);
      return;
    }
    const names = this.#steward.begin(performance.now());
    const linkedAt = this.#linkedAt;
    try {
      const doors = (await this.#doors.all(signal, 1)).filter(({ name }) => names.includes(name));
      // While the server was asked, the link may have gone or become suspect.
      if (this.#race || this.#linkedAt !== linkedAt) throw new DuologueError("not-needed", "Another link is made.");
      await this.#beside(doors, "better");
    } catch (error) {
      if (signal.aborted || this.#linkedAt !== linkedAt || !this.#charge.door()) return;
      this.#doors.expire();
      this.#steward.failed(performance.now(), asDuologueError(error, "door-shut").retryAfterMs);
      this.#arm();
    }
  }
}
