/** The page of examples/original-client, served as its README says, and someone who uses it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "../../../examples/original-client");
const DEADLINE_MS = 15_000;

/** @returns {Promise<{ url: string, stop: () => Promise<void> }>} */
export async function serveOriginal() {
  const child = spawn("npm", ["start", "--silent"], { cwd: FOLDER, env: { ...process.env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"], detached: true });
  const exited = once(child, "exit");
  const url = await new Promise((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text) => /^Open (\S+)/mu.test(text) && resolve(text.match(/^Open (\S+)/mu)[1]));
    exited.then(([code]) => reject(new Error(`The page's server ended with ${code}.`)));
  });
  return {
    url,
    stop: async () => {
      // npm and what it runs.
      process.kill(-child.pid, "SIGTERM");
      await exited;
    },
  };
}

export class Visitor {
  /** What the page complained of. @type {string[]} */
  complaints = [];
  #page;

  /** @param {import("puppeteer-core").Page} page */
  constructor(page) {
    this.#page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.setDefaultTimeout(DEADLINE_MS);
  }

  /**
   * @param {import("puppeteer-core").Browser} browser
   * @param {string} page
   * @param {string} api
   * @param {{ width: number, height: number }} view
   */
  static async arrive(browser, page, api, view) {
    const context = await browser.createBrowserContext();
    const visitor = new Visitor(await context.newPage());
    await visitor.#page.setViewport(view);
    await visitor.#page.goto(`${page}/?api=${encodeURIComponent(api)}`);
    return visitor;
  }

  /** @param {string} username */
  async registers(username) {
    for (const [name, text] of [["username", username], ["email", `${username.toLowerCase()}@example.org`], ["password", "Password123"]]) {
      await this.#page.type(`#login [name=${name}]`, text);
    }
    await this.clicks("#login [value=register]");
    await this.reads("#status", new RegExp(`^Hello, ${username}\\.$`, "u"));
  }

  /** @param {string} selector */
  async clicks(selector) {
    await this.#page.locator(selector).click();
  }

  /** @param {string} text */
  async says(text) {
    await this.#page.type("#write [name=content]", text);
    await this.#page.keyboard.press("Enter");
  }

  /**
   * Waits until it says this.
   * @param {string} selector
   * @param {RegExp} words
   * @returns {Promise<string | undefined>} what the first group matched
   */
  async reads(selector, words) {
    const look = (where, source) => new RegExp(source, "u").exec(document.querySelector(where)?.textContent ?? "");
    const found = await this.#page.waitForFunction(look, {}, selector, words.source);
    return (await found.jsonValue())[1];
  }

  /** Waits for a message. @param {string} text @param {"mine" | "theirs"} whose */
  async seesMessage(text, whose) {
    await this.#page.waitForFunction((words, by) =>
      [...document.querySelectorAll(`#messages li.${by} > :first-child`)].some(({ textContent }) => textContent === words), {}, text, whose);
  }

  /** Waits until there are so many messages. @param {number} count */
  async counts(count) {
    await this.#page.waitForFunction((wanted) => document.querySelectorAll("#messages li").length === wanted, {}, count);
  }

  /** What the newest link leads to, fetched as the page would. @returns {Promise<number[]>} status and length */
  async fetchesFile() {
    await this.#page.waitForSelector("#messages a");
    return this.#page.$eval("#messages a", async ({ href }) => {
      const response = await fetch(href);
      return [response.status, (await response.arrayBuffer()).byteLength];
    });
  }

  /** Someone who sends as apps of the original do: what describes a file. @param {object} message */
  async emits(message) {
    await this.#page.evaluate((said) => socket.emit("chat:message", said), message);
  }

  /** @param {string} file */
  async isPicturedAs(file) {
    await this.#page.screenshot({ path: file });
  }
}
