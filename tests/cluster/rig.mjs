/**
 * A service of several nodes on one machine, for tests: real processes on loopback, which can be killed, drained,
 * frozen and cut off. All of it ends with the test, whatever happens.
 *
 *   const rig = await Rig.open(t, { nodes: 3, redis: true, mongodb: true });
 *   await rig.nodes[0].kill();
 *   await rig.nodes[0].start();
 *   rig.wires[1].silence();                        // between the second node and Redis
 *   const { report } = await rig.load(["--pairs", "20", "--duration", "30"]);
 */

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { freePorts, Program, rest, until } from "./support/program.mjs";
import { mongodb, redis } from "./support/services.mjs";
import { Wire } from "./support/wire.mjs";

export { Program, rest, until } from "./support/program.mjs";
export { Wire } from "./support/wire.mjs";

const run = promisify(execFile);
const BINARY = process.env.DUOLOGUE_BIN ?? path.resolve(import.meta.dirname, "../../target/release/duologue");
/** Everyone of a test has one address and may do more than a person does. */
const ALWAYS = {
  DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR: "1000000",
  DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR: "1000000",
  DUOLOGUE_LIMITS_UPLOADS_PER_HOUR: "1000000",
  DUOLOGUE_LIMITS_HANDSHAKES_PER_MINUTE: "1000000",
  DUOLOGUE_LIMITS_EVENTS_PER_MINUTE: "1000000",
  DUOLOGUE_LOG_FOLDER: "off",
};
/** After its last message a load waits up to 40 s for what was said to come; and it has to begin. */
const LOAD_BESIDE_MS = 70_000;
/** What the nodes log, where more than usual is wanted: `RIG_LOG=info,duologue=debug`. The last rig's is in {@link LOGS} then. */
const LOG = process.env.RIG_LOG;
const LOGS = path.resolve(import.meta.dirname, "../../target/rig");
/** How often counts were asked for. */
let asked = 0;

/**
 * @typedef {object} Wishes
 * @property {number} [nodes]
 * @property {boolean} [redis] with it the nodes are one service; each reaches it by a wire of its own
 * @property {boolean} [mongodb] without it each node has a store of its own
 * @property {Record<string, string> | ((number: number) => Record<string, string>)} [settings] beside the usual: for
 *   every node, or for each by its number from 1
 */

/** A node: a program that knows where it is. */
export class Node extends Program {
  #settings;

  /** @param {{ name: string, http: number, tls: number, folder: string, env: NodeJS.ProcessEnv }} plan */
  constructor({ name, http, tls, folder, env }) {
    const url = `http://127.0.0.1:${http}`;
    const file = LOG && path.join(LOGS, `${name}.log`);
    super({ name, command: [BINARY], cwd: folder, env, file, ready: () => isHealthy(url) });
    this.http = http;
    this.tls = tls;
    this.url = url;
    this.#settings = { cwd: folder, env };
  }

  /** Runs the program once, with this node's settings, to its end. @param {string[]} words */
  run(words) {
    return run(BINARY, words, this.#settings);
  }

  /** Whether it takes newcomers. */
  isReady() {
    return isHealthy(this.url);
  }

  /** What `GET /health` says. @returns {Promise<{ status: string, store?: string, cluster?: string }>} */
  async health() {
    return (await fetch(`${this.url}/health`)).json();
  }

  /**
   * `GET /api/socket/stats`, each time from another address (all of 127.0.0.0/8 is this machine), so that the limits
   * of requests are there for the test.
   * @returns {Promise<any>}
   */
  async stats() {
    asked += 1;
    const localAddress = `127.200.${Math.floor(asked / 250) % 250}.${1 + (asked % 250)}`;
    const response = await new Promise((resolve, reject) => {
      const request = get(`${this.url}/api/socket/stats`, { localAddress, agent: false, timeout: 2_000 }, resolve);
      request.on("timeout", () => request.destroy(new Error(`${this.name} does not tell its counts`))).on("error", reject);
    });
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    return JSON.parse(text).data;
  }
}

export class Rig {
  /** @type {Node[]} */
  nodes = [];
  /** Between each node and Redis, by the node's number. @type {Wire[]} */
  wires = [];
  /** @type {Program | undefined} */
  redis;
  /** @type {Program | undefined} */
  mongodb;
  folder = "";
  /** Programs besides, which end with it. @type {Program[]} */
  #others = [];

  /**
   * @param {import("node:test").TestContext} t with which it ends; what was logged is told when that failed
   * @param {Wishes} [wishes]
   */
  static async open(t, wishes = {}) {
    const rig = new Rig();
    t.after(async () => {
      await rig.close();
      if (!t.passed) for (const { name, log } of rig.#programs()) console.error(`--- ${name}\n${log.slice(-6_000)}`);
    });
    await rig.#begin(wishes);
    return rig;
  }

  /** @param {Wishes} wishes */
  async #begin({ nodes = 3, redis: withRedis = false, mongodb: withMongodb = false, settings = {} }) {
    if (LOG) {
      await rm(LOGS, { recursive: true, force: true });
      await mkdir(LOGS, { recursive: true });
    }
    this.folder = await mkdtemp(path.join(tmpdir(), "duologue-rig-"));
    const ports = await freePorts(2 + 3 * nodes);
    const [redisPort, mongoPort] = ports.splice(0, 2);
    if (withRedis) this.redis = await redis({ folder: this.folder, port: redisPort }).start();
    if (withMongodb) {
      this.mongodb = await mongodb({ folder: path.join(this.folder, "mongodb"), port: mongoPort });
      await this.mongodb.start();
    }
    const secret = randomBytes(32).toString("hex");
    for (let number = 1; number <= nodes; number += 1) {
      const [http, tls, link] = ports.splice(0, 3);
      const folder = path.join(this.folder, `node${number}`);
      await mkdir(folder);
      const env = {
        ...withoutSettings(process.env),
        DUOLOGUE_LISTEN_HTTP: `127.0.0.1:${http}`,
        DUOLOGUE_LISTEN_HTTPS: `127.0.0.1:${tls}`,
        DUOLOGUE_LISTEN_QUIC: `127.0.0.1:${tls}`,
        DUOLOGUE_AUTH_JWT_SECRET: secret,
        ...ALWAYS,
        ...(LOG && { DUOLOGUE_LOG_LEVEL: LOG }),
      };
      if (withRedis) {
        const wire = await new Wire(redisPort).open();
        this.wires.push(wire);
        env.DUOLOGUE_CLUSTER_REDIS = `redis://127.0.0.1:${wire.port}`;
        env.DUOLOGUE_CLUSTER_LISTEN = `127.0.0.1:${link}`;
        env.DUOLOGUE_CLUSTER_ADVERTISE = `127.0.0.1:${link}`;
      }
      if (withMongodb) env.DUOLOGUE_STORE_MONGODB = `mongodb://127.0.0.1:${mongoPort}/duologue`;
      Object.assign(env, typeof settings === "function" ? settings(number) : settings);
      this.nodes.push(new Node({ name: `node${number}`, http, tls, folder, env }));
    }
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  /** A program that ends with the rig. @template {Program} P @param {P} program @returns {P} */
  keep(program) {
    this.#others.push(program);
    return program;
  }

  /** The nodes' counts, added up. Those that do not run count nothing. */
  async totals() {
    const all = await Promise.all(this.nodes.filter(({ isRunning }) => isRunning).map((node) => node.stats()));
    const sum = (of) => all.reduce((total, stats) => total + of(stats), 0);
    return {
      conversations: sum(({ conversations }) => conversations),
      waiting: sum(({ waiting }) => waiting),
      transfers: sum(({ transfers }) => transfers.offered + transfers.moving),
      sessions: sum(({ connections: { webtransport, websocket, socketio } }) => webtransport + websocket + socketio),
      parked: sum(({ connections }) => connections.parked),
    };
  }

  /**
   * Nobody is there or talks any more, within so many milliseconds. Who went without a word still has a while to come back;
   * over QUIC, and in no conversation, that they went is known after `session.dead_idle_ms` (27 s).
   */
  async comesToRest(ms = 32_000) {
    let totals;
    const over = async () => {
      const { parked: _, ...others } = (totals = await this.totals());
      return Object.values(others).every((count) => count === 0);
    };
    await until(over, ms, () => `the nodes still hold ${JSON.stringify(totals)}`);
  }

  /** All nodes that run are ready, within so many milliseconds. */
  async allReady(ms = 5_000) {
    const ready = async () => (await Promise.all(this.nodes.filter(({ isRunning }) => isRunning).map((node) => node.isReady()))).every(Boolean);
    await until(ready, ms, () => "a node is not ready");
  }

  /** All nodes that run say so of what they share. @param {"ok" | "unavailable"} word */
  async allSay(word, ms = 5_000) {
    const heard = async () => Promise.all(this.nodes.filter(({ isRunning }) => isRunning).map((node) => node.health()));
    await until(async () => (await heard()).every(({ cluster }) => cluster === word), ms, () => `a node does not say that Redis is ${word}`);
  }

  /**
   * `duologue load` with these words, against these servers, and what it found. It runs meanwhile.
   * @param {string[]} words
   * @param {string[]} [servers] by turns, one pair's two people on different ones
   * @param {Record<string, string>} [env]
   */
  load(words, servers = this.nodes.map(({ url }) => url), env = {}) {
    const at = words.indexOf("--duration");
    const seconds = at < 0 ? 30 : Number(words[at + 1]);
    const nodes = servers.flatMap((server) => ["--server", server]);
    const spread = servers.length > 1 ? ["--spread"] : [];
    return runLoad([...words, ...spread, ...nodes], env, seconds * 1000 + LOAD_BESIDE_MS);
  }

  #programs() {
    return [...this.#others, ...this.nodes, this.redis, this.mongodb].filter((program) => program !== undefined);
  }

  async close() {
    await Promise.all(this.#programs().map((program) => program.kill()));
    await Promise.all(this.wires.map((wire) => wire.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * The report is there also where promises were broken: it says which.
 * @param {string[]} words
 * @param {Record<string, string>} env
 * @param {number} ms
 * @returns {Promise<Report>}
 */
async function runLoad(words, env, ms) {
  const child = spawn(BINARY, ["load", "--json", ...words], { env: { ...withoutSettings(process.env), ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const killed = () => child.kill("SIGKILL");
  process.once("exit", killed);
  const timer = setTimeout(killed, ms);
  let out = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  process.off("exit", killed);
  const start = out.indexOf("{");
  if (start < 0) throw new Error(`duologue load ${words.join(" ")}: code ${code}, signal ${signal}\n${out}${said}`);
  return JSON.parse(out.slice(start));
}

/**
 * As `duologue load --json` prints it (src/load/report.rs).
 * @typedef {object} Report
 * @property {number} pairs
 * @property {number} said
 * @property {number} heard
 * @property {number} linksLost
 * @property {{ count: number, p50: number, p99: number, max: number }} withoutLink milliseconds
 * @property {Record<string, number>} broken
 * @property {string[]} failures
 */

/** @param {string} url */
async function isHealthy(url) {
  try {
    return (await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

/** The settings of whoever runs the tests are not those of the tests. @param {NodeJS.ProcessEnv} env */
export function withoutSettings(env) {
  const theirs = /^(DUOLOGUE_|NODE_ENV$|PORT$|CORS_ORIGIN$|MONGODB_URI$|REDIS_URL$|JWT_|MAX_)/u;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !theirs.test(name)));
}
