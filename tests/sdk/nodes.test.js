/** Several nodes, of which any will do. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { TabStorage } from "./support/clients.js";
import { World } from "./support/world.js";

const BASES = ["https://one.test", "https://two.test"];

test("a node that does not answer is passed over, and the one that worked is asked first", async (t) => {
  const world = new World(t);
  world.http["https://one.test"] = "silent";
  const person = world.person("ann", { client: { base: BASES } });
  await world.until(person.client.connect(), 4000);
  assert.deepEqual(world.asked, BASES);
  assert.equal(new URL(person.WebTransport.last.url).origin, "https://two.test");
  assert.deepEqual(person.said("reconnecting"), []);

  // After a reload too, and whatever the order they are given in.
  world.asked = [];
  const storage = new TabStorage();
  storage.items = new Map(person.storage.items);
  const reloaded = world.person("ann", { storage, client: { base: [...BASES].reverse() } });
  await world.until(reloaded.client.connect(), 1000);
  assert.deepEqual(world.asked, ["https://two.test"]);
  assert.equal(reloaded.said("resumed").length, 1, "one session for the set");
  assert.equal([...storage.items.keys()].filter((key) => key.startsWith("duologue:session:")).length, 1);
});

test("doors that do not open, and a node that says farewell, send it to the next", async (t) => {
  const world = new World(t);
  const person = world.person("ann", { client: { base: BASES } });
  for (const door of ["udp", "tcp"]) person.network.to("https://one.test")[door].refused = true;
  await world.until(person.client.connect(), 2000);
  const origin = () => new URL(person.WebTransport.last.url).origin;
  assert.equal(origin(), "https://two.test");
  for (const door of ["udp", "tcp"]) person.network.to("https://one.test")[door].refused = false;

  await world.pass(5000);
  const data = { code: 4503, reason: "draining", message: "Later.", reconnect: true, retryAfterMs: 500 };
  world.server.raw(world.server.of("ann"), { event: "connection:closing", data });
  await world.see("it open again", () => person.said("resumed").length === 1, 2000);
  assert.equal(origin(), "https://one.test");
  const told = person.said("reconnecting");
  assert.equal(told.length, 2, "once when the first node's doors were shut");
  assert.ok(told[1].retryInMs >= 500);
});

test("a network that is away does not send the session to a node that does not know it", async (t) => {
  const world = new World(t);
  const person = world.person("ann", { client: { base: BASES } });
  await world.until(person.client.connect(), 2000);
  await world.pass(5000);
  const doors = BASES.flatMap((base) => ["udp", "tcp"].map((door) => person.network.to(base)[door]));
  doors.forEach((door) => (door.refused = true));
  for (const base of BASES) world.http[base] = "refused";
  person.client.cutLink();
  await world.see("several tries", () => person.said("reconnecting").length >= 4, 60_000);
  doors.forEach((door) => (door.refused = false));
  world.http = {};
  await world.see("it back", () => person.said("resumed").length === 1, 20_000);
  assert.equal(new URL(person.WebTransport.last.url).origin, "https://one.test");
  assert.deepEqual(person.said("lost"), []);
});

test("no node answers: waited for; all say that it is wrong: told", async (t) => {
  const world = new World(t);
  for (const base of BASES) world.http[base] = "refused";
  const person = world.person("ann", { client: { base: BASES } });
  const connecting = person.client.connect();
  await world.see("a few tries", () => person.said("reconnecting").length === 3);
  world.http = {};
  await world.until(connecting);

  world.server.rest["/api/connect"] = [404, { success: false, message: "No.", error: { code: "not-found" } }];
  world.http["https://one.test"] = "refused";
  const other = world.person("ben", { client: { base: BASES } });
  const refused = other.client.connect();
  await world.see("a try", () => other.said("reconnecting").length === 1);
  world.http = {};
  await assert.rejects(world.until(refused), { code: "not-found" });
});

test("an account is asked for at the next node when one is away", async (t) => {
  const { Duologue } = await import("../../web-demo/sdk/duologue.js");
  const asked = [];
  t.mock.method(globalThis, "fetch", async (url) => {
    asked.push(url);
    if (asked.length === 1) throw new TypeError("fetch failed");
    return new Response(JSON.stringify({ success: true, data: { token: "token-x", user: {} } }), { status: 201 });
  });
  assert.equal((await Duologue.guest({ base: BASES })).token, "token-x");
  assert.deepEqual(asked, BASES.map((base) => `${base}/api/auth/guest`));
});
