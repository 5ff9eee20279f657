/**
 * Duologue's Socket.IO door beside the original's stack (relay.mjs), with the same clients, by turns.
 * Prints the tables of docs/benchmarks.md. `node bench.mjs [--rounds 3] [--seconds 4] [--idle 1000,5000]`
 * `--receipts`: relay.mjs tells the sender of each message, as Duologue does.
 */

import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

const BINARY = process.env.DUOLOGUE_BIN ?? path.resolve(import.meta.dirname, "../../target/release/duologue");
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    idle: { type: "string", default: "1000,5000" },
    receipts: { type: "boolean", default: false },
  },
});
const TALKS = [
  { name: "50 pairs, one message under way in each", pairs: 50, underWay: 1 },
  { name: "200 pairs, one message under way in each", pairs: 200, underWay: 1 },
  { name: "50 pairs, 20 messages under way in each", pairs: 50, underWay: 20 },
];
const SERVERS = ["duologue", "relay"];
/** What a clock tick of /proc is, in seconds. */
const TICK = 1 / 100;
/** As many events as the clients can say; the original has no limit in its code. */
const ROOM = {
  DUOLOGUE_LIMITS_EVENTS_PER_MINUTE: "1000000",
  DUOLOGUE_LIMITS_AUTH_PER_QUARTER_HOUR: "1000000",
  DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR: "1000000",
  DUOLOGUE_LIMITS_HANDSHAKES_PER_MINUTE: "1000000",
  DUOLOGUE_LOG_LEVEL: "warn",
  DUOLOGUE_LOG_FOLDER: "off",
  DUOLOGUE_LISTEN_HTTPS: "off",
  DUOLOGUE_LISTEN_QUIC: "off",
};

/** A server and its clients, each in a process of its own. */
class Run {
  static async start(server) {
    const run = new Run();
    run.folder = await mkdtemp(path.join(tmpdir(), "duologue-bench-"));
    const env = { PATH: process.env.PATH, NODE_ENV: "production", ...(values.receipts && { RECEIPTS: "1" }) };
    const relay = [process.execPath, [path.join(import.meta.dirname, "relay.mjs")], env];
    const ours = [BINARY, [], { PATH: process.env.PATH, DUOLOGUE_LISTEN_HTTP: "127.0.0.1:0", ...ROOM }];
    const [file, args, variables] = server === "relay" ? relay : ours;
    run.server = spawn(file, args, { cwd: run.folder, env: variables, stdio: ["ignore", "pipe", "inherit"] });
    run.clients = fork(path.join(import.meta.dirname, "clients.mjs"));
    run.url = await new Promise((resolve, reject) => {
      let said = "";
      run.server.stdout.setEncoding("utf8").on("data", (piece) => {
        said += piece;
        const open = /Open\s+(http:\/\/[^\s/]+)[\s/]/u.exec(said);
        if (open) resolve(open[1].replace("localhost", "127.0.0.1"));
      });
      run.server.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    });
    run.tokens = server === "relay" ? async (count) => Array.from({ length: count }, (_, at) => `${Math.random()}-${at}`) : (count) => guests(run.url, count);
    return run;
  }

  async order(name, order = {}) {
    this.clients.send({ name, order });
    const [{ result, error }] = await once(this.clients, "message");
    if (error) throw new Error(error);
    return result;
  }

  async connect(count) {
    const { connected } = await this.order("connect", { url: this.url, tokens: await this.tokens(count) });
    return connected;
  }

  /** Seconds of processor that the server has used. */
  async processor() {
    const fields = (await readFile(`/proc/${this.server.pid}/stat`, "utf8")).split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  }

  /** What is resident of the server, in KiB. */
  async resident() {
    return Number(/VmRSS:\s+(\d+)/u.exec(await readFile(`/proc/${this.server.pid}/status`, "utf8"))[1]);
  }

  async stop() {
    this.clients.kill("SIGKILL");
    this.server.kill("SIGKILL");
    await Promise.all([this.clients, this.server].map((child) => child.exitCode ?? child.signalCode ?? once(child, "exit")));
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function guests(url, count) {
  const one = async () => {
    const answer = await fetch(`${url}/api/auth/guest`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    return (await answer.json()).data.token;
  };
  const tokens = [];
  while (tokens.length < count) tokens.push(...(await Promise.all(Array.from({ length: Math.min(50, count - tokens.length) }, one))));
  return tokens;
}

async function talk(server, { pairs, underWay }) {
  const run = await Run.start(server);
  try {
    await run.connect(2 * pairs);
    await run.order("match");
    await run.order("talk", { underWay, seconds: 1 });
    const before = await run.processor();
    const { messages, ...told } = await run.order("talk", { underWay, seconds: Number(values.seconds) });
    return { ...told, processor: ((await run.processor()) - before) / (messages / 100_000) };
  } finally {
    await run.stop();
  }
}

async function idle(server, count) {
  const run = await Run.start(server);
  try {
    // The first connections make what is there once for all.
    await run.connect(20);
    const before = await run.resident();
    const connected = await run.connect(count);
    if (connected !== count + 20) throw new Error(`${connected} of ${count + 20} are connected`);
    return { before: before / 1024, each: ((await run.resident()) - before) / count };
  } finally {
    await run.stop();
  }
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
/** The medians of what came of several runs. */
const medians = (runs) => Object.fromEntries(Object.keys(runs[0]).map((key) => [key, median(runs.map((run) => run[key]))]));
const thousands = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/gu, " ");
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);

row("", "Duologue", "socket.io on ws", "ratio");
row("---", "---", "---", "---");
for (const how of TALKS) {
  const runs = { duologue: [], relay: [] };
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const server of round % 2 ? SERVERS.toReversed() : SERVERS) runs[server].push(await talk(server, how));
  }
  const [ours, theirs] = SERVERS.map((server) => medians(runs[server]));
  const line = (what, key, shown, unit) => row(`${how.name}: ${what}`, `${shown(ours[key])}${unit}`, `${shown(theirs[key])}${unit}`, (ours[key] / theirs[key]).toFixed(2));
  line("messages a second", "perSecond", thousands, "");
  line("emitted to heard, p50", "p50", (ms) => ms.toFixed(2), " ms");
  line("p99", "p99", (ms) => ms.toFixed(2), " ms");
  line("processor of the server for 100 000 messages", "processor", (s) => s.toFixed(2), " s");
}
console.log();
row("", "Duologue", "socket.io on ws", "ratio");
row("---", "---", "---", "---");
for (const [at, count] of values.idle.split(",").map(Number).entries()) {
  const told = {};
  for (const server of at % 2 ? SERVERS.toReversed() : SERVERS) told[server] = await idle(server, count);
  const { duologue, relay } = told;
  if (at === 0) row("resident with 20 connections", `${duologue.before.toFixed(1)} MiB`, `${relay.before.toFixed(1)} MiB`, (duologue.before / relay.before).toFixed(2));
  row(`each of ${thousands(count)} idle connections`, `${duologue.each.toFixed(1)} KiB`, `${relay.each.toFixed(1)} KiB`, (duologue.each / relay.each).toFixed(2));
}
