/** What the shipped files set, held against what the program knows. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { withoutSettings } from "../cluster/rig.mjs";

export const run = promisify(execFile);
export const ROOT = path.resolve(import.meta.dirname, "../..");
const BINARY = process.env.DUOLOGUE_BIN ?? path.join(ROOT, "target/release/duologue");

/** @param {string} name */
export const read = (name) => readFile(path.join(ROOT, name), "utf8");

/**
 * What `duologue check` says in an empty folder with these variables and no others of ours.
 * @param {string} folder
 * @param {Record<string, string>} variables
 */
export async function check(folder, variables) {
  // This process may be told where certificates are: the program that is checked is told nothing but this.
  const env = { ...withoutSettings(process.env), ...variables };
  return run(BINARY, ["check"], { cwd: folder, env }).then(({ stdout }) => ({ fine: true, said: stdout }), ({ stderr }) => ({ fine: false, said: stderr }));
}

/** The program takes them, and each of them is looked at: with one letter more in its name it is refused. */
export async function accepted(folder, variables) {
  const { fine, said } = await check(folder, variables);
  assert.ok(fine, said);
  for (const name of Object.keys(variables).filter((name) => name.startsWith("DUOLOGUE_"))) {
    const { [name]: value, ...others } = variables;
    const wrong = await check(folder, { ...others, [`${name}X`]: value });
    assert.ok(!wrong.fine && wrong.said.includes(`${name}X`), `${name}X is not refused: ${wrong.said}`);
  }
}
