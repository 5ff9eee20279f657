/** The link that a talk is on: lost in silence, doubted for nothing, and moved back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World } from "./support/world.js";

test("UDP dies in mid-talk, in silence: all is said over WebSocket within 5 s, and nobody notices", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  assert.deepEqual([ann.door, ben.door], ["webtransport", "webtransport"]);
  const statuses = [];
  ben.talk.addEventListener("status", ({ detail }) => statuses.push(detail));
  const said = { ann: [], ben: [] };
  const say = (who, text) => {
    said[who === ann ? "ann" : "ben"].push(text);
    return who.talk.send(text);
  };
  const sent = [say(ann, "before")];
  await world.until(sent[0].delivered);
  await world.pass(700);
  ann.network.udp.block();
  const blockedAt = world.now;
  for (let at = 0; at < 6; at += 1) {
    sent.push(say(ann, `ann ${at}`), say(ben, `ben ${at}`));
    await world.pass(300);
  }
  await world.until(Promise.all(sent.map(({ delivered }) => delivered)));
  assert.ok(world.now - blockedAt < 5000, `${world.now - blockedAt} ms`);
  assert.deepEqual(ben.heard, said.ann);
  assert.deepEqual(ann.heard, said.ben);
  assert.deepEqual(ann.moves, [["webtransport", "websocket", "silent"]]);
  assert.deepEqual(ann.said("reconnecting"), []);
  assert.deepEqual(ann.said("closing"), []);
  assert.equal(ann.client.state, "open");
  assert.deepEqual(ben.moves, []);
  assert.deepEqual(statuses, []);
});

test("whenever UDP dies, and whoever speaks, it takes less than 5 s", async (t) => {
  for (const speaker of ["ann", "ben"]) {
    for (let phase = 0; phase < 2000; phase += 290) {
      await t.test(`${phase} ms after the match, ${speaker} speaks`, async (t) => {
        const world = new World(t, phase + 1);
        const [ann, ben] = await world.pair();
        await world.pass(phase);
        ann.network.udp.block();
        const sent = (speaker === "ann" ? ann : ben).talk.send("through");
        const took = await world.see("it delivered", () => sent.state === "delivered");
        assert.ok(took < 4500, `${took} ms`);
        assert.deepEqual(ann.said("reconnecting"), []);
      });
    }
  }
});

test("a slow network is not taken for a dead one", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  for (const path of [ann.network.udp, ann.network.tcp]) path.delayMs = 400;
  await world.pass(10_000);
  const made = ann.WebSocket.made;
  for (let at = 0; at < 5; at += 1) {
    await world.until(ann.talk.send(`${at}`).delivered);
    await world.pass(1000);
  }
  assert.equal(ann.WebSocket.made, made, "four round trips are longer than a second here");
  assert.equal(ben.heard.length, 5);
  assert.deepEqual(ann.moves, []);
});

test("lost datagrams do not move it: not one, not two, not every tenth for ten minutes", async (t) => {
  const world = new World(t, 7);
  const [ann] = await world.pair();
  for (const lost of [1, 2]) {
    const before = ann.events.length;
    ann.network.udp.dropNext = lost;
    await world.pass(6000);
    assert.equal(ann.network.udp.dropNext, 0);
    assert.deepEqual(ann.events.slice(before), [], `${lost} lost: no other door was even tried`);
  }
  ann.network.udp.loss = 0.1;
  await world.pass(600_000);
  assert.deepEqual(ann.moves, []);
  assert.equal(ann.client.state, "open");
});

test("a link that answers while the other is being opened keeps the session, without a word", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const hellos = world.server.hellos.length;
  ann.network.tcp.delayMs = 400;
  ann.network.udp.block();
  const sent = ann.talk.send("late");
  await world.see("another door tried", () => ann.said("link").some(({ door, state }) => door === "websocket" && state === "connecting"));
  ann.network.udp.heal();
  await world.until(sent.delivered);
  await world.pass(5000);
  assert.deepEqual(ben.heard, ["late"]);
  assert.equal(world.server.hellos.length, hellos);
  assert.deepEqual(ann.moves, []);
  assert.deepEqual(ann.events.filter(({ type }) => type !== "link"), []);
  assert.equal(ann.said("link").at(-1).reason, "not-needed");
});

test("words that are never acknowledged are a sign of death, whatever else arrives", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  // The control stream is stuck; datagrams pass, both ways.
  const { datagrams } = ann.WebTransport.last.transport;
  assert.ok(datagrams);
  const session = world.server.of("ann");
  const { socket } = session;
  const listeners = socket.listeners("message");
  socket.removeAllListeners("message");
  socket.on("message", (bytes) => {
    if (JSON.parse(bytes).seq === undefined) listeners.forEach((listen) => listen(bytes));
  });
  const sent = ann.talk.send("stuck");
  const took = await world.see("it delivered", () => sent.state === "delivered");
  assert.ok(took < 3000, `${took} ms`);
  assert.deepEqual(ann.moves, [["webtransport", "websocket", "silent"]]);
  assert.deepEqual(ben.heard, ["stuck"]);
});

test("everything dies in silence: told, and mended when any door opens", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ann.network.udp.block();
  ann.network.tcp.block();
  const sent = ann.talk.send("kept");
  await world.see("it told", () => ann.said("reconnecting").length > 0, 5000);
  assert.equal(ann.client.state, "reconnecting");
  assert.equal(ann.client.rtt, undefined);
  await world.pass(20_000);
  assert.equal(ann.client.state, "reconnecting");
  ann.network.tcp.heal();
  await world.until(sent.delivered, 20_000);
  assert.deepEqual(ben.heard, ["kept"]);
  assert.deepEqual(ann.moves, [["webtransport", "websocket", "silent"]]);
});

test("UDP comes back: the session moves back, and nothing else is told", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ann.network.udp.block();
  await world.see("WebSocket", () => ann.door === "websocket");
  assert.ok(ann.storage.getItem("duologue:door:https://one.test").includes("websocket"), "a reload would begin with it");
  await world.pass(60_000);
  const tried = ann.WebTransport.made;
  assert.ok(tried >= 2, "it was looked for meanwhile");
  const before = ann.events.length;
  ann.network.udp.heal();
  const sent = [];
  const took = await world.see("WebTransport", () => {
    if (world.now % 500 === 0) sent.push(ann.talk.send(`${sent.length}`), ben.talk.send(`${sent.length}`));
    return ann.door === "webtransport";
  }, 400_000);
  assert.ok(took < 120_000, `${took} ms`);
  await world.until(Promise.all(sent.map(({ delivered }) => delivered)));
  assert.equal(ben.heard.length + ann.heard.length, sent.length);
  assert.deepEqual(ann.moves.at(-1), ["websocket", "webtransport", "better"]);
  const events = ann.events.slice(before).map(({ type }) => type);
  assert.deepEqual(events.filter((type) => type !== "link"), ["resumed"]);
  assert.equal(ann.storage.getItem("duologue:door:https://one.test"), null);
});

test("a better door waits while something waits for its acknowledgement", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  await world.until(ann.client.useDoor("websocket"));
  ann.network.tcp.delayMs = 500;
  const sent = [];
  const speak = async (ms) => {
    for (const until = world.now + ms; world.now < until; await world.pass(200)) sent.push(ann.talk.send(`${sent.length}`));
  };
  await speak(5000);
  await ann.client.useDoor("auto");
  await speak(60_000);
  assert.equal(ann.door, "websocket");
  await world.see("WebTransport", () => ann.door === "webtransport", 5000);
  await world.until(Promise.all(sent.map(({ delivered }) => delivered)));
  assert.equal(ben.heard.length, sent.length);
});

test("without UDP for an hour, it is looked for seldom, and only links are told", async (t) => {
  const world = new World(t);
  const person = world.person("ann");
  person.network.udp.block();
  await world.until(person.client.connect());
  assert.equal(person.door, "websocket");
  const tried = person.WebTransport.made;
  await world.pass(3_600_000);
  const more = person.WebTransport.made - tried;
  assert.ok(more >= 10 && more <= 20, `${more} times`);
  assert.equal(person.WebSocket.made, 1);
  assert.deepEqual(person.events.filter(({ type }) => type !== "link"), []);
});

test("UDP that dies soon after each move is trusted less and less", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  let openedAt = world.now;
  let door = ann.door;
  // A firewall that lets QUIC through for ten seconds.
  const hour = world.now + 3_600_000;
  while (world.now < hour) {
    if (ann.door !== door) {
      door = ann.door;
      openedAt = world.now;
      ann.network.udp.heal();
    }
    if (door === "webtransport" && world.now - openedAt >= 10_000) ann.network.udp.block();
    await world.pass(500);
  }
  const back = ann.moves.filter(([, , why]) => why === "better").length;
  assert.ok(back >= 4 && back <= 9, `${back} moves back in an hour`);
  assert.deepEqual(ann.said("reconnecting"), []);
});
