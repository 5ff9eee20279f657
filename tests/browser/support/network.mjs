/**
 * A network of its own (a Linux network namespace) for a server and its visitors, where UDP can be dropped for
 * real. Made and removed as root, or through sudo; what runs inside runs as whoever runs the tests.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { CHROMIUM, launchChromium } from "./browsers.mjs";
import { launchServer } from "./server.mjs";

const run = promisify(execFile);
const root = process.getuid?.() === 0;
/** Which packet filter a kernel has is only known by trying. */
const FILTERS = ["iptables", "iptables-legacy"];
const DROP = ["INPUT", "-p", "udp", "-j", "DROP"];
/** What everyone inside has as their address, and gets in place of it. */
const FIRST = "10.77.0.1";
const SECOND = "10.78.0.1";
/** Debian keeps these tools where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/**
 * Makes a network that is gone with the test, whatever becomes of it.
 * @param {import("node:test").TestContext} t
 */
export async function network(t) {
  const name = `duologue-${process.pid}`;
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-network-"));
  /** Undone from the last to the first. @type {(() => Promise<unknown>)[]} */
  const undo = [() => rm(folder, { recursive: true })];
  t.after(async () => {
    const failed = [];
    // A browser that is gone already must not leave the network behind.
    for (const step of undo.reverse()) await step().catch((error) => failed.push(error));
    if (failed.length) throw new AggregateError(failed, failed.map(String).join("\n"));
  });
  const within = ["ip", "netns", "exec", name];
  const inside = (...command) => admin(...within, ...command);

  await admin("ip", "netns", "add", name);
  undo.push(() => admin("ip", "netns", "delete", name));
  await inside("ip", "link", "set", "lo", "up");
  // With the loopback alone, browsers say that they are offline.
  await inside("ip", "link", "add", "one", "type", "veth", "peer", "name", "other");
  await inside("ip", "address", "add", `${FIRST}/24`, "dev", "one");
  // An address of IPv6 is there a second or two later: to a browser that is another network, and it drops what it is loading.
  for (const end of ["one", "other"]) await inside("ip", "link", "set", end, "addrgenmode", "none", "up");
  const filter = await workingFilter(inside);

  const wrapper = path.join(folder, "chromium");
  // sudo passes on nothing but the standard streams, so the pipe travels as those.
  const steered = `sh -c 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null' sh`;
  await writeFile(wrapper, `#!/bin/sh\nexec ${asUs(within).join(" ")} ${steered} '${CHROMIUM}' "$@" <&3 >&4\n`);
  await chmod(wrapper, 0o755);

  return {
    /**
     * Starts a server inside. Its log is told only when something failed.
     * @param {Record<string, string>} [settings]
     */
    async server(settings) {
      const server = await launchServer(settings, (file, env) => {
        const ours = Object.entries(env).filter(([key]) => key.startsWith("DUOLOGUE_"));
        return [...asUs(within), "env", ...ours.map(([key, value]) => `${key}=${value}`), file];
      });
      undo.push(async () => {
        await server.stop();
        if (!t.passed) console.error(server.log());
      });
      return server;
    },

    /**
     * Opens a Chromium inside, and steers it from outside through a pipe.
     * @param {{ loopback?: boolean }} [how] `loopback`: whether calls may go over that
     */
    async chromium(how) {
      const browser = await launchChromium({ ...how, executablePath: wrapper, pipe: true });
      undo.push(() => browser.close());
      return browser;
    },

    /** Takes the address away that all inside have, and gives them another, as a device does that changes networks. */
    async changeAddress() {
      await inside("ip", "address", "del", `${FIRST}/24`, "dev", "one");
      await inside("ip", "address", "add", `${SECOND}/24`, "dev", "one");
      return { from: FIRST, to: SECOND };
    },

    /** From now on every UDP packet is dropped, without a word to who sent it. */
    blockUdp: () => inside(filter, "-A", ...DROP),

    /** Lets UDP pass again. Resolves with how many packets were dropped. */
    async passUdp() {
      const { stdout } = await inside(filter, "-nvxL", "INPUT");
      await inside(filter, "-D", ...DROP);
      return Number(/^\s*(\d+).+DROP/mu.exec(stdout)?.[1] ?? 0);
    },
  };
}

/**
 * Runs a command that takes the rights of root.
 * @param {...string} command
 */
async function admin(...command) {
  const [file, ...args] = root ? command : ["sudo", "-n", ...command];
  try {
    return await run(file, args, { env: { ...process.env, PATH } });
  } catch (cause) {
    const why = /** @type {any} */ (cause);
    if (!["ENOENT", "EACCES"].includes(why.code)) throw new Error(`This test makes a network of its own. "${command.join(" ")}" failed: ${why.stderr || why.message}`, { cause });
    throw new Error(`This test needs ${file}. Install iproute2 and iptables, and be root or have sudo.`, { cause });
  }
}

/**
 * A command line that leaves the rights of root again.
 * @param {string[]} command
 */
function asUs(command) {
  if (root) return command;
  const back = ["setpriv", `--reuid=${process.getuid?.()}`, `--regid=${process.getgid?.()}`, "--init-groups"];
  return ["sudo", "-n", ...command, ...back, "env", `HOME=${process.env.HOME}`, `PATH=${PATH}`];
}

/** @param {(...command: string[]) => Promise<unknown>} inside */
async function workingFilter(inside) {
  const complaints = [];
  for (const filter of FILTERS) {
    try {
      await inside(filter, "-L", "INPUT");
      return filter;
    } catch (error) {
      complaints.push(String(error));
    }
  }
  return assert.fail(`No packet filter works here, so UDP cannot be blocked. Is iptables installed?\n${complaints.join("\n")}`);
}
