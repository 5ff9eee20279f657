/** What an operator does with accounts while several nodes run: `duologue users`, with a node's own settings. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import { Duologue } from "../../web-demo/sdk/duologue.js";
import { Rig } from "./rig.mjs";
import { within } from "./support/program.mjs";

const EMAIL = "ann@example.org";

async function online(t, node, token) {
  const client = new Duologue({ token, base: node.url, doors: ["websocket"], WebSocket });
  t.after(() => client.close());
  await client.connect();
  return client;
}

test("whoever is deleted while online is sent away by every node, and nobody else is", async (t) => {
  const rig = await Rig.open(t, { nodes: 2, redis: true, mongodb: true });
  const [one, two] = rig.nodes;
  const { token } = await Duologue.register({ username: "ann", email: EMAIL, password: "Password123", base: one.url });
  const others = await Duologue.guest({ base: two.url });
  const anns = await Promise.all(rig.nodes.map((node) => online(t, node, token)));
  const other = await online(t, two, others.token);
  let disturbed = false;
  other.addEventListener("closing", () => (disturbed = true));
  const sentAway = anns.map((client) => once(client, "closing"));
  const { stdout } = await one.run(["users", "delete", EMAIL]);
  assert.match(stdout, /was deleted/u);
  const closings = await within(Promise.all(sentAway), 5_000, () => "she is still there");
  for (const [{ detail }] of closings) assert.equal(detail.code, 4401);
  assert.equal(disturbed, false);

  // Without Redis it is done all the same, and said that nobody was told.
  await Duologue.register({ username: "ben", email: "ben@example.org", password: "Password123", base: one.url });
  await rig.redis.kill();
  await assert.rejects(one.run(["users", "delete", "ben@example.org"]), ({ code, stderr }) => code === 1 && /was deleted, but the nodes could not be told/u.test(stderr));
});
