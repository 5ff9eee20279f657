/** What the page around a client tells, and what it does about it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { World, openPage } from "./support/world.js";

test("offline is believed, not tried against, and online brings it back at once", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann, ben] = await world.pair();
  for (const path of [ann.network.udp, ann.network.tcp]) path.block();
  page.isOnline(false);
  const took = await world.see("it told", () => ann.said("reconnecting").length > 0, 10_000);
  assert.ok(took <= 3000, `${took} ms`);
  assert.equal(ann.said("reconnecting")[0].code, "offline");
  const tried = ann.WebTransport.made + ann.WebSocket.made;
  const sent = ann.talk.send("from the tunnel");
  await world.pass(25_000);
  assert.equal(ann.WebTransport.made + ann.WebSocket.made, tried);
  for (const path of [ann.network.udp, ann.network.tcp]) path.heal();
  page.isOnline(true);
  await world.until(sent.delivered, 1000);
  assert.deepEqual(ben.heard, ["from the tunnel"]);
});

test("a browser that is wrong about being offline does no harm", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann] = await world.pair();
  page.isOnline(false);
  await world.until(ann.talk.send("still here").delivered, 1000);
  await world.pass(60_000);
  assert.equal(ann.client.state, "open");
  assert.deepEqual(ann.moves, []);
  ann.client.cutLink();
  await world.see("it open", () => ann.client.state === "open", 31_000);
});

test("a server on this machine does not need a network", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const person = world.person("ann", { client: { base: "http://127.0.0.1:3001" } });
  await world.until(person.client.connect());
  page.isOnline(false);
  person.client.cutLink();
  await world.see("it open", () => person.client.state === "open", 1000);
});

test("a changed network: the link is asked, and a better door tried at once", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann] = await world.pair();
  await world.pass(20_000);
  ann.network.udp.block();
  await world.see("WebSocket", () => ann.door === "websocket");
  ann.network.udp.heal();
  page.changesNetwork();
  await world.see("WebTransport", () => ann.door === "webtransport", 1000);
  assert.deepEqual(ann.moves.at(-1), ["websocket", "webtransport", "better"]);

  ann.network.udp.block();
  page.changesNetwork();
  await world.see("WebSocket", () => ann.door === "websocket", 1500);
  assert.deepEqual(ann.said("reconnecting"), []);
});

test("a storm of changes neither floods the doors nor keeps a dead link alive", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann] = await world.pair();
  ann.network.udp.block();
  await world.see("WebSocket", () => ann.door === "websocket");
  const tried = ann.WebTransport.made;
  for (let at = 0; at < 600; at += 1) {
    page.changesNetwork();
    await world.pass(100);
  }
  assert.ok(ann.WebTransport.made - tried <= 5, `${ann.WebTransport.made - tried} tries in a minute`);
  ann.network.tcp.block();
  for (let at = 0; at < 40 && ann.client.state === "open"; at += 1) {
    page.changesNetwork();
    await world.pass(100);
  }
  assert.equal(ann.client.state, "reconnecting");
});

test("back/forward cache: nothing is connected while the page is away, and the talk goes on after", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann, ben] = await world.pair();
  page.says("pagehide", { persisted: true });
  await world.pass(100);
  assert.equal(world.server.of("ann").socket, null);
  assert.equal(ann.door, null);
  const made = ann.WebTransport.made + ann.WebSocket.made;
  const sent = ben.client.state === "open" ? ben.talk.send("?") : ann.talk.send("said while away");
  await world.pass(60_000);
  assert.equal(ann.WebTransport.made + ann.WebSocket.made, made);
  page.says("pageshow", { persisted: true });
  await world.until(sent.delivered, 2000);
  assert.deepEqual(ann.moves, [["webtransport", "webtransport", "lost"]]);
  assert.deepEqual(ann.said("reconnecting"), []);
  assert.equal(ann.said("resumed").length, 1);
});

test("back/forward cache in the middle of connecting, and of a move", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const person = world.person("ann");
  const connecting = person.client.connect();
  await world.pass(60);
  page.says("pagehide", { persisted: true });
  await world.pass(5000);
  assert.equal(person.client.state, "connecting");
  page.says("pageshow", { persisted: true });
  await world.until(connecting, 2000);
  for (const wait of [10, 40, 60]) {
    const moving = person.client.useDoor(person.door === "websocket" ? "webtransport" : "websocket");
    await world.pass(wait);
    page.says("pagehide", { persisted: true });
    await assert.rejects(world.until(moving), { code: "page-away" });
    page.says("pageshow", { persisted: true });
    await world.see("it open", () => person.client.state === "open" && person.door !== null, 2000);
  }
  assert.equal(world.server.sessions.size, 1);
});

test("a page that is unfrozen asks its link, which may have died meanwhile", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann] = await world.pair();
  page.freezes();
  ann.network.udp.block();
  page.resumes();
  await world.see("WebSocket", () => ann.door === "websocket", 1500);
});

test("nobody looks: a better door is left alone until someone does", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const person = world.person("ann");
  person.network.udp.block();
  await world.until(person.client.connect());
  page.isShown(false);
  person.network.udp.heal();
  const tried = person.WebTransport.made;
  await world.pass(600_000);
  assert.equal(person.WebTransport.made, tried);
  page.isShown(true);
  // That someone looks is said first, and a better door waits until it is acknowledged.
  await world.see("WebTransport", () => person.door === "webtransport", 3000);
});

test("a page that is shown without having been away changes nothing", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann] = await world.pair();
  const events = ann.events.length;
  page.says("pageshow", { persisted: true });
  page.says("pageshow", { persisted: false });
  await world.pass(5000);
  assert.equal(ann.events.length, events);
  await world.until(ann.client.close());
  page.says("pageshow", { persisted: true });
  page.isOnline(true);
  await world.pass(5000);
  assert.equal(ann.client.state, "closed");
});

/** What the server was told of the person's attention. */
const attention = (world) => world.server.heard.filter(({ event }) => event === "user:presence").map(({ data }) => data.status);

test("away is told once the page was hidden for a while, back at once", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const person = world.person("ann");
  await world.until(person.client.connect());
  page.isShown(false);
  await world.pass(9_900);
  page.isShown(true);
  await world.pass(30_000);
  assert.deepEqual(attention(world), [], "a glance elsewhere is no news");
  page.isShown(false);
  await world.see("away", () => attention(world).length > 0, 10_200);
  await world.pass(120_000);
  page.isShown(true);
  await world.see("back", () => attention(world).length > 1, 100);
  assert.deepEqual(attention(world), ["away", "online"]);
});

test("away and back arrive when they are said without a link", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const person = world.person("ann");
  await world.until(person.client.connect());
  page.isShown(false);
  await world.pass(9_000);
  for (const path of [person.network.udp, person.network.tcp]) path.block();
  page.isOnline(false);
  await world.see("no link", () => person.client.state !== "open", 40_000);
  assert.deepEqual(attention(world), []);
  page.isShown(true);
  for (const path of [person.network.udp, person.network.tcp]) path.heal();
  page.isOnline(true);
  await world.see("both", () => attention(world).length > 1, 10_000);
  assert.deepEqual(attention(world), ["away", "online"]);
});

test("a new session hears of it again, and one that goes on after a reload hears what holds", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  page.isShown(false);
  const person = world.person("ann");
  await world.until(person.client.connect());
  await world.see("away, in a page that was never seen", () => attention(world).length > 0, 11_000);
  // Sessions that are forgotten begin as online.
  world.server.forgetSessions();
  await world.see("away once more", () => attention(world).length > 1, 60_000);
  assert.deepEqual(attention(world), ["away", "away"]);

  // The page before may have said either.
  person.client.cutLink();
  person.network.udp.block();
  person.network.tcp.block();
  page.isShown(true);
  const { storage } = person;
  const after = world.person("ann", { storage });
  await world.until(after.client.connect());
  assert.equal(after.said("resumed").length, 1);
  await world.see("what holds", () => attention(world).length > 2, 1_000);
  assert.deepEqual(attention(world), ["away", "away", "online"]);
});

test("a server that does not know of it is no trouble", async (t) => {
  const page = openPage(t);
  const world = new World(t);
  const [ann, ben] = await world.pair();
  world.server.instead["user:presence"] = (session) =>
    world.server.tell(session, "error", { code: "unknown-event", message: "No such event.", event: "user:presence" });
  page.isShown(false);
  await world.see("it told", () => attention(world).length > 0, 11_000);
  page.isShown(true);
  await world.until(ann.talk.send("still here").delivered, 2_000);
  for (const person of [ann, ben]) assert.deepEqual(person.said("error"), []);
});
