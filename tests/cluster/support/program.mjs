/**
 * A program of a test: started, killed, stopped and started again where it was, and never left behind. It
 * ends with the test, on Ctrl-C, and (by the kernel) when the test itself is killed.
 */

import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import net from "node:net";

/** All that run, for the end. @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
/** As much of each log as is kept, in characters: the end of it tells why something failed. */
const LOG_KEPT = 256 * 1024;

function killAll() {
  for (const child of running) {
    signal(child, "SIGKILL");
  }
}

/** To it and to what it has started itself, as nginx does: each program leads a group of its own. */
function signal(child, name) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}
process.on("exit", killAll);
for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]]) process.once(name, () => process.exit(code));

/**
 * @typedef {{ name: string, command: string[], env?: NodeJS.ProcessEnv, cwd?: string, ready: () => Promise<boolean>,
 *   startsWithinMs?: number, file?: string }} Plan `file`: where its log goes as well
 */

export class Program {
  /** Of all its lives. */
  log = "";
  #plan;
  #child;
  #exited;

  /** @param {Plan} plan */
  constructor(plan) {
    this.#plan = plan;
  }

  get name() {
    return this.#plan.name;
  }

  get pid() {
    return this.#child?.pid;
  }

  get isRunning() {
    return this.#child !== undefined && running.has(this.#child);
  }

  /** Resolves when it is ready. */
  async start() {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { command, env, cwd, ready, startsWithinMs = 15_000, file } = this.#plan;
    // The kernel kills it when this process dies, however that is.
    const [program, ...args] = process.platform === "linux" ? ["setpriv", "--pdeathsig", "KILL", ...command] : command;
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    running.add(child);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.log = (this.log + text).slice(-LOG_KEPT);
        if (file) appendFileSync(file, text);
      });
    }
    this.#exited = new Promise((resolve) => {
      const over = (how) => {
        running.delete(child);
        resolve(how);
      };
      child.once("exit", (code, signal) => over({ code, signal }));
      child.once("error", (error) => over({ code: -1, signal: null, error }));
    });
    try {
      await until(async () => {
        if (!this.isRunning) throw new Error(`${this.name} ended at once`);
        return ready();
      }, startsWithinMs, () => `${this.name} is not ready`);
    } catch (error) {
      await this.kill();
      throw new Error(`${error.message}\n${this.log}`, { cause: error });
    }
    return this;
  }

  /** As a power cut does. To ask again does no harm. */
  async kill() {
    if (this.#child) signal(this.#child, "SIGKILL");
    await this.#exited;
  }

  /** SIGTERM, and how it ended: its code, its signal, and after how many milliseconds. */
  async drain(withinMs = 15_000) {
    const began = performance.now();
    this.#child?.kill("SIGTERM");
    const ended = await within(this.#exited, withinMs, () => `${this.name} did not stop in ${withinMs} ms.\n${this.log}`);
    return { ...ended, ms: performance.now() - began };
  }

  /** It does nothing any more, and its connections stand. */
  freeze() {
    if (this.#child) signal(this.#child, "SIGSTOP");
  }

  thaw() {
    if (this.#child) signal(this.#child, "SIGCONT");
  }
}

/**
 * Waits until something is so: asked again each 25 ms, since it is another process that must be so.
 * @param {() => boolean | Promise<boolean>} so
 * @param {number} ms
 * @param {() => string} complaint
 */
export async function until(so, ms, complaint) {
  const end = performance.now() + ms;
  while (!(await so())) {
    if (performance.now() > end) throw new Error(`${complaint()} after ${ms} ms`);
    await rest(25);
  }
}

/** @param {number} ms */
export const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {() => string} complaint
 * @returns {Promise<T>}
 */
export async function within(promise, ms, complaint) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(complaint())), ms)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ports that were given to someone here, who may not listen on them yet. @type {Set<number>} */
const given = new Set();

/**
 * So many ports of 127.0.0.1 that are free now, for TCP and for UDP; all held until all are known. From below those that
 * the system itself gives to whoever connects somewhere: one of these may be taken again before it is listened on.
 * @param {number} count
 */
export async function freePorts(count) {
  const held = [];
  const ports = [];
  while (ports.length < count) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const tcp = net.createServer();
    const udp = dgram.createSocket("udp4");
    const binds = (socket, bind) => new Promise((resolve) => {
      socket.once("error", () => resolve(false));
      bind(() => resolve(true));
      held.push(socket);
    });
    const free = await binds(tcp, (done) => tcp.listen(port, "127.0.0.1", done)) && await binds(udp, (done) => udp.bind(port, "127.0.0.1", done));
    if (!free || given.has(port)) continue;
    given.add(port);
    ports.push(port);
  }
  await Promise.all(held.map((holder) => new Promise((resolve) => holder.close(() => resolve()))));
  return ports;
}

/** Whether something accepts connections there. @param {number} port */
export function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
