/** Calls by the demo's own buttons, direct: real media, measured in both browsers. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Caller, call, framesGrow, gone, hangUp, meet } from "./support/calls.mjs";
import { startServer } from "./support/server.mjs";

/** No picture stands for longer than this while only signals are moved; it comes 20 to 30 times a second. */
const STILL_MS = 1_000;
const STILL = { "prefers-reduced-motion": "reduce" };

test("two Chromium windows call each other", async (t) => {
  const server = await startServer(t);
  const browsers = await Promise.all([chromium(t), chromium(t)]);
  const [ann, ben] = await Promise.all(browsers.map((browser) => Caller.arrive(browser, server.url, { media: STILL })));
  const both = [ann, ben];
  await meet(ann, ben);
  await Promise.all(both.map(({ person }) => person.sees("door", "WebTransport")));

  await t.test("with sound alone", async () => {
    await call(ann, ben, "audio");
    await Promise.all(both.map((caller) => caller.hears({ video: false })));
    assert.deepEqual((await Promise.all(both.map((caller) => caller.counts()))).map(({ frames }) => frames), [0, 0]);
    await hangUp(ann, ben);
  });

  await t.test("with pictures both ways, directly", async () => {
    await call(ben, ann, "video");
    await Promise.all(both.map((caller) => caller.hears()));
    for (const caller of both) {
      const { pair } = await caller.connection();
      assert.ok(["host", "prflx"].includes(pair.remote.type) && pair.local.type !== "relay", JSON.stringify(pair));
      await caller.person.seesData("call", "path", "direct");
    }
    await Promise.all([ann.person.isPictured("calls-1-video-ann"), ben.person.isPictured("calls-1-video-ben")]);
  });

  await t.test("the link is cut, and moved to another door: the pictures go on", async (t) => {
    const longest = await framesGrow(both, STILL_MS, async () => {
      for (const { person } of both) {
        await person.clicks("link");
        await person.unfolds("For developers");
        await person.clicks("cut-link");
        await person.reads(/(?:after a break|was cut off)\. Nothing was lost\./u);
        await person.clicks("force-websocket");
        await person.sees("door", "WebSocket");
      }
      await ann.person.isPictured("calls-2-moved");
      await ann.person.clicks("force-webtransport");
      await ann.person.sees("door", "WebTransport");
      for (const { person } of both) await person.presses("Escape");
      await ann.person.says("Can you still see me?");
      await ben.person.seesMessage("Can you still see me?", { mine: false });
    });
    t.diagnostic(`the longest time without a new picture: ${longest} ms`);
    for (const caller of both) assert.equal((await caller.counts()).restarts, 0);
  });

  await t.test("the network says that it changed: ICE is restarted, and the pictures go on", async (t) => {
    const before = await Promise.all(both.map((caller) => caller.connection()));
    const longest = await framesGrow(both, STILL_MS, async () => {
      await ann.person.comesOnline();
      await ann.restarts(1);
      // Chromium now and then stays with the old way on one side, as long as that works.
      await Promise.any(both.map((caller, index) => caller.leaves(before[index].pair.local.port)));
      await Promise.all(both.map((caller) => caller.hears()));
    });
    t.diagnostic(`the longest time without a new picture: ${longest} ms`);
    for (const [index, caller] of both.entries()) {
      const { states, state } = await caller.connection();
      assert.equal(state, "connected");
      assert.deepEqual(states.slice(before[index].states.length).filter(({ is }) => /disconnected|failed/u.test(is)), []);
    }
  });

  await t.test("the camera goes off and on, and nobody is heard who is muted", async () => {
    await ann.person.clicks("call-mute");
    await ann.page.waitForFunction(() => document.querySelector('[data-testid="call-mute"]').ariaPressed === "true");
    // What was said before the click is on its way.
    await ben.page.waitForFunction(() => {
      const { energy, now } = window.spied.read();
      window.quiet = window.quiet?.energy === energy ? window.quiet : { energy, now };
      return now - window.quiet.now > 2_000;
    }, { polling: 50, timeout: 10_000 });
    await ann.person.clicks("call-mute");
    await ben.hears();

    await ann.person.clicks("call-camera");
    await ben.page.waitForFunction(() => {
      const { frames, now } = window.spied.read();
      window.dark = window.dark?.frames === frames ? window.dark : { frames, now };
      // Some browsers send a black picture now and then.
      return now - window.dark.now > 700;
    }, { polling: 50, timeout: 10_000 });
    await ben.hears({ video: false });
    await ann.person.clicks("call-camera");
    await ben.hears();
  });

  await t.test("the screen is shared in place of the camera, and taken back", async () => {
    const sees = (width) => ben.page.waitForFunction((wanted) => document.querySelector('[data-testid="remote-video"]').videoWidth === wanted, { polling: 50, timeout: 10_000 }, width);
    const sends = () => ann.page.evaluate(() => window.spied.sending("video"));
    const camera = await sends();
    await sees(camera.width);
    await ann.person.clicks("call-screen");
    await ann.page.waitForFunction(() => window.spied.sending("video")?.displaySurface === "monitor", { polling: 50, timeout: 10_000 });
    const screen = await sends();
    assert.notEqual(screen.width, camera.width);
    await sees(screen.width);
    await ben.hears();
    await Promise.all([ann.person.isPictured("calls-3-screen-ann"), ben.person.isPictured("calls-3-screen-ben")]);
    await ann.person.clicks("call-screen");
    await sees(camera.width);
    await ben.hears();
  });

  await t.test("one reloads, and is in the call again", async () => {
    await ben.person.reloads();
    await ben.sees("connected");
    await Promise.all(both.map((caller) => caller.hears()));
    await ann.sees("connected");
  });

  await t.test("the other hangs up", async () => {
    await hangUp(ann, ben);
    await ann.person.says("Good bye");
    await ben.person.seesMessage("Good bye", { mine: false });
  });

  for (const { person } of both) assert.deepEqual(person.complaints, []);
});

test("Chromium and Firefox call each other", async (t) => {
  const server = await startServer(t);
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const [ann, ben] = await Promise.all([left, right].map((browser) => Caller.arrive(browser, server.url)));
  const both = [ann, ben];
  await meet(ann, ben);
  for (const [caller, callee] of [both, [ben, ann]]) {
    await call(caller, callee, "video");
    await Promise.all(both.map((one) => one.hears()));
    if (caller === ann) await Promise.all([ann.person.isPictured("calls-4-chromium"), ben.person.isPictured("calls-4-firefox")]);
    await hangUp(callee, caller);
    await Promise.all(both.map(gone));
  }
  for (const { person } of both) assert.deepEqual(person.complaints, []);
});
