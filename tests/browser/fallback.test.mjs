/** A network that drops UDP: the packets go out, and nothing ever comes back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { blackHole, startServer } from "./support/server.mjs";

const FALLBACK_WITHIN_MS = 2000;

test("without UDP, both browsers are on WebSocket within two seconds", async (t) => {
  const hole = await blackHole(t);
  const server = await startServer(t, { DUOLOGUE_PUBLIC_QUIC_PORT: String(hole.port) });
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, server.url);
  const ben = await Person.arrive(right, server.url);
  const both = [ann, ben];

  await t.test("the badge says WebSocket in time", async (t) => {
    for (const person of both) {
      const before = hole.swallowed();
      const from = performance.now();
      await person.clicks("guest");
      await person.sees("door", "WebSocket");
      const took = performance.now() - from;
      t.diagnostic(`from the click to WebSocket: ${Math.round(took)} ms`);
      assert.ok(took < FALLBACK_WITHIN_MS, `It took ${Math.round(took)} ms.`);
      await person.sees("find");
      assert.ok(hole.swallowed() > before, "WebTransport was not even tried: this tested nothing.");
    }
    await ann.isPictured("fallback-find");
  });

  await t.test("and they talk", async () => {
    await meet(ann, ben);
    await ann.says("no UDP here");
    await ben.seesMessage("no UDP here", { mine: false });
    await ann.seesMessage("no UDP here", { mine: true });
    await ben.says("none here either");
    await ann.seesMessage("none here either", { mine: false });
    await Promise.all(both.map((person) => person.sees("door", "WebSocket")));
    await ann.isPictured("fallback-talk");
  });

  await t.test("whoever points at the badge learns why", async () => {
    for (const person of both) assert.match(await person.tooltip("door"), /seems to block UDP, so we talk over WebSocket/u);
  });

  for (const person of both) assert.deepEqual(person.complaints, []);
});
