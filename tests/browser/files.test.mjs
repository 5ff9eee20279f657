/** Files and voice notes between two browsers: over both doors, with links cut in the middle, and from HTTP. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { chromium, firefox } from "./support/browsers.mjs";
import { Person, meet } from "./support/person.mjs";
import { startServer } from "./support/server.mjs";

const PHOTO = path.resolve(import.meta.dirname, "../../docs/demo.png");
const LARGE = 10 * 1024 * 1024;
/** A large file through two browsers on a busy machine. */
const LONG_MS = 60_000;

/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A file of noise, and its hash. @param {import("node:test").TestContext} t @param {string} name @param {number} size */
async function noise(t, name, size) {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-files-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, name);
  const bytes = randomBytes(size);
  // Nothing that would be taken for another type.
  bytes.fill(0x7f, 0, 16);
  await writeFile(file, bytes);
  return { file, hash: sha256(bytes) };
}

/**
 * Two people in one talk.
 * @param {import("node:test").TestContext} t
 * @param {"WebTransport" | "WebSocket"} door of the second
 */
async function pair(t, door) {
  const server = await startServer(t);
  const [left, right] = await Promise.all([chromium(t), firefox(t)]);
  const ann = await Person.arrive(left, server.url);
  const ben = await Person.arrive(right, server.url);
  const both = [ann, ben];
  await Promise.all(both.map((person) => person.goInAsGuest()));
  await Promise.all(both.map((person) => person.sees("door", "WebTransport")));
  if (door === "WebSocket") {
    await ben.clicks("door");
    await ben.unfolds("For developers");
    await ben.clicks("force-websocket");
    await ben.sees("door", "WebSocket");
    await ben.presses("Escape");
  }
  await meet(ann, ben);
  await Promise.all(both.map((person) => person.keepsFiles()));
  return { server, ann, ben };
}

for (const door of /** @type {const} */ (["WebTransport", "WebSocket"])) {
  const tag = door.toLowerCase();
  test(`files and voice notes between Chromium over WebTransport and Firefox over ${door}`, async (t) => {
    const { ann, ben } = await pair(t, door);
    const picture = (name) => Promise.all([ann.isPictured(`${name}-${tag}-chromium`), ben.isPictured(`${name}-${tag}-firefox`)]);

    await t.test("a photo is offered, accepted, and shown on both sides", async () => {
      await ann.attaches(PHOTO);
      await ben.seesFile("demo.png", "offered");
      await picture("files-1-offered");
      await ben.clicks("transfer-accept");
      await Promise.all([ann, ben].map((person) => person.seesFile("demo.png", "complete")));
      await ben.sees("transfer-thumbnail");
      await ben.hasFile(sha256(await readFile(PHOTO)));
      await picture("files-2-photo");
    });

    await t.test("10 MiB arrive as they were sent, both ways, while they talk", async () => {
      for (const [from, to] of [[ann, ben], [ben, ann]]) {
        const name = from === ann ? "large-there.bin" : "large-back.bin";
        const { file, hash } = await noise(t, name, LARGE);
        await from.attaches(file);
        await to.seesFile(name, "offered");
        await to.clicks("transfer-accept");
        await from.says("beside " + name);
        await to.seesMessage("beside " + name, { mine: false });
        await Promise.all([from, to].map((person) => person.seesFile(name, "complete", LONG_MS)));
        await to.hasFile(hash);
      }
      await picture("files-3-large");
    });

    await t.test("a file goes on over the next link when either side loses its own", async () => {
      for (const [index, loser] of [ann, ben].entries()) {
        const name = `cut-${index}.bin`;
        const { file, hash } = await noise(t, name, LARGE);
        await loser.clicks("door");
        if (!(await loser.shows("cut-link"))) await loser.unfolds("For developers");
        await loser.sees("cut-link");
        const clicked = await loser.clicksWhen("cut-link", 10);
        await ann.attaches(file);
        await ben.seesFile(name, "offered");
        await ben.clicks("transfer-accept");
        await Promise.all([ann, ben].map((person) => person.seesFile(name, "complete", LONG_MS)));
        assert.ok(await clicked(), "the link was cut in the middle");
        await loser.isPictured(`files-4-cut-${index}-${tag}`);
        await loser.presses("Escape");
        await ben.hasFile(hash);
      }
    });

    await t.test("voice notes are recorded and played, both ways", async () => {
      for (const [from, to] of [[ann, ben], [ben, ann]]) {
        const before = await to.count("voice-player");
        await from.clicks("record");
        await from.sees("record-stop");
        await new Promise((resolve) => setTimeout(resolve, 2_500));
        await from.isPictured(`files-5-recording-${tag}-${from === ann ? "chromium" : "firefox"}`);
        await from.clicks("record-stop");
        await to.countsUp("voice-player", before + 1);
      }
      await picture("files-6-voice");
      const seconds = Number(await ben.data("voice-player", "duration"));
      assert.ok(seconds > 1.5 && seconds < 6, `${seconds} s`);
      await ben.clicks("voice-play");
      await ben.seesData("voice-player", "state", "playing");
      await ben.seesData("voice-player", "state", "paused");
    });

    for (const person of [ann, ben]) assert.deepEqual(person.complaints, []);
  });
}

test("what is refused, called off, or not what it says is told in plain words", async (t) => {
  const { server, ann, ben } = await pair(t, "WebTransport");
  await t.test("the partner does not want it", async () => {
    const { file } = await noise(t, "unwanted.bin", 50_000);
    await ann.attaches(file);
    await ben.seesFile("unwanted.bin", "offered");
    await ben.clicks("transfer-reject");
    await ann.seesFile("unwanted.bin", "rejected");
    await ann.reads(/does not want/u);
    await ann.isPictured("files-7-rejected");
  });
  await t.test("a page that is named as a picture", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "duologue-files-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = path.join(folder, "cat.png");
    await writeFile(file, `<!doctype html><script>alert(1)</script>${"x".repeat(9_000)}`);
    await ann.attaches(file);
    await ben.seesFile("cat.png", "offered");
    await ben.clicks("transfer-accept");
    await Promise.all([ann, ben].map((person) => person.seesFile("cat.png", "failed")));
    await Promise.all([ann.isPictured("files-8-lie-chromium"), ben.isPictured("files-8-lie-firefox")]);
  });
  await t.test("a file over the limit is not sent", async () => {
    const { file } = await noise(t, "too-large.bin", LARGE + 1);
    await ann.attaches(file);
    await ann.sees("notice");
    await ann.isPictured("files-9-too-large");
  });
  await t.test("a photo that is uploaded over HTTP arrives in the partner's window, and one that is fetched by its link leaves it", async () => {
    const photo = await readFile(PHOTO);
    const form = new FormData();
    form.set("size", String(photo.length));
    form.set("file", new Blob([photo], { type: "image/png" }), "from-http.png");
    const headers = { authorization: `Bearer ${await ann.token()}` };
    const uploading = fetch(`${server.url}/api/files`, { method: "POST", headers, body: form });
    await ben.seesFile("from-http.png", "offered");
    await ben.clicks("transfer-accept");
    await ben.seesFile("from-http.png", "complete");
    await ben.hasFile(sha256(photo));
    const answer = await uploading;
    assert.equal(answer.status, 201, await answer.text());
    await ben.isPictured("files-11-http");
    // The same pipe the other way round.
    const { file, hash } = await noise(t, "by-link.bin", 300_000);
    const link = ann.nextLink();
    await ben.attaches(file);
    const fetched = await fetch(server.url + (await link));
    assert.match(fetched.headers.get("content-disposition") ?? "", /attachment; filename="by-link\.bin"/u);
    assert.equal(sha256(Buffer.from(await fetched.arrayBuffer())), hash);
    await Promise.all([ann, ben].map((person) => person.seesFile("by-link.bin", "complete")));
  });
  await t.test("the partner leaves in the middle", async () => {
    const { file } = await noise(t, "half.bin", LARGE);
    await ann.attaches(file);
    await ben.seesFile("half.bin", "offered");
    const clicked = await ben.clicksWhen("leave", 5);
    await ben.clicks("transfer-accept");
    await ann.sees("ended");
    assert.ok(await clicked());
    await ann.seesFile("half.bin", "failed");
    await ann.isPictured("files-10-left");
  });
  assert.ok(server);
});
