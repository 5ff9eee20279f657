/** Redis and MongoDB for a test: real ones, on a free port of this machine, with nothing in them. */

import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { answers, Program } from "./program.mjs";

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, "../../..");
/** MongoDB's protocol on SQLite, for machines without mongod: where the tests of the store keep theirs. */
const STAND_IN = path.join(ROOT, "target/mongo");
const SETUP = path.join(ROOT, "tests/mongo/setup.sh");

/** @param {{ folder: string, port: number }} where */
export function redis({ folder, port }) {
  return new Program({
    name: "redis",
    // Nothing is kept: started again, it is empty.
    command: ["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
    ready: () => answers(port),
  });
}

/** `mongod` where there is one, else the stand-in. What is in it outlives it. @param {{ folder: string, port: number }} where */
export async function mongodb({ folder, port }) {
  await mkdir(folder, { recursive: true });
  const command = (await have("mongod"))
    ? ["mongod", "--port", `${port}`, "--bind_ip", "127.0.0.1", "--dbpath", folder, "--quiet"]
    : [await standIn(), "--host", "127.0.0.1", "--port", `${port}`, "--data-dir", path.join(folder, "data"),
        "--log-file", path.join(folder, "log"), "--pid-file", path.join(folder, "pid")];
  return new Program({ name: "mongodb", command, cwd: folder, ready: () => answers(port), startsWithinMs: 30_000 });
}

/** @param {string} program */
async function have(program) {
  return run("sh", ["-c", `command -v ${program}`]).then(() => true, () => false);
}

/** Installed once, below `target/`. */
async function standIn() {
  await run(SETUP, [STAND_IN]);
  return path.join(STAND_IN, "venv/bin/nx-27017");
}
