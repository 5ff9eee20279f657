/** A call outlives what carries its signals: links and pages; and its own way is looked for anew. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { callers, course, flows, reload } from "./support/callers.js";
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
  for (let second = 0; second < 2; second += 1) {
    heard.bytesReceived += 5000;
    await world.pass(1000);
  }
  const again = await world.see("another restart", () => offers(server, from).length === 2);
  assert.ok(again <= 3100, `${again} ms: a way that was found is no reason to wait`);
  await world.pass(30_000);
  assert.equal(offers(server, from).length, 2, "who gives nothing is not asked again and again");
  assert.equal(call.state, "connected");
});

test("a reload in the middle of a call: it is told, and both set it up anew", async (t) => {
  const { world, connect, ann, server, air } = await callers(t);
  const [call, theirs] = await connect();
  const other = course(theirs);
  const before = air.of(call);
  ann.client.cutLink();
  const again = await reload(world, ann, "ann");
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
  const call = await world.until(ann.talk.call());
  await world.see("the ring", () => ben.calls.length === 1);
  const benAgain = await reload(world, ben, "ben");
  assert.deepEqual(benAgain.calls.map(({ id, state, direction }) => [id, state, direction]), [[call.id, "ringing", "incoming"]]);
  const annAgain = await reload(world, ann, "ann");
  const [mine] = annAgain.calls;
  assert.deepEqual([mine.state, mine.direction], ["ringing", "outgoing"]);
  await world.until(benAgain.calls[0].accept());
  await world.see("its devices are asked for", () => mine.state === "interrupted");
  await world.until(mine.accept());
  await flows(world, mine, benAgain.calls[0]);
  assert.equal(server.calls.live.size, 1);
});
