/** A server of its own for each test file: the real binary, in an empty folder, on free ports. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

const BINARY = process.env.DUOLOGUE_BIN ?? path.resolve(import.meta.dirname, "../../../target/release/duologue");
const STARTS_WITHIN_MS = 10_000;
const STOPS_WITHIN_MS = 10_000;
/** What every server of the tests has beside the defaults: everyone of a test has one address. */
const ALWAYS = {
  DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR: "100000",
  DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR: "100000",
};

/**
 * @typedef {object} Server
 * @property {string} url of the demo
 * @property {string} tls the same over TLS
 * @property {string} folder where it runs
 * @property {() => Promise<void>} halt stops it; its folder and its ports stay
 * @property {() => Promise<unknown>} resume starts it again where it was
 * @property {() => Promise<void>} stop the end
 * @property {() => string} log of all its lives
 */

/**
 * Starts a server that stops with the test. Its log is told only when something failed.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, string>} [settings] more `DUOLOGUE_` variables
 * @returns {Promise<Server>}
 */
export async function startServer(t, settings = {}) {
  const server = await launchServer(settings);
  t.after(async () => {
    await server.stop();
    if (!t.passed) console.error(server.log());
  });
  return server;
}

/**
 * @typedef {(file: string, env: NodeJS.ProcessEnv) => string[]} Place where a program is started: the words to start it with
 * @type {Place}
 */
const here = (file) => [file];

/**
 * @param {Record<string, string>} [settings]
 * @param {Place} [place]
 */
export async function launchServer(settings = {}, place = here) {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-browser-"));
  const [http, tls] = await freePorts();
  const url = `http://localhost:${http}`;
  const env = {
    ...withoutSettings(process.env),
    DUOLOGUE_LISTEN_HTTP: `127.0.0.1:${http}`,
    DUOLOGUE_LISTEN_HTTPS: `127.0.0.1:${tls}`,
    DUOLOGUE_LISTEN_QUIC: `127.0.0.1:${tls}`,
    ...ALWAYS,
    ...settings,
  };
  const command = place(BINARY, env);
  let run = await Run.start(command, folder, env, url);
  const logs = [run];
  return {
    url,
    tls: `https://localhost:${tls}`,
    folder,
    log: () => logs.map(({ log }) => log).join(""),
    halt: () => run.stop(),
    resume: async () => logs.push((run = await Run.start(command, folder, env, url))),
    stop: async () => {
      await run.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One life of a server. */
class Run {
  log = "";
  #child;
  #exited;

  /**
   * @param {string[]} command
   * @param {string} folder
   * @param {NodeJS.ProcessEnv} env
   */
  constructor([file, ...args], folder, env) {
    this.#child = spawn(file, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#exited = once(this.#child, "exit");
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log += text));
    }
  }

  /**
   * Resolves when it says where it is open.
   * @param {string[]} command
   * @param {string} folder
   * @param {NodeJS.ProcessEnv} env
   * @param {string} url
   */
  static async start(command, folder, env, url) {
    const run = new Run(command, folder, env);
    const open = new Promise((resolve) => {
      run.#child.stdout.on("data", () => new RegExp(`Open\\s+${url}\\b`, "u").test(run.log) && resolve(undefined));
    });
    const early = run.#exited.then(([code]) => assert.fail(`The server stopped at once with code ${code}.\n${run.log}`));
    try {
      await within(Promise.race([open, early]), STARTS_WITHIN_MS, () => `The server did not start.\n${run.log}`);
    } catch (error) {
      run.#child.kill("SIGKILL");
      throw error;
    }
    early.catch(() => {});
    return run;
  }

  /** Asks it to stop, and expects it to do so in good order and time. To ask again does no harm. */
  async stop() {
    this.#child.kill("SIGTERM");
    const [code] = await within(this.#exited, STOPS_WITHIN_MS, () => `The server did not stop.\n${this.log}`);
    assert.equal(code, 0, `The server stopped with code ${code}.\n${this.log}`);
  }
}

/**
 * A UDP port where everything that arrives is swallowed, as behind a firewall that drops it.
 * @param {import("node:test").TestContext} t
 */
export async function blackHole(t) {
  const socket = dgram.createSocket("udp4");
  let swallowed = 0;
  socket.on("message", () => (swallowed += 1));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return { port: socket.address().port, swallowed: () => swallowed };
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {() => string} complaint
 * @returns {Promise<T>}
 */
async function within(promise, ms, complaint) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(complaint())), ms)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Two ports that are free now, both held until both are known. */
async function freePorts() {
  const holders = [net.createServer(), net.createServer()];
  await Promise.all(holders.map((holder) => once(holder.listen(0, "127.0.0.1"), "listening")));
  const ports = holders.map((holder) => holder.address().port);
  await Promise.all(holders.map((holder) => once(holder.close(), "close")));
  return ports;
}

/** The settings of whoever runs the tests are not those of the tests. @param {NodeJS.ProcessEnv} env */
function withoutSettings(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(DUOLOGUE_|NODE_ENV$|PORT$|CORS_ORIGIN$)/u.test(name)));
}
