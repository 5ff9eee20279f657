/** Someone who uses the demo in a window of their own: clicks, writes, looks. */

import { mkdir } from "node:fs/promises";
import path from "node:path";

const OUT = path.resolve(import.meta.dirname, "../out");
/** Whatever is waited for comes within this, or the test fails; in milliseconds. */
const DEADLINE = 15_000;
const LOOK_EVERY = 25;

/** @typedef {{ width: number, height: number, isMobile?: boolean, hasTouch?: boolean, deviceScaleFactor?: number }} View */

/** @type {View} */
export const DESKTOP = { width: 1200, height: 750 };
/** @type {View} */
export const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** @param {string} name a test id */
const id = (name) => `[data-testid="${name}"]`;

export class Person {
  /** What the page complained of. @type {string[]} */
  complaints = [];
  /** Requests that came to nothing, which where a network fails is no fault of the page. @type {string[]} */
  #failed = [];
  #page;
  /** What is being done: a person does one thing after the other, so that no key falls on what another thing clicked. */
  #doing = Promise.resolve();

  /** @param {import("puppeteer-core").Page} page */
  constructor(page) {
    this.#page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("requestfailed", (request) => this.#failed.push(`${request.url()} ${request.failure()?.errorText}`));
    page.setDefaultTimeout(DEADLINE);
  }

  /**
   * Opens the demo in a window with storage of its own.
   * @param {import("puppeteer-core").Browser} browser
   * @param {string} url
   * @param {{ view?: View, media?: Record<string, string> }} [look] `media`: what the person prefers; Chromium only
   */
  static async arrive(browser, url, { view = DESKTOP, media = {} } = {}) {
    const context = await browser.createBrowserContext();
    const person = new Person(await context.newPage());
    const page = person.#page;
    await page.setViewport(view);
    const features = Object.entries(media).map(([name, value]) => ({ name, value }));
    if (features.length) await page.emulateMediaFeatures(features);
    await page.goto(url);
    await person.sees("guest");
    return person;
  }

  /** Goes in as a guest, as far as the interests. */
  async goInAsGuest() {
    await this.clicks("guest");
    await this.sees("find");
  }

  /** @param {string} name a test id */
  clicks(name) {
    return this.#does(async () => {
      await this.#page.waitForSelector(id(name), { visible: true });
      await this.#page.click(id(name));
    });
  }

  /**
   * Puts words into a field, key by key.
   * @param {string} name
   * @param {string} text
   */
  async types(name, text) {
    await this.#page.focus(id(name));
    await this.#page.keyboard.type(text);
  }

  /** @param {import("puppeteer-core").KeyInput} key */
  async presses(key) {
    await this.#page.keyboard.press(key);
  }

  /** Says yes to the question on the screen. */
  async confirms() {
    await this.#page.click(id("dialog-yes"));
  }

  /** Empties a field. @param {string} name */
  async empties(name) {
    await this.#page.$eval(id(name), (field) => (field.value = ""));
  }

  /** @param {string} text */
  says(text) {
    return this.#does(async () => {
      await this.types("composer", text);
      await this.presses("Enter");
    });
  }

  /** Picks files to send. @param {...string} paths */
  attaches(...paths) {
    return this.#does(async () => {
      const field = await this.#page.$(id("file-input"));
      await field.uploadFile(...paths);
    });
  }

  /**
   * Waits for a file in the talk.
   * @param {string} name
   * @param {string} state
   * @param {number} [deadline]
   */
  async seesFile(name, state, deadline) {
    await this.#within(deadline, `sees the file ${name} ${state}`, (selector, wanted) =>
      [...document.querySelectorAll(selector)].some((element) =>
        element.textContent.includes(wanted.name) && element.dataset.state === wanted.state),
    id("transfer"), { name, state });
  }

  /** Calls the partner, and waits until the panel of the call is there. @param {"audio" | "video"} kind */
  async calls(kind) {
    await this.clicks(`call-${kind}`);
    await this.sees("call");
  }

  /** Waits until the panel of the call says so. @param {string} state @param {number} [deadline] */
  async seesCall(state, deadline) {
    await this.#within(deadline, `sees a call that is ${state}`, (selector, wanted) => document.querySelector(selector)?.dataset.state === wanted, id("call"), state);
  }

  /** Takes the call that rings. @param {{ video?: boolean }} [how] without: one is heard only */
  async accepts({ video = true } = {}) {
    await this.seesCall("ringing-in");
    await this.clicks(video ? "call-accept" : "call-accept-audio");
  }

  /** Does not want the call that rings. */
  async declines() {
    await this.seesCall("ringing-in");
    await this.clicks("call-decline");
    await this.seesNo("call");
  }

  /** Hangs up, or does not ring any more. */
  async hangsUp() {
    await this.clicks("call-end");
    await this.seesNo("call");
  }

  /** Puts the tick at "Hide my address" for the calls to come, or takes it away. */
  async hidesAddress() {
    await this.clicks("call-menu");
    await this.clicks("call-relay");
    await this.presses("Escape");
  }

  /** Waits until a picture moves: its own, or the partner's. @param {"local-video" | "remote-video"} name */
  async seesPicture(name) {
    await this.#until(`sees ${name} move`, (selector) => {
      const video = document.querySelector(selector);
      return video?.checkVisibility() && video.videoWidth > 0 && video.currentTime > 0 && !video.paused;
    }, id(name));
  }

  /** Looks at another tab; the answer brings the person back. @returns {Promise<() => Promise<void>>} */
  async looksElsewhere() {
    const elsewhere = await this.#page.browserContext().newPage();
    await elsewhere.bringToFront();
    await this.#page.waitForFunction(() => document.visibilityState === "hidden");
    return async () => {
      await elsewhere.close();
      await this.#page.bringToFront();
      await this.#page.waitForFunction(() => document.visibilityState === "visible");
    };
  }

  /** The token that the page has. @returns {Promise<string>} */
  token() {
    return this.#page.evaluate(() => JSON.parse(sessionStorage.getItem("duologue.login") ?? "{}").token);
  }

  /** The link of the next file that the partner offers, as the wire has it. @returns {Promise<string>} */
  nextLink() {
    return this.#page.evaluate(() => new Promise((resolve) => {
      const { parse } = JSON;
      JSON.parse = (text, ...more) => {
        const value = parse(text, ...more);
        if (value?.event === "file:offer") {
          JSON.parse = parse;
          resolve(value.data.link);
        }
        return value;
      };
    }));
  }

  /** Remembers what the page makes addresses of, so that {@link hasFile} can look at it. */
  async keepsFiles() {
    await this.#page.evaluate(() => {
      window.made = [];
      const make = URL.createObjectURL;
      URL.createObjectURL = (blob) => {
        window.made.push(blob);
        return make.call(URL, blob);
      };
    });
  }

  /** Waits until the page has shown, or offered to save, a file with this SHA-256. @param {string} wanted */
  async hasFile(wanted) {
    await this.#until(`has the file ${wanted}`, async (hash) => {
      const fresh = window.made.splice(0);
      window.hashes ??= new Set();
      for (const blob of fresh) {
        const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
        window.hashes.add([...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
      }
      return window.hashes.has(hash);
    }, wanted);
  }

  /**
   * Clicks on something of the page in the moment a file is so far.
   * @param {string} name a test id
   * @param {number} percent
   */
  async clicksWhen(name, percent) {
    await this.#page.evaluate((button, selector, least) => {
      const look = new MutationObserver(() => {
        const far = [...document.querySelectorAll(selector)].some(({ dataset }) =>
          dataset.state === "moving" && Number(dataset.progress) >= least);
        if (!far) return;
        look.disconnect();
        document.querySelector(button).click();
        window.clickedWhen = true;
      });
      window.clickedWhen = false;
      look.observe(document.body, { subtree: true, attributes: true, childList: true });
    }, id(name), id("transfer"), percent);
    return () => this.#page.evaluate(() => window.clickedWhen);
  }

  /**
   * Waits until there are so many.
   * @param {string} name
   * @param {number} count
   */
  async countsUp(name, count) {
    await this.#until(`sees ${count} of ${name}`, (selector, wanted) =>
      document.querySelectorAll(selector).length === wanted, id(name), count);
  }

  /**
   * Waits until the first of them has this in its data.
   * @param {string} name
   * @param {string} property
   * @param {string} value
   */
  async seesData(name, property, value) {
    await this.#until(`sees ${name} with ${property} ${value}`, (selector, key, wanted) =>
      document.querySelector(selector)?.dataset[key] === wanted, id(name), property, value);
  }

  /** A property of an element's data. @param {string} name @param {string} property */
  data(name, property) {
    return this.#page.$eval(id(name), (element, key) => element.dataset[key], property);
  }

  /** Closes the window, and forgets its storage. */
  async goes() {
    const context = this.#page.browserContext();
    await this.#page.close();
    await context.close();
  }

  /** The test id of what has the focus. */
  focused() {
    return this.#page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
  }

  /** Reloads the page, as F5 does. */
  async reloads() {
    await this.#page.reload();
  }

  /**
   * Waits until something with this test id is to be seen.
   * @param {string} name
   * @param {string} [text] its whole text, if that matters
   * @param {number} [deadline] in milliseconds, for what takes its time
   */
  async sees(name, text, deadline) {
    await this.#within(deadline, `sees ${name}${text === undefined ? "" : ` saying "${text}"`}`, (selector, wanted) => {
      const element = document.querySelector(selector);
      return element?.checkVisibility() && (wanted === null || element.textContent?.trim() === wanted);
    }, id(name), text ?? null);
  }

  /** @param {string} name */
  async seesNo(name) {
    await this.#until(`sees no ${name}`, (selector) => !document.querySelector(selector)?.checkVisibility(), id(name));
  }

  /**
   * Waits for a message in the talk.
   * @param {string} text
   * @param {{ mine: boolean, state?: string }} how
   */
  async seesMessage(text, { mine, state = "delivered" }) {
    await this.#until(`sees the message "${text}" (${mine ? "mine" : "theirs"}, ${state})`, (selector, wanted) =>
      [...document.querySelectorAll(selector)].some((element) =>
        element.querySelector(".bubble")?.textContent === wanted.text
        && element.dataset.mine === String(wanted.mine)
        && element.dataset.state === wanted.state),
    id("message"), { text, mine, state });
  }

  /**
   * Waits until words stand somewhere on the page.
   * @param {RegExp} words
   */
  async reads(words) {
    await this.#until(`reads ${words}`, (source) => new RegExp(source, "u").test(document.body.innerText), words.source);
  }

  /**
   * The text of an element.
   * @param {string} name
   */
  text(name) {
    return this.#page.$eval(id(name), (element) => element.textContent?.trim() ?? "");
  }

  /** What is said to those who point at it. @param {string} name */
  tooltip(name) {
    return this.#page.$eval(id(name), (element) => element.closest("[title]")?.getAttribute("title") ?? "");
  }

  /** @param {string} name */
  count(name) {
    return this.#page.$$eval(id(name), (elements) => elements.length);
  }

  /**
   * The messages from top to bottom.
   * @returns {Promise<{ text: string, mine: boolean, state: string }[]>}
   */
  messages() {
    return this.#page.$$eval(id("message"), (elements) => elements.map((element) => ({
      text: element.querySelector(".bubble").textContent,
      mine: element.dataset.mine === "true",
      state: element.dataset.state,
    })));
  }

  /** Where the links in the messages lead. @returns {Promise<string[]>} */
  links() {
    return this.#page.$$eval(`${id("message")} a`, (links) => links.map(({ href }) => href));
  }

  /** Puts the focus somewhere, without a click. @param {string} name */
  async focuses(name) {
    await this.#page.focus(id(name));
  }

  /** Whether something is to be seen now. @param {string} name */
  shows(name) {
    return this.#page.evaluate((selector) => document.querySelector(selector)?.checkVisibility() ?? false, id(name));
  }

  /** Unfolds or folds a part of the page. @param {string} words on its summary */
  unfolds(words) {
    return this.#does(() => this.#page.locator(`summary ::-p-text(${words})`).click());
  }

  /** The test ids of the buttons that are pressed in. */
  pressed() {
    return this.#page.$$eval("[aria-pressed=true]", (elements) => elements.map((element) => element.dataset.testid));
  }

  /** Hears from the browser that the network is back. */
  async comesOnline() {
    await this.#page.evaluate(() => window.dispatchEvent(new Event("online")));
  }

  /**
   * Notes all that is ever said in these words from now on, so that a flash is not missed.
   * @param {RegExp} words
   * @returns {Promise<() => Promise<string[]>>} what was said
   */
  async listensFor(words) {
    await this.#page.evaluate((source) => {
      window.heard = [];
      const look = () => document.body.innerText.split("\n").forEach((line) => {
        if (new RegExp(source, "u").test(line)) window.heard.push(line);
      });
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
      look();
    }, words.source);
    return () => this.#page.evaluate(() => window.heard);
  }

  /** What sticks out of the window sideways, as text; nothing should. */
  sticksOut() {
    return this.#page.evaluate(() => {
      const width = document.documentElement.clientWidth;
      return [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility() && !element.closest(".hidden"))
        .filter((element) => {
          const { left, right } = element.getBoundingClientRect();
          return right > width + 1 || left < -1;
        })
        .map((element) => `${element.tagName}.${element.getAttribute("class") ?? ""}`);
    });
  }

  /** @param {string} name of the file, without its ending */
  async isPictured(name) {
    await mkdir(OUT, { recursive: true });
    await this.isPicturedAs(path.join(OUT, `${name}.png`));
  }

  /** @param {string} file */
  async isPicturedAs(file) {
    await this.#page.screenshot({ path: file });
  }

  /** @param {() => Promise<void>} deed */
  #does(deed) {
    const done = this.#doing.then(deed);
    this.#doing = done.catch(() => {});
    return done;
  }

  /**
   * @param {string} what said when it never comes
   * @param {(...given: any[]) => unknown} look runs in the page
   * @param {...unknown} given
   */
  #until(what, look, ...given) {
    return this.#within(DEADLINE, what, look, ...given);
  }

  /**
   * @param {number | undefined} timeout
   * @param {string} what
   * @param {(...given: any[]) => unknown} look
   * @param {...unknown} given
   */
  async #within(timeout = DEADLINE, what, look, ...given) {
    try {
      await this.#page.waitForFunction(look, { polling: LOOK_EVERY, timeout }, ...given);
    } catch (cause) {
      const shown = await this.#page.evaluate(() => document.body.innerText).catch(() => "(the page does not answer)");
      throw new Error(`Never ${what}. Complaints: ${this.complaints.join("; ") || "none"}. Failed requests: ${this.#failed.join("; ") || "none"}. The page shows:\n${shown}`, { cause });
    }
  }
}

/**
 * Brings two people into one talk.
 * @param {Person} one
 * @param {Person} other
 */
export async function meet(one, other) {
  await Promise.all([one, other].map((person) => person.clicks("find")));
  await Promise.all([one, other].map((person) => person.sees("partner")));
}
