/**
 * What operators fear, done to three nodes on which people talk: each scenario lets `duologue load` check every message
 * while something is killed, drained, frozen or cut off, and looks at the counts afterwards.
 *
 *   node --test tests/cluster/faults.test.mjs           short: some five minutes in all
 *   FULL=1 node --test tests/cluster/faults.test.mjs    minutes for each
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import { Duologue } from "../../web-demo/sdk/duologue.js";
import { haproxy, nginx } from "../proxies/support/proxy.mjs";
import { rest, Rig, until } from "./rig.mjs";
import { freePorts, within } from "./support/program.mjs";

// The proxies' certificate is a test's own, and `fetch`, by which the SDK asks, can be told in no other way.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

const FULL = process.env.FULL === "1";
const PAIRS = FULL ? 50 : 12;
/** The longest that anyone may be without a link, and the longest until all is as before, in milliseconds. */
const GAP_MS = 5_000;
/** All pairs have met by then. */
const MEET_MS = 30_000;
/** What is killed stays away so long: longer than a dead node takes to be known as dead (4 s). */
const AWAY_MS = 6_000;

/** Longest for one scenario, in milliseconds. */
const timeout = FULL ? 900_000 : 180_000;

/** Seconds that people talk for: briefly, or in full. */
const seconds = (short, full) => (FULL ? full : short);

/**
 * People talk on three nodes while `fault` goes on; then the promises are looked at. A fault ends before the talking does.
 * @param {import("node:test").TestContext} t
 * @param {{
 *   talk: number, words?: string[], rig?: import("./rig.mjs").Wishes, servers?: (rig: Rig) => Promise<string[]>,
 *   env?: (rig: Rig) => Record<string, string>, links?: "all hold", fault: (rig: Rig, talking: (ms?: number) => boolean) => Promise<void>,
 * }} scenario `talking`: there is time for one more fault, so long from now; `talk`: seconds; `links`: no client may lose its link
 */
async function people(t, { talk, words = [], rig: wishes, servers, env, links, fault }) {
  const rig = await Rig.open(t, { nodes: 3, redis: true, mongodb: true, ...wishes });
  const where = await servers?.(rig);
  let over = false;
  const loaded = rig
    .load(["--pairs", `${PAIRS}`, "--rate", "2", "--ramp", "3", "--duration", `${talk}`, ...words], where, env?.(rig))
    .finally(() => (over = true));
  const report = (async () => {
    await until(async () => over || (await rig.totals()).conversations === PAIRS, MEET_MS, () => "they have not all met");
    const end = performance.now() + talk * 1000;
    const talking = (ms = 0) => !over && performance.now() + ms < end - AWAY_MS - GAP_MS;
    await fault(rig, talking);
    assert.ok(!over, "the fault took longer than the talking");
    await rig.allReady(GAP_MS);
    await across(t, rig);
    return loaded;
  })();
  // Whichever fails first is what is told.
  report.catch(() => {});
  await Promise.race([report, loaded.then(() => report)]);
  kept(t, await report, links);
  await rig.comesToRest();
}

/** The contract: nothing lost, nothing twice, nothing out of order, no talk ended, nobody away for long. */
function kept(t, report, links) {
  const { pairs, said, heard, linksLost, withoutLink, broken, failures } = report;
  t.diagnostic(`${said} said, ${heard} heard, ${linksLost} links lost, without link at most ${withoutLink.max.toFixed(0)} ms`);
  assert.deepEqual(failures, []);
  assert.deepEqual(Object.entries(broken).filter(([, count]) => count !== 0), []);
  assert.equal(pairs, PAIRS);
  assert.ok(said > 0 && said === heard, `${said} said, ${heard} heard`);
  assert.ok(withoutLink.max <= GAP_MS, `somebody was without a link for ${withoutLink.max} ms`);
  if (links) assert.equal(linksLost, 0);
}

/** Someone new on this node. */
async function newcomer(t, node) {
  const { token } = await Duologue.guest({ base: node.url });
  const client = new Duologue({ token, base: node.url, doors: ["websocket"], WebSocket });
  t.after(() => client.close());
  await client.connect();
  return client;
}

/** Two people on these nodes find each other, and what one says is heard by the other, all within so long. */
async function meet(t, [one, other], ms = GAP_MS) {
  const both = (async () => {
    const [ann, ben] = await Promise.all([newcomer(t, one), newcomer(t, other)]);
    const [talk, theirs] = await Promise.all([ann.match(), ben.match()]);
    assert.equal(talk.partner.id, ben.user.id);
    const heard = new Promise((resolve) => theirs.addEventListener("message", ({ detail }) => resolve(detail.content), { once: true }));
    await talk.send("hello").delivered;
    assert.equal(await heard, "hello");
    await talk.leave();
    ann.close();
    ben.close();
  })();
  await within(both, ms, () => `people on ${one.name} and ${other.name} did not meet within ${ms} ms`);
}

/** People on any two nodes find each other again: all is as before. */
async function across(t, rig) {
  const { nodes } = rig;
  for (const [index, node] of nodes.entries()) await meet(t, [node, nodes[(index + 1) % nodes.length]]);
}

// Two at once: each waits for most of its time.
describe("faults", { concurrency: 2 }, () => {
  test("a node is killed every 20 s", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(55, 300),
      fault: async (rig, talking) => {
        for (let turn = 0; talking(); turn += 1) {
          const node = rig.nodes[turn % rig.nodes.length];
          await node.kill();
          await rest(AWAY_MS);
          await node.start();
          if (!talking(20_000 - AWAY_MS)) return;
          await rest(20_000 - AWAY_MS);
        }
      },
    });
  });

  test("each node is drained in turn, and a new one takes its place", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(50, 240),
      words: ["--files", "1:256k"],
      fault: async (rig, talking) => {
        do {
          for (const node of rig.nodes) {
            const { code, ms } = await node.drain();
            assert.equal(code, 0);
            t.diagnostic(`${node.name} drained in ${ms.toFixed(0)} ms`);
            await node.start();
            // As a rolling restart does: the next when this one takes newcomers.
            await rig.allReady();
          }
        } while (FULL && talking());
      },
    });
  });

  test("Redis is killed, and away for 10 s", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(35, 180),
      links: "all hold",
      fault: async (rig, talking) => {
        do {
          await rig.redis.kill();
          const back = performance.now() + 10_000;
          // On each node alone people meet.
          for (const node of rig.nodes) await meet(t, [node, node]);
          await rest(Math.max(0, back - performance.now()));
          await rig.redis.start();
          await within(across(t, rig), 3 * GAP_MS, () => "nodes do not find each other again");
        } while (FULL && talking());
      },
    });
  });

  test("Redis is restarted, and empty", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(25, 120),
      links: "all hold",
      fault: async (rig, talking) => {
        do {
          await rig.redis.kill();
          await rig.redis.start();
          await across(t, rig);
          // What it had is there again: a node that dies now costs nobody their talk.
        } while (FULL && talking());
      },
    });
  });

  test("Redis is restarted empty, and then a node is killed", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(35, 120),
      fault: async (rig) => {
        await rig.redis.kill();
        await rig.allSay("unavailable");
        await rig.redis.start();
        // From then on Redis has again what each node has told it.
        await rig.allSay("ok");
        await across(t, rig);
        await rig.nodes[0].kill();
        await rest(AWAY_MS);
        await rig.nodes[0].start();
      },
    });
  });

  test("Redis stands still for 10 s", { timeout }, async (t) => {
    await people(t, {
      talk: seconds(35, 180),
      links: "all hold",
      fault: async (rig, talking) => {
        do {
          rig.redis.freeze();
          const back = performance.now() + 10_000;
          for (const node of rig.nodes) await meet(t, [node, node]);
          await rest(Math.max(0, back - performance.now()));
          rig.redis.thaw();
          await rig.allReady();
        } while (FULL && talking());
      },
    });
  });

  test("the database is killed, and comes back", { timeout }, async (t) => {
    const nobody = JSON.stringify({ email: "nobody@example.org", password: "Password123" });
    const login = async (node) => {
      const began = performance.now();
      const answer = await fetch(`${node.url}/api/auth/login`, { method: "POST", headers: { "content-type": "application/json" }, body: nobody });
      await answer.text();
      return { status: answer.status, after: answer.headers.get("retry-after"), ms: performance.now() - began };
    };
    await people(t, {
      talk: seconds(30, 120),
      links: "all hold",
      fault: async (rig, talking) => {
        const [node] = rig.nodes;
        assert.equal((await login(node)).status, 401);
        do {
          await rig.mongodb.kill();
          await until(async () => (await login(node)).ms < 100, GAP_MS, () => "a caller still waits for the database");
          for (let at = 0; at < 20; at += 1) {
            const { status, after, ms } = await login(node);
            assert.equal(status, 503);
            assert.ok(Number(after) > 0 && ms < 100, `${ms} ms, Retry-After ${after}`);
          }
          const alive = await fetch(`${node.url}/health/live`);
          assert.equal(alive.status, 200);
          await meet(t, [node, rig.nodes[1]]);
          await rig.mongodb.start();
          await until(async () => (await login(node)).status === 401, GAP_MS, () => "accounts are not back");
        } while (FULL && talking());
      },
    });
  });

  for (const how of ["cut", "silence"]) {
    test(`between a node and Redis the network is gone: ${how}`, { timeout }, async (t) => {
      await people(t, {
        talk: seconds(35, 120),
        links: "all hold",
        fault: async (rig, talking) => {
          do {
            const [wire] = rig.wires;
            wire[how]();
            const back = performance.now() + 10_000;
            const [alone, ...others] = rig.nodes;
            await meet(t, [alone, alone]);
            await meet(t, others);
            await rest(Math.max(0, back - performance.now()));
            wire.mend();
            await rig.allReady();
          } while (FULL && talking());
        },
      });
    });
  }

  for (const [name, proxy] of [["nginx", nginx], ["HAProxy", haproxy]]) {
    test(`${name} stands before them: one node is killed, one drained`, { timeout }, async (t) => {
      const [plain, tls] = await freePorts(2);
      await people(t, {
        talk: seconds(40, 180),
        // What passes the proxy.
        words: ["--doors", "websocket"],
        rig: {
          settings: {
            DUOLOGUE_PUBLIC_HOST: "localhost",
            DUOLOGUE_PUBLIC_HTTPS_PORT: `${tls}`,
            DUOLOGUE_LIMITS_TRUSTED_PROXIES: "127.0.0.1",
          },
        },
        servers: async (rig) => {
          await proxy(rig, { plain, tls });
          return [`https://localhost:${tls}`];
        },
        // The proxy's certificate is the test's own.
        env: (rig) => ({ SSL_CERT_FILE: `${rig.folder}/chain.pem` }),
        fault: async (rig, talking) => {
          do {
            await rig.nodes[0].kill();
            await rest(AWAY_MS);
            await rig.nodes[0].start();
            await rig.allReady();
            assert.equal((await rig.nodes[1].drain()).code, 0);
            await rig.nodes[1].start();
          } while (FULL && talking());
        },
      });
    });
  }
});
