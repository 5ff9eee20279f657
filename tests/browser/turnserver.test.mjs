/** The shipped config/turnserver.conf in a real coturn: whom it lets in, and what nobody reaches through it. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { TurnClient } from "./support/stun.mjs";
import { credentialsOf, startTurn } from "./support/turn.mjs";

const run = promisify(execFile);
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const QUOTA_REACHED = 486;
/** RESPONSE-ORIGIN, OTHER-ADDRESS, SOFTWARE, MAPPED-ADDRESS: what makes an answer longer than it has to be. */
const NEEDLESS = [0x802b, 0x802c, 0x8022, 0x0001];
const PUBLIC = { 4: ["1.1.1.1", "93.184.215.14", "223.255.255.255"], 6: ["2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2003::1"] };
/** The first and the last of each network that is not public; and what has another meaning inside of IPv6. */
const SPECIAL = {
  4: [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
    "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1",
    "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
  ],
  6: [
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1",
    "100::1", "2001::1", "2001:0:ffff::1", "2001:2::1", "2001:db8::1", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fdff:ffff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
  ],
};

test("who has no credentials of ours is refused", async (t) => {
  const turn = await startTurn(t);
  const open = () => TurnClient.open(t, { port: turn.port });
  const answer = async (credentials) => (await (await open()).allocate(credentials)).code;

  assert.equal(await answer(turn.credentials()), 0);
  assert.equal(await answer(credentialsOf("not-the-secret-of-it", 600)), UNAUTHORIZED, "of another secret");
  assert.equal(await answer(turn.credentials(-2)), UNAUTHORIZED, "expired");
  assert.equal(await answer({ ...turn.credentials(), username: `${Math.floor(Date.now() / 1000) + 9999}:later` }), UNAUTHORIZED, "with a longer life than was given");
  assert.deepEqual(turn.sessions().opened, 1);
});

test("while the secret is not set, nobody is let in", async (t) => {
  // The one that a placeholder, or nothing, would be.
  const turn = await startTurn(t, { secret: null });
  for (const secret of ["", "static-auth-secret", "change-me", turn.secret]) {
    const client = await TurnClient.open(t, { port: turn.port });
    assert.notEqual((await client.allocate(credentialsOf(secret, 600))).code, 0, `with "${secret}"`);
  }
});

test("a relay that stands outlives its credentials", async (t) => {
  const turn = await startTurn(t);
  const client = await TurnClient.open(t, { port: turn.port });
  const credentials = turn.credentials(1);
  assert.equal((await client.allocate(credentials)).code, 0);
  await pause(2_500);
  assert.equal(await client.refresh(), 0);
  const late = await TurnClient.open(t, { port: turn.port });
  assert.equal((await late.allocate(credentials)).code, UNAUTHORIZED);
});

test("one name gets so many relays and no more", async (t) => {
  const turn = await startTurn(t);
  const credentials = turn.credentials();
  const codes = [];
  for (let number = 0; number < 25; number += 1) {
    const client = await TurnClient.open(t, { port: turn.port });
    codes.push((await client.allocate(credentials)).code);
  }
  assert.deepEqual(codes, [...Array(24).fill(0), QUOTA_REACHED]);
});

for (const [family, host] of /** @type {const} */ ([[4, "127.0.0.1"], [6, "::1"]])) {
  test(`no special address of IPv${family} is reached, and public ones are`, async (t) => {
    // As shipped: not even loopback is let through.
    const turn = await startTurn(t, { host, options: [] });
    const client = await TurnClient.open(t, { host, port: turn.port });
    assert.equal((await client.allocate(turn.credentials(), family)).code, 0);
    for (const address of PUBLIC[family]) assert.equal(await client.permit(address), 0, address);
    for (const address of SPECIAL[family]) assert.equal(await client.permit(address), FORBIDDEN, address);
  });
}

test("two who are relayed reach each other, over UDP, TCP and TLS", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-turn-tls-"));
  t.after(() => rm(folder, { recursive: true }));
  const [cert, key] = ["chain.pem", "key.pem"].map((name) => path.join(folder, name));
  await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", key, "-out", cert]);
  const turn = await startTurn(t, { tls: { cert, key } });
  const first = await TurnClient.open(t, { port: turn.port });
  const one = await first.allocate(turn.credentials());
  for (const door of /** @type {const} */ (["udp", "tcp", "tls"])) {
    const second = await TurnClient.open(t, { port: door === "tls" ? turn.tlsPort : turn.port, door });
    const other = await second.allocate(turn.credentials());
    assert.deepEqual([other.code, await first.permit("127.0.0.1"), await second.permit("127.0.0.1")], [0, 0, 0]);
    first.say(other.relayed, `to ${door}`);
    second.say(one.relayed, `from ${door}`);
    await heard(second, `to ${door}`);
    await heard(first, `from ${door}`);
  }
});

test("behind NAT, two who are relayed meet at the relay's own private address, and reach no other", async (t) => {
  const turn = await startTurn(t, { options: ["--external-ip=198.51.100.7/127.0.0.1", "--allow-loopback-peers"] });
  const [one, other] = await Promise.all([0, 1].map(() => TurnClient.open(t, { port: turn.port })));
  const { relayed } = await one.allocate(turn.credentials());
  await other.allocate(turn.credentials());
  assert.equal(relayed?.address, "198.51.100.7");
  assert.deepEqual([await one.permit(relayed.address), await other.permit(relayed.address)], [0, 0]);
  other.say(relayed, "from within");
  await heard(one, "from within");
  for (const address of ["127.0.0.2", "10.0.0.5"]) assert.equal(await one.permit(address), FORBIDDEN, address);
});

test("an answer to a stranger is short", async (t) => {
  const turn = await startTurn(t);
  const answer = await (await TurnClient.open(t, { port: turn.port })).bind();
  assert.deepEqual(answer.has.filter((attribute) => NEEDLESS.includes(attribute)), []);
  assert.ok(answer.length <= 44, `${answer.length} bytes`);
});

test("its log has no address of a client", async (t) => {
  const turn = await startTurn(t, { verbose: false });
  const client = await TurnClient.open(t, { port: turn.port });
  const credentials = turn.credentials();
  assert.equal((await client.allocate(credentials)).code, 0);
  const stranger = await TurnClient.open(t, { port: turn.port });
  assert.equal((await stranger.allocate(turn.credentials(-2))).code, UNAUTHORIZED);
  assert.equal(await client.permit("10.0.0.1"), FORBIDDEN);
  await appears(turn, "A peer IP 10.0.0.1 denied");
  for (const name of [credentials.username, client.address, stranger.address]) assert.ok(!turn.log().includes(name), `It says ${name}:\n${turn.log()}`);
});

/** @param {TurnClient} client @param {string} words */
async function heard(client, words) {
  await until(() => client.received.includes(words), () => `Never heard "${words}", but ${JSON.stringify(client.received)}.`);
}

/** @param {import("./support/turn.mjs").Turn} turn @param {string} words */
async function appears(turn, words) {
  await until(() => turn.log().includes(words), () => `The log never says "${words}".\n${turn.log()}`);
}

/** @param {() => boolean} look @param {() => string} complaint */
async function until(look, complaint) {
  const end = performance.now() + 3_000;
  while (!look()) {
    assert.ok(performance.now() < end, complaint());
    await pause(10);
  }
}
