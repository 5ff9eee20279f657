/** Someone who calls in the demo, and what their browser measured of it: pictures that were decoded, sound that was heard. */

import assert from "node:assert/strict";
import { guest } from "../../socketio/support/people.mjs";
import { Person } from "./person.mjs";
import { spy } from "./spy.mjs";

/** Whatever is waited for comes within this, or the test fails; in milliseconds. */
const DEADLINE = 15_000;
/** Frames that are not an accident. */
const SOME_FRAMES = 10;
const LOOK_EVERY = 50;

/** @typedef {import("puppeteer-core").Browser} Browser */
/** @typedef {import("puppeteer-core").Page} Page */

/**
 * Opens a page with the spy in it, by whoever opens pages in a browser.
 * @template T
 * @param {Browser} browser
 * @param {(browser: Browser) => Promise<T>} open
 * @returns {Promise<{ opened: T, page: Page }>}
 */
export async function spied(browser, open) {
  /** @type {Page | undefined} */
  let page;
  const newPage = (context) => async () => {
    page = await context.newPage();
    await page.evaluateOnNewDocument(spy);
    return page;
  };
  const createBrowserContext = async () => {
    const context = await browser.createBrowserContext();
    return { newPage: newPage(context) };
  };
  const opened = await open(/** @type {any} */ ({ createBrowserContext }));
  return { opened, page: /** @type {Page} */ (/** @type {unknown} */ (page)) };
}

export class Caller {
  /** @param {Page} page with the spy in it @param {Person} [person] whose page it is, where it is the demo's */
  constructor(page, person) {
    this.page = page;
    this.person = /** @type {Person} */ (person);
  }

  /**
   * Opens the demo and goes in, as far as the interests.
   * @param {Browser} browser
   * @param {string} url
   * @param {Parameters<typeof Person.arrive>[2]} [look]
   */
  static async arrive(browser, url, look) {
    const { opened: person, page } = await spied(browser, (one) => Person.arrive(one, url, look));
    await person.goInAsGuest();
    return new Caller(page, person);
  }

  /** What the spy counted so far. */
  counts() {
    return this.page.evaluate(() => window.spied.read());
  }

  /** The connection that stands. */
  async connection() {
    const { connections } = await this.counts();
    return connections.findLast(({ state }) => state !== "closed") ?? assert.fail("There is no connection.");
  }

  /** The kinds of the devices that are in use. @returns {Promise<string[]>} */
  live() {
    return this.page.evaluate(() => window.spied.live());
  }

  /** Waits until the panel says so. @param {string} state */
  async sees(state) {
    await this.#until(DEADLINE, `sees the call ${state}`, (wanted) => document.querySelector('[data-testid="call"]')?.dataset.state === wanted, state);
  }

  /**
   * Waits until sound comes in, and pictures unless told otherwise: more than there was when this was asked.
   * @param {{ video?: boolean, within?: number }} [what]
   */
  async hears({ video = true, within = DEADLINE } = {}) {
    const { frames, energy } = await this.counts();
    await this.#until(within, `hears${video ? " and sees" : ""} the other`, (wanted) => {
      const now = window.spied.read();
      return now.energy > wanted.energy && (!wanted.frames || now.frames >= wanted.frames);
    }, { energy, frames: video && frames + SOME_FRAMES });
  }

  /** Waits until media goes between candidates of these types. @param {string} local @param {string} remote */
  async goes(local, remote) {
    await this.#until(DEADLINE, `goes ${local} to ${remote}`, (from, to) => {
      const pair = window.spied.read().connections.findLast(({ state }) => state !== "closed")?.pair;
      return pair?.local.type === from && pair.remote.type === to;
    }, local, remote);
  }

  /** Waits until media goes from this address, to the same. @param {string} address */
  async goesOver(address) {
    await this.#until(DEADLINE, `goes over ${address}`, (wanted) => {
      const pair = window.spied.read().connections.findLast(({ state }) => state !== "closed")?.pair;
      return pair?.local.address === wanted && pair.remote.address === wanted;
    }, address);
  }

  /**
   * Waits until media goes from another port than this: over a way that was found anew.
   * @param {number} port
   */
  async leaves(port) {
    await this.#until(DEADLINE, `leaves port ${port}`, (was) => {
      const pair = window.spied.read().connections.findLast(({ state }) => state !== "closed")?.pair;
      return pair && pair.local.port !== was;
    }, port);
  }

  /**
   * Waits until that many restarts of ICE were begun by this side.
   * @param {number} count
   */
  async restarts(count) {
    await this.#until(DEADLINE, `restarts ${count} times`, (wanted) => window.spied.read().restarts >= wanted, count);
  }

  /** Every candidate that ever reached the page, as lines: by the wire, in a description, or given to a connection. */
  async heardCandidates() {
    return (await this.#heard()).flatMap((text) => text.match(/candidate:\S+ \d [^"\r\n\\]*/gu) ?? []);
  }

  /** Every address that ever reached the page in any other line of a description: of its origin, connection and RTCP. */
  async heardAddresses() {
    return (await this.#heard()).flatMap((text) => [...text.matchAll(/IN IP[46] ([^\s"\\]+)/gu)].map(([, address]) => address));
  }

  /** @returns {Promise<string[]>} */
  #heard() {
    return this.page.evaluate(() => window.spied.heard.map(({ text }) => text));
  }

  /**
   * @param {number} timeout
   * @param {string} what said when it never comes
   * @param {(...given: any[]) => unknown} look runs in the page
   * @param {...unknown} given
   */
  async #until(timeout, what, look, ...given) {
    try {
      await this.page.waitForFunction(look, { polling: LOOK_EVERY, timeout }, ...given);
    } catch (cause) {
      const counts = await this.counts().catch(() => "(the page does not answer)");
      const shown = await this.page.evaluate(() => document.body.innerText).catch(() => "");
      throw new Error(`Never ${what}. Counted: ${JSON.stringify(counts)}. Complaints: ${this.person?.complaints.join("; ") || "none"}. The page shows:\n${shown}`, { cause });
    }
  }
}

/**
 * Someone with the SDK in a page, whose devices are there at once.
 * @param {import("puppeteer-core").Browser} browser
 * @param {string} url
 */
export async function browse(browser, url) {
  const { token } = await guest(url);
  const { page } = await spied(browser, async (one) => (await one.createBrowserContext()).newPage());
  await page.goto(url);
  await page.evaluate(async (secret) => {
    const { Duologue } = await import("/sdk/duologue.js");
    const devices = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    navigator.mediaDevices.getUserMedia = async () => devices.clone();
    window.client = new Duologue({ token: secret, storage: { getItem: () => null, setItem() {}, removeItem() {} } });
    window.problems = [];
    window.client.addEventListener("error", ({ detail }) => window.problems.push(`${detail.code}: ${detail.message}`));
    await window.client.connect();
    // Sound that nobody plays is not decoded.
    window.player = document.createElement("video");
    window.player.autoplay = true;
  }, token);
  return new Caller(page);
}

/**
 * Does something while the pictures go on: none of them stands for longer than this. Resolves with the longest
 * time, in milliseconds.
 * @param {Caller[]} callers
 * @param {number} ms
 * @param {() => Promise<unknown>} deed
 */
export async function framesGrow(callers, ms, deed) {
  const since = await Promise.all(callers.map(async (caller) => (await caller.counts()).now));
  await deed();
  const gaps = await Promise.all(callers.map(({ page }, index) => page.evaluate((from) => window.spied.longestGap(from), since[index])));
  const longest = Math.round(Math.max(...gaps));
  assert.ok(longest <= ms, `A picture stood still for ${longest} ms.`);
  return longest;
}

/**
 * Brings two people into one talk.
 * @param {Caller} one
 * @param {Caller} other
 */
export async function meet(one, other) {
  await Promise.all([one, other].map(({ person }) => person.clicks("find")));
  await Promise.all([one, other].map(({ person }) => person.sees("partner")));
}

/**
 * One calls by the demo's buttons, the other accepts; resolves when both are connected.
 * @param {Caller} one
 * @param {Caller} other
 * @param {"audio" | "video"} kind
 */
export async function call(one, other, kind) {
  await one.person.clicks(`call-${kind}`);
  await other.sees("ringing-in");
  await other.person.clicks("call-accept");
  await Promise.all([one, other].map((caller) => caller.sees("connected")));
}

/**
 * One hangs up, and it is over for both.
 * @param {Caller} one
 * @param {Caller} other
 */
export async function hangUp(one, other) {
  await one.person.clicks("call-end");
  await gone(one);
  await gone(other);
}

/** Waits until there is no call for someone, and nothing of it goes on. @param {Caller} caller */
export async function gone({ page }) {
  await page.waitForFunction(() => {
    const state = document.querySelector('[data-testid="call"]')?.dataset.state ?? "ended";
    return state === "ended" && window.spied.read().connections.every((one) => one.state === "closed");
  }, { polling: LOOK_EVERY, timeout: DEADLINE });
}

/**
 * Tells how someone's media came back after something, and yields when ICE was restarted, in milliseconds after it.
 * @param {import("node:test").TestContext} t
 * @param {string} name
 * @param {Caller} caller
 * @param {number} from how many steps its connection had taken before
 * @param {number} clock of its page, at that moment
 */
export async function recovery(t, name, caller, from, clock) {
  const { states } = await caller.connection();
  const steps = states.slice(from).map(({ at, is }) => ({ is, after: Math.round(at - clock) }));
  const gap = await caller.page.evaluate((since) => window.spied.longestGap(since), clock);
  t.diagnostic(`${name} was without a new picture for ${Math.round(gap)} ms; ${steps.map(({ is, after }) => `${is} after ${after} ms`).join(", ")}`);
  return { gap, restarts: steps.filter(({ is }) => is === "restart").map(({ after }) => after) };
}
