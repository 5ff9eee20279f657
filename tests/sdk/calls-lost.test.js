/** A call outlives its node: both say that they are in it, and what went with the node is said again. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "./support/clients.js";
import { callers, course, flows, reload } from "./support/callers.js";

const offers = (server, from = 0) => server.heard.slice(from).filter(({ event }) => event === "webrtc:offer");
const joins = (server, from = 0) => server.heard.slice(from).filter(({ event }) => event === "call:join");

/** The node is lost, and both go on with another. */
async function change({ world, ann, ben, server }) {
  const before = [ann, ben].map((person) => person.said("resumed").length);
  server.loseNode();
  for (const [at, person] of [ann, ben].entries()) await world.see("resumed", () => person.said("resumed").length > before[at], 8000);
}

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

test("a node is lost with what one side was to hear of the accept, on either side", async (t) => {
  for (const deaf of ["ann", "ben"]) {
    await t.test(`${deaf} did not`, async (t) => {
      const all = await callers(t);
      const { world, ann, ben, server, air } = all;
      const call = await world.until(ann.talk.call());
      await world.see("the ring", () => ben.calls.length === 1);
      server.instead["call:accept"] = (session, { call: id }) => {
        server.calls.live.get(session.conversation).accepted = true;
        server.tell(server.of(deaf === "ann" ? "ben" : "ann"), "call:accept", { call: id, relay: false });
      };
      server.instead["webrtc:offer"] = () => {};
      await world.until(ben.calls[0].accept());
      await world.pass(300);
      server.instead = {};
      await change(all);
      await flows(world, call, ben.calls[0]);
      assert.equal(server.calls.live.size, 1);
      assert.deepEqual(air.wrong, []);
    });
  }
});

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

test("what one side alone says is no call: its offers are not heard, until the other says so, too", async (t) => {
  const { world, connect, ann, ben, server, air } = await callers(t);
  const [call, theirs] = await connect({ video: false }, { video: false });
  const [mine, other] = [course(call), course(theirs)];
  server.loseNode();
  for (const path of [ben.network.udp, ben.network.tcp]) path.block();
  await world.see("resumed", () => ann.said("resumed").length === 1, 8000);
  await world.until(call.camera(true));
  await world.pass(2000);
  const lost = offers(server).at(-1);
  assert.equal(lost.user, "ann");
  assert.equal(air.of(call).signalingState, "have-local-offer");
  const from = server.heard.length;
  for (const path of [ben.network.udp, ben.network.tcp]) path.heal();
  await world.see("ben resumed", () => ben.said("resumed").length === 1, 20_000);
  await world.see("it settled", () => air.of(call).signalingState === "stable" && offers(server, from).length > 0);
  await world.pass(2000);
  assert.equal(offers(server, from).length, 1, "the one that was dropped is made anew");
  assert.notEqual(offers(server, from)[0].data.id, lost.data.id);
  assert.deepEqual(theirs.remote.getVideoTracks().length, 1);
  assert.deepEqual([mine.states, other.states, air.made.length, air.wrong], [[], [], 2, []]);
});

for (const ahead of ["ann", "ben"]) {
  test(`a node is lost with the word of a new connection, which only ${ahead} heard`, async (t) => {
    const all = await callers(t);
    const { world, connect, server, air } = all;
    const [call, theirs] = await connect();
    const of = { ann: call, ben: theirs };
    const old = [...air.made];
    // Ann was told that Ben is fresh, or the other way round.
    server.calls.live.get(server.of("ann").conversation).generation = 1;
    server.instead["webrtc:offer"] = () => {};
    server.tell(server.of(ahead), "call:join", { call: call.id, generation: 1, relay: false });
    await world.see("a new one", () => air.made.length === 3);
    await world.pass(200);
    server.instead = {};
    const from = server.heard.length;
    await change(all);
    await world.see("the other follows", () => air.made.length === 4);
    await flows(world, of.ann, of.ben);
    await world.pass(3000);
    assert.deepEqual([of.ann.state, of.ben.state, air.made.length], ["connected", "connected", 4]);
    assert.ok(old.every(({ closed }) => closed));
    assert.deepEqual(new Set(offers(server, from).map(({ data }) => data.generation)), new Set([1]));
    assert.deepEqual(joins(server, from).map(({ user, data }) => [user, data.generation ?? 0]).sort(), [["ann", ahead === "ann" ? 1 : 0], ["ben", ahead === "ben" ? 1 : 0]]);
    assert.deepEqual(air.wrong, []);
  });
}

test("a node is lost as a page that was reloaded joins again", async (t) => {
  const { world, connect, ann, ben, server, air } = await callers(t);
  const [call, theirs] = await connect();
  air.of(call).close();
  const again = await reload(world, ann, "ann");
  const [rejoined] = again.calls;
  server.instead["call:join"] = () => {};
  await world.until(rejoined.accept());
  await world.pass(300);
  server.instead = {};
  await change({ world, ann: again, ben, server });
  await flows(world, rejoined, theirs);
  assert.deepEqual(joins(server).map(({ user, data }) => [user, data.fresh === true]).slice(-3).sort(), [["ann", false], ["ann", true], ["ben", false]]);
  assert.deepEqual(air.wrong, []);
});

test("a node is lost before a page that was reloaded has joined again", async (t) => {
  const { world, connect, ann, ben, server, air } = await callers(t);
  const [call, theirs] = await connect();
  air.of(call).close();
  const again = await reload(world, ann, "ann");
  const [rejoined] = again.calls;
  for (const path of [ben.network.udp, ben.network.tcp]) path.block();
  server.loseNode();
  await world.see("resumed", () => again.said("resumed").length === 1, 8000);
  await world.until(rejoined.accept());
  await world.pass(1000);
  assert.equal(rejoined.state, "connecting");
  for (const path of [ben.network.udp, ben.network.tcp]) path.heal();
  await flows(world, rejoined, theirs);
  assert.deepEqual(air.wrong, []);
});

test("nobody is brought into a call that they were not in: an offer of one is dropped", async (t) => {
  const { world, ann, ben, server, air, devices } = await callers(t);
  await change({ world, ann, ben, server });
  const errors = collect(ann.client, "error");
  const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:x\r\na=media:[]";
  const to = server.of("ann");
  server.tell(to, "call:join", { call: "evil", generation: 0, relay: false });
  server.tell(to, "webrtc:offer", { offer: { type: "offer", sdp }, type: "video", call: "evil", id: "one", generation: 0 });
  server.tell(to, "webrtc:candidates", { call: "evil", id: "one", candidates: [], end: true });
  await world.pass(1000);
  assert.deepEqual([ann.calls, ann.talk.currentCall, air.made, devices.asked, errors], [[], null, [], [], []]);
});

test("a page that was reloaded as its node was lost is in no call; the partner's ends", async (t) => {
  const { world, connect, ann, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const { ended } = course(theirs);
  server.loseNode();
  air.of(call).close();
  air.of(theirs).becomes("failed");
  const again = await reload(world, ann, "ann");
  await world.see("the end", () => ended.length === 1, 60_000);
  assert.deepEqual([ended[0].reason, again.calls], ["failed", []]);
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

test("a call becomes a relayed one as the partner joins again: the direct connection goes", async (t) => {
  const { world, connect, ann, air, server } = await callers(t);
  const [call, theirs] = await connect();
  const paths = collect(theirs, "path");
  const direct = air.of(theirs);
  air.of(call).close();
  const again = await reload(world, ann, "ann");
  const [rejoined] = again.calls;
  await world.until(rejoined.accept({ relay: true }));
  await flows(world, rejoined, theirs);
  assert.deepEqual([rejoined.relay, theirs.relay, theirs.path, paths], [true, true, null, []]);
  assert.deepEqual(air.made.slice(-2).map(({ configuration }) => configuration.iceTransportPolicy), ["relay", "relay"]);
  assert.ok(direct.closed);
  assert.equal(server.calls.live.get(server.of("ben").conversation).relay, true);
});

test("a call becomes a relayed one by a word of the partner alone: both make a new connection", async (t) => {
  const { world, connect, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const old = [...air.made];
  server.calls.hear(server.of("ben"), "call:join", { call: call.id, type: "video", relay: true });
  await world.see("new ones", () => air.made.length >= 4);
  await flows(world, call, theirs);
  await world.pass(3000);
  assert.deepEqual([call.relay, theirs.relay, call.state, theirs.state], [true, true, "connected", "connected"]);
  assert.ok(old.every(({ closed }) => closed));
  assert.ok(air.made.filter(({ closed }) => !closed).every(({ configuration }) => configuration.iceTransportPolicy === "relay"));
  assert.deepEqual(air.wrong, []);
});
