import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeChunk, encodeChunk } from "../../web-demo/sdk/link/chunk.js";

test("a header as the contract has it", () => {
  const chunk = encodeChunk("é1", 0x1_0000_0002, new Uint8Array([7, 8]));
  assert.deepEqual([...chunk], [0, 3, 0xc3, 0xa9, 0x31, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8]);
  const { id, offset, bytes } = decodeChunk(chunk);
  assert.deepEqual([id, offset, [...bytes]], ["é1", 0x1_0000_0002, [7, 8]]);
});

test("a header in pieces is waited for, and what cannot be one is refused", () => {
  const chunk = encodeChunk("abc", 5);
  for (let length = 0; length < chunk.length; length += 1) assert.equal(decodeChunk(chunk.subarray(0, length)), null);
  assert.equal(decodeChunk(chunk).bytes.length, 0);
  assert.throws(() => decodeChunk(new Uint8Array([0, 0])), RangeError);
  assert.throws(() => decodeChunk(new Uint8Array([255, 255])), RangeError);
});
