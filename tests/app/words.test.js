import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, bytesOf, mayRetry, microphoneProblem, minutes, moved, transferProblem, unsendable } from "../../web-demo/app/words.js";

/** What may end a transfer, or keep it from beginning. */
const CODES = [
  "cancelled", "rejected", "unanswered", "stalled", "size-mismatch", "too-big", "type-mismatch", "type-not-allowed",
  "voice-too-long", "voice-mismatch", "voice-unreadable", "hash-mismatch", "credit-exceeded", "offset-mismatch", "lost", "busy",
  "transfer-unknown", "transfer-exists", "transfer-limit", "transfer-over", "transfer-busy", "file-too-big", "file-empty",
  "chunk-malformed", "invalid-data", "no-conversation", "conversation-ended", "session-lost", "too-fast",
];

test("every end of a transfer has a sentence for both sides, and none shows a code", () => {
  for (const code of [...CODES, "never-heard-of"]) {
    for (const mine of [true, false]) {
      for (const kind of /** @type {const} */ (["file", "voice"])) {
        const said = transferProblem(code, "Ann", { mine, kind });
        assert.match(said, /^[A-Z].+\.$/u, code);
        assert.doesNotMatch(said, /[{}_]|undefined|\b[a-z]+-[a-z]+\b/u, code);
        assert.ok(said.length <= 120, `${code}: "${said}"`);
      }
    }
  }
});

test("what is not said apart is said to have gone wrong on the way", () => {
  const vague = transferProblem("never-heard-of", "Ann");
  const same = CODES.filter((code) => transferProblem(code, "Ann") === vague);
  assert.deepEqual(same, ["credit-exceeded", "offset-mismatch", "transfer-exists", "transfer-busy", "chunk-malformed"]);
});

test("who called it off, and who did not want it, is told from where one sits", () => {
  assert.equal(transferProblem("cancelled", "Ann"), "Ann cancelled this.");
  assert.equal(transferProblem("cancelled", "Ann", { byMe: true }), "You cancelled this.");
  assert.equal(transferProblem("rejected", "Ann"), "Ann does not want this file.");
  assert.equal(transferProblem("rejected", "Ann", { mine: false }), "You did not take this file.");
  assert.equal(transferProblem("hash-mismatch", "Ann", { mine: false }), "It arrived damaged, so it was thrown away. Ask Ann to send it again.");
  assert.equal(transferProblem("lost", "$& {thing}", { mine: false }), "The page was reloaded or a server stopped, and this was lost with it. Ask $& {thing} to send it again.");
});

test("what would end the same way is not offered once more", () => {
  for (const code of ["unanswered", "stalled", "lost", "busy", "hash-mismatch", "transfer-limit", "never-heard-of"]) assert.ok(mayRetry(code), code);
  for (const code of ["rejected", "cancelled", "type-mismatch", "file-too-big", "no-conversation", "voice-too-long"]) assert.ok(!mayRetry(code), code);
});

test("a file is measured before it is sent", () => {
  assert.equal(unsendable({ name: "a.txt", size: 1 }, 10), "");
  assert.equal(unsendable({ name: "a.txt", size: 10 }, 10), "");
  assert.match(unsendable({ name: "a.txt", size: 0 }, 10), /^“a\.txt” is empty/u);
  assert.match(unsendable({ name: "a.txt", size: 10485761 }, 10485760), /^“a\.txt” is bigger than 10\sMB/u);
});

test("sizes and times are short", () => {
  const plain = (/** @type {string} */ text) => text.replace(/\u00a0/gu, " ");
  assert.deepEqual([0, 1, 820, 999, 1000, 12_000, 1_023_487, 1_048_576, 2_202_010, 10_485_760, 5e9].map(bytes).map(plain), [
    "0 bytes", "1 byte", "820 bytes", "999 bytes", "0.98 KB", "12 KB", "999 KB", "1 MB", "2.1 MB", "10 MB", "4.7 GB",
  ]);
  assert.equal(plain(bytesOf(2_202_010, 10_485_760)), "2.1 of 10 MB");
  assert.equal(plain(bytesOf(0, 10_485_760)), "0 of 10 MB");
  assert.deepEqual([0, 7400, 59_600, 300_000].map(minutes), ["0:00", "0:07", "1:00", "5:00"]);
});

test("each way a microphone can be missing has its own advice", () => {
  const names = ["NotAllowedError", "NotFoundError", "NotReadableError", "insecure", "unsupported", "Whatever"];
  const said = names.map(microphoneProblem);
  assert.equal(new Set(said).size, names.length);
  for (const [index, name] of names.entries()) assert.doesNotMatch(said[index], new RegExp(name, "u"));
});

test("a server that stopped is told as a move, whatever the door", () => {
  for (const tense of /** @type {const} */ (["is", "was"])) {
    const same = moved({ at: 0, door: "websocket", from: "websocket", why: "node" }, tense);
    assert.equal(same, "Back over WebSocket: the server you were on stopped, another took over.");
    assert.match(moved({ at: 0, door: "websocket", from: "webtransport", why: "node" }, tense), /^Back over WebSocket: /u);
  }
});
