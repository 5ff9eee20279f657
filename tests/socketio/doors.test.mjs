/** The ways in: polling, WebSocket, one after the other, TLS, old clients, and pages from elsewhere. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { guest, meet, open } from "./support/people.mjs";

/** @type {[string, object][]} */
const WAYS = [
  ["polling only", { transports: ["polling"] }],
  ["websocket only", { transports: ["websocket"] }],
  ["polling, then upgraded", {}],
];

/** Both say, clear and call off something, and both hear it. */
async function talk(ann, ben) {
  await meet(ann, ben);
  for (const [from, to] of [[ann, ben], [ben, ann]]) {
    for (let at = 0; at < 10; at += 1) from.socket.emit("chat:message", { type: "text", content: `line ${at}`, timestamp: at });
    for (let at = 0; at < 10; at += 1) {
      const { content, sender } = await to.mail.next("chat:message");
      assert.deepEqual([content, sender.username], [`line ${at}`, from.user.username]);
      await from.mail.next("chat:delivered");
    }
    const { ok, id } = await from.ask("chat:message", { type: "text", content: "the last" });
    assert.equal(ok, true);
    assert.equal((await to.mail.next("chat:message")).id, id);
    from.socket.emit("chat:clear");
    assert.deepEqual(await to.mail.next("chat:clear"), { by: from.user.id });
  }
  ann.socket.emit("user:leave");
  assert.equal((await ben.mail.next("user:unmatched")).reason, "left");
  for (const { mail } of [ann, ben]) mail.never("error");
}

test("Socket.IO 4", async (t) => {
  const world = await open(t);
  for (const [name, options] of WAYS) {
    await t.test(name, async () => {
      const [ann, ben] = await Promise.all([world.arrive({ options }), world.arrive({ options })]);
      await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
      if (name.includes("upgraded")) {
        for (const { socket } of [ann, ben]) {
          if (socket.io.engine.transport.name !== "websocket") {
            await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
          }
          assert.equal(socket.io.engine.transport.name, "websocket");
        }
      } else {
        assert.equal(ann.socket.io.engine.transport.name, options.transports[0]);
      }
      await talk(ann, ben);
    });
  }

  await t.test("one by polling, the other by websocket", async () => {
    const [ann, ben] = await Promise.all([world.arrive({ options: WAYS[0][1] }), world.arrive({ options: WAYS[1][1] })]);
    await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
    await talk(ann, ben);
  });

  for (const [name, options] of WAYS) {
    await t.test(`over TLS, ${name}`, async () => {
      const secure = { url: world.server.tls, options: { rejectUnauthorized: false, ...options } };
      const [ann, ben] = await Promise.all([world.arrive(secure), world.arrive(secure)]);
      const [established] = await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
      assert.equal(established.user.id, ann.user.id);
      await talk(ann, ben);
    });
  }

  await t.test("the token in an Authorization header", async () => {
    const login = await guest(world.server.url);
    const extraHeaders = { authorization: `Bearer ${login.token}` };
    for (const transports of [["polling"], ["websocket"]]) {
      const ann = await world.arrive({ login, options: { auth: undefined, extraHeaders, transports } });
      assert.equal((await ann.mail.next("connection:established")).user.id, login.user.id);
      ann.socket.disconnect();
    }
  });

  await t.test("no token is read from the URL", async () => {
    const login = await guest(world.server.url);
    const nobody = await world.arrive({ login, options: { auth: undefined, query: { token: login.token }, reconnection: false } });
    assert.ok((await nobody.mail.next("connect_error")).message);
  });

  await t.test("GET /api/connect names the door", async () => {
    const { data } = await (await fetch(`${world.server.url}/api/connect`)).json();
    assert.deepEqual(data.socketio, { url: world.server.url, path: "/socket.io" });
  });
});

test("Socket.IO 2", async (t) => {
  const world = await open(t);
  for (const [name, options] of WAYS) {
    await t.test(name, async () => {
      const [ann, ben] = await Promise.all([world.arriveOld({ options: { ...options } }), world.arriveOld({ options: { ...options } })]);
      await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
      await talk(ann, ben);
    });
  }

  await t.test("an old client talks with a new one", async () => {
    const [ann, ben] = [await world.arriveOld(), await world.arrive()];
    await Promise.all([ann, ben].map(({ mail }) => mail.next("connection:established")));
    await talk(ann, ben);
  });

  await t.test("the token in an Authorization header", async () => {
    const login = await guest(world.server.url);
    const headers = { authorization: `Bearer ${login.token}` };
    const transportOptions = { polling: { extraHeaders: headers }, websocket: { extraHeaders: headers } };
    const ann = await world.arriveOld({ login, options: { query: {}, transportOptions } });
    assert.equal((await ann.mail.next("connection:established")).user.id, login.user.id);
  });

  await t.test("no token, and a bad one: an error with a sentence", async () => {
    for (const query of [{}, { token: "not-a-token" }]) {
      const nobody = await world.arriveOld({ options: { query, reconnection: false } });
      const error = await nobody.mail.next("error");
      assert.match(String(error?.message ?? error), /^[A-Z].+[.)]$/u);
      nobody.mail.never("connection:established");
    }
  });
});

test("pages from elsewhere", async (t) => {
  const ALLOWED = "https://chat.example";
  const world = await open(t, { CORS_ORIGIN: `${ALLOWED},https://www.chat.example` });
  const OTHER = "https://evil.example";
  const { token } = await guest(world.server.url);
  const polling = (origin, method = "GET", body) =>
    fetch(`${world.server.url}/socket.io/?EIO=4&transport=polling`, { method, body, headers: { origin } });

  await t.test("polling from an allowed page may be read by it", async () => {
    const answer = await polling(ALLOWED);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("access-control-allow-origin"), ALLOWED);
    assert.match((await answer.text()), /^0\{"sid":/u);
  });

  await t.test("its preflight is answered", async () => {
    const answer = await fetch(`${world.server.url}/socket.io/?EIO=4&transport=polling`, {
      method: "OPTIONS",
      headers: { origin: ALLOWED, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });
    assert.ok(answer.ok, String(answer.status));
    assert.equal(answer.headers.get("access-control-allow-origin"), ALLOWED);
    assert.match(answer.headers.get("access-control-allow-headers") ?? "", /content-type/iu);
  });

  await t.test("polling from any other page may not", async () => {
    for (const origin of [OTHER, `${ALLOWED}.evil.example`, "http://chat.example", "null"]) {
      const answer = await polling(origin);
      await answer.text();
      assert.equal(answer.headers.get("access-control-allow-origin"), null, origin);
    }
  });

  for (const transports of [["polling"], ["websocket"]]) {
    await t.test(`by ${transports[0]} the one is let in, the other told why not`, async () => {
      const how = (origin) => ({ login: { token }, options: { transports, reconnection: false, extraHeaders: { origin } } });
      const ann = await world.arrive(how(ALLOWED));
      await ann.mail.next("connection:established");
      ann.socket.disconnect();
      const nobody = await world.arrive(how(OTHER));
      const { message } = await nobody.mail.next("connect_error");
      if (transports[0] === "websocket") assert.match(message, /origin/u);
      nobody.mail.never("connection:established");
    });
  }
});
