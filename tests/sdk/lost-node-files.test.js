/** Files that were under way when a node was killed: they go on by themselves, and nobody is asked twice. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { collect } from "./support/clients.js";
import { World } from "./support/world.js";

const SIZE = 400_000;

/** Two who talk over a narrow line, and the files that Ben is offered. */
async function talk(t, door) {
  const world = new World(t);
  const options = { client: { doors: [door] } };
  const [ann, ben] = await world.pair({ ann: options, ben: options });
  for (const { network } of [ann, ben]) network.udp.bytesPerMs = network.tcp.bytesPerMs = 100;
  return { world, ann, ben, offers: collect(ben.talk, "file") };
}

async function lose(world, people) {
  world.server.loseNode();
  for (const person of people) await world.see("it back", () => person.said("resumed").length === 1, 8000);
}

for (const door of ["webtransport", "websocket"]) {
  test(`one in the middle arrives whole over ${door}, one that nobody answered can still be taken`, async (t) => {
    const { world, ann, ben, offers } = await talk(t, door);
    const bytes = randomBytes(SIZE);
    const sent = ann.talk.sendFile(new Blob([bytes]), { name: "one" });
    const other = ann.talk.sendFile(new Blob(["two"]), { name: "two" });
    await world.see("the offers", () => offers.length === 2);
    const states = collect(sent, "state");
    const blob = offers[0].blob();
    await world.see("some of it", () => sent.transferred > SIZE / 4);
    await lose(world, [ann, ben]);
    assert.equal(sent.state, "moving");
    const got = Buffer.from(await (await world.until(blob, 60_000)).arrayBuffer());
    await world.until(sent.done);
    assert.ok(got.equals(bytes));
    assert.deepEqual(states.map(({ state }) => state), ["moving", "complete"]);
    assert.deepEqual(offers.map(({ name }) => name), ["one", "two"], "nobody is asked twice");
    const late = offers[1].blob();
    await world.until(Promise.all([other.done, late]), 10_000);
    assert.equal(await (await late).text(), "two");
    assert.deepEqual(world.server.transfers.live.size, 0);
  });
}

test("one that is read as it comes goes on where the reader is", async (t) => {
  const { world, ann, ben, offers } = await talk(t, "webtransport");
  const bytes = randomBytes(SIZE);
  const sent = ann.talk.sendFile(new Blob([bytes]));
  await world.see("the offer", () => offers.length === 1);
  const read = new Response(offers[0].stream()).arrayBuffer();
  await world.see("some of it", () => sent.transferred > SIZE / 4);
  await lose(world, [ann, ben]);
  assert.ok(Buffer.from(await world.until(read, 60_000)).equals(bytes));
  await world.until(sent.done);
});

test("what is accepted, declined or had before its sender knows is told again", async (t) => {
  const { world, ann, ben, offers } = await talk(t, "webtransport");
  const sent = ["had", "taken", "declined"].map((name) => ann.talk.sendFile(new Blob([name]), { name }));
  await world.see("the offers", () => offers.length === 3);
  // Ben has the first; that Ann is not told of it is the node's end.
  const had = offers[0].blob();
  const { tell } = world.server;
  world.server.tell = (session, event, data) => {
    if (event !== "file:complete" || session.user.username !== "ann") tell.call(world.server, session, event, data);
  };
  await world.until(had);
  await world.pass(500);
  world.server.tell = tell;
  world.server.of("ben").socket = null;
  const taken = offers[1].blob();
  offers[2].reject();
  await lose(world, [ann, ben]);
  await world.until(Promise.allSettled([taken, ...sent.map(({ done }) => done)]), 20_000);
  assert.deepEqual(sent.map(({ state }) => state), ["complete", "complete", "rejected"]);
  assert.equal(await (await taken).text(), "taken");
  assert.equal(offers.length, 3);
});

test("one that is accepted on the way back waits for its offer", async (t) => {
  const { world, ann, ben, offers } = await talk(t, "websocket");
  const sent = ann.talk.sendFile(new Blob(["late"]));
  await world.see("the offer", () => offers.length === 1);
  for (const way of [ann.network.udp, ann.network.tcp]) way.refused = true;
  world.server.loseNode();
  await world.see("ben back", () => ben.said("resumed").length === 1, 8000);
  const blob = offers[0].blob();
  await world.pass(1000);
  assert.equal(offers[0].state, "moving");
  for (const way of [ann.network.udp, ann.network.tcp]) way.refused = false;
  assert.equal(await (await world.until(blob, 20_000)).text(), "late");
  await world.until(sent.done);
});

test("one whose sender has it no more ends with a code", async (t) => {
  const { world, ann, ben, offers } = await talk(t, "webtransport");
  ann.talk.sendFile(new Blob([randomBytes(SIZE)]));
  await world.see("the offer", () => offers.length === 1);
  offers[0].accept();
  await world.pass(500);
  const over = collect(offers[0], "cancelled");
  // Called off where no server hears it.
  for (const name of ["ann", "ben"]) world.server.of(name).socket = null;
  world.server.instead["file:offer"] = () => {};
  await lose(world, [ann, ben]);
  await world.see("the end", () => over.length === 1, 40_000);
  assert.equal(over[0].code, "lost");
  assert.equal(ben.talk.status, "online", "the talk goes on");
});
