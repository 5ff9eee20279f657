/** A network that stops passing UDP in the middle of a talk, and passes it again later: for real, in a namespace. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { network } from "./support/network.mjs";
import { Person, meet } from "./support/person.mjs";
import { ROOM_TO_WRITE, bothWrite } from "./support/talk.mjs";

/** From the block to the first message that arrives over WebSocket. */
const MOVED_WITHIN_MS = 5000;
/** The SDK's first wait between two looks for a better door, twice: something may wait for an answer at the first. */
const BACK_WITHIN_MS = 30_000;
const STILL = { "prefers-reduced-motion": "reduce" };

test("UDP is blocked while both write, and comes back", async (t) => {
  const net = await network(t);
  const server = await net.server(ROOM_TO_WRITE);
  const browsers = await Promise.all([net.chromium(), net.chromium()]);
  const [ann, ben] = await Promise.all(browsers.map((browser) => Person.arrive(browser, server.url, { media: STILL })));
  const both = [ann, ben];
  const picture = (name) => Promise.all([ann.isPictured(`udp-${name}-ann`), ben.isPictured(`udp-${name}-ben`)]);
  await Promise.all(both.map((person) => person.goInAsGuest()));
  await meet(ann, ben);
  await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
  const said = await Promise.all(both.map((person) => person.listensFor(/They left|did not come back|has ended|^Gone$|Reconnecting/u)));
  const talk = bothWrite(ann, ben);
  await talk.arrive();
  await ann.clicks("link");
  await ann.sees("link-panel");
  await picture("1-before");

  await t.test("the talk goes on over WebSocket", async (t) => {
    const from = performance.now();
    await net.blockUdp();
    const pictured = picture("2-blocked");
    await talk.arrive();
    const took = performance.now() - from;
    t.diagnostic(`from the block to the first message of each over WebSocket: ${Math.round(took)} ms`);
    await Promise.all(both.map((person) => person.sees("door", "WebSocket")));
    await Promise.all(both.map((person) => person.sees("notice", "Moved to WebSocket: your network stopped passing UDP. Nothing is lost.")));
    await pictured;
    await picture("3-websocket");
    assert.ok(took < MOVED_WITHIN_MS, `It took ${Math.round(took)} ms.`);
  });

  await t.test("when UDP passes again, both go back to WebTransport by themselves", async (t) => {
    const dropped = await net.passUdp();
    assert.ok(dropped > 0, "Not one UDP packet was dropped: this tested nothing.");
    const from = performance.now();
    // Without this word of the browser they would look for it a little later.
    await Promise.all(both.map((person) => person.comesOnline()));
    await Promise.all(both.map(async (person) => {
      await person.sees("door", "WebTransport", BACK_WITHIN_MS);
      await person.sees("notice", "Back on WebTransport.");
    }));
    t.diagnostic(`from the end of the block to both on WebTransport: ${Math.round(performance.now() - from)} ms; ${dropped} packets were dropped`);
    await talk.arrive();
    await picture("4-back");
  });

  await talk.stop();
  const words = (await Promise.all(said.map((heard) => heard()))).flat();
  t.diagnostic(`"Reconnecting" was said ${words.length} times`);
  assert.deepEqual(words.filter((line) => !/Reconnecting/u.test(line)), []);
  for (const person of both) assert.deepEqual(person.complaints, []);
});
