/** A call outlives what carries its signals: links, nodes and pages; and its own way is looked for anew. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { TabStorage, collect } from "./support/clients.js";
import { callers, course, flows, listen } from "./support/callers.js";
import { openPage } from "./support/world.js";

const offers = (server, from = 0) => server.heard.slice(from).filter(({ event }) => event === "webrtc:offer");

test("a way that is lost is looked for anew, once", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  const from = server.heard.length;
  air.breaks();
  const took = await world.see("media gone", () => call.state === "reconnecting" || theirs.state === "reconnecting")
    + await world.see("media back", () => air.made.every(({ connectionState }) => connectionState === "connected"));
  assert.ok(took <= 2000, `${took} ms`);
  await world.pass(5000);
  // The other side had not yet noticed.
  assert.deepEqual([mine.states, other.states].sort((one, two) => one.length - two.length), [[], ["reconnecting", "connected"]]);
  assert.equal(offers(server, from).length, 1, "the impolite one goes first");
  assert.equal(air.made.length, 2, "the same connections");
});

test("a way that falters and comes back is left alone", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call] = await connect();
  const { states } = course(call);
  const from = server.heard.length;
  for (const pc of air.made) pc.becomes("disconnected");
  await world.pass(1000);
  for (const pc of air.made) pc.becomes("connected");
  await world.pass(5000);
  assert.deepEqual([states, offers(server, from)], [[], []]);
});

test("one that has failed is looked for at once; each four seconds while nothing is found; then it is given up", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  air.open = false;
  air.breaks();
  const from = server.heard.length;
  for (const pc of air.made) pc.becomes("failed");
  await world.pass(100);
  assert.deepEqual([call.state, theirs.state], ["reconnecting", "reconnecting"]);
  assert.ok(offers(server, from).length >= 1);
  const took = await world.see("the end", () => call.state === "ended" && theirs.state === "ended", 40_000);
  assert.ok(took > 29_000 && took < 31_500, `${took} ms`);
  assert.ok(mine.ended.concat(other.ended).some(({ reason, error }) => reason === "failed" && error.code === "call-failed"));
  const tries = offers(server, from).filter(({ user }) => user === "ann").length;
  assert.ok(tries >= 6 && tries <= 10, `${tries} tries`);
  assert.ok(air.made.every(({ closed }) => closed));
  assert.deepEqual(air.wrong, []);
});

test("no media from the beginning: tried again, and given up", async (t) => {
  const { world, ann, ben, air, server } = await callers(t);
  air.open = false;
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  await world.until(ben.calls[0].accept());
  await world.see("the end", () => call.state === "ended", 40_000);
  assert.ok(offers(server).length >= 4);
  assert.equal(call.startedAt, null);
});

test("while the partner reconnects, or this side, nothing is given up", async (t) => {
  const { world, connect, air, ann, ben, server } = await callers(t);
  const [call, theirs] = await connect();
  air.breaks();
  for (const path of [ben.network.udp, ben.network.tcp]) path.block();
  server.tell(server.of("ann"), "user:status", { status: "reconnecting" });
  await world.pass(90_000);
  assert.deepEqual([call.state, theirs.state], ["reconnecting", "reconnecting"]);
  for (const path of [ben.network.udp, ben.network.tcp]) path.heal();
  server.tell(server.of("ann"), "user:status", { status: "online" });
  await world.see("media", () => call.state === "connected" && theirs.state === "connected", 15_000);
  assert.equal(ann.talk.status, "online");
});

test("a link that is lost, or moved, is nothing to the call", async (t) => {
  const { world, connect, ann, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  ann.client.cutLink();
  await world.pass(3000);
  await world.until(ann.client.useDoor("websocket"));
  await world.pass(1000);
  // What is said without a link arrives later.
  const from = server.heard.length;
  ann.client.cutLink();
  const sharing = call.screen(true);
  await world.until(sharing);
  await world.pass(3000);
  assert.deepEqual([mine.states, other.states, offers(server, from)], [[], [], []]);
  assert.equal(air.made.length, 2);
  ann.client.cutLink();
  call.end();
  await world.see("ben hears it", () => theirs.state === "ended");
  assert.deepEqual(other.reasons, ["hung-up"]);
});

test("the network changes: looked for at once, within bounds", async (t) => {
  const page = openPage(t);
  const { world, connect, air, server } = await callers(t);
  const [call] = await connect();
  await world.pass(12_000);
  let from = server.heard.length;
  air.breaks();
  page.changesNetwork();
  await flows(world, call);
  const took = await world.see("media", () => air.made.every(({ iceConnectionState }) => iceConnectionState === "connected"), 5000);
  assert.ok(took <= 1000, `${took} ms`);
  await world.pass(12_000);
  from = server.heard.length;
  for (let at = 0; at < 100; at += 1) {
    page.isOnline(true);
    await world.pass(100);
  }
  assert.ok(offers(server, from).length <= 4, `${offers(server, from).length} offers in ten seconds`);
  assert.equal(call.state, "connected");
});

test("media that falls silent is looked after before the browser calls it lost, once", async (t) => {
  const { world, connect, air, server } = await callers(t);
  const [call] = await connect();
  const heard = { type: "inbound-rtp", kind: "audio", bytesReceived: 0, packetsReceived: 0, packetsLost: 0 };
  air.of(call).stats = [heard];
  for (let second = 0; second < 15; second += 1) {
    heard.bytesReceived += 5000;
    await world.pass(1000);
  }
  const from = server.heard.length;
  assert.deepEqual(offers(server), offers(server).slice(0, 1), "nothing while it comes");
  const took = await world.see("a restart", () => offers(server, from).length === 1);
  assert.ok(took <= 3100, `${took} ms`);
  await world.pass(30_000);
  assert.equal(offers(server, from).length, 1, "who gives nothing is not asked again and again");
  assert.equal(call.state, "connected");
});

test("a node is lost in the middle of a call: it is joined again, and media never stops", async (t) => {
  const { world, connect, ann, ben, server, said, air } = await callers(t);
  const [call, theirs] = await connect();
  const [mine, other] = [course(call), course(theirs)];
  const from = server.heard.length;
  server.loseNode();
  for (const person of [ann, ben]) await world.see("resumed", () => person.said("resumed").length === 1, 8000);
  await world.pass(1000);
  assert.deepEqual([said("ann", from), said("ben", from)], [["call:join"], ["call:join"]]);
  const { data } = server.heard.slice(from).find(({ event }) => event === "call:join");
  assert.deepEqual(data, { call: call.id, type: "video" });
  assert.deepEqual([mine.states, other.states, air.made.length], [[], [], 2]);
  theirs.end();
  await world.see("the end", () => call.state === "ended");
});

test("a node is lost while it rings: it rings again, and is told once", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  server.loseNode();
  for (const person of [ann, ben]) await world.see("resumed", () => person.said("resumed").length === 1, 8000);
  await world.pass(1000);
  assert.equal(ben.calls.length, 1);
  await world.until(ben.calls[0].accept());
  await flows(world, call, ben.calls[0]);
});

for (const lost of ["call:accept", "webrtc:offer", "webrtc:answer"]) {
  test(`a node is lost with ${lost}`, async (t) => {
    const { world, ann, ben, server } = await callers(t);
    const call = await world.until(ann.talk.call());
    await world.see("the ring", () => ben.calls.length === 1);
    server.instead[lost] = () => {};
    await world.until(ben.calls[0].accept());
    await world.see("it gone", () => server.heard.some(({ event }) => event === lost));
    await world.pass(100);
    server.instead = {};
    server.loseNode();
    const took = await world.see("media", () => call.state === "connected" && ben.calls[0].state === "connected");
    assert.ok(took <= 6000, `${took} ms`);
  });
}

test("a node is lost with the word that it is over", async (t) => {
  const { world, connect, server } = await callers(t);
  const [call, theirs] = await connect();
  // The link is dead before anyone knows.
  server.of("ben").socket = null;
  theirs.end();
  await world.pass(100);
  server.loseNode();
  await world.see("the end", () => call.state === "ended");
  assert.equal(server.calls.live.size, 0);
});

test("a reload in the middle of a call: it is told, and both set it up anew", async (t) => {
  const { world, connect, ann, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const other = course(theirs);
  const storage = new TabStorage();
  storage.items = new Map(ann.storage.items);
  const before = air.of(call);
  ann.client.cutLink();
  for (const path of [ann.network.udp, ann.network.tcp]) path.block();
  const again = world.person("ann", { storage });
  again.client.addEventListener("matched", ({ detail }) => {
    again.talk = detail.conversation;
    listen(again);
  });
  await world.until(again.client.connect());
  assert.deepEqual(again.calls.map(({ id, state, direction, kind }) => [id, state, direction, kind]), [[call.id, "interrupted", "outgoing", "video"]]);
  const [rejoined] = again.calls;
  assert.equal(again.talk.currentCall, rejoined);
  before.close();
  await world.pass(3000);
  const from = server.heard.length;
  await world.until(rejoined.accept());
  await flows(world, rejoined);
  await world.see("theirs", () => theirs.state === "connected");
  assert.ok(other.states.includes("reconnecting"));
  const joined = server.heard.slice(from).find(({ event }) => event === "call:join");
  assert.equal(joined.data.fresh, true);
  assert.deepEqual(offers(server, from).map(({ user, data }) => [user, data.generation]), [["ben", 1]]);
  assert.deepEqual(theirs.remote.getTracks().map(({ kind }) => kind), ["audio", "video"]);
  assert.deepEqual(air.wrong, []);
  rejoined.end();
  await world.see("the end", () => theirs.state === "ended");
});

test("a reload while it rings, on either side", async (t) => {
  const { world, ann, ben, server } = await callers(t);
  const reload = async (person, name) => {
    const storage = new TabStorage();
    storage.items = new Map(person.storage.items);
    for (const path of [person.network.udp, person.network.tcp]) path.block();
    const again = world.person(name, { storage });
    again.client.addEventListener("matched", ({ detail }) => {
      again.talk = detail.conversation;
      listen(again);
    });
    await world.until(again.client.connect());
    return again;
  };
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  const benAgain = await reload(ben, "ben");
  assert.deepEqual(benAgain.calls.map(({ id, state, direction }) => [id, state, direction]), [[call.id, "ringing", "incoming"]]);
  const annAgain = await reload(ann, "ann");
  const [mine] = annAgain.calls;
  assert.deepEqual([mine.state, mine.direction], ["ringing", "outgoing"]);
  await world.until(benAgain.calls[0].accept());
  await world.see("its devices are asked for", () => mine.state === "interrupted");
  await world.until(mine.accept());
  await flows(world, mine, benAgain.calls[0]);
  assert.equal(server.calls.live.size, 1);
});

test("a page that was reloaded as its node was lost finds the call by the partner's offer", async (t) => {
  const { world, connect, ann, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const storage = new TabStorage();
  storage.items = new Map(ann.storage.items);
  server.loseNode();
  for (const path of [ann.network.udp, ann.network.tcp]) path.block();
  air.of(call).close();
  air.of(theirs).becomes("failed");
  const again = world.person("ann", { storage });
  again.client.addEventListener("matched", ({ detail }) => {
    again.talk = detail.conversation;
    listen(again);
  });
  await world.until(again.client.connect());
  await world.see("it told", () => again.calls.length === 1, 15_000);
  assert.deepEqual([again.calls[0].id, again.calls[0].state], [call.id, "interrupted"]);
  await world.until(again.calls[0].accept());
  await flows(world, again.calls[0], theirs);
});

test("a call that the service does not know any more is over", async (t) => {
  const { world, connect, ann, server } = await callers(t);
  const [call] = await connect();
  const { ended } = course(call);
  const errors = collect(ann.client, "error");
  server.instead["call:join"] = (session, { call: id }) => server.tell(session, "error", { code: "call-unknown", message: "?", event: "call:join", id });
  server.loseNode();
  await world.see("the end", () => ended.length === 1, 10_000);
  assert.deepEqual([ended[0].reason, errors], ["lost", []]);
});
