/** A real coturn with config/turnserver.conf, on free ports. One that is missing fails the test. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { TurnClient } from "./stun.mjs";

const FILE = path.resolve(import.meta.dirname, "../../../config/turnserver.conf");
const TURNSERVER = process.env.TURNSERVER_BIN ?? "turnserver";
const UNAUTHORIZED = 401;
const STARTS_WITHIN_MS = 10_000;
/** So many relays at once; coturn opens none of these ports before it needs it. */
const PORTS = 400;
/** On loopback, the peers are what the file denies. */
const LOOPBACK_PEERS = ["--allow-loopback-peers", "--allowed-peer-ip=127.0.0.0-127.255.255.255"];

/**
 * @typedef {object} Turn
 * @property {number} port for UDP and TCP
 * @property {number} tlsPort
 * @property {string} secret
 * @property {string[]} urls
 * @property {Record<string, string>} settings of a server that gives out its credentials
 * @property {(life?: number) => { username: string, credential: string }} credentials as the server makes them; `life` in seconds
 * @property {() => { opened: number, closed: number, users: string[] }} sessions relays that were given, and to whom
 * @property {() => Promise<void>} restart it is killed and is there again, and knows of no relay that it gave
 * @property {() => string} log
 */

/**
 * Starts one that stops with the test.
 * @param {import("node:test").TestContext} t
 * @param {{ host?: string, options?: string[], secret?: null, tls?: { cert: string, key: string }, verbose?: boolean }} [how]
 *   `options`: for the command line; `secret`: null to leave it as the file has it; `verbose`: it says what {@link Turn.sessions} counts
 * @returns {Promise<Turn>}
 */
export async function startTurn(t, { host = "127.0.0.1", options = LOOPBACK_PEERS, tls, verbose = true, ...how } = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-turn-"));
  const secret = randomBytes(16).toString("hex");
  const [port, tlsPort] = await freePorts(host);
  const first = 20_000 + Math.floor(Math.random() * 30) * PORTS;
  const args = ["-c", FILE,
    `--listening-ip=${host}`, `--relay-ip=${host}`, `--listening-port=${port}`, `--tls-listening-port=${tlsPort}`,
    `--min-port=${first}`, `--max-port=${first + PORTS - 1}`,
    ...(how.secret === null ? [] : [`--static-auth-secret=${secret}`]),
    ...(tls ? [`--cert=${tls.cert}`, `--pkey=${tls.key}`] : []),
    ...(verbose ? ["--verbose"] : []),
    `--pidfile=${path.join(folder, "pid")}`, `--userdb=${path.join(folder, "db")}`, ...options];
  let log = "";
  const launch = async () => {
    const child = spawn(TURNSERVER, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    const exited = once(child, "exit");
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (log += text));
    /** It has no talk to end in good order. */
    const kill = async () => {
      child.kill("SIGKILL");
      await exited;
    };
    try {
      await started(host, port, exited, () => log);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    return { kill };
  };
  let life = await launch();
  t.after(async () => {
    await life.kill();
    await rm(folder, { recursive: true });
    if (!t.passed) console.error(log);
  });

  // It makes its database at the first question. Two at once meet there, and one of its threads refuses everybody from then on.
  const stranger = await TurnClient.open(t, { host, port });
  assert.equal((await stranger.allocate(credentialsOf("none", 600))).code, UNAUTHORIZED);

  const urls = [`turn:${host}:${port}?transport=udp`, `turn:${host}:${port}?transport=tcp`];
  return {
    port,
    tlsPort,
    secret,
    urls,
    settings: { DUOLOGUE_CALLS_TURN: urls.join(","), DUOLOGUE_CALLS_TURN_SECRET: secret, DUOLOGUE_CALLS_RELAY_NETWORKS: "127.0.0.0/8" },
    credentials: (life = 600) => credentialsOf(secret, life),
    sessions: () => ({
      opened: count(log, /session \d+: new, /gu),
      closed: count(log, /session \d+: closed \(2nd stage\)/gu),
      users: [...new Set([...log.matchAll(/session \d+: new, realm=<[^>]*>, username=<([^>]*)>/gu)].map(([, user]) => user))],
    }),
    restart: async () => {
      await life.kill();
      life = await launch();
    },
    log: () => log,
  };
}

/**
 * What lets someone use the relay for so many seconds from now, or did until so many seconds ago.
 * @param {string} secret
 * @param {number} life
 */
export function credentialsOf(secret, life) {
  const username = `${Math.floor(Date.now() / 1000) + life}:${randomBytes(6).toString("hex")}`;
  return { username, credential: createHmac("sha1", secret).update(username).digest("base64") };
}

/**
 * @param {string} host
 * @param {number} port
 * @param {Promise<unknown[]>} exited
 * @param {() => string} log
 */
async function started(host, port, exited, log) {
  let gone = false;
  exited.then(() => (gone = true), () => (gone = true));
  const until = performance.now() + STARTS_WITHIN_MS;
  while (!gone && performance.now() < until) {
    if (await connects(host, port)) return;
    await pause(25);
  }
  await Promise.race([exited, undefined]).catch((cause) => assert.fail(`coturn is needed (apt install coturn): ${cause.message}`));
  assert.fail(`coturn did not start.\n${log()}`);
}

/** @param {string} host @param {number} port @returns {Promise<boolean>} */
function connects(host, port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, host);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false)).once("connect", () => socket.destroy());
  });
}

/** Two ports that are free now, for TCP and UDP. @param {string} host */
async function freePorts(host) {
  const holders = await Promise.all([0, 1].map(async () => {
    const holder = net.createServer();
    await once(holder.listen(0, host), "listening");
    const { port } = /** @type {net.AddressInfo} */ (holder.address());
    const socket = dgram.createSocket(net.isIPv6(host) ? "udp6" : "udp4");
    await once(socket.bind(port, host), "listening");
    return { holder, socket, port };
  }));
  for (const { holder, socket } of holders) await Promise.all([once(holder.close(), "close"), once(socket.close(), "close")]);
  return holders.map(({ port }) => port);
}

/** @param {string} text @param {RegExp} what */
function count(text, what) {
  return [...text.matchAll(what)].length;
}
