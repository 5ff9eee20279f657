/** How long it takes until two talk again whose node was killed, and where a client goes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World } from "./support/world.js";

const BASES = ["https://one.test", "https://two.test"];
/** Until talking again. */
const MOST_MS = 5_000;

/** The first node is killed: its TCP port refuses, its UDP port is silent. */
function kill(world, ...people) {
  world.http[BASES[0]] = "refused";
  for (const { network } of people) {
    network.to(BASES[0]).tcp.refused = true;
    network.to(BASES[0]).udp.block();
  }
  world.server.loseNode();
}

const origin = ({ door, WebTransport, WebSocket }) =>
  new URL(door === "webtransport" ? WebTransport.last.url : WebSocket.last).origin.replace("wss:", "https:");

for (const door of ["webtransport", "websocket"]) {
  test(`a killed node costs little over ${door}`, async (t) => {
    const world = new World(t);
    const options = { client: { base: BASES, doors: door === "websocket" ? ["websocket", "webtransport"] : undefined } };
    const [ann, ben] = await world.pair({ ann: options, ben: options });
    assert.deepEqual([ann.door, ben.door], [door, door]);
    await world.pass(5000);
    kill(world, ann, ben);
    const sent = ann.talk.send("still there?");
    const from = world.now;
    await world.until(sent.delivered, MOST_MS);
    assert.ok(world.now - from <= MOST_MS);
    assert.deepEqual([ann, ben].map(origin), [BASES[1], BASES[1]]);
    assert.deepEqual(ben.heard, ["still there?"]);
  });
}

test("nodes that a server names are asked too, once it is gone", async (t) => {
  const world = new World(t);
  world.nodes = [...BASES, "javascript:alert(1)", "https://three.test/path", 7];
  const [ann, ben] = await world.pair();
  await world.pass(5000);
  kill(world, ann, ben);
  await world.until(ann.talk.send("x").delivered, MOST_MS);
  assert.deepEqual([ann, ben].map(origin), [BASES[1], BASES[1]]);
  assert.ok(world.asked.every((asked) => BASES.includes(asked)), `${world.asked}`);
});

test("where the answer names the doors of another host, these are used", async (t) => {
  const world = new World(t);
  world.doorsOf[BASES[0]] = BASES[1];
  const ann = world.person("ann");
  await world.until(ann.client.connect());
  assert.equal(origin(ann), BASES[1]);
});

test("until the dead node is known to be dead it is asked again, soon and with the same session", async (t) => {
  const world = new World(t);
  const options = { client: { base: BASES } };
  const [ann, ben] = await world.pair({ ann: options, ben: options });
  await world.pass(5000);
  const { id } = world.server.of("ann");
  kill(world, ann, ben);
  ann.client.cutLink();
  world.server.refusal = { code: 4503, reason: "draining", message: "Soon.", reconnect: true, retryAfterMs: 500 };
  await world.pass(4000);
  const hellos = world.server.hellos.filter(({ token }) => token === "token-ann").slice(1);
  assert.ok(hellos.length >= 3 && hellos.length <= 9, `${hellos.length} hellos`);
  assert.ok(hellos.every(({ resume }) => resume?.session === id));
  world.server.refusal = null;
  // Twice what the server asked for, at most, and a few round trips.
  await world.see("it back", () => ann.said("resumed").length === 1, 1500);
  assert.equal(ann.client.conversation, ann.talk);
});

test("drained: after the time that the server gave, another node goes on with the same session", async (t) => {
  const world = new World(t);
  const options = { client: { base: BASES } };
  const [ann] = await world.pair({ ann: options, ben: options });
  await world.pass(5000);
  const { id } = world.server.of("ann");
  world.asked = [];
  const data = { code: 4503, reason: "draining", message: "Later.", reconnect: true, retryAfterMs: 700 };
  world.server.raw(world.server.of("ann"), { event: "connection:closing", data });
  const took = await world.see("it back", () => ann.said("resumed").length === 1, 3000);
  assert.ok(took >= 700, `${took} ms`);
  assert.deepEqual(world.asked, [BASES[1]]);
  assert.equal(origin(ann), BASES[1]);
  assert.equal(world.server.hellos.at(-1).resume.session, id);
  assert.deepEqual(ann.said("resumed").map(({ lost }) => lost), [undefined]);
  assert.deepEqual(ann.said("lost"), []);
});

test("a node that is silent holds up nobody for long", async (t) => {
  const world = new World(t);
  world.http[BASES[0]] = "silent";
  const ann = world.person("ann", { client: { base: BASES } });
  const from = world.now;
  await world.until(ann.client.connect(), 2000);
  assert.ok(world.now - from < 1500, `${world.now - from} ms`);
});
