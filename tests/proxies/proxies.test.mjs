/** Three nodes behind nginx, and behind HAProxy, with the settings that are shipped. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { Duologue } from "../../web-demo/sdk/duologue.js";
import { Rig, until } from "../cluster/rig.mjs";
import { freePorts } from "../cluster/support/program.mjs";
import { meet } from "../socketio/support/people.mjs";
import { arrive, ask, guest, hello } from "./support/people.mjs";
import { haproxy, nginx } from "./support/proxy.mjs";

// The certificate is the test's own, and `fetch`, by which the SDK asks, can be told in no other way.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

const PLACES = path.resolve(import.meta.dirname, "../place/places.mmdb");
const REQUESTS = 100;
const FILE = 10 * 1024 * 1024;
/** More than all sockets between can hold: this machine's keep up to 10 MiB on each of the four ways. */
const LARGE = 64 * 1024 * 1024;
const HELD = 44 * 1024 * 1024;
const addresses = Array.from({ length: 8 }, (_, index) => `127.8.${index}.1`);
const text = (content) => ({ type: "text", content });

for (const [name, proxy] of [["nginx", nginx], ["HAProxy", haproxy]]) {
  test(name, async (t) => {
    const [plain, tls] = await freePorts(2);
    const rig = await Rig.open(t, {
      settings: (number) => ({
        DUOLOGUE_PUBLIC_HOST: "localhost",
        DUOLOGUE_PUBLIC_HTTPS_PORT: `${tls}`,
        DUOLOGUE_PUBLIC_QUIC_PORT: `${4430 + number}`,
        DUOLOGUE_LISTEN_HTTPS: "off",
        DUOLOGUE_LIMITS_TRUSTED_PROXIES: "127.0.0.1",
        DUOLOGUE_LIMITS_REQUESTS_PER_QUARTER_HOUR: `${REQUESTS}`,
        DUOLOGUE_PLACE_DATABASE: PLACES,
        DUOLOGUE_FILES_MAX_BYTES: `${LARGE}`,
      }),
    });
    await proxy(rig, { plain, tls });
    const url = `https://localhost:${tls}`;
    /** Which node answered, by the UDP port that it names: 1, 2 or 3. */
    const nodeOf = ({ body }) => Number(new URL(body.data.webtransport.url).port) - 4430;
    const counts = async () => (await Promise.all(rig.nodes.map((node) => node.stats()))).map(({ connections }) => connections);
    /** Whoever came before is gone. */
    const empty = () => until(async () => (await rig.totals()).sessions === 0, 10_000, () => "somebody is still there");

    await t.test("plain HTTP goes to HTTPS", async () => {
      const answer = await fetch(`http://localhost:${plain}/app/main.js?x=1`, { redirect: "manual" });
      assert.equal(answer.status, 308);
      assert.match(answer.headers.get("location"), /^https:\/\/localhost(:\d+)?\/app\/main\.js\?x=1$/u);
    });

    await t.test("REST, from all three nodes, each with its own UDP port", async () => {
      const seen = new Set();
      for (let at = 0; at < 12; at += 1) {
        const answer = await ask(url, "/api/connect");
        assert.equal(answer.status, 200);
        assert.equal(answer.headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
        assert.equal(answer.body.data.websocket.url, `wss://localhost:${tls}/realtime`);
        assert.equal(answer.body.data.socketio.url, url);
        seen.add(nodeOf(answer));
      }
      assert.deepEqual([...seen].sort(), [1, 2, 3]);
      const ada = { username: "ada", email: "ada@example.org", password: "Password123" };
      assert.equal((await ask(url, "/api/auth/register", { method: "POST", body: ada })).status, 201);
      assert.equal((await ask(url, "/api/auth/me")).body.error.code, "token-missing");
      assert.equal((await ask(url, "/")).status, 200);
    });

    await t.test("the client's address is the real one, whatever it says", async (t) => {
      const forged = { "x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "http" };
      // Three nodes count apart: each lets so many of one address pass, and no more.
      let [passed, refused] = [0, 0];
      while (refused < 12 && passed <= 3 * REQUESTS) {
        const { status } = await ask(url, "/api/users/stats", { from: "127.7.2.1", headers: forged });
        if (status === 429) refused += 1;
        else [passed, refused] = [passed + 1, 0];
      }
      assert.equal(passed, 3 * REQUESTS);
      assert.equal((await ask(url, "/api/users/stats", { from: "127.7.2.2", headers: forged })).status, 401);
      const { established } = await hello(t, url, { from: "127.7.1.1", headers: forged });
      assert.equal(established.user.address, "127.7.1.0");
      assert.equal(established.user.place.city, "Delft");
    });

    await t.test("more than a file may have is refused before it is sent", async () => {
      const answer = await new Promise((resolve, reject) => {
        const headers = { "content-type": "multipart/form-data; boundary=x", "content-length": LARGE + 2 * 1024 * 1024 };
        const request = https.request(`${url}/api/files`, { method: "POST", headers, agent: false }, resolve);
        request.on("error", reject).flushHeaders();
      });
      answer.destroy();
      assert.equal(answer.statusCode, 413);
    });

    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      await t.test(`Socket.IO by ${transports.join(", then ")}: each client stays on one node`, async (t) => {
        await empty();
        const people = await Promise.all(addresses.map((from) => arrive(t, url, { from, transports })));
        for (const [index, { established, mail }] of people.entries()) {
          assert.equal(established.user.address, `127.8.${index}.0`);
          mail.never("disconnect");
        }
        const used = (await counts()).filter(({ socketio }) => socketio > 0).length;
        assert.ok(used >= 2, `${used} of three nodes have them all`);
        // Two of one address are on one node, and talk.
        const [ann, ben] = await Promise.all([0, 1].map(() => arrive(t, url, { from: "127.9.1.1", transports })));
        await meet(ann, ben);
        for (let at = 0; at < 20; at += 1) {
          ann.socket.emit("chat:message", text(`line ${at}`));
          assert.equal((await ben.mail.next("chat:message")).content, `line ${at}`);
          ben.socket.emit("chat:message", text(`back ${at}`));
          assert.equal((await ann.mail.next("chat:message")).content, `back ${at}`);
        }
        for (const { mail } of [ann, ben, ...people]) mail.never("disconnect");
        for (const { socket } of [ann, ben, ...people]) socket.disconnect();
      });
    }

    await t.test("a browser that changes its address stays on its node, by a cookie", async () => {
      const handshake = "/socket.io/?EIO=4&transport=polling";
      const opened = await ask(url, handshake, { from: "127.8.0.1" });
      const [cookie] = opened.headers["set-cookie"];
      assert.match(cookie, /; *secure/iu);
      const { sid } = JSON.parse(opened.body.slice(1));
      // What is not a packet of an open connection is refused; what has no connection here, otherwise.
      const post = (from, headers) => ask(url, `${handshake}&sid=${sid}`, { method: "POST", from, headers, body: "3" });
      for (const from of addresses) assert.equal((await post(from, { cookie: cookie.split(";")[0] })).status, 200, from);
      const without = await Promise.all(addresses.map((from) => post(from, {})));
      assert.ok(without.some(({ status }) => status === 400), "the cookie makes no difference");
    });

    for (const [what, size] of [["10 MiB pass", FILE], ["64 MiB go as fast as they are taken, and nothing in between keeps them", LARGE]]) {
      await t.test(what, async (t) => {
        const people = [0, 1].map(() => arrive(t, url, { from: "127.0.0.1", transports: ["websocket"] }));
        const [ann, ben] = await Promise.all(people);
        await meet(ann, ben);
        const bytes = Buffer.concat([Buffer.alloc(16, 0x7f), randomBytes(size - 16)]);
        const upload = new Upload(url, ann.token, bytes);
        const { content } = await ben.mail.next("chat:message");
        const file = await new Promise((resolve, reject) => {
          https.get(new URL(content.url, url), { agent: false }, resolve).on("error", reject);
        });
        t.after(() => file.destroy());
        assert.equal(file.statusCode, 200);
        if (size === LARGE) {
          // Nobody reads it: it stops on its way, which is seen by a second without a byte more.
          let [last, since] = [-1, Date.now()];
          await until(() => {
            if (upload.sent !== last) [last, since] = [upload.sent, Date.now()];
            return Date.now() - since > 1_000;
          }, 15_000, () => "the sender is not slowed");
          assert.ok(upload.sent < HELD, `${upload.sent} bytes are somewhere, and nobody took any`);
          t.diagnostic(`${(upload.sent / 1024 / 1024).toFixed(1)} MiB are in sockets`);
        }
        const hash = createHash("sha256");
        for await (const part of file) hash.update(part);
        assert.equal(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"));
        const answer = await upload.answered;
        answer.resume();
        assert.ok([200, 201].includes(answer.statusCode), String(answer.statusCode));
      });
    }

    await t.test("a node that drains tells its own clients so, and nobody new is sent there", async (t) => {
      await empty();
      const people = await Promise.all(addresses.slice(0, 6).map((from) => hello(t, url, { from })));
      const before = await counts();
      assert.ok(before.every(({ websocket }) => websocket === 2), JSON.stringify(before));
      const drained = rig.nodes[2].drain();
      // Two are told by the node, not cut off by the proxy; the others hear nothing.
      const told = await Promise.all(people.map(({ mail }) => mail.next("connection:closing", undefined, 1_500).catch(() => undefined)));
      assert.deepEqual(told.filter(Boolean).map(({ code }) => code), [4503, 4503]);
      await connectAtOnce(t, url, 12);
      assert.equal((await drained).code, 0);
      for (const [index, { mail }] of people.entries()) {
        if (told[index]) assert.equal(await mail.next("closed"), 4503);
        else mail.never("closed");
      }
      await rig.nodes[2].start();
      await until(async () => nodeOf(await ask(url, "/api/connect")) === 3, 10_000, () => "the node is not taken back");
    });

    await t.test("a node is killed: whoever connects then is answered at once", async (t) => {
      await rig.nodes[1].kill();
      await connectAtOnce(t, url, 12);
      const people = await Promise.all(addresses.map((from) => arrive(t, url, { from, transports: ["polling"] })));
      for (const { mail, socket } of people) {
        mail.never("connect_error");
        socket.disconnect();
      }
    });

    await t.test("one node is left: two people with the SDK talk through it", async (t) => {
      await rig.nodes[2].kill();
      const people = await Promise.all([0, 1].map(async () => {
        const { token } = await guest(url);
        const client = new Duologue({ token, base: url, doors: ["websocket"], WebSocket });
        t.after(() => client.close());
        await client.connect();
        return client;
      }));
      const [ann, ben] = await Promise.all(people.map((client) => client.match()));
      const heard = new Promise((resolve) => ben.addEventListener("message", ({ detail }) => resolve(detail.content), { once: true }));
      await ann.send("through the proxy").delivered;
      assert.equal(await heard, "through the proxy");
    });
  });
}

test("HAProxy: where accounts are away for all nodes, people still get to them; only one that drains gets nobody", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "duologue-haproxy-"));
  /** What /health says, by node. */
  const health = ["degraded", "degraded", "degraded"];
  const checks = [0, 0, 0];
  const nodes = await Promise.all(health.map(async (_, index) => {
    const server = http.createServer(({ url }, response) => {
      if (url !== "/health") return response.end(JSON.stringify(index));
      const status = health[index];
      checks[index] += 1;
      response.writeHead(status === "draining" ? 503 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify({ status, uptimeSeconds: 1 }));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    t.after(() => (server.close(), server.closeAllConnections()));
    return { http: server.address().port };
  }));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const keep = (program) => (t.after(() => program.kill()), program);
  const [plain, tls] = await freePorts(2);
  await haproxy({ folder, nodes, keep }, { plain, tls });
  const seen = async (path) => {
    const answers = [];
    for (let at = 0; at < 12; at += 1) answers.push(await ask(`https://localhost:${tls}`, path, { from: addresses[at % 8] }));
    assert.deepEqual(answers.filter(({ status }) => status !== 200), []);
    return [...new Set(answers.map(({ body }) => body))].sort();
  };
  // Each has been asked twice by both backends: the first answer decides, and before it all count as there.
  await until(() => checks.every((count) => count >= 4), 10_000, () => "nodes are not asked");
  assert.deepEqual(await seen("/api/connect"), ["0", "1", "2"]);
  health[1] = "draining";
  for (const path of ["/api/connect", "/socket.io/?EIO=4&transport=polling"]) {
    await until(async () => !(await seen(path)).includes("1"), 5_000, () => `a node that drains still gets ${path}`);
  }
  health[1] = "ok";
  await until(async () => (await seen("/api/connect")).includes("1"), 5_000, () => "a node that is back gets nobody");
});

/** REST and WebSocket, so many of each, each within two seconds: a refused connection costs none of them. */
async function connectAtOnce(t, url, count) {
  for (let at = 0; at < count; at += 1) {
    const began = performance.now();
    const answer = await ask(url, "/api/connect");
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const { socket } = await hello(t, url, { from: `127.10.${at}.1` });
    socket.terminate();
    assert.ok(performance.now() - began < 2_000, `${performance.now() - began} ms`);
  }
}

/** A file on its way up, as a form, by hand: to see how much of it has gone. */
class Upload {
  /** Bytes that this process is rid of. */
  sent = 0;
  /** @type {Promise<import("node:http").IncomingMessage>} */
  answered;

  constructor(url, token, bytes) {
    const head = '--x\r\nContent-Disposition: form-data; name="file"; filename="noise.bin"\r\nContent-Type: application/octet-stream\r\n\r\n';
    const form = Buffer.concat([Buffer.from(head), bytes, Buffer.from("\r\n--x--\r\n")]);
    const headers = { authorization: `Bearer ${token}`, "content-type": "multipart/form-data; boundary=x", "content-length": form.length };
    this.answered = new Promise((resolve, reject) => {
      const request = https.request(`${url}/api/files`, { method: "POST", headers, agent: false }, resolve);
      request.on("error", reject);
      const send = (at) => {
        if (at >= form.length) return request.end();
        const part = form.subarray(at, at + 64 * 1024);
        request.write(part, () => {
          this.sent += part.length;
          send(at + part.length);
        });
      };
      send(0);
    });
  }
}
