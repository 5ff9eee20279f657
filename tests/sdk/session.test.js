import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK_DELAY_MS, ACK_EVERY, Inbound, Outbound, Session } from "../../web-demo/sdk/session.js";
import { Random } from "./support/random.js";

/** The same game as in `src/protocol/numbering.rs`: two ends, two wires, and everything goes wrong. */
class End {
  outbound = new Outbound();
  inbound = new Inbound();
  said = 0;
  heard = [];
  /** Items whose acknowledgement arrived: may only hold what the peer has heard. */
  confirmed = [];

  say() {
    this.said += 1;
    this.outbound.push(this.said);
  }

  write(wire) {
    for (let next; (next = this.outbound.nextUnwritten()); ) wire.push(next);
  }

  read(frame) {
    if ("upTo" in frame) {
      const items = this.outbound.ack(frame.upTo);
      assert.ok(items, "an honest peer acknowledges what was written");
      this.confirmed.push(...items);
      return;
    }
    const arrival = this.inbound.accept(frame.seq);
    assert.notEqual(arrival, "gap", `at ${frame.seq}, received ${this.inbound.received}`);
    if (arrival === "fresh") this.heard.push(frame.item);
  }

  resume(peerReceived) {
    const items = this.outbound.resume(peerReceived);
    assert.ok(items, "an honest peer");
    this.confirmed.push(...items);
  }
}

class Talk {
  ends = [new End(), new End()];
  wires = [[], []];

  carry(from, count) {
    this.ends[from].write(this.wires[from]);
    for (const frame of this.wires[from].splice(0, count)) this.ends[1 - from].read(frame);
  }

  relink() {
    this.wires = [[], []];
    const received = this.ends.map((end) => end.inbound.received);
    this.ends[0].resume(received[1]);
    this.ends[1].resume(received[0]);
  }

  acknowledge(from) {
    this.ends[from].write(this.wires[from]);
    this.wires[from].push({ upTo: this.ends[from].inbound.received });
  }

  /** The new link is made while the old one still delivers some of what it carried. */
  takeover(still) {
    // The newcomer's `received` is read before the old link's last frames arrive.
    const received = this.ends[0].inbound.received;
    for (const from of [0, 1]) {
      for (const frame of this.wires[from].splice(0, still)) this.ends[1 - from].read(frame);
    }
    this.wires = [[], []];
    const other = this.ends[1].inbound.received;
    this.ends[1].resume(received);
    this.ends[0].resume(other);
  }

  step(random) {
    const end = random.below(2);
    const dice = random.below(15);
    if (dice < 5) this.ends[end].say();
    else if (dice < 10) this.carry(end, 1 + random.below(5));
    else if (dice < 13) this.acknowledge(end);
    else if (dice < 14) this.relink();
    else this.takeover(random.below(6));
  }

  check() {
    for (const from of [0, 1]) {
      const { heard } = this.ends[1 - from];
      assert.ok(heard.every((item, at) => item === at + 1), "in order, each once");
      assert.deepEqual(this.ends[from].confirmed, heard.slice(0, this.ends[from].confirmed.length));
    }
  }
}

test("every item arrives exactly once and in order, whatever happens to the links", () => {
  for (let seed = 1; seed <= 3000; seed += 1) {
    const random = new Random(seed);
    const talk = new Talk();
    try {
      for (let steps = random.below(120); steps > 0; steps -= 1) talk.step(random);
      talk.check();
      // A last good link: nothing may be missing.
      talk.relink();
      talk.carry(0, Infinity);
      talk.carry(1, Infinity);
      talk.check();
      for (const from of [0, 1]) assert.equal(talk.ends[1 - from].heard.length, talk.ends[from].said);
    } catch (error) {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    }
  }
});

test("an acknowledgement of what was never written is refused", () => {
  const outbound = new Outbound();
  outbound.push("a");
  assert.equal(outbound.ack(1), null);
  assert.deepEqual(outbound.nextUnwritten(), { seq: 1, item: "a" });
  assert.deepEqual(outbound.ack(1), ["a"]);
  assert.equal(outbound.resume(2), null);
  assert.deepEqual(outbound.ack(0), [], "old news");
});

test("an acknowledgement is due 20 ms after the oldest arrival, or at once after 32", () => {
  const session = new Session({ id: "s", key: "k" });
  assert.equal(session.ackDueAt, Infinity);
  session.receive({ event: "x", seq: 1 }, 100);
  session.receive({ event: "x", seq: 2 }, 110);
  assert.equal(session.ackDueAt, 100 + ACK_DELAY_MS);
  assert.deepEqual(session.ackFrame(), { event: "ack", ack: 2 });
  assert.equal(session.ackFrame(), null);
  for (let seq = 3; seq < 3 + ACK_EVERY; seq += 1) session.receive({ event: "x", seq }, 200);
  assert.ok(session.ackDueAt <= 200);
});

test("an acknowledgement rides on what is sent, and a duplicate is acknowledged again", () => {
  const session = new Session({ id: "s", key: "k" });
  session.receive({ event: "x", seq: 1 }, 0);
  session.say("chat:clear", {});
  assert.deepEqual(session.nextFrame(), { event: "chat:clear", data: {}, seq: 1, ack: 1 });
  assert.equal(session.owesAck, false);
  assert.equal(session.receive({ event: "x", seq: 1 }, 5).arrival, "duplicate");
  assert.deepEqual(session.ackFrame(), { event: "ack", ack: 1 });
});

test("a missing number and a dishonest acknowledgement are gaps", () => {
  const session = new Session({ id: "s", key: "k" });
  assert.equal(session.receive({ event: "x", seq: 2 }, 0).arrival, "gap");
  assert.equal(session.receive({ event: "ack", ack: 1 }, 0).arrival, "gap");
});

test("a session that survived a reload goes on with both numbers", () => {
  const session = new Session({ id: "s", key: "k", received: 7, sent: 3 });
  session.say("chat:clear", {});
  assert.equal(session.nextFrame()?.seq, 4);
  assert.equal(session.receive({ event: "x", seq: 7 }, 0).arrival, "duplicate");
  assert.equal(session.receive({ event: "x", seq: 8 }, 0).arrival, "fresh");
});
