/** examples/three-nodes/run: starts, tells, survives a node's end, and leaves nothing behind. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { until, withoutSettings } from "../cluster/rig.mjs";
import { freePorts } from "../cluster/support/program.mjs";
import { ROOT } from "./support.mjs";

const RUN = path.join(ROOT, "examples/three-nodes/run");
/** Of all ports that it takes above the one that it is told. */
const OFFSETS = [1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32];

/** A port above which all that it takes is free now. */
async function room() {
  for (;;) {
    const [port] = await freePorts(1);
    const taken = await Promise.all(OFFSETS.map((offset) => fetch(`http://127.0.0.1:${port + offset}`).then(() => true, ({ cause }) => cause?.code !== "ECONNREFUSED")));
    if (port + 40 < 65_536 && !taken.includes(true)) return port;
  }
}

/** One that has ended and that nobody has asked about yet is not there. */
const isThere = (pid) => readFile(`/proc/${pid}/stat`, "utf8").then((stat) => !/\) Z /u.test(stat), () => false);
const isHealthy = (port) => fetch(`http://127.0.0.1:${port}/health`).then(({ ok }) => ok, () => false);

/** Runs it; its output grows. */
function begin(words) {
  const child = spawn(RUN, words, { env: withoutSettings(process.env), stdio: ["ignore", "pipe", "pipe"] });
  const told = { text: "", child, ended: once(child, "exit") };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (told.text += text));
  return told;
}

/** The processes that it named last, by their ports. */
const named = (text) => new Map([...text.matchAll(/localhost:(\d+) {3}node \d, process (\d+)/gu)].map(([, port, pid]) => [Number(port), Number(pid)]));

for (const [how, flags] of [["in the background", []], ["until Ctrl-C", ["--kill-on-exit"]]]) {
  test(how, async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), "duologue-three-"));
    const port = await room();
    t.after(async () => {
      await begin(["--folder", folder, "--stop"]).ended;
      await rm(folder, { recursive: true, force: true });
    });
    const run = begin([...flags, "--port", `${port}`, "--folder", folder]);
    await until(() => run.text.includes("all of it ends") || run.child.exitCode !== null, 60_000, () => run.text);
    const nodes = named(run.text);
    assert.deepEqual([...nodes.keys()], [port + 1, port + 2, port + 3], run.text);
    for (const node of nodes.keys()) assert.ok(await isHealthy(node), `${node}`);

    // To start it twice is refused, and does no harm.
    const twice = begin(["--port", `${port}`, "--folder", folder]);
    assert.deepEqual(await twice.ended, [1, null]);
    assert.match(twice.text, /runs already/u);

    process.kill(nodes.get(port + 2), "SIGKILL");
    await until(async () => !(await isHealthy(port + 2)), 5_000, () => "the second node is not gone");
    const second = begin(["--folder", folder, "--node", "2"]);
    assert.deepEqual(await second.ended, [0, null], second.text);
    const now = named(second.text);
    assert.notEqual(now.get(port + 2), nodes.get(port + 2));
    assert.ok(await isHealthy(port + 2));

    if (flags.length > 0) run.child.kill("SIGINT");
    else assert.deepEqual(await begin(["--folder", folder, "--stop"]).ended, [0, null]);
    await run.ended;
    for (const [node, pid] of now) assert.ok(!(await isThere(pid)), `${node} is left, as process ${pid}`);
  });
}
