/** Moves that the app asks for, and everything that can come between. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "./support/random.js";
import { World } from "./support/world.js";

test("a door that was asked for is kept as long as its link lives, and `auto` lets go of it", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  await world.until(ann.client.useDoor("websocket"));
  await world.pass(600_000);
  assert.equal(ann.door, "websocket");
  assert.equal(ann.WebTransport.made, 1);
  assert.equal(ann.storage.getItem("duologue:door:https://one.test"), null, "it says nothing about the network");
  await ann.client.useDoor("auto");
  await world.see("WebTransport", () => ann.door === "webtransport", 3000);

  await world.until(ann.client.useDoor("websocket"));
  ann.client.cutLink();
  await world.see("WebTransport", () => ann.door === "webtransport", 3000);
  assert.deepEqual(ann.moves, [
    ["webtransport", "websocket", "asked"],
    ["websocket", "webtransport", "better"],
    ["webtransport", "websocket", "asked"],
    ["websocket", "webtransport", "lost"],
  ]);
  assert.equal(ann.said("reconnecting").length, 1);
});

test("the door in use can be asked for: it is kept from then on", async (t) => {
  const world = new World(t);
  const person = world.person("ann");
  person.network.udp.block();
  await world.until(person.client.connect());
  await person.client.useDoor("websocket");
  person.network.udp.heal();
  await world.pass(120_000);
  assert.equal(person.door, "websocket");
});

test("WebTransport that opens too late for the race is moved to a moment later", async (t) => {
  const world = new World(t);
  const person = world.person("ann");
  person.network.udp.delayMs = 400;
  await world.until(person.client.connect());
  assert.equal(person.door, "websocket");
  await world.see("WebTransport", () => person.door === "webtransport", 8000);
  assert.deepEqual(person.moves, [["websocket", "webtransport", "better"]]);
});

test("of two moves at once the later one counts", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  await world.until(ann.client.useDoor("websocket"));
  const first = ann.client.useDoor("webtransport");
  const second = ann.client.useDoor("websocket");
  await assert.rejects(world.until(first), { code: "cancelled" });
  await world.until(second);
  assert.equal(ann.door, "websocket");
  assert.equal(ann.client.state, "open");
});

test("a move to a shut door fails, and costs nothing", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ann.network.tcp.refused = true;
  await assert.rejects(world.until(ann.client.useDoor("websocket")), { code: "door-shut" });
  ann.network.tcp.refused = false;
  ann.network.tcp.block();
  await assert.rejects(world.until(ann.client.useDoor("websocket")), { code: "door-timeout" });
  assert.equal(ann.door, "webtransport");
  assert.deepEqual(ann.moves, []);
  await world.until(ann.talk.send("still here").delivered);
  assert.deepEqual(ben.heard, ["still here"]);
});

test("a move that fails half way, the first link given up already, is mended", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  // The answer to the hello and everything after it is lost; the first link hears "superseded" and ends.
  world.server.watch = ({ event }) => event === "connection:hello" && ann.network.tcp.block();
  const moving = ann.client.useDoor("websocket");
  await world.pass(200);
  world.server.watch = () => {};
  assert.equal(ann.door, null);
  const sent = ann.talk.send("on the way");
  await assert.rejects(world.until(moving), { code: "hello-unanswered" });
  await world.until(sent.delivered);
  assert.equal(ann.client.state, "open");
  assert.deepEqual(ben.heard, ["on the way"]);
  assert.deepEqual(ann.said("closing"), [], "superseded was our own doing");
});

test("the end comes while a move is under way", async (t) => {
  for (const wait of [0, 30, 60, 90]) {
    await t.test(`after ${wait} ms`, async (t) => {
      const world = new World(t);
      const [ann] = await world.pair();
      const moving = ann.client.useDoor("websocket");
      await world.pass(wait);
      const closing = ann.client.close();
      await assert.rejects(world.until(moving).then(() => world.until(closing)).then(() => {
        throw new Error("moved before it was closed");
      }));
      await world.until(closing);
      assert.equal(ann.client.state, "closed");
      const events = ann.events.length;
      await world.pass(10_000);
      assert.ok(ann.events.slice(events).every(({ state }) => state === "closed"));
      assert.equal(ann.client.state, "closed");
    });
  }
});

test("a superseded link is final when nobody here moved", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  ann.network.tcp.delayMs = 500;
  const moving = ann.client.useDoor("websocket");
  await world.pass(100);
  world.server.of("ann").socket.close(4409);
  await assert.rejects(world.until(moving), { code: "superseded" });
  assert.equal(ann.client.state, "closed");
  assert.equal(ann.said("closing").at(-1).code, 4409);
});

test("a look for a better door becomes the rescue when the link dies meanwhile", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ann.network.udp.block();
  await world.see("WebSocket", () => ann.door === "websocket");
  await world.pass(2000);
  ann.network.udp.heal();
  ann.network.udp.delayMs = 300;
  const made = ann.WebTransport.made;
  await world.see("another try", () => ann.WebTransport.made > made, 120_000);
  // TCP dies now, with a word, and does not open again.
  ann.network.tcp.refused = true;
  world.server.cut("ann");
  const sent = ann.talk.send("rescued");
  await world.until(sent.delivered);
  assert.equal(ann.WebTransport.made, made + 1, "the try that was under way");
  assert.deepEqual(ann.moves.at(-1), ["websocket", "webtransport", "lost"]);
  assert.equal(ann.said("reconnecting").length, 1);
  assert.deepEqual(ben.heard, ["rescued"]);
});

test("a drained node is left alone for as long as it asks, also by what is under way", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  ann.network.tcp.delayMs = 300;
  const moving = ann.client.useDoor("websocket");
  await world.pass(200);
  const hellos = world.server.hellos.length;
  const { socket } = world.server.of("ann");
  const farewell = { code: 4503, reason: "draining", message: "Later.", reconnect: true, retryAfterMs: 4000 };
  socket.send(JSON.stringify({ event: "connection:closing", data: farewell }));
  await assert.rejects(world.until(moving), { code: "draining" });
  await world.pass(3500);
  assert.equal(world.server.hellos.length, hellos);
  await world.see("it open", () => ann.client.state === "open", 2000);
});

test("a hello that was given up and arrives after all does not end the session", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const moving = ann.client.useDoor("websocket");
  await world.pass(50);
  ann.network.tcp.block();
  await assert.rejects(world.until(moving), { code: "hello-unanswered" });
  const hellos = world.server.hellos.length;
  ann.network.tcp.heal();
  await world.see("the late hello", () => world.server.hellos.length > hellos, 1000);
  await world.until(ann.talk.send("still me").delivered);
  assert.deepEqual(ben.heard, ["still me"]);
  assert.deepEqual(ann.said("closing"), []);
  // Someone else who takes the session over still does.
  world.server.of("ann").socket.close(4409);
  await world.see("the end", () => ann.client.state === "closed", 1000);
});

test("the clock of the client jumps by a day, and nothing happens", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const real = Date.now;
  for (const days of [1, -1]) {
    t.mock.method(Date, "now", () => real() + days * 86_400_000);
    await world.pass(5000);
    await world.until(ann.talk.send(`${days}`).delivered);
  }
  assert.deepEqual(ben.heard, ["1", "-1"]);
  assert.deepEqual(ann.moves, []);
  assert.deepEqual(ann.said("reconnecting"), []);
});

for (let seed = 1; seed <= 8; seed += 1) {
  test(`fifty faults: nothing lost, doubled or out of order (seed ${seed})`, async (t) => {
    const world = new World(t, seed);
    const random = new Random(seed);
    const people = await world.pair();
    const said = people.map(() => []);
    const sent = [];
    const faults = [
      ({ client }) => client.cutLink(),
      ({ name }) => world.server.of(name).socket?.terminate(),
      ({ network }) => network.udp.block(),
      ({ network }) => network.tcp.block(),
      ({ network }) => [network.udp, network.tcp].forEach((path) => path.block()),
      ({ network }) => (network.tcp.refused = true),
      ({ network }) => (network.udp.loss = random.next() / 2),
      ({ network }) => (network.tcp.delayMs = random.below(400)),
      ({ network }) => (network.udp.delayMs = random.below(400)),
      ({ client }) => client.useDoor("websocket").catch(() => {}),
      ({ client }) => client.useDoor("webtransport").catch(() => {}),
      ({ client }) => client.useDoor("auto").catch(() => {}),
    ];
    const mend = ({ network }) => {
      for (const path of [network.udp, network.tcp]) {
        path.heal();
        Object.assign(path, { refused: false, loss: 0, delayMs: 20 });
      }
    };
    const speak = (at) => {
      said[at].push(`${at}:${said[at].length}`);
      const message = people[at].talk.send(said[at].at(-1));
      message.delivered.then(() => assert.ok(people[1 - at].heard.includes(message.content), "delivered is only what was heard"));
      sent.push(message);
    };
    people[0].name = "ann";
    people[1].name = "ben";
    for (let at = 0; at < 50; at += 1) {
      const person = people[random.below(2)];
      faults[random.below(faults.length)](person);
      for (let left = random.below(5); left >= 0; left -= 1) {
        speak(random.below(2));
        await world.pass(random.below(4) ? random.below(200) : random.below(6000));
      }
      if (random.below(3) === 0) people.forEach(mend);
    }
    people.forEach(mend);
    await world.until(Promise.all(sent.map(({ delivered }) => delivered)), 120_000);
    assert.deepEqual(people[1].heard, said[0]);
    assert.deepEqual(people[0].heard, said[1]);
    for (const person of people) {
      assert.equal(person.client.state, "open");
      assert.deepEqual(person.said("lost"), []);
      assert.deepEqual(person.said("error"), []);
    }
    assert.equal(world.server.sessions.size, 2);
    // Left alone, everyone ends up on the best door there is.
    await Promise.all(people.map(({ client }) => client.useDoor("auto")));
    await world.see("both on WebTransport", () => people.every(({ door }) => door === "webtransport"), 60_000);
  });
}
