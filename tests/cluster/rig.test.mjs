/** The rig itself: what it says it does to programs and to the network, it does; and nothing is left behind. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Program, Rig, until, Wire } from "./rig.mjs";
import { freePorts, within } from "./support/program.mjs";
import { mongodb, redis } from "./support/services.mjs";

const isThere = (pid) => readFile(`/proc/${pid}/stat`, "utf8").then((stat) => !/\) Z /u.test(stat), () => false);

async function emptyFolder(t) {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-rig-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What Redis answers to one line, on a connection of its own. */
async function told(port, line) {
  const socket = net.connect(port, "127.0.0.1").setEncoding("utf8");
  try {
    const answered = once(socket, "data");
    socket.write(`${line}\r\n`);
    return (await within(answered, 5_000, () => `no answer to ${line}`))[0].trim();
  } finally {
    socket.destroy();
  }
}

test("nodes are killed, drained, frozen, and started again where they were", async (t) => {
  const rig = await Rig.open(t, { nodes: 2 });
  const [one, two] = rig.nodes;
  const first = one.pid;
  await one.kill();
  assert.equal(await one.isReady(), false);
  assert.equal(await two.isReady(), true);
  await one.start();
  assert.notEqual(one.pid, first);
  assert.equal(await one.isReady(), true);
  const { code, ms } = await two.drain();
  assert.ok(code === 0 && ms < 10_000, `${code} after ${ms} ms`);
  await two.start();
  two.freeze();
  await until(async () => !(await two.isReady()), 5_000, () => "it goes on");
  two.thaw();
  await rig.allReady();
  await rig.comesToRest();
  // A stopped one dies, too.
  two.freeze();
  await two.kill();
  assert.equal(await isThere(two.pid), false);
});

test("duologue load is run, and its report read", async (t) => {
  const rig = await Rig.open(t, { nodes: 1 });
  const [{ url }] = rig.nodes;
  const running = rig.load(["--pairs", "3", "--duration", "2", "--ramp", "0.5", "--rate", "5"], [url]);
  await until(async () => (await rig.totals()).conversations === 3, 10_000, () => "three pairs did not meet");
  const report = await running;
  assert.deepEqual([report.pairs, report.failures, report.said > 0], [3, [], true]);
  assert.ok(Object.values(report.broken).every((count) => count === 0));
  await rig.comesToRest();
  await assert.rejects(rig.load(["--pairs", "1", "--duration", "1"], ["http://127.0.0.1:9"]), /does not serve/u);
});

test("a wire before Redis is cut, goes silent, and is mended; Redis comes back empty", async (t) => {
  const folder = await emptyFolder(t);
  const [port] = await freePorts(1);
  const server = await redis({ folder, port }).start();
  t.after(() => server.kill());
  const wire = await new Wire(port).open();
  t.after(() => wire.close());
  assert.equal(await told(wire.port, "SET x 1"), "+OK");

  wire.silence();
  const held = net.connect(wire.port, "127.0.0.1").setEncoding("utf8");
  t.after(() => held.destroy());
  let heard = "";
  held.on("data", (text) => (heard += text));
  held.write("PING\r\n");
  await until(() => wire.connections === 1, 5_000, () => "nobody is there");
  // Whoever asks past the wire is answered: time enough for what is silent to have answered, too.
  for (let at = 0; at < 20; at += 1) assert.equal(await told(port, "PING"), "+PONG");
  assert.equal(heard, "");
  wire.mend();
  await until(() => heard === "+PONG\r\n", 5_000, () => "what was held back did not come");

  held.on("error", () => {});
  const gone = new Promise((resolve) => held.once("close", resolve));
  wire.cut();
  await gone;
  await assert.rejects(told(wire.port, "PING"));
  wire.mend();
  assert.match(await told(wire.port, "GET x"), /^\$1\r\n1$/u);

  await server.kill();
  await server.start();
  assert.equal(await told(wire.port, "GET x"), "$-1");
});

test("a database is killed and started again", async (t) => {
  const folder = await emptyFolder(t);
  const [port] = await freePorts(1);
  const server = await mongodb({ folder, port });
  t.after(() => server.kill());
  await server.start();
  await server.kill();
  await assert.rejects(once(net.connect(port, "127.0.0.1"), "connect"));
  await server.start();
});

test("what does not start says why", async () => {
  const program = new Program({ name: "that", command: ["sh", "-c", "echo the reason >&2; exit 3"], ready: async () => false });
  await assert.rejects(program.start(), /that ended at once[^]*the reason/u);
});

for (const signal of ["SIGKILL", "SIGINT"]) {
  test(`nothing is left when a test ends by ${signal}`, async () => {
    const script = `
      import { Program } from ${JSON.stringify(path.join(import.meta.dirname, "support/program.mjs"))};
      import { readFile } from "node:fs/promises";
      // Until it is what it shall be, and has been told to end with its parent.
      const ready = async () => (await readFile(\`/proc/\${program.pid}/comm\`, "utf8")) === "sleep\\n";
      const program = new Program({ name: "sleep", command: ["sleep", "600"], ready });
      await program.start();
      console.log(program.pid);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout.setEncoding("utf8"), "data");
    assert.equal(await isThere(Number(line)), true);
    child.kill(signal);
    await until(async () => !(await isThere(Number(line))), 5_000, () => "it is left");
  });
}
