import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { DuologueError } from "../../web-demo/sdk/errors.js";
import { greet } from "../../web-demo/sdk/greeting.js";
import { DoorMemory } from "../../web-demo/sdk/link/memory.js";
import { Race } from "../../web-demo/sdk/link/race.js";
import { FrameReader, webTransportWorks } from "../../web-demo/sdk/link/webtransport.js";
import { TabStorage } from "./support/clients.js";

/** Doors that open, or fail, so many milliseconds after they were begun; and what became of them. */
class Game {
  now = 0;
  begun = {};
  links = [];
  reports = [];
  abort = new AbortController();

  constructor(t) {
    mock.timers.enable({ apis: ["setTimeout"] });
    t.after(() => mock.timers.reset());
  }

  door(name, { opensAfter, failsAfter }) {
    return {
      name,
      open: (signal) => new Promise((resolve, reject) => {
        this.begun[name] = this.now;
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        if (opensAfter !== undefined) setTimeout(() => signal.aborted || resolve(this.link(name)), opensAfter);
        if (failsAfter !== undefined) setTimeout(() => reject(new Error("no")), failsAfter);
      }),
    };
  }

  link(name) {
    const link = { door: name, closed: false, close: () => (link.closed = true) };
    this.links.push(link);
    return link;
  }

  run(doors, greet = async () => {}) {
    const outcome = { settled: false };
    this.race = new Race(doors, greet, {
      signal: this.abort.signal,
      report: (door, state, error) => this.reports.push([door, state, error?.code]),
    });
    this.race.run().then(
      (winner) => Object.assign(outcome, { settled: true, at: this.now, winner: winner.name }),
      (error) => Object.assign(outcome, { settled: true, at: this.now, error }),
    );
    return outcome;
  }

  /** Lets time pass, a little at a time, so that promises have their turn. */
  async pass(ms) {
    for (const until = this.now + ms; this.now < until; this.now += 50) {
      await settle();
      mock.timers.tick(50);
    }
    await settle();
  }
}

async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await null;
}

test("the preferred door wins within its head start, and the other is never begun", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", { opensAfter: 400 }), game.door("websocket", { opensAfter: 50 })]);
  await game.pass(1000);
  assert.equal(outcome.winner, "webtransport");
  assert.deepEqual(game.begun, { webtransport: 0 });
});

test("a late door loses, and what it opens is closed", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", { opensAfter: 700 }), game.door("websocket", { opensAfter: 50 })]);
  await game.pass(1000);
  assert.equal(outcome.winner, "websocket");
  assert.equal(game.begun.websocket, 500);
  assert.deepEqual(game.reports.at(-1), ["webtransport", "closed", "slower"]);
});

test("a failed door gives way at once", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", { failsAfter: 100 }), game.door("websocket", { opensAfter: 50 })]);
  await game.pass(300);
  assert.equal(outcome.winner, "websocket");
  assert.ok(game.begun.websocket <= 150);
});

test("a door that never answers (Firefox without UDP) holds up nobody", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", {}), game.door("websocket", { opensAfter: 50 })]);
  await game.pass(700);
  assert.equal(outcome.winner, "websocket");
});

test("doors that do not open in 5 s are given up, with the last reason", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", {}), game.door("websocket", {})]);
  await game.pass(6000);
  assert.equal(outcome.error?.code, "door-timeout");
  assert.ok(outcome.at <= 5600);
});

test("one greeting at a time: an unanswered one gives way to the other door", async (t) => {
  const game = new Game(t);
  let greeting = 0;
  const outcome = game.run(
    [game.door("webtransport", { opensAfter: 100 }), game.door("websocket", { opensAfter: 50 })],
    async (link) => {
      greeting += 1;
      assert.equal(greeting, 1, "two hellos at once would take the session from each other");
      if (link.door === "webtransport") {
        await new Promise((resolve) => setTimeout(resolve, 2000));
        greeting -= 1;
        throw new DuologueError("hello-unanswered", "");
      }
      greeting -= 1;
    },
  );
  await game.pass(2500);
  assert.equal(outcome.winner, "websocket");
  assert.ok(game.begun.websocket >= 2000, "not begun while the first is greeted");
  assert.equal(game.links[0].closed, true);
});

test("the server's refusal is final on every door", async (t) => {
  const game = new Game(t);
  const outcome = game.run(
    [game.door("webtransport", { opensAfter: 50 }), game.door("websocket", { opensAfter: 50 })],
    async () => {
      throw new DuologueError("token-invalid", "", { closeCode: 4401, final: true });
    },
  );
  await game.pass(1000);
  assert.equal(outcome.error?.code, "token-invalid");
  assert.deepEqual(Object.keys(game.begun), ["webtransport"]);
});

test("an abort ends it, and leaves nothing open", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", { opensAfter: 900 }), game.door("websocket", { opensAfter: 900 })]);
  await game.pass(600);
  game.abort.abort();
  await game.pass(1000);
  assert.equal(outcome.error?.name, "AbortError");
  assert.deepEqual(game.links, []);
});

test("what has opened beside the winner is closed", async (t) => {
  const game = new Game(t);
  let greeted = 0;
  const outcome = game.run(
    [game.door("webtransport", { opensAfter: 600 }), game.door("websocket", { opensAfter: 50 })],
    () => new Promise((resolve) => setTimeout(resolve, 500, (greeted += 1))),
  );
  await game.pass(2000);
  assert.equal(outcome.winner, "websocket");
  assert.equal(greeted, 1);
  assert.deepEqual(game.links.map(({ door, closed }) => [door, closed]), [["websocket", false], ["webtransport", true]]);
});

test("more depends on it: doors that join are begun at once, those under way only once", async (t) => {
  const game = new Game(t);
  const outcome = game.run([game.door("webtransport", { opensAfter: 2000 })]);
  await game.pass(1000);
  game.race.join([game.door("webtransport", { opensAfter: 1 }), game.door("websocket", { opensAfter: 50 })]);
  await game.pass(200);
  assert.equal(outcome.winner, "websocket");
  assert.deepEqual(game.begun, { webtransport: 0, websocket: 1000 });
});

test("it is given up, but for a greeting that is under way", async (t) => {
  const game = new Game(t);
  const reason = new DuologueError("not-needed", "");
  const early = game.run([game.door("webtransport", { opensAfter: 400 })]);
  await game.pass(200);
  game.race.giveUp(reason);
  await game.pass(50);
  assert.equal(early.error, reason);

  const slowly = () => new Promise((resolve) => setTimeout(resolve, 500));
  const late = game.run([game.door("webtransport", { opensAfter: 50 })], slowly);
  await game.pass(200);
  assert.equal(game.race.greeting, true);
  game.race.giveUp(reason);
  await game.pass(600);
  assert.equal(late.winner, "webtransport", "it could not be unsaid");

  const failing = game.run([game.door("webtransport", { opensAfter: 50 }), game.door("websocket", { opensAfter: 50 })], async () => {
    await slowly();
    throw new DuologueError("hello-unanswered", "");
  });
  await game.pass(200);
  game.race.giveUp(reason);
  await game.pass(600);
  assert.equal(failing.error, reason, "no other door is greeted then");
});

test("an answer to a hello that was given up is passed over", async () => {
  const link = { listen: (listener) => (link.listener = listener), send: () => {} };
  const abort = new AbortController();
  const answers = [];
  const greeting = greet(link, {}, { established: (data) => answers.push(data) }, abort.signal);
  abort.abort();
  link.listener.frame({ event: "connection:established", data: {} });
  await assert.rejects(greeting, { name: "AbortError" });
  assert.deepEqual(answers, []);
});

test("no door at all is an answer too", async (t) => {
  const game = new Game(t);
  const outcome = game.run([]);
  await game.pass(50);
  assert.equal(outcome.error?.code, "no-door");
});

test("the winner is remembered for ten minutes, by base", () => {
  const store = new TabStorage();
  const memory = new DoorMemory(store, "https://a.example");
  assert.equal(memory.recall(0), null);
  memory.note("websocket", 1000);
  assert.equal(memory.recall(1000 + 599_999), "websocket");
  assert.equal(memory.recall(1000 + 600_000), null);
  assert.equal(new DoorMemory(store, "https://b.example").recall(1000), null);
  memory.forget();
  assert.equal(memory.recall(1000), null);
});

test("WebKit is kept off WebTransport, everyone else is not", () => {
  const works = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36": true,
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36": true,
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0": true,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15": false,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/156.0 Mobile/15E148 Safari/604.1": false,
    "": true,
  };
  for (const [agent, expected] of Object.entries(works)) assert.equal(webTransportWorks(agent), expected, agent);
});

test("frames are whole again, however the stream cuts them", () => {
  const texts = ["{}", "é".repeat(300), "x".repeat(65_536)];
  const bytes = Buffer.concat(texts.flatMap((text) => {
    const body = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return [length, body];
  }));
  for (const size of [1, 3, 1000, bytes.length]) {
    const reader = new FrameReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
    assert.deepEqual(read, texts);
  }
  assert.throws(() => new FrameReader().push(Uint8Array.of(0, 1, 0, 1)), RangeError);
});
