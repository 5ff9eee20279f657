/** Calls across the nodes of one service: the node that has the talk is killed, or drained, and the pictures go on. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Rig } from "../cluster/rig.mjs";
import { chromium } from "./support/browsers.mjs";
import { Caller, call, framesGrow, hangUp, meet } from "./support/calls.mjs";
import { Stranger, offerOf } from "./support/stranger.mjs";

/** No picture stands for longer than this while only signals are moved. */
const STILL_MS = 1_000;
const STILL = { "prefers-reduced-motion": "reduce" };

/** How many talks each node has. @param {Rig} rig */
function talks({ nodes }) {
  return Promise.all(nodes.map(async (node) => (await node.stats()).conversations));
}

/** The node that has the talk which was not there before. @param {Rig} rig @param {number[]} before */
async function home(rig, before) {
  const now = await talks(rig);
  return rig.nodes[now.findIndex((count, index) => count > before[index])] ?? assert.fail(`${before}, then ${now}`);
}

/**
 * The next test has this node again, whatever becomes of this one.
 * @param {import("node:test").TestContext} t
 * @param {Rig} rig
 * @param {import("../cluster/rig.mjs").Node} node
 */
function isBack(t, rig, node) {
  t.after(async () => {
    if (!node.isRunning) await node.start();
    await rig.allReady();
  });
}

/** Each says something that the other reads, and knows that it was read: nobody is away. @param {Caller[]} both @param {string} words */
async function write([ann, ben], words) {
  for (const [one, other] of [[ann, ben], [ben, ann]]) {
    await one.person.says(words);
    await other.person.seesMessage(words, { mine: false });
    await one.person.seesMessage(words, { mine: true });
  }
}

/** A camera goes off and on, of which the other is told each time by an offer: signals arrive. @param {Caller} one @param {Caller} other */
async function blinks(one, other) {
  for (const _ of ["off", "on"]) {
    const before = await other.page.evaluate(() => {
      window.offers = () => window.spied.heard.filter(({ what, text }) => what === "wire" && text.includes('"event":"webrtc:offer"')).length;
      return window.offers();
    });
    await one.person.clicks("call-camera");
    await other.page.waitForFunction((count) => window.offers() > count, { polling: 50, timeout: 10_000 }, before);
  }
  await other.hears();
}

/** The talk is over, and nobody waits for who goes. @param {Caller} caller */
async function leaves({ person }) {
  await person.clicks("skip");
  await person.clicks("cancel");
  await person.sees("find");
  await person.goes();
}

test("calls across nodes", async (t) => {
  const rig = await Rig.open(t, { nodes: 3, redis: true });
  const [first, second] = rig.nodes;
  const [left, right] = await Promise.all([chromium(t), chromium(t)]);
  const arrive = () => Promise.all([Caller.arrive(left, first.url, { media: STILL }), Caller.arrive(right, second.url, { media: STILL })]);

  for (const [name, lose] of [
    ["killed", (node) => node.kill()],
    ["drained", async (node) => assert.equal((await node.drain()).code, 0)],
  ]) {
    await t.test(`the node that has the talk is ${name}: the pictures go on, and the call can be changed and ended`, async (t) => {
      const both = await arrive();
      const [ann, ben] = both;
      const before = await talks(rig);
      await meet(ann, ben);
      await call(ann, ben, "video");
      await Promise.all(both.map((caller) => caller.hears()));
      const node = await home(rig, before);
      isBack(t, rig, node);
      let away = 0;
      const longest = await framesGrow(both, STILL_MS, async () => {
        const from = performance.now();
        await lose(node);
        await write(both, "Are you still there?");
        away = performance.now() - from;
        await Promise.all(both.map((caller) => caller.hears()));
      });
      t.diagnostic(`the longest time without a new picture: ${longest} ms; both talk again after ${Math.round(away)} ms`);
      for (const caller of both) {
        const { connections, restarts } = await caller.counts();
        assert.deepEqual([connections.length, restarts], [1, 0], "Its media was touched.");
      }
      await blinks(ann, ben);
      await blinks(ben, ann);
      await hangUp(ben, ann);
      for (const caller of both) {
        assert.deepEqual(await caller.live(), []);
        assert.deepEqual(caller.person.complaints, []);
      }
      await leaves(ben);
      await ann.person.goes();
    });
  }

  for (const reloads of ["after the node is lost", "while the node is lost"]) {
    await t.test(`a partner alone makes up no call: no camera goes on, and nothing is shown, and she reloads ${reloads}`, async (t) => {
      const ann = await Caller.arrive(left, first.url, { media: STILL });
      await ann.person.clicks("find");
      await ann.person.sees("cancel");
      // Who comes second has the talk at their node; hers stays, for her to load the page from.
      const before = await talks(rig);
      const mallory = await Stranger.arrive(t, second.url);
      mallory.says("user:match");
      await Promise.all([ann.person.sees("partner"), mallory.mail.next("user:matched")]);
      assert.equal(await home(rig, before), second);
      const sdp = await offerOf(left);
      const calls = () => {
        mallory.says("call:join", { call: "made-up", type: "video" });
        mallory.says("webrtc:offer", { call: "made-up", id: crypto.randomUUID(), type: "video", offer: { type: "offer", sdp } });
      };
      /** All that was said before has come, and did nothing. @param {string} words */
      const untouched = async (words) => {
        mallory.writes(words);
        await ann.person.seesMessage(words, { mine: false });
        await ann.person.says(`I read: ${words}`);
        await mallory.mail.next("chat:message", ({ content }) => content === `I read: ${words}`);
        const { asked, connections } = await ann.counts();
        assert.deepEqual([asked, connections.length, await ann.live()], [0, 0, []]);
        assert.equal(await ann.person.count("call"), 0);
      };

      isBack(t, rig, second);
      await second.kill();
      const reloaded = reloads === "while the node is lost" && ann.person.reloads();
      const { lost, conversation } = await mallory.comesBack(first.url);
      assert.equal(lost, "node");
      assert.equal(conversation.call, undefined);
      calls();
      await reloaded;
      await untouched("one");
      if (!reloaded) await ann.person.reloads();
      await ann.person.sees("partner");
      calls();
      await untouched("two");
      assert.deepEqual(ann.person.complaints, []);
      await leaves(ann);
    });
  }
});
