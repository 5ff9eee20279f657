/** config/kubernetes: by the schemas of Kubernetes itself, by what must agree between them, and by `duologue check`. */

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { certificate } from "../proxies/support/proxy.mjs";
import { accepted, check, read, ROOT, run } from "./support.mjs";

const FOLDER = "config/kubernetes";
/** Made by tests/run: kubernetes-validate, which brings the schemas of every version. */
const VALIDATE = path.join(ROOT, "target/kubernetes-validate/bin/kubernetes-validate");
/** The oldest in which all of it works (TCP and UDP in one LoadBalancer), and the newest that is known. */
const VERSIONS = ["1.26", "1.37"];

const files = (await readdir(path.join(ROOT, FOLDER))).filter((name) => name.endsWith(".yaml")).map((name) => path.join(FOLDER, name));
const documents = (await Promise.all(files.map(read))).flatMap((text) => parseAllDocuments(text).map((document) => document.toJS()));
const one = (kind, name = "duologue") => documents.find((document) => document.kind === kind && document.metadata.name === name);
const set = one("StatefulSet");
const pod = set.spec.template.spec;
const [container] = pod.containers;

test("they are as Kubernetes wants them", async (t) => {
  for (const version of VERSIONS) {
    await run(VALIDATE, ["--strict", "--kubernetes-version", version, ...files.map((file) => path.join(ROOT, file))]);
  }
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-kubernetes-"));
  t.after(() => rm(folder, { recursive: true }));
  const wrong = path.join(folder, "wrong.yaml");
  await writeFile(wrong, (await read(`${FOLDER}/nodes.yaml`)).replace("terminationGracePeriodSeconds", "terminationGraceSeconds"));
  await assert.rejects(run(VALIDATE, ["--strict", wrong]), "it knows no wrong key");
});

test("the link among nodes is for nodes alone, and every other port for everyone", () => {
  const { podSelector, policyTypes, ingress } = one("NetworkPolicy").spec;
  assert.deepEqual(podSelector, { matchLabels: set.spec.selector.matchLabels });
  assert.deepEqual(policyTypes, ["Ingress"]);
  const [everyone, nodes] = ingress;
  assert.equal(everyone.from, undefined);
  assert.deepEqual(nodes.from, [{ podSelector }]);
  assert.deepEqual(nodes.ports, [{ port: "link", protocol: "UDP" }]);
  const named = ({ port, name, protocol }) => `${port ?? name}/${protocol}`;
  const ports = container.ports.map(({ name, protocol }) => named({ name, protocol })).sort();
  assert.deepEqual([...everyone.ports, ...nodes.ports].map(named).sort(), ports);
});

/** What a node's process sees, with these secrets. */
function environment(index, secret) {
  const { data } = one("ConfigMap");
  const fields = { "metadata.name": `duologue-${index}`, "status.podIP": "10.1.2.3" };
  const values = { NODE_ENV: "production" };
  for (const { name, value, valueFrom } of container.env) {
    if (value !== undefined) values[name] = value.replace(/\$\((\w+)\)/gu, (_, other) => values[other] ?? assert.fail(`${other} is not above ${name}`));
    else if (valueFrom.fieldRef) values[name] = fields[valueFrom.fieldRef.fieldPath];
    else if (valueFrom.configMapKeyRef) values[name] = data[valueFrom.configMapKeyRef.key];
    else values[name] = secret[valueFrom.secretKeyRef.key];
    assert.equal(typeof values[name], "string", name);
  }
  return values;
}

test("each node's variables are those of the program", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-kubernetes-"));
  t.after(() => rm(folder, { recursive: true }));
  await certificate(folder);
  const places = { "/certs/tls.crt": `${folder}/chain.pem`, "/certs/tls.key": `${folder}/key.pem`, "/data": folder };
  const here = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, places[value] ?? value]));
  const { stringData } = one("Secret");
  const secret = { ...stringData, "jwt-secret": "0123456789abcdef".repeat(4) };
  const values = here(environment(1, secret));
  assert.equal(values.DUOLOGUE_PUBLIC_HOST, "duologue-1.chat.example");
  await accepted(folder, values);
  const placeholders = await check(folder, here(environment(1, stringData)));
  assert.ok(!placeholders.fine && placeholders.said.includes("jwt_secret"), "the placeholders would start");
  // What Kubernetes would add for the Service of the same name.
  const linked = await check(folder, { ...values, DUOLOGUE_SERVICE_HOST: "10.96.0.1" });
  assert.ok(!linked.fine && pod.enableServiceLinks === false);
});

test("what lives is not asked whether it is ready", () => {
  const path = ({ httpGet }) => httpGet.path;
  const { livenessProbe, startupProbe, readinessProbe } = container;
  assert.deepEqual([livenessProbe, startupProbe, readinessProbe].map(path), ["/health/live", "/health/live", "/health"]);
});

test("there is time to drain", async () => {
  const [, seconds] = container.lifecycle.preStop.exec.command;
  const drain = Number((await read("config/duologue.toml")).match(/^drain_ms = (\d+)/mu)[1]);
  assert.ok(pod.terminationGracePeriodSeconds * 1000 > Number(seconds) * 1000 + drain + 1_000 + 5_000);
  assert.equal(one("PodDisruptionBudget").spec.maxUnavailable, 1);
});

test("names lead where they say", () => {
  const labels = set.spec.template.metadata.labels;
  const ports = container.ports.map(({ name }) => name);
  const services = documents.filter(({ kind }) => kind === "Service");
  assert.equal(one("Service", set.spec.serviceName).spec.clusterIP, "None");
  for (const { metadata, spec } of services) {
    for (const { targetPort, protocol } of spec.ports) {
      const led = container.ports.find(({ name }) => name === targetPort);
      assert.equal(led?.protocol, protocol, `${metadata.name} ${targetPort}: ${ports}`);
    }
  }
  for (const { spec } of [set, one("PodDisruptionBudget")]) assert.deepEqual(spec.selector.matchLabels, labels);
  for (const name of [set.spec.serviceName, "duologue"]) assert.deepEqual(one("Service", name).spec.selector, labels);
  for (let index = 0; index < set.spec.replicas; index += 1) {
    const { spec } = one("Service", `duologue-${index}`) ?? assert.fail(`duologue-${index} has no Service`);
    assert.deepEqual(spec.selector, { "statefulset.kubernetes.io/pod-name": `duologue-${index}` });
    assert.deepEqual(spec.ports.map(({ port, protocol }) => [port, protocol]), [[443, "TCP"], [443, "UDP"]]);
  }
  const wanted = container.env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
  for (const { name, key } of wanted) assert.ok(key in one("Secret", name).stringData, key);
});
