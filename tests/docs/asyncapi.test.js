/** docs/asyncapi.yaml is held to the code: its names, its codes, and the golden frames, whole and mangled. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Ajv } from "ajv";
import { parse } from "yaml";

const ROOT = path.resolve(import.meta.dirname, "../..");
const read = (file) => readFileSync(path.join(ROOT, file), "utf8");
const DOCUMENT = parse(read("docs/asyncapi.yaml"));

/** Fields that a frame may lack, by the event they belong to, or in any. */
const OPTIONAL = new Set(["ack", "guest", "deviceId", "resume", "lost", "retryAfterMs", "place"]);
const OPTIONAL_IN = {
  "connection:hello": ["resume.transfers", "resume.transfers.0.received", "client.calls"],
  "connection:established": [
    "conversation",
    "transfers",
    "conversation.status",
    "user.device",
    "user.device.id",
    "user.address",
    "user.place.countryName",
    "user.place.city",
    "conversation.call",
    "iceServers",
    "iceServers.1.username",
    "iceServers.1.credential",
    "iceTtlMs",
    "relayOnly",
  ],
  "user:match": ["interests", "languages", "region", "media"],
  "user:matched": ["status", "matchedUser.place.countryName", "matchedUser.place.city"],
  "user:matching": ["widensInMs"],
  "chat:message": ["timestamp", "sent"],
  "file:offer": ["durationMs", "sha256", "size"],
  "webrtc:offer": ["offer.sdp", "generation"],
  "webrtc:answer": ["answer.sdp"],
  "webrtc:ice-candidate": ["candidate.sdpMid", "candidate.sdpMLineIndex", "candidate.usernameFragment"],
  "webrtc:candidates": ["end", ...[0, 1].flatMap((at) => ["sdpMid", "sdpMLineIndex", "usernameFragment"].map((key) => `candidates.${at}.${key}`))],
  "call:ring": ["relay"],
  "call:accept": ["relay", "instead"],
  "call:decline": ["reason"],
  "call:end": ["reason"],
  "call:join": ["fresh", "generation"],
  "call:report": ["setupMs", "path", "lossPercent", "rttMs", "reason"],
  "ice:renewed": ["iceServers.1.username", "iceServers.1.credential", "ttlMs"],
  error: ["event", "id"],
};
/** Fields of which one side's kind must be there all the same. */
const REQUIRED = {
  client: { "file:offer": ["size"] },
  server: { "chat:message": ["timestamp"], "call:ring": ["relay"], "call:accept": ["relay"], "call:join": ["generation"] },
};
/** Objects of browsers, which may hold more than is used. */
const OPEN = ["data.offer", "data.answer", "data.candidate", "data.candidates.0", "data.candidates.1"];

const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema({ $id: "all", components: DOCUMENT.components });

function resolve({ $ref }) {
  return $ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/")], DOCUMENT);
}

/** The names of a vocabulary, off the table in the code. */
function vocabulary(name) {
  const [, table] = read("src/protocol/event.rs").split(new RegExp(`\\n    ${name} \\{\\n`));
  const names = [...table.split("\n    }")[0].matchAll(/^ {8}"([^"]+)"/gm)].map(([, event]) => event);
  assert.ok(names.length > 15, `${name} was found`);
  return names.sort();
}

/** The variants of an enum, as serde's kebab-case has them. */
function variants(file, name) {
  const body = read(file).split(`pub enum ${name} {`)[1].split("\n}")[0];
  const names = [...body.matchAll(/^ {4}([A-Z]\w+),/gm)].map(([, variant]) => variant);
  assert.ok(names.length > 5, `${name} was found`);
  return names.map((variant) => variant.replaceAll(/\B[A-Z]/g, "-$&").toLowerCase()).sort();
}

function golden(side) {
  const folder = `tests/golden/${side}`;
  return readdirSync(path.join(ROOT, folder)).map((file) => ({ file, frame: JSON.parse(read(`${folder}/${file}`)) }));
}

/** What says whether a frame fits, by its event. */
function schemas(side) {
  const messages = Object.entries(DOCUMENT.channels.realtime.messages).filter(([key]) => key.startsWith(`${side}-`));
  return new Map(
    messages.map(([key, message]) => [
      resolve(message).name,
      ajv.compile({ $ref: `all#/components/messages/${key}/payload` }),
    ]),
  );
}

/** What of each vocabulary does not pass on Socket.IO, off the code. */
const NOT_ON_SOCKET_IO = {
  client() {
    const [, list] = read("src/transport/socketio/words.rs").match(/^const NOT_HERE: \[&str; \d+\] = \[\n([^\]]+)\];/m);
    return [...list.matchAll(/"([^"]+)"/g)].map(([, event]) => event);
  },
  /** The arms of the writer that write nothing, or write something by another name. */
  server() {
    const [, write] = read("src/transport/socketio/writing.rs").split("match event.name {");
    const arms = write.split("\n            name => {")[0].matchAll(/^ {12}("[^=\n]+) => ([^]*?)(?=^ {12}["A-Z/]|(?![^]))/gm);
    const silent = [...arms].filter(([, , body]) => !body.includes("emit(event.name"));
    return silent.flatMap(([, names]) => names.split(" | ").map((name) => JSON.parse(name)));
  },
};

/** Every object inside, with the way to it. */
function* objects(value, way = []) {
  if (value === null || typeof value !== "object") return;
  if (!Array.isArray(value)) yield { object: value, way };
  for (const [key, inner] of Object.entries(value)) yield* objects(inner, [...way, key]);
}

function mangled(frame, way, mangle) {
  const copy = structuredClone(frame);
  mangle(way.reduce((at, key) => at[key], copy));
  return copy;
}

for (const [side, name] of [["client", "ClientEvent"], ["server", "ServerEvent"]]) {
  test(`each event of ${name} is a message, and there are no others`, () => {
    assert.deepEqual([...schemas(side).keys()].sort(), vocabulary(name));
    for (const [key, message] of Object.entries(DOCUMENT.channels.realtime.messages)) {
      assert.equal(key, `${key.split("-")[0]}-${resolve(message).name.replaceAll(":", "-")}`);
    }
    const operation = side === "client" ? DOCUMENT.operations.hear : DOCUMENT.operations.say;
    const said = operation.messages.map((message) => resolve(resolve(message)).name);
    assert.deepEqual(said.sort(), vocabulary(name), "in its operation");
  });

  test(`what a ${side} says on Socket.IO is all of ${name} that passes there`, () => {
    const messages = Object.entries(DOCUMENT.channels.socketio.messages);
    const named = messages.filter(([key]) => key.startsWith(`${side}-`) && key !== "client-acknowledged");
    const names = named.map(([, message]) => message.name);
    const not = NOT_ON_SOCKET_IO[side]();
    assert.ok(not.length >= 5 && not.every((event) => vocabulary(name).includes(event)), not.join());
    assert.deepEqual(names.sort(), vocabulary(name).filter((event) => !not.includes(event)));
    for (const [key, message] of named) assert.equal(key, `${side}-${message.name.replaceAll(":", "-")}`);
    for (const [, message] of named) ajv.compile({ $ref: `all${message.payload.$ref}` });
    const operation = side === "client" ? DOCUMENT.operations.hearSocketIo : DOCUMENT.operations.saySocketIo;
    assert.deepEqual(operation.messages.map((message) => resolve(message).name).sort(), names);
  });

  test(`the golden frames of a ${side} fit, and mangled ones do not`, () => {
    const all = schemas(side);
    let dropped = 0;
    let added = 0;
    for (const { file, frame } of golden(side)) {
      const fits = all.get(frame.event);
      assert.ok(fits(frame), `${file}: ${ajv.errorsText(fits.errors)}`);
      for (const { object, way } of objects(frame)) {
        const more = mangled(frame, way, (at) => (at.surprise = 1));
        const open = side === "server" || OPEN.includes(way.join("."));
        assert.equal(fits(more), open, `${file} with a surprise in ${way.join(".") || "the frame"}`);
        added += 1;
        for (const key of Object.keys(object)) {
          const field = way.length === 0 ? `frame.${key}` : [...way.slice(1), key].join(".");
          const must = REQUIRED[side][frame.event]?.includes(field);
          const may = !must && (OPTIONAL.has(key) || OPTIONAL_IN[frame.event]?.includes(field)) && frame.event !== "ack";
          const less = mangled(frame, way, (at) => delete at[key]);
          assert.equal(fits(less), Boolean(may), `${file} without ${[...way, key].join(".")}`);
          const wrong = mangled(frame, way, (at) => (at[key] = [[]]));
          assert.ok(!fits(wrong), `${file} with a list of a list in ${[...way, key].join(".")}`);
          dropped += 1;
        }
      }
      assert.ok(!fits({ ...frame, event: "no:such" }), `${file} by another name`);
    }
    assert.ok(dropped > 60 && added > 30, `${dropped}, ${added}`);
  });
}

test("each message shows a frame that fits", () => {
  for (const [key, message] of Object.entries(DOCUMENT.components.messages)) {
    const fits = ajv.compile({ $ref: `all#/components/messages/${key}/payload` });
    assert.ok(message.examples?.length, key);
    for (const { payload } of message.examples) assert.ok(fits(payload), `${key}: ${ajv.errorsText(fits.errors)}`);
  }
});

test("codes and reasons are those of the code", () => {
  const { schemas: types } = DOCUMENT.components;
  assert.deepEqual([...types.ErrorCode.enum].sort(), variants("src/protocol/reason.rs", "ErrorCode"));
  assert.deepEqual([...types.Closing.properties.reason.enum].sort(), variants("src/protocol/reason.rs", "CloseReason"));
  assert.deepEqual([...types.Cancelled.properties.code.enum].sort(), variants("src/protocol/transfer.rs", "TransferEnd"));
  assert.deepEqual([...types.CallEnded.properties.reason.enum].sort(), variants("src/protocol/call.rs", "CallEnding"));
  const codes = [...read("src/protocol/reason.rs").matchAll(/=> (4\d{3}),/g)].map(([, code]) => Number(code));
  assert.deepEqual(types.Closing.properties.code.enum, codes);
});

test("every reference leads somewhere", () => {
  let count = 0;
  for (const { object } of objects(DOCUMENT)) {
    if (typeof object.$ref !== "string") continue;
    assert.ok(resolve(object), object.$ref);
    count += 1;
  }
  assert.ok(count > 200, `${count}`);
});
