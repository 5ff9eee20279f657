/** Two people on different nodes of one service: one's node is killed, the other's is drained, and they talk on. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { Rig, rest } from "../cluster/rig.mjs";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";

const PHOTO = path.resolve(import.meta.dirname, "../../docs/demo.png");
/** The longest that anyone may be without a link (docs/reliability.md), and what two browsers on a busy machine may add. */
const GAP_MS = 5_000 + 3_000;

test("a talk across nodes outlives them", async (t) => {
  const rig = await Rig.open(t, { nodes: 3, redis: true });
  const [first, second] = rig.nodes;
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, first.url);
  const ben = await Person.arrive(right, second.url);
  const both = [ann, ben];
  await Promise.all(both.map((person) => person.goInAsGuest()));
  await meet(ann, ben);
  await Promise.all(both.map((person) => person.keepsFiles()));
  let said = 0;
  /** Each hears the other, and knows that they were heard. */
  const talk = async () => {
    for (const [one, other] of [both, [ben, ann]]) {
      const words = `message ${(said += 1)}`;
      await one.says(words);
      await other.seesMessage(words, { mine: false });
      await one.seesMessage(words, { mine: true });
    }
  };

  // They talk and send a file across nodes.
  await talk();
  await ann.attaches(PHOTO);
  await ben.seesFile("demo.png", "offered");
  await ben.clicks("transfer-accept");
  await Promise.all(both.map((person) => person.seesFile("demo.png", "complete", 30_000)));
  await Promise.all([ann.isPictured("nodes-1-across-chromium"), ben.isPictured("nodes-1-across-firefox")]);

  // A node is killed: a moment, and they go on.
  await first.kill();
  const killed = performance.now();
  await ann.says("are you still there?");
  await ben.seesMessage("are you still there?", { mine: false });
  const gap = performance.now() - killed;
  t.diagnostic(`${gap.toFixed(0)} ms from the kill to the next message`);
  assert.ok(gap < GAP_MS, `${gap} ms`);
  await talk();
  await Promise.all([ann.isPictured("nodes-2-killed-chromium"), ben.isPictured("nodes-2-killed-firefox")]);
  for (const person of both) assert.equal(await person.count("ended"), 0, "nobody was told of an end");
  await first.start();
  await rig.allReady();

  // The other's node is drained: they go on.
  const draining = second.drain();
  await rest(500);
  await talk();
  const { code, ms } = await draining;
  assert.equal(code, 0);
  t.diagnostic(`drained in ${ms.toFixed(0)} ms`);
  await talk();
  await Promise.all([ann.isPictured("nodes-3-drained-chromium"), ben.isPictured("nodes-3-drained-firefox")]);
});
