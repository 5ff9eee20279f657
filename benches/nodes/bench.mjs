/**
 * What several nodes cost beside one: messages, matches, commands of Redis, a drain. Prints the tables of
 * docs/benchmarks.md. Clients, nodes and Redis are on one machine: read the ratios. `run` starts it.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { rest, Rig, until } from "../../tests/cluster/rig.mjs";
import { freePorts } from "../../tests/cluster/support/program.mjs";
import { redis } from "../../tests/cluster/support/services.mjs";
import { arrive, each, meet, part } from "./people.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "8" },
    waiting: { type: "string", default: "10000" },
    rounds: { type: "string", default: "3" },
    sessions: { type: "string", default: "1000" },
  },
});
const SECONDS = Number(values.seconds);
const WAITING = Number(values.waiting);
const ROUNDS = Number(values.rounds);
/** What a clock tick of /proc is, in seconds. */
const TICK = 1 / 100;
const ROOM = {
  DUOLOGUE_LIMITS_MATCHES_PER_MINUTE: "1000000",
  DUOLOGUE_LIMITS_MAX_PARKED: "20000",
  DUOLOGUE_LOG_LEVEL: process.env.BENCH_LOG ?? "warn",
  // The same two meet again and again, and whoever waits for their own interest waits on.
  DUOLOGUE_MATCHING_AVOID_LAST: "0",
  DUOLOGUE_MATCHING_WIDER_AFTER_MS: "3600000",
  DUOLOGUE_MATCHING_ANYONE_AFTER_MS: "3600000",
};

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const median = (numbers) => quantile(numbers, 0.5);
const medians = (runs) => Object.fromEntries(Object.keys(runs[0]).map((key) => [key, median(runs.map((run) => run[key]))]));
function quantile(numbers, part) {
  return [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(part * numbers.length))];
}
const thousands = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/gu, " ");
const ms = (number) => `${number < 10 ? number.toFixed(2) : number.toFixed(0)} ms`;
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
function table(...heads) {
  console.log();
  row(...heads);
  row(...heads.map(() => "---"));
}
/** A figure of nothing is none. */
function measured(so, what) {
  if (!so) throw new Error(`nothing was measured: ${what}`);
}

/** Nodes for one part of this. With Redis they are one service, and reach it themselves: a proxy would be measured, too. */
class Service {
  static async with(nodes, withRedis, settings, work) {
    const ends = [];
    const service = new Service();
    const t = { passed: true, after: (end) => ends.unshift(end) };
    try {
      const where = await mkdtemp(path.join(tmpdir(), "duologue-bench-"));
      ends.push(() => rm(where, { recursive: true, force: true }));
      const [port, ...links] = await freePorts(1 + nodes);
      if (withRedis) {
        const program = await redis({ folder: where, port }).start();
        ends.unshift(() => program.kill());
        service.redis = program;
        service.port = port;
      }
      const cluster = (number) => withRedis && {
        DUOLOGUE_CLUSTER_REDIS: `redis://127.0.0.1:${port}`,
        DUOLOGUE_CLUSTER_LISTEN: `127.0.0.1:${links[number - 1]}`,
        DUOLOGUE_CLUSTER_ADVERTISE: `127.0.0.1:${links[number - 1]}`,
      };
      service.rig = await Rig.open(t, { nodes, settings: (number) => ({ ...ROOM, ...cluster(number), ...settings }) });
      service.urls = service.rig.nodes.map(({ url }) => url);
      // Everyone has read everyone's card: the beat is of a second.
      if (withRedis) await rest(2_500);
      return await work(service);
    } catch (error) {
      t.passed = false;
      throw error;
    } finally {
      for (const end of ends) await end();
    }
  }

  /** Seconds of processor that a program has used. */
  async processor({ pid }) {
    const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  }

  /** Of each node. */
  async processors() {
    return Promise.all(this.rig.nodes.map((node) => this.processor(node)));
  }

  /** Links at each node. */
  async links() {
    const all = await Promise.all(this.rig.nodes.map((node) => node.stats()));
    return all.map(({ connections: { webtransport, websocket } }) => webtransport + websocket);
  }

  /** INFO commandstats: for each command its calls and microseconds, those of scripts included. */
  async commands() {
    const text = await new Promise((resolve, reject) => {
      let all = "";
      const socket = connect(this.port, "127.0.0.1", () => socket.end("INFO commandstats\r\n"));
      socket.setEncoding("utf8").on("data", (piece) => (all += piece)).on("end", () => resolve(all)).on("error", reject);
    });
    const found = {};
    for (const [, name, calls, usec] of text.matchAll(/cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gu)) found[name] = { calls: Number(calls), usec: Number(usec) };
    return found;
  }
}

// ---------------------------------------------------------------------------------------------- messages

const PAIRS = 50;
const RATES = [10, 50, 150];

async function messages() {
  const rows = [];
  // Those who have gone are soon forgotten: a node that has more sessions than the other sends newcomers there.
  await Service.with(2, true, { DUOLOGUE_SESSION_RESUME_WINDOW_MS: "1000" }, async (service) => {
    for (const door of ["websocket", "webtransport"]) {
      for (const rate of RATES) {
        const runs = { one: [], two: [] };
        for (let round = 0; round < ROUNDS; round += 1) {
          for (const how of round % 2 ? ["two", "one"] : ["one", "two"]) runs[how].push(await talk(service, door, rate, how));
        }
        rows.push([door, rate, medians(runs.one), medians(runs.two)]);
      }
    }
  });
  table(`${PAIRS} pairs`, "said a second", "on one node: heard a second", "p50", "p99", "on two: heard a second", "p50", "p99", "ratio p50", "p99");
  for (const [door, rate, one, two] of rows) {
    row(door === "websocket" ? "WebSocket" : "WebTransport", thousands(2 * PAIRS * rate), thousands(one.heard), ms(one.p50), ms(one.p99),
      thousands(two.heard), ms(two.p50), ms(two.p99), (two.p50 / one.p50).toFixed(2), (two.p99 / one.p99).toFixed(2));
  }
  table("processor of all nodes for 100 000 messages", "said a second", "on one node", "on two", "ratio");
  // At lower rates the arrival of everyone weighs more than what they say.
  for (const [door, rate, one, two] of rows.filter(([, rate]) => rate === Math.max(...RATES))) {
    row(door === "websocket" ? "WebSocket" : "WebTransport", thousands(2 * PAIRS * rate), `${one.processor.toFixed(2)} s`, `${two.processor.toFixed(2)} s`, (two.processor / one.processor).toFixed(2));
  }
}

async function talk(service, door, rate, how) {
  const servers = how === "one" ? service.urls.slice(0, 1) : service.urls;
  await until(async () => (await service.rig.totals()).parked === 0, 15_000, () => "sessions do not end");
  await rest(2_500);
  const before = await service.processors();
  const loading = service.rig.load(["--pairs", `${PAIRS}`, "--doors", door, "--rate", `${rate}`, "--ramp", "0.5", "--duration", `${SECONDS}`], servers);
  // Are they where they are to be? A session counts where it is, and its client may be at the other node.
  let homes;
  const seen = until(async () => (homes = await service.links()).reduce((sum, at) => sum + at) >= 2 * PAIRS, 15_000, () => `sessions at nodes: ${homes}`);
  const [report] = await Promise.all([loading, seen]);
  const after = await service.processors();
  const each = after.map((at, node) => at - before[node]);
  const processor = sum(each);
  if (how === "one" ? homes[1] > 0 : Math.min(...each) < processor / 4) throw new Error(`${how}: sessions at nodes ${homes}, processor of nodes ${each}`);
  const broken = Object.values(report.broken).reduce((sum, it) => sum + it, 0);
  if (report.failures.length || broken || report.said !== report.heard) throw new Error(`${door} ${rate} ${how}: ${JSON.stringify(report)}`);
  measured(report.heard > 0 && report.latency.count > 0 && processor > 0, `${door}, ${how}`);
  console.error(`${door} ${rate}/s ${how}: ${report.messagesPerSecond.toFixed(0)} heard/s p50 ${report.latency.p50} p99 ${report.latency.p99} processor ${processor.toFixed(2)} s`);
  return { heard: report.messagesPerSecond, p50: report.latency.p50, p99: report.latency.p99, processor: processor / (report.heard / 100_000) };
}

// ----------------------------------------------------------------------------------------------- matches

const SEEKING = [1, 100];
const WAYS = [
  { name: "one node, without Redis", nodes: 1, redis: false, apart: 0 },
  { name: "three nodes, both on one", nodes: 3, redis: true, apart: 0 },
  { name: "three nodes, on different ones", nodes: 3, redis: true, apart: 1 },
];

async function matches() {
  const rows = [];
  for (const waiting of [0, WAITING]) {
    // Two ways are two pairs of nodes of one service.
    for (const [nodes, withRedis] of [[1, false], [3, true]]) {
      await Service.with(nodes, withRedis, {}, async (service) => {
        const crowd = await arrive(service.urls, waiting);
        await each(crowd, async (person, at) => {
          const matching = person.hears("user:matching");
          person.say("user:match", { interests: [`alone ${at}`] });
          await matching;
        });
        const stands = async () => (await service.rig.totals()).waiting === waiting;
        await until(stands, 30_000, () => `not ${waiting} wait`);
        for (const way of WAYS.filter((it) => it.nodes === nodes)) {
          for (const seeking of SEEKING) {
            const found = await seek(service, way, seeking);
            console.error(`${way.name}, ${waiting} waiting, ${seeking} at once: ${JSON.stringify(found)}`);
            rows.push([waiting, way, seeking, found]);
          }
        }
        if (!(await stands())) throw new Error("those who were to wait do not any more");
      });
    }
  }
  table("", "waiting", "pairs at once", "matches a second", "time to match p50", "p99", "ratio of matches", "of p50", "processor of nodes, a match", "of Redis");
  for (const [waiting, way, seeking, found] of rows) {
    const base = rows.find(([w, { nodes }, s]) => w === waiting && nodes === 1 && s === seeking)[3];
    row(way.name, thousands(waiting), seeking, thousands(found.perSecond), ms(found.p50), ms(found.p99), (found.perSecond / base.perSecond).toFixed(2),
      (found.p50 / base.p50).toFixed(2), `${found.nodes.toFixed(2)} ms`, way.redis ? `${found.redis.toFixed(2)} ms` : "");
  }
}

/** Pairs who meet, part and meet again, for as long as is measured. */
async function seek(service, way, seeking) {
  const people = await arrive(service.urls.slice(0, 1), 0);
  const { urls } = service;
  for (let pair = 0; pair < seeking; pair += 1) {
    for (const at of [pair, pair + way.apart]) people.push((await arrive([urls[at % urls.length]], 1))[0]);
  }
  const times = [];
  let counted = false;
  let going = true;
  const lives = Array.from({ length: seeking }, async (_, pair) => {
    for (let turn = 0; going; turn += 1) {
      const both = people.slice(2 * pair, 2 * pair + 2);
      const [waits, comes] = turn % 2 ? both.reverse() : both;
      const time = await meet(waits, comes, `pair ${pair}`);
      if (counted) times.push(time);
      await part(comes, waits);
    }
  });
  const all = Promise.all(lives);
  all.catch(() => {});
  await Promise.race([all, rest(1_000)]);
  counted = true;
  const began = performance.now();
  const before = [sum(await service.processors()), service.redis ? await service.processor(service.redis) : 0];
  await Promise.race([all, rest(SECONDS * 1000)]);
  counted = false;
  const took = (performance.now() - began) / 1000;
  const after = [sum(await service.processors()), service.redis ? await service.processor(service.redis) : 0];
  going = false;
  await all;
  await Promise.all(people.map((person) => person.go()));
  measured(times.length > 0, `matches: ${way.name}`);
  const [nodes, redisTime] = after.map((at, of) => ((at - before[of]) * 1000) / times.length);
  return { perSecond: times.length / took, p50: median(times), p99: quantile(times, 0.99), nodes, redis: redisTime };
}

// ---------------------------------------------------------------------------------------------- commands

/** Scripts count for one here, and for what they call there. `forget.lua` calls GET and DEL, all else outside is itself. */
function told(before, after, beats) {
  const delta = {};
  for (const [name, { calls, usec }] of Object.entries(after)) {
    if (/^(?:info|command|client|hello|config|cluster)/u.test(name)) continue;
    const was = before[name] ?? { calls: 0, usec: 0 };
    const rest = (beats?.[name] ?? { calls: 0, usec: 0 });
    delta[name] = { calls: calls - was.calls - rest.calls, usec: usec - was.usec - rest.usec };
  }
  return delta;
}
const scaled = (delta, by) => Object.fromEntries(Object.entries(delta).map(([name, { calls, usec }]) => [name, { calls: calls * by, usec: usec * by }]));
/** All that Redis did, and how long it took. What a script took is in the script's time already. */
function summed(delta) {
  const outer = ["evalsha", "eval", "set", "xread", "script|load"];
  let calls = 0;
  let usec = 0;
  for (const [name, it] of Object.entries(delta)) {
    if (name !== "evalsha" && name !== "eval") calls += it.calls;
    if (outer.includes(name)) usec += it.usec;
  }
  return { scripts: delta.evalsha?.calls ?? 0, calls, usec };
}

async function commands() {
  const rows = [];
  await Service.with(3, true, { DUOLOGUE_SESSION_RESUME_WINDOW_MS: "1000" }, async (service) => {
    const { urls } = service;
    const QUIET = 20;
    let before = await service.commands();
    await rest(QUIET * 1000);
    const quiet = told(before, await service.commands());
    const beats = summed(quiet);
    // Each node asks for its beat once a second; what it reads of its inbox waits for up to 2 s.
    measured(beats.scripts > 2 * QUIET && beats.scripts < 4 * QUIET, `${beats.scripts} heartbeats in ${QUIET} s of three nodes`);
    rows.push(["a second of one node (heartbeat, and reading its inbox)", scaled(quiet, 1 / QUIET / 3), QUIET * 3]);

    /** What Redis did for so many of something, the heartbeats meanwhile taken off. */
    const count = async (what, times, work, unit = times) => {
      const from = await service.commands();
      const began = performance.now();
      await work();
      // What is told in the background is told by then.
      await rest(2_000);
      const seconds = (performance.now() - began) / 1000;
      const delta = told(from, await service.commands(), scaled(quiet, seconds / QUIET));
      rows.push([what, scaled(delta, 1 / unit), unit]);
      return delta;
    };

    const PEOPLE = 300;
    let people;
    const { guests, Person } = await import("./people.mjs");
    const tokens = await guests(urls[0], PEOPLE);
    await count("a session's begin", PEOPLE, async () => (people = await each(tokens, (token, at) => Person.come(urls[at % 3], token))));
    measured(people.length === PEOPLE, "sessions");
    await count("a session's end", PEOPLE, async () => {
      await Promise.all(people.map((person) => person.go()));
      await until(async () => (await service.rig.totals()).parked === 0, 10_000, () => "sessions do not end");
    });

    for (const [name, apart] of [["on one node", 0], ["on two nodes", 1]]) {
      const pairs = await each(Array.from({ length: 50 }), async (_, pair) => Promise.all([pair, pair + apart].map(async (at) => (await arrive([urls[at % 3]], 1))[0])));
      await rest(2_000);
      const ROUNDS_EACH = 10;
      let met = 0;
      const both = async () => {
        await each(pairs, async ([waits, comes], pair) => {
          for (let turn = 0; turn < ROUNDS_EACH; turn += 1) {
            await meet(waits, comes, `pair ${pair}`);
            met += 1;
            await part(comes, waits);
          }
        });
      };
      await count(`a match and its end, both ${name}`, pairs.length * ROUNDS_EACH, both);
      measured(met === pairs.length * ROUNDS_EACH, "matches");

      // Now they talk.
      await each(pairs, ([waits, comes], pair) => meet(waits, comes, `pair ${pair}`));
      await rest(2_000);
      const EACH = 200;
      let heard = 0;
      for (const person of pairs.flat()) person.onMessage = () => (heard += 1);
      const delta = await count(`a message, both ${name}`, pairs.length * 2 * EACH, async () => {
        for (let at = 0; at < EACH; at += 1) {
          for (const person of pairs.flat()) person.say("chat:message", { id: `m${at}`, type: "text", content: "x".repeat(64) });
          await rest(10);
        }
        await until(() => heard === pairs.length * 2 * EACH, 20_000, () => `${heard} heard`);
      });
      measured(heard === pairs.length * 2 * EACH, "messages");
      // A beat more or less of each node is what may be left of the heartbeats that are taken off.
      if (Math.abs(delta.evalsha.calls) > 6) throw new Error(`messages cost Redis ${delta.evalsha.calls} scripts`);
      await Promise.all(pairs.flat().map((person) => person.go()));
      await until(async () => (await service.rig.totals()).parked === 0, 10_000, () => "sessions do not end");
      await rest(2_000);
    }
  });
  table("Redis does for", "scripts", "commands, those in scripts included", "of its time", "measured over");
  for (const [what, delta, over] of rows) {
    const { scripts, calls, usec } = summed(delta);
    const shown = (number) => (Math.abs(number) < 0.05 ? "0" : number.toFixed(1));
    row(what, shown(scripts), shown(calls), `${Math.abs(usec) < 1 ? "0" : usec.toFixed(0)} µs`, thousands(over));
    console.error(what, JSON.stringify(Object.fromEntries(Object.entries(delta).filter(([, it]) => Math.abs(it.calls) >= 0.005).map(([name, it]) => [name, `${it.calls.toFixed(2)} / ${it.usec.toFixed(1)} us`]))));
  }
}

// ------------------------------------------------------------------------------------------------- drain

async function drain() {
  const rows = [];
  for (const door of ["websocket", "webtransport"]) {
    await Service.with(3, true, {}, async (service) => {
      const PAIRS_EACH = Number(values.sessions) / 2;
      const loading = service.rig.load(["--pairs", `${3 * PAIRS_EACH}`, "--doors", door, "--rate", "0.2", "--ramp", "8", "--duration", "45"], service.urls);
      const work = (async () => {
        await until(async () => (await service.rig.totals()).conversations === 3 * PAIRS_EACH, 60_000, () => "not all have met");
        const before = await service.links();
        const { code, ms: took } = await service.rig.nodes[0].drain(60_000);
        const drained = performance.now();
        let there;
        const others = async () => (there = (await Promise.all(service.rig.nodes.slice(1).map((node) => node.stats()))).map(({ connections }) => connections));
        const back = async () => sum((await others()).map(({ webtransport, websocket }) => webtransport + websocket)) >= 6 * PAIRS_EACH;
        await until(back, 20_000, () => `the node ended with ${code} in ${took} ms; at the others are ${JSON.stringify(there)}`);
        return { before, code, took, all: took + (performance.now() - drained) };
      })();
      work.catch((error) => console.error(error.message));
      const report = await loading;
      console.error(door, JSON.stringify(report));
      const { before, code, took, all } = await work;
      const resumed = report.linksLost - report.nodesLost;
      // Of a pair at two nodes both are at one, so a third of all is here, more or less.
      measured(before[0] >= 1.6 * PAIRS_EACH && resumed > 0, `sessions at the node before: ${before}`);
      if (code !== 0) throw new Error(`the node ended with ${code}`);
      if (report.conversationsLost || report.failures.length || report.said !== report.heard) throw new Error(`${report.conversationsLost} talks were lost, ${report.said} said, ${report.heard} heard`);
      rows.push([door, before[0], took, all, resumed, report]);
    });
  }
  table("a node is drained, two others take its sessions", "sessions on it", "until it has exited", "until all were back", "resumed elsewhere", "had to build up anew", "conversations lost", "messages said / heard", "without a link p50 / p99 / max");
  for (const [door, sessions, took, all, resumed, report] of rows) {
    const { p50, p99, max } = report.withoutLink;
    row(door === "websocket" ? "WebSocket" : "WebTransport", thousands(sessions), `${(took / 1000).toFixed(2)} s`, `${(all / 1000).toFixed(2)} s`, thousands(resumed), report.nodesLost, report.conversationsLost,
      `${thousands(report.said)} / ${thousands(report.heard)}`, `${p50.toFixed(0)} / ${p99.toFixed(0)} / ${max.toFixed(0)} ms`);
  }
}

const PARTS = { messages, matches, commands, drain };
const wanted = positionals.length ? positionals : Object.keys(PARTS);
for (const name of wanted) {
  if (!PARTS[name]) throw new Error(`there is no part ${name}: ${Object.keys(PARTS).join(", ")}`);
  await PARTS[name]();
}
