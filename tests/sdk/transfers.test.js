/** Files and voice notes between two who talk, and everything that ends them early. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { begin, collect, next } from "./support/clients.js";
import { WebTransportError } from "./support/webtransport.js";
import { World } from "./support/world.js";

const KB = 1024;
const DOORS = ["webtransport", "websocket"];
const by = (door) => ({ client: { doors: [door] } });
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = async (blob) => Buffer.from(await blob.arrayBuffer());

/** Two who talk by these doors; `offers` are the files that Ben is offered. */
async function talk(t, { ann = "webtransport", ben = ann, seed = 1 } = {}) {
  const world = new World(t, seed);
  const people = await world.pair({ ann: by(ann), ben: by(ben) });
  const offers = collect(people[1].talk, "file");
  return { world, ann: people[0], ben: people[1], offers };
}

/** The next that Ben is offered. */
async function offered(world, offers) {
  const before = offers.length;
  await world.see("an offer", () => offers.length > before);
  return offers.at(-1);
}

async function sendTo(world, sender, offers, size = 200 * KB, options = {}) {
  const bytes = randomBytes(size);
  const sent = sender.talk.sendFile(new Blob([bytes], { type: "image/png" }), { name: "a.png", ...options });
  return { bytes, sent, came: await offered(world, offers) };
}

for (const [ann, ben] of [["webtransport", "webtransport"], ["websocket", "websocket"], ["webtransport", "websocket"], ["websocket", "webtransport"]]) {
  test(`from ${ann} to ${ben}, of any size`, async (t) => {
    const { world, ann: from, offers } = await talk(t, { ann, ben });
    for (const size of [1, 16 * KB - 1, 16 * KB, 16 * KB + 1, KB * KB]) {
      const { bytes, sent, came } = await sendTo(world, from, offers, size);
      const progress = [collect(sent, "progress"), collect(came, "progress")];
      const events = [collect(sent, "state"), collect(sent, "complete"), collect(came, "state"), collect(came, "complete")];
      assert.deepEqual([sent.kind, sent.mine, sent.name, sent.size, sent.mime], ["file", true, "a.png", size, "image/png"]);
      assert.deepEqual([came.kind, came.mine, came.name, came.size, came.mime], ["file", false, "a.png", size, "image/png"]);
      assert.equal(came.link, `/api/files/${sent.id}`);
      assert.deepEqual([sent.state, came.state], ["offered", "offered"]);
      const blob = await world.until(came.blob(), 60_000);
      await world.until(sent.done);
      assert.equal(blob.type, "image/png");
      assert.equal(hash(await bytesOf(blob)), hash(bytes));
      for (const list of progress) {
        assert.deepEqual(list.at(-1), { transferred: size, size });
        assert.ok(list.every(({ transferred }, at) => at === 0 || transferred > list[at - 1].transferred));
      }
      assert.deepEqual([sent.transferred, came.transferred], [size, size]);
      assert.deepEqual(events.map((list) => list.map(({ state }) => state ?? "")), [["moving", "complete"], [""], ["moving", "complete"], [""]]);
    }
    assert.ok(world.server.transfers.most <= 192 * KB);
    assert.ok(world.server.transfers.most > 100 * KB, "the line bears more than it began with");
    assert.equal(world.server.transfers.live.size, 0);
    assert.deepEqual(world.server.heard.filter(({ event, seq }) => event === "file:progress" && seq !== undefined), []);
  });
}

test("a voice note says how long it is", async (t) => {
  const { world, ann, offers } = await talk(t);
  const sent = ann.talk.sendVoice(new Blob([randomBytes(9000)], { type: "audio/webm" }), { durationMs: 2500 });
  const came = await offered(world, offers);
  assert.deepEqual([sent.kind, came.kind, came.durationMs, came.mime], ["voice", "voice", 2500, "audio/webm"]);
  assert.equal((await world.until(came.blob())).size, 9000);
});

test("both directions at once, four each, and what is said beside them", async (t) => {
  for (const door of DOORS) {
    await t.test(door, async (t) => {
      const { world, ann, ben } = await talk(t, { ann: door });
      const came = { ann: collect(ann.talk, "file"), ben: collect(ben.talk, "file") };
      const files = Array.from({ length: 8 }, () => randomBytes(100 * KB));
      const sent = files.map((bytes, at) => (at < 4 ? ann : ben).talk.sendFile(new Blob([bytes])));
      await world.see("the offers", () => came.ann.length === 4 && came.ben.length === 4);
      const blobs = Promise.all([...came.ben, ...came.ann].map((transfer) => transfer.blob()));
      const said = ann.talk.send("beside");
      const took = await world.see("it delivered", () => said.state === "delivered");
      assert.ok(took < 200, `${took} ms`);
      const hashes = (await world.until(blobs, 60_000)).map((blob) => bytesOf(blob).then(hash));
      assert.deepEqual(await Promise.all(hashes), files.map(hash));
      await world.until(Promise.all(sent.map(({ done }) => done)));
      assert.ok(ann.WebSocket.mostBuffered < 100 * KB);
    });
  }
});

test("a stream that is not read stops its sender, and nothing else", async (t) => {
  for (const door of DOORS) {
    await t.test(door, async (t) => {
      const { world, ann, ben, offers } = await talk(t, { ann: door });
      const { bytes, sent, came } = await sendTo(world, ann, offers, 500 * KB);
      const reader = came.stream().getReader();
      await world.pass(5000);
      assert.deepEqual([sent.transferred, came.transferred], [0, 0]);
      const { received } = world.server.transfers.live.get(sent.id);
      assert.ok(received > 0 && received <= 192 * KB);
      if (door === "webtransport") {
        assert.ok(ben.WebTransport.last.transport.downloaded <= 64 * KB, "the rest waits at the server");
      }
      await world.until(ann.talk.send("still").delivered, 500);
      const other = ann.talk.sendFile(new Blob(["second"]));
      const second = await offered(world, offers);
      await world.until(second.blob());
      await world.until(other.done);

      const parts = [];
      for (;;) {
        const { value, done } = await world.until(reader.read());
        if (done) break;
        parts.push(value);
      }
      assert.equal(hash(Buffer.concat(parts)), hash(bytes));
      await world.until(Promise.all([sent.done, came.done]));
    });
  }
});

test("what is taken slowly is sent slowly", async (t) => {
  const { world, ann, offers } = await talk(t);
  const { sent, came } = await sendTo(world, ann, offers, 500 * KB);
  const reader = came.stream().getReader();
  let read = 0;
  while (read < 100 * KB) read += (await world.until(reader.read())).value.length;
  await world.pass(2000);
  assert.ok(sent.transferred <= read);
  assert.equal(came.transferred, read);
  assert.ok(world.server.transfers.live.get(sent.id).received <= read + 192 * KB);
  await world.until(reader.cancel());
  await world.pass(200);
  assert.deepEqual([sent.state, came.state], ["cancelled", "cancelled"]);
});

test("a narrow line stays quick for what is said beside a file", async (t) => {
  for (const door of DOORS) {
    await t.test(door, async (t) => {
      const { world, ann, offers } = await talk(t, { ann: door });
      // 16 Mbit/s
      for (const path of [ann.network.udp, ann.network.tcp]) path.bytesPerMs = 2000;
      const { sent, came } = await sendTo(world, ann, offers, 4 * KB * KB);
      const from = world.now;
      came.accept();
      const delays = [];
      while (sent.state !== "complete") {
        const said = ann.talk.send("beside");
        delays.push(await world.see("it delivered", () => said.state === "delivered"));
        await world.pass(100);
      }
      assert.ok(Math.max(...delays) < 300, `${delays}`);
      const rate = (4 * KB * KB) / (world.now - from);
      assert.ok(rate > 500, `${rate} bytes a millisecond`);
    });
  }
});

test("64 kbit/s, behind which every frame has to wait: it takes its time, and hardly a second link", async (t) => {
  for (const who of ["ann", "ben"]) {
    await t.test(who, async (t) => {
      const { world, ann, ben, offers } = await talk(t, { ann: "websocket" });
      const person = who === "ann" ? ann : ben;
      person.network.tcp.bytesPerMs = 8;
      const { bytes, sent, came } = await sendTo(world, ann, offers, 200 * KB);
      const from = world.now;
      const blob = came.blob();
      while (sent.state !== "complete") {
        await world.until(ann.talk.send("beside").delivered);
        await world.pass(1000);
      }
      assert.ok((200 * KB) / (world.now - from) > 5);
      assert.ok(person.moves.length <= 2, `${person.moves.length} moves`);
      assert.equal(hash(await bytesOf(await blob)), hash(bytes));
    });
  }
});

for (const door of DOORS) {
  for (const who of ["ann", "ben"]) {
    test(`by ${door}, the link of ${who === "ann" ? "the sender" : "the receiver"} is cut again and again: the file is whole`, async (t) => {
      for (let seed = 1; seed <= 4; seed += 1) await t.test(`${seed}`, async (t) => {
        const people = await talk(t, { ann: door, seed });
        const { world, ann, offers } = people;
        const { bytes, sent, came } = await sendTo(world, ann, offers, 1500 * KB);
        const blob = came.blob();
        for (let cut = 0; cut < 3; cut += 1) {
          await world.pass(world.random.below(100));
          await world.see("a link", () => people[who].door);
          await world.pass(50 + world.random.below(100));
          assert.deepEqual([sent.state, came.state], ["moving", "moving"]);
          people[who].client.cutLink();
        }
        assert.equal(hash(await bytesOf(await world.until(blob, 60_000))), hash(bytes));
        await world.until(sent.done);
        assert.equal(people[who].said("resumed").length, 3);
      });
    });
  }
}

test("a file goes on while the session moves from door to door, on either side", async (t) => {
  for (const who of ["ann", "ben"]) {
    await t.test(who, async (t) => {
      const world = new World(t, 3);
      const [ann, ben] = await world.pair();
      const offers = collect(ben.talk, "file");
      const { bytes, sent, came } = await sendTo(world, ann, offers, 1000 * KB);
      const { client } = who === "ann" ? ann : ben;
      const blob = came.blob();
      for (const door of ["websocket", "webtransport", "websocket"]) {
        await world.pass(100);
        await world.until(client.useDoor(door));
        assert.equal(sent.state, "moving");
      }
      assert.equal(hash(await bytesOf(await world.until(blob, 60_000))), hash(bytes));
      await world.until(sent.done);
    });
  }
});

test("what is offered and accepted while the session moves is not lost", async (t) => {
  for (const who of ["ann", "ben"]) {
    for (let wait = 0; wait < 160; wait += 10) {
      await t.test(`${who}, after ${wait} ms`, async (t) => {
        const world = new World(t);
        const people = await world.pair();
        const [ann, ben] = people;
        ben.talk.addEventListener("file", ({ detail }) => detail.accept());
        people[who === "ann" ? 0 : 1].network.tcp.delayMs = 60;
        const moving = (who === "ann" ? ann : ben).client.useDoor("websocket");
        await world.pass(wait);
        const sent = ann.talk.sendFile(new Blob([randomBytes(20 * KB)]));
        await world.until(Promise.all([moving, sent.done]));
      });
    }
  }
});

test("a stream goes on over another link without a gap and without a repetition", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const offers = collect(ben.talk, "file");
  const { bytes, came } = await sendTo(world, ann, offers, 400 * KB);
  const reader = came.stream().getReader();
  const parts = [];
  for (let at = 0; ; at += 1) {
    if (at % 10 === 9) ben.client.cutLink();
    if (at % 10 === 5) await world.pass(200);
    const { value, done } = await world.until(reader.read());
    if (done) break;
    parts.push(value);
  }
  assert.equal(hash(Buffer.concat(parts)), hash(bytes));
});

test("UDP dies in the middle of a file, in silence: it goes on over WebSocket", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  const offers = collect(ben.talk, "file");
  const { bytes, came, sent } = await sendTo(world, ann, offers, 800 * KB);
  const blob = came.blob();
  await world.pass(150);
  ann.network.udp.block();
  assert.equal(hash(await bytesOf(await world.until(blob, 60_000))), hash(bytes));
  await world.until(sent.done);
  assert.equal(ann.door, "websocket");
});

test("a file does not keep the session from the better door", async (t) => {
  const world = new World(t);
  const people = [world.person("ann"), world.person("ben")];
  people[0].network.udp.block();
  await world.until(Promise.all(people.map(({ client }) => client.connect())));
  const talks = await world.until(Promise.all(people.map(({ client }) => client.match())));
  people[0].network.udp.heal();
  const offers = collect(talks[1], "file");
  const { came } = await sendTo(world, { talk: talks[0] }, offers, 2000 * KB);
  for (const path of [people[0].network.udp, people[0].network.tcp]) path.bytesPerMs = 40;
  came.accept();
  await world.see("WebTransport", () => people[0].door === "webtransport", 25_000);
  assert.equal(came.state, "moving");
  for (const path of [people[0].network.udp, people[0].network.tcp]) path.bytesPerMs = Infinity;
  await world.until(came.done, 60_000);
});

test("the receiver has it all when its link ends, and the sender hears so", async (t) => {
  const { world, ann, ben, offers } = await talk(t);
  const { sent, came } = await sendTo(world, ann, offers, 30 * KB);
  world.server.instead["file:progress"] = () => {};
  came.accept();
  await world.until(came.done);
  await world.pass(500);
  delete world.server.instead["file:progress"];
  assert.equal(sent.state, "moving");
  ben.client.cutLink();
  await world.until(sent.done);
});

test("called off by either side, waiting or moving", async (t) => {
  for (const who of ["sent", "came"]) {
    for (const moving of [false, true]) {
      await t.test(`${who}, ${moving ? "moving" : "waiting"}`, async (t) => {
        globalThis.WebTransportError = WebTransportError;
        t.after(() => delete globalThis.WebTransportError);
        const { world, ann, ben, offers } = await talk(t);
        const errors = [collect(ann.client, "error"), collect(ben.client, "error")];
        const pair = await sendTo(world, ann, offers, 900 * KB);
        const ends = { sent: collect(pair.sent, "cancelled"), came: collect(pair.came, "cancelled") };
        if (moving) {
          pair.came.accept();
          await world.see("some of it", () => pair.sent.transferred > 100 * KB);
        }
        pair[who].cancel();
        assert.equal(pair[who].state, "cancelled");
        await world.pass(300);
        for (const side of ["sent", "came"]) {
          assert.equal(pair[side].state, "cancelled");
          await assert.rejects(pair[side].done, { code: "cancelled" });
          assert.deepEqual(ends[side].map(({ code, mine }) => [code, mine]), [["cancelled", side === who]]);
        }
        await assert.rejects(pair.came.blob(), { code: "cancelled" });
        assert.deepEqual(errors, [[], []]);
        if (moving) assert.ok(world.server.transfers.resets.some(({ code }) => code === 4499));
        pair[who].cancel();
        await world.until(ann.talk.send("fine").delivered);
        const { sent, came } = await sendTo(world, ann, offers, 10);
        await world.until(came.blob());
        await world.until(sent.done);
      });
    }
  }
});

test("declined", async (t) => {
  const { world, ann, offers } = await talk(t);
  const { sent, came } = await sendTo(world, ann, offers);
  const cancelled = collect(sent, "cancelled");
  came.reject();
  assert.equal(came.state, "rejected");
  await assert.rejects(came.done, { code: "rejected" });
  await assert.rejects(world.until(sent.done), { code: "rejected" });
  assert.equal(sent.state, "rejected");
  assert.equal(cancelled[0].mine, false);
});

test("whatever the server ends it for, both hear it", async (t) => {
  const { world, ann, offers } = await talk(t);
  for (const code of ["unanswered", "stalled", "type-mismatch", "hash-mismatch", "busy", "lost"]) {
    const { sent, came } = await sendTo(world, ann, offers, 500 * KB);
    came.accept();
    world.server.transfers.cancel(world.server.transfers.live.get(sent.id), code);
    await assert.rejects(world.until(sent.done), { code });
    await assert.rejects(world.until(came.done), { code });
    assert.deepEqual([sent.state, came.state], ["failed", "failed"]);
  }
  await world.until(ann.talk.send("fine").delivered);
});

test("more than four wait for a place, and one that is called off is never offered", async (t) => {
  const { world, ann, offers } = await talk(t);
  const sent = Array.from({ length: 7 }, (_, at) => ann.talk.sendFile(new Blob([`${at}`]), { name: `${at}` }));
  await world.pass(500);
  assert.deepEqual(offers.map(({ name }) => name), ["0", "1", "2", "3"]);
  assert.ok(sent.every(({ state }) => state === "offered"));
  sent[4].cancel();
  offers[1].reject();
  await world.until(offers[2].blob());
  await world.see("two more", () => offers.length === 6);
  assert.deepEqual(offers.map(({ name }) => name), ["0", "1", "2", "3", "5", "6"]);
  assert.ok(!world.server.heard.some(({ data }) => data?.transfer === sent[4].id));
  for (const offer of offers) if (!["rejected", "complete"].includes(offer.state)) await world.until(offer.blob());
  await world.until(Promise.all([0, 2, 3, 5, 6].map((at) => sent[at].done)));
});

test("an offer that is refused, or that comes too fast", async (t) => {
  const { world, ann, offers } = await talk(t);
  const errors = collect(ann.client, "error");
  const refuse = (error) => {
    world.server.instead["file:offer"] = (session, { transfer }) => {
      delete world.server.instead["file:offer"];
      world.server.tell(session, "error", { message: "No.", event: "file:offer", id: transfer, ...error });
    };
  };
  refuse({ code: "type-not-allowed" });
  const refused = ann.talk.sendFile(new Blob(["MZ"]));
  await assert.rejects(world.until(refused.done), { code: "type-not-allowed" });
  assert.equal(refused.state, "failed");
  refuse({ code: "too-fast", retryAfterMs: 3000 });
  const from = world.now;
  const { came, sent } = await sendTo(world, ann, offers, 10);
  assert.ok(world.now - from >= 3000);
  world.server.instead["file:accept"] = (session, { transfer }) => {
    delete world.server.instead["file:accept"];
    world.server.tell(session, "error", { code: "too-fast", message: "Wait.", event: "file:accept", id: transfer, retryAfterMs: 500 });
  };
  await world.until(came.blob());
  await world.until(sent.done);
  assert.deepEqual(errors, []);
});

test("what cannot be sent is not even offered", async (t) => {
  const { world, ann } = await talk(t);
  world.server.transfers.limits.fileBytes = 10;
  const cases = [[[], "file-empty"], [[randomBytes(10 * KB * KB + 1)], "file-too-big"]];
  for (const [parts, code] of cases) {
    const sent = ann.talk.sendFile(new Blob(parts));
    const cancelled = collect(sent, "cancelled");
    await assert.rejects(sent.done, { code });
    assert.equal(sent.state, "failed");
    assert.equal(cancelled[0].code, code);
  }
  await assert.rejects(ann.talk.sendVoice(new Blob(["x"]), { durationMs: 1e9 }).done, { code: "voice-too-long" });
  const aborted = ann.talk.sendFile(new Blob(["x"]), { signal: AbortSignal.abort() });
  await assert.rejects(aborted.done, { code: "cancelled" });
  await world.until(ann.talk.leave());
  await assert.rejects(ann.talk.sendFile(new Blob(["x"])).done, { code: "conversation-ended" });
  await world.pass(200);
  assert.ok(!world.server.heard.some(({ event }) => event.startsWith("file:")));
});

test("a signal calls it off", async (t) => {
  const { world, ann, offers } = await talk(t);
  const controller = new AbortController();
  const { sent, came } = await sendTo(world, ann, offers, 900 * KB, { signal: controller.signal });
  came.accept();
  await world.pass(100);
  controller.abort();
  await assert.rejects(sent.done, { code: "cancelled" });
  await assert.rejects(world.until(came.done), { code: "cancelled" });
});

test("the end of the conversation is the end of its transfers", async (t) => {
  const { world, ann, ben, offers } = await talk(t);
  const errors = [collect(ann.client, "error"), collect(ben.client, "error")];
  const { sent, came } = await sendTo(world, ann, offers, 900 * KB);
  const reader = came.stream().getReader();
  const queued = Array.from({ length: 5 }, () => ann.talk.sendFile(new Blob(["later"])));
  await world.pass(150);
  const reading = (async () => {
    while (!(await reader.read()).done);
  })();
  reading.catch(() => {});
  await world.until(ben.talk.leave());
  await assert.rejects(world.until(reading), { code: "conversation-ended" });
  await world.pass(300);
  for (const transfer of [sent, came, ...queued]) {
    assert.equal(transfer.state, "failed");
    await assert.rejects(transfer.done, { code: "conversation-ended" });
  }
  assert.deepEqual(errors, [[], []]);
});

test("after a reload its files are gone, and the other side hears it; the talk goes on", async (t) => {
  const { world, ann, ben, offers } = await talk(t);
  const { sent, came } = await sendTo(world, ann, offers, 900 * KB);
  came.accept();
  await world.pass(100);
  assert.deepEqual(world.server.hellos.map(({ resume }) => resume), [undefined, undefined]);
  ann.network.udp.block();
  ann.client.cutLink();
  const again = world.person("ann", { storage: ann.storage, ...by("webtransport") });
  await world.until(again.client.connect());
  assert.equal("transfers" in world.server.hellos.at(-1).resume, false);
  await assert.rejects(world.until(came.done), { code: "lost" });
  assert.equal(came.state, "failed");
  assert.equal(sent.state, "moving");
  ann.client.close().catch(() => {});
  await world.until(again.client.conversation.send("back").delivered);
  assert.deepEqual(ben.heard, ["back"]);
});

test("an offer outlives a link, heard or not, and one that came before anyone listened is told", async (t) => {
  const world = new World(t);
  const [ann, ben] = await world.pair();
  ben.client.cutLink();
  const sent = [ann.talk.sendFile(new Blob(["one"]), { name: "one" })];
  await world.pass(1000);
  ann.client.cutLink();
  sent.push(ann.talk.sendFile(new Blob(["two"]), { name: "two" }));
  await world.pass(1000);
  ben.client.cutLink();
  await world.pass(1000);
  const offers = collect(ben.talk, "file");
  assert.deepEqual(offers.map(({ name }) => name), ["one", "two"]);
  const blobs = await world.until(Promise.all(offers.map((offer) => offer.blob())));
  assert.deepEqual(await Promise.all(blobs.map((blob) => blob.text())), ["one", "two"]);
  await world.until(Promise.all(sent.map(({ done }) => done)));
});

test("a transfer is read once", async (t) => {
  const { world, ann, offers } = await talk(t);
  const first = await sendTo(world, ann, offers, 10);
  const blob = first.came.blob();
  assert.equal(first.came.blob(), blob);
  assert.throws(() => first.came.stream(), { code: "already-read" });
  await world.until(blob);
  const second = await sendTo(world, ann, offers, 40 * KB);
  second.came.accept();
  await world.see("all of it", () => second.came.state === "complete");
  const parts = [];
  for await (const part of second.came.stream()) parts.push(part);
  assert.equal(hash(Buffer.concat(parts)), hash(second.bytes));
  await assert.rejects(second.came.blob(), { code: "already-read" });
});

test("a file of no known size, as the server relays it from elsewhere", async (t) => {
  const { world, ann, ben, offers } = await talk(t);
  const { server } = world;
  const [from, to] = [server.of("ann"), server.of("ben")];
  server.instead["file:accept"] = server.instead["file:progress"] = () => {};
  server.tell(to, "file:offer", { transfer: "curl", from: from.user.id, kind: "file", name: "c", mime: "text/plain", link: "/x", timestamp: 1 });
  const came = await offered(world, offers);
  assert.equal(came.size, undefined);
  const blob = came.blob();
  await world.pass(100);
  const bytes = randomBytes(20 * KB);
  to.socket.sendBytes("curl", 0, bytes);
  server.tell(to, "file:complete", { transfer: "curl", size: bytes.length, sha256: hash(bytes) });
  assert.equal((await world.until(blob)).size, 20 * KB);
  assert.equal(came.size, 20 * KB);
  await world.pass(100);
  assert.equal(server.heard.findLast(({ event }) => event === "file:progress").data.received, 20 * KB);
  assert.deepEqual([ann, ben].map(({ client }) => client.state), ["open", "open"]);
});

test("what arrived is checked", async (t) => {
  const { world, offers } = await talk(t);
  const { server } = world;
  const to = server.of("ben");
  const offer = { from: "x", kind: "file", name: "c", size: 5, mime: "text/plain", link: "/x", timestamp: 1 };
  server.instead["file:accept"] = server.instead["file:cancel"] = () => {};
  for (const [id, at, text, code] of [["hash", 0, "wrong", "hash-mismatch"], ["long", 0, "longer", "size-mismatch"], ["gap", 2, "gap", "offset-mismatch"]]) {
    server.tell(to, "file:offer", { ...offer, transfer: id });
    const blob = (await offered(world, offers)).blob();
    await world.pass(100);
    to.socket.sendBytes(id, at, Buffer.from(text));
    server.tell(to, "file:complete", { transfer: id, size: 5, sha256: hash(Buffer.from("right")) });
    await assert.rejects(world.until(blob), { code });
  }
});

test("over real sockets, cut by the server in the middle", async (t) => {
  const { server, pair } = await begin(t);
  const { annTalk, benTalk } = await pair();
  const bytes = randomBytes(3 * KB * KB);
  const coming = next(benTalk, "file");
  const steps = [];
  const sent = annTalk.sendFile(new File([bytes], "three"), { onProgress: ({ transferred }) => steps.push(transferred) });
  const came = await coming;
  assert.equal(came.name, "three");
  came.addEventListener("progress", ({ detail }) => {
    if (detail.transferred >= KB * KB && steps.cut !== 2) server.cut((steps.cut = (steps.cut ?? 0) + 1) === 1 ? "ann" : "ben");
  });
  assert.equal(hash(await bytesOf(await came.blob())), hash(bytes));
  await sent.done;
  assert.equal(steps.at(-1), bytes.length);
  assert.equal(steps.cut, 2);
});
