/** Calls through a real coturn: nobody's address is told, and what happens when the relay, or its credentials, are gone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { chromium, firefox } from "./support/browsers.mjs";
import { Caller, call, framesGrow, hangUp, meet, recovery } from "./support/calls.mjs";
import { startServer } from "./support/server.mjs";
import { startTurn } from "./support/turn.mjs";

/** The relay has an address that nobody else here has: whatever else is seen is someone's own. */
const RELAY = "127.0.0.2";
/** What descriptions have in place of an address; browsers write their loopback as the origin (RFC 9429, section 5.2.1). */
const NOBODY = ["0.0.0.0", "127.0.0.1", "::", "::1"];
/** What the demo says where that is so. */
const HIDDEN = "Relayed: your address is hidden";
const STILL_MS = 1_000;
/** From a path that broke for good to the first look for another. */
const RESTARTED_WITHIN_MS = 5_000;
/** And to pictures over that one. */
const MENDED_WITHIN_MS = 20_000;
const LIFE_S = 4;

/** Whatever the SDK asks for, this browser has its way. @param {Caller} caller @param {"all" | "relay"} policy */
async function forces({ page }, policy) {
  await page.evaluate((iceTransportPolicy) => {
    const Spied = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Spied {
      constructor(configuration) {
        super({ ...configuration, iceTransportPolicy });
      }
    };
  }, policy);
}

/** Nothing that reached the page tells where the other is. @param {Caller} caller */
async function knowsNoAddress(caller) {
  const candidates = await caller.heardCandidates();
  assert.ok(candidates.length > 0, "No candidate was heard: this tested nothing.");
  for (const candidate of candidates) {
    const [, , , , address, , , type] = candidate.split(" ");
    assert.deepEqual([type, address], ["relay", RELAY], candidate);
    const related = /raddr (\S+) rport (\d+)/u.exec(candidate);
    if (related) assert.deepEqual(related.slice(1), ["0.0.0.0", "0"], candidate);
  }
  const told = await caller.heardAddresses();
  assert.ok(told.length > 0);
  assert.deepEqual(told.filter((address) => ![RELAY, ...NOBODY].includes(address)), []);
}

test("relayed by the server's rule", async (t) => {
  const turn = await startTurn(t, { host: RELAY });
  const server = await startServer(t, { ...turn.settings, DUOLOGUE_CALLS_TURN_LIFE: `${LIFE_S}s` });
  const [left, right] = await Promise.all([chromium(t), chromium(t)]);
  const [ann, ben] = await Promise.all([left, right].map((browser) => Caller.arrive(browser, server.url)));
  const both = [ann, ben];
  await meet(ann, ben);

  await t.test("both see and hear, and neither learns where the other is, though their first credentials are over", async () => {
    // People talk for longer than credentials live before one of them calls.
    await pause(LIFE_S * 1000 + 1_000);
    await call(ann, ben, "video");
    await Promise.all(both.map((caller) => caller.hears()));
    for (const caller of both) {
      await caller.goes("relay", "relay");
      assert.equal((await caller.connection()).policy, "relay");
      await caller.person.seesData("call", "path", "relay");
      await knowsNoAddress(caller);
    }
    assert.ok(turn.sessions().opened >= 2);
    await Promise.all([ann.person.isPictured("calls-relay-1-ann"), ben.person.isPictured("calls-relay-1-ben")]);
  });

  await t.test("credentials expire, and the pictures go on", async (t) => {
    const [first] = turn.sessions().users;
    const longest = await framesGrow(both, STILL_MS, async () => {
      await until(() => Date.now() / 1000 > Number(first.split(":")[0]) + LIFE_S, 3 * LIFE_S * 1000);
      await Promise.all(both.map((caller) => caller.hears()));
    });
    t.diagnostic(`the longest time without a new picture: ${longest} ms`);
    await Promise.all(both.map((caller) => caller.person.seesData("call", "state", "connected")));
  });

  await t.test("the relay forgets everything: ICE is restarted with credentials that were renewed", async (t) => {
    const old = turn.sessions().users;
    const before = await Promise.all(both.map((caller) => caller.connection()));
    const clocks = await Promise.all(both.map(async (caller) => (await caller.counts()).now));
    const brokeAt = Date.now();
    await turn.restart();
    await Promise.all(both.map((caller, index) => caller.leaves(before[index].pair.local.port)));
    await Promise.all(both.map((caller) => caller.hears({ within: MENDED_WITHIN_MS })));
    const restarts = [];
    for (const [index, caller] of both.entries()) {
      const course = await recovery(t, index ? "ben" : "ann", caller, before[index].states.length, clocks[index]);
      restarts.push(...course.restarts);
    }
    // Either side's is enough for both.
    assert.ok(Math.min(...restarts) < RESTARTED_WITHIN_MS, `Restarts after ${restarts} ms`);
    const fresh = turn.sessions().users.filter((user) => !old.includes(user));
    assert.ok(fresh.length >= 2, `${turn.sessions().users}`);
    // What the connection began with would have been refused.
    for (const user of fresh) assert.ok(Number(user.split(":")[0]) * 1000 >= brokeAt, user);
    await Promise.all(both.map((caller) => caller.sees("connected")));
    for (const caller of both) {
      await caller.goes("relay", "relay");
      await knowsNoAddress(caller);
    }
  });

  await t.test("a page that is tampered with tells no address either", async () => {
    await hangUp(ann, ben);
    // So it knows and says its own addresses.
    await forces(ann, "all");
    await call(ann, ben, "video");
    await Promise.all(both.map((caller) => caller.hears()));
    const said = await ann.page.evaluate(() => window.spied.gathered());
    assert.ok(said.some((line) => / typ host/u.test(line)), `It had nothing to tell: ${said}`);
    await knowsNoAddress(ben);
    await hangUp(ben, ann);
  });

  for (const { person } of both) assert.deepEqual(person.complaints, []);
});

test("relayed because one of them asks for it, Chromium and Firefox", async (t) => {
  const turn = await startTurn(t, { host: RELAY });
  const server = await startServer(t, { ...turn.settings, DUOLOGUE_CALLS_RELAY_ONLY: "false" });
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const [ann, ben] = await Promise.all([left, right].map((browser) => Caller.arrive(browser, server.url)));
  const both = [ann, ben];
  await meet(ann, ben);

  await t.test("the one who answers asks: neither learns an address", async () => {
    await ann.person.clicks("call-video");
    await ben.sees("ringing-in");
    await ben.person.clicks("call-relay");
    await ben.person.clicks("call-accept");
    await Promise.all(both.map((caller) => caller.sees("connected")));
    await Promise.all(both.map((caller) => caller.hears()));
    for (const caller of both) {
      await caller.goes("relay", "relay");
      await caller.person.seesData("call", "path", "relay");
      await caller.person.sees("call-path", HIDDEN);
      await knowsNoAddress(caller);
    }
    await Promise.all([ann.person.isPictured("calls-relay-2-chromium"), ben.person.isPictured("calls-relay-2-firefox")]);
    await hangUp(ben, ann);
  });

  await t.test("nobody asks: it is direct", async () => {
    await ben.page.evaluate(() => document.querySelector('[data-testid="call-relay"]').checked && document.querySelector('[data-testid="call-relay"]').click());
    await call(ben, ann, "video");
    await Promise.all(both.map((caller) => caller.hears()));
    const { pair } = await ann.connection();
    assert.notEqual(pair.local.type, "relay");
    // Which is how it would look above, if an address had been told.
    await assert.rejects(knowsNoAddress(ben));
    await hangUp(ann, ben);
  });

  await t.test("nobody asks, and one of them is relayed by themselves: the other is not told that their address is hidden", async () => {
    await forces(ann, "relay");
    await call(ben, ann, "audio");
    await Promise.all(both.map((caller) => caller.hears({ video: false })));
    // For it was told.
    await assert.rejects(knowsNoAddress(ann));
    for (const { person } of both) {
      await person.seesData("call", "path", "relay");
      assert.match(await person.text("call-path"), /^Relayed, but .*your address$/u);
    }
    await ben.person.isPictured("calls-relay-3-one-side");
    await hangUp(ann, ben);
  });

  for (const { person } of both) assert.deepEqual(person.complaints, []);
});

/** @param {() => boolean} look @param {number} ms */
async function until(look, ms) {
  const end = performance.now() + ms;
  while (!look()) {
    assert.ok(performance.now() < end, "It never came.");
    await pause(50);
  }
}
