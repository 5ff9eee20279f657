/** The shipped settings of nginx and HAProxy, run as they are but for addresses, ports and paths. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { answers, Program } from "../../cluster/support/program.mjs";

const run = promisify(execFile);
const CONFIG = path.resolve(import.meta.dirname, "../../../config");
const NODES = ["10.0.0.11:3001", "10.0.0.12:3001", "10.0.0.13:3001"];

/** @typedef {{ plain: number, tls: number }} Ports free ones */

/**
 * @param {import("../../cluster/rig.mjs").Rig} rig with whose end it ends
 * @param {Ports} ports
 */
export async function nginx(rig, { plain, tls }) {
  const { folder } = rig;
  await certificate(folder);
  const file = path.join(folder, "nginx.conf");
  await shipped("nginx.conf", file, [
    ...nodes(rig),
    ["    listen 80;", `    listen 127.0.0.1:${plain};`],
    ["        listen [::]:80;\n", ""],
    ["    listen 443 ssl;", `    listen 127.0.0.1:${tls} ssl;`],
    ["        listen [::]:443 ssl;\n", ""],
    ["/etc/duologue/", `${folder}/`],
    ["/var/log/nginx/", `${folder}/`],
    ["/run/nginx.pid", `${folder}/nginx.pid`],
    // A test has not the limits of a server's machine.
    ["worker_rlimit_nofile 262144;\n", ""],
    ["worker_connections 65536;", "worker_connections 1024;"],
    // One test's file is larger than all the sockets on its way.
    ["client_max_body_size 11m;", "client_max_body_size 65m;"],
  ]);
  await run("nginx", ["-t", "-c", file]);
  return rig.keep(new Program({ name: "nginx", command: ["nginx", "-c", file, "-g", "daemon off;"], ready: () => answers(tls) })).start();
}

/**
 * @param {import("../../cluster/rig.mjs").Rig} rig with whose end it ends
 * @param {Ports} ports
 */
export async function haproxy(rig, { plain, tls }) {
  const { folder } = rig;
  await certificate(folder);
  const file = path.join(folder, "haproxy.cfg");
  await shipped("haproxy.cfg", file, [
    ...nodes(rig),
    ["bind :80", `bind 127.0.0.1:${plain}`],
    ["bind :443 ", `bind 127.0.0.1:${tls} `],
    ["/etc/duologue/", `${folder}/`],
    ["log /dev/log local0 notice", "log stderr format raw local0 notice"],
    // A test has not the limits of a server's machine.
    ["maxconn 60000", "maxconn 1000"],
    // One test's file is larger than all the sockets on its way.
    ["gt 11534336", `gt ${65 * 1024 * 1024}`],
  ]);
  await run("haproxy", ["-c", "-f", file]);
  return rig.keep(new Program({ name: "haproxy", command: ["haproxy", "-db", "-f", file], ready: () => answers(tls) })).start();
}

/** @param {import("../../cluster/rig.mjs").Rig} rig @returns {[string, string][]} */
const nodes = ({ nodes }) => NODES.map((address, index) => [address, `127.0.0.1:${nodes[index].http}`]);

/** The file as it is shipped, with these words replaced, each of which must be there. */
async function shipped(name, to, changes) {
  let text = await readFile(path.join(CONFIG, name), "utf8");
  for (const [from, into] of changes) {
    assert.ok(text.includes(from), `config/${name} has no "${from}"`);
    text = text.replaceAll(from, into);
  }
  await writeFile(to, text);
}

/** For chat.example and this machine, in the forms that both want. */
export async function certificate(folder) {
  const [chain, key] = [path.join(folder, "chain.pem"), path.join(folder, "key.pem")];
  await run("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=chat.example",
    "-addext", "subjectAltName=DNS:chat.example,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", chain,
  ]);
  await writeFile(path.join(folder, "haproxy.pem"), (await readFile(chain, "utf8")) + (await readFile(key, "utf8")));
}
