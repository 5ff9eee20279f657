/** A node is killed, and what its clients do: the talk goes on, and nothing is lost or comes twice. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_OPEN } from "../../web-demo/sdk/outbox.js";
import { TabStorage, collect } from "./support/clients.js";
import { World } from "./support/world.js";

/** Sees to it that `count` are back. */
async function back(world, people, type = "resumed") {
  for (const person of people) await world.see(`${type} told`, () => person.said(type).length === 1, 8000);
  await world.pass(1000);
}

/** What the server heard of someone since the node was lost. */
function said(world, name, from, ...events) {
  return world.server.heard.slice(from).filter(({ user, event }) => user === name && events.includes(event));
}

test("the talk goes on: what was not delivered comes again, in order, and what was heard only once", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const events = [ann, ben].flatMap(({ client, talk }) => [
    collect(client, "matched"), collect(client, "lost"), collect(talk, "ended"), collect(client, "idle"),
  ]);
  const restored = collect(ann.talk, "restored");
  const zero = ann.talk.send("zero");
  await world.until(zero.delivered);

  // Ben hears the first, and the word of it is lost; the second goes nowhere.
  const take = world.server["chat:message"];
  world.server.instead["chat:message"] = (session, data) => {
    take.call(world.server, session, data);
    setTimeout(() => (session.socket = null), 5);
  };
  const one = ann.talk.send("one");
  const states = collect(ann.talk, "state");
  await world.see("the server has it", () => one.state === "sent");
  const two = ann.talk.send("two");
  await world.see("ben heard it", () => ben.heard.includes("one"));
  world.server.instead = {};
  world.server.loseNode();
  const from = world.server.heard.length;

  await back(world, [ann, ben]);
  await world.until(Promise.all([one.delivered, two.delivered]));
  assert.deepEqual(ben.heard, ["zero", "one", "two"]);
  assert.deepEqual(states.filter(({ id }) => id === one.id).map(({ state }) => state), ["sent", "delivered"]);
  const again = said(world, "ann", from, "chat:message");
  assert.deepEqual(again.map(({ data, seq }) => [data.id, seq]), [[one.id, 1], [two.id, 2]]);
  assert.deepEqual(events.flat(), [], "nothing flickers");
  assert.equal(restored.length, 1);
  assert.deepEqual(ann.said("resumed").map(({ lost }) => lost), ["node"]);
  assert.deepEqual(ann.moves.map(([, , why]) => why), ["node"]);
  assert.equal(ann.client.conversation, ann.talk);
  assert.equal(ann.talk.status, "online");
  await world.until(ben.talk.send("and back").delivered);
  assert.deepEqual(ann.heard, ["and back"]);
});

test("more than can be told apart when it comes again is not taken", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  world.server.instead["chat:message"] = () => {};
  const sent = [];
  for (let count = 0; count < MOST_OPEN; count += 1) {
    sent.push(ann.talk.send(`${count}`));
    if (count % 100 === 0) await world.pass(100);
  }
  await world.pass(200);
  assert.ok(sent.every(({ state }) => state === "sent"));
  await assert.rejects(ann.talk.send("one more").delivered, { code: "backlog-full" });
  world.server.instead = {};
  world.server.loseNode();
  await back(world, [ann, ben]);
  await world.until(sent.at(-1).delivered);
  assert.deepEqual(ben.heard, sent.map(({ content }) => content));
});

test("a clear is said again only where nothing was said since", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  await world.until(ann.talk.send("zero").delivered);
  // The links are dead before anyone knows.
  for (const name of ["ann", "ben"]) world.server.of(name).socket = null;
  const one = ann.talk.send("one");
  ann.talk.clear();
  ben.talk.clear();
  const two = ben.talk.send("two");
  const cleared = collect(ben.talk, "clear");
  const from = world.server.heard.length;
  world.server.loseNode();
  await back(world, [ann, ben]);
  await world.until(Promise.all([one.delivered, two.delivered]));
  assert.deepEqual(said(world, "ann", from, "chat:message", "chat:clear").map(({ event }) => event), ["chat:message", "chat:clear"]);
  assert.deepEqual(said(world, "ben", from, "chat:message", "chat:clear").map(({ event }) => event), ["chat:message"]);
  assert.deepEqual(cleared.map(({ mine }) => mine), [false]);

  // One that the server had is not said again either.
  ann.talk.clear();
  await world.pass(500);
  const later = world.server.heard.length;
  world.server.loseNode();
  await world.see("ann again", () => ann.said("resumed").length === 2, 8000);
  await world.pass(500);
  assert.deepEqual(said(world, "ann", later, "chat:clear"), []);
});

test("a wait goes on with the same wish, and the app does nothing", async (t) => {
  const world = new World(t);
  const ann = world.person("ann");
  await world.until(ann.client.connect());
  const matching = ann.client.match({ interests: ["chess"] });
  await world.pass(500);
  const from = world.server.heard.length;
  world.server.loseNode();
  await back(world, [ann], "lost");
  assert.deepEqual(ann.said("lost").map(({ reason }) => reason), ["node"]);
  assert.deepEqual(said(world, "ann", from, "user:match").map(({ data }) => data), [{ interests: ["chess"] }]);
  const ben = world.person("ben");
  await world.until(ben.client.connect());
  const [one, two] = await world.until(Promise.all([matching, ben.client.match()]));
  assert.equal(one.id, two.id);
});

test("what was left is left again if it stands, and nobody is matched with it", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const matched = collect(ann.client, "matched");
  for (const name of ["ann", "ben"]) world.server.of(name).socket = null;
  const left = ann.talk.leave();
  const from = world.server.heard.length;
  world.server.loseNode();
  const ended = collect(ben.talk, "ended");
  await world.until(left, 8000);
  await world.see("ben hears it", () => ended.length === 1, 8000);
  assert.deepEqual(ended, [{ reason: "left" }]);
  assert.equal(said(world, "ann", from, "user:leave").length, 1);
  assert.deepEqual(matched, []);
  assert.equal(ann.client.conversation, null);
});

test("a skip that was lost brings the next one, by the wish that the lost node knew", async (t) => {
  const world = new World(t);
  const [ann, ben] = [world.person("ann"), world.person("ben")];
  await world.until(Promise.all([ann.client.connect(), ben.client.connect()]));
  const wish = { interests: ["chess"] };
  const [talk] = await world.until(Promise.all([ann.client.match(wish), ben.client.match()]));
  for (const name of ["ann", "ben"]) world.server.of(name).socket = null;
  const following = talk.skip();
  const from = world.server.heard.length;
  world.server.loseNode();
  await back(world, [ann], "lost");
  assert.deepEqual(said(world, "ann", from, "user:leave", "user:skip", "user:match").map(({ event, data }) => [event, data]), [
    ["user:leave", {}], ["user:match", wish],
  ]);
  const cat = world.person("cat");
  await world.until(cat.client.connect());
  const [next, other] = await world.until(Promise.all([following, cat.client.match()]));
  assert.equal(next.id, other.id);
  assert.equal(next.partner.username, "cat");
});

test("a skip after a node was lost says the wish, once", async (t) => {
  const world = new World(t);
  const [ann, ben] = [world.person("ann"), world.person("ben")];
  await world.until(Promise.all([ann.client.connect(), ben.client.connect()]));
  const wish = { languages: ["pt"] };
  const [talk] = await world.until(Promise.all([ann.client.match(wish), ben.client.match()]));
  world.server.loseNode();
  await back(world, [ann, ben]);
  const from = world.server.heard.length;
  const following = talk.skip();
  const cat = world.person("cat");
  await world.until(cat.client.connect());
  const [next] = await world.until(Promise.all([following, cat.client.match()]));
  next.skip().catch(() => {});
  await world.pass(500);
  const words = said(world, "ann", from, "user:leave", "user:skip", "user:match").map(({ event, data }) => [event, data]);
  assert.deepEqual(words, [["user:leave", {}], ["user:match", wish], ["user:skip", {}]]);
});

test("a search that was called off is off, and a match it had meanwhile is left", async (t) => {
  const world = new World(t);
  const [ann, ben] = [world.person("ann"), world.person("ben")];
  await world.until(Promise.all([ann.client.connect(), ben.client.connect()]));
  ann.client.match().catch(() => {});
  await world.pass(500);
  world.server.of("ann").socket = null;
  const matched = collect(ann.client, "matched");
  await world.until(ben.client.match());
  const cancelled = ann.client.cancel();
  const from = world.server.heard.length;
  world.server.loseNode();
  await world.until(cancelled, 8000);
  await world.pass(2000);
  assert.equal(said(world, "ann", from, "user:leave").length, 1);
  assert.deepEqual(matched, []);
});

test("another conversation than before: the old one is over and the new one begins", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const ended = collect(ann.talk, "ended");
  const matched = collect(ann.client, "matched");
  const kept = ann.talk.id;
  for (const name of ["ann", "ben"]) world.server.of(name).conversation = "f".repeat(32);
  world.server.loseNode();
  await back(world, [ann, ben], "lost");
  assert.deepEqual(ended, [{ reason: "lost" }]);
  assert.deepEqual(matched.map(({ conversation, resumed }) => [conversation.id === kept, resumed]), [[false, false]]);
  assert.equal(ann.client.conversation, matched[0].conversation);
});

test("no conversation: the talk is over, and so is what was on its way", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  const ended = collect(ann.talk, "ended");
  world.server.of("ann").socket = null;
  const lost = ann.talk.send("x");
  for (const name of ["ann", "ben"]) Object.assign(world.server.of(name), { partner: null, conversation: null, state: "idle" });
  world.server.loseNode();
  await back(world, [ann], "lost");
  assert.deepEqual(ended, [{ reason: "lost" }]);
  await assert.rejects(lost.delivered, { code: "session-lost" });
});

test("a page that was reloaded meanwhile finds its talk", async (t) => {
  const world = new World(t);
  const [ann] = await world.pair();
  const storage = new TabStorage();
  storage.items = new Map(ann.storage.items);
  world.server.loseNode();
  ann.client.cutLink();
  const again = world.person("ann", { storage });
  const matched = collect(again.client, "matched");
  await world.until(again.client.connect());
  assert.deepEqual(matched.map(({ conversation, resumed }) => [conversation.id, resumed]), [[ann.talk.id, true]]);
});
