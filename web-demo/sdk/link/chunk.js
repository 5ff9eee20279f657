/**
 * @file What goes before a transfer's bytes on every door: whose they are, and where they begin.
 * `u16 length of the id | id, UTF-8 | u64 offset of the first byte`, big-endian.
 */

/** An id has 64 characters at most. */
const MAX_ID_BYTES = 256;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * A header, and the bytes right behind it.
 * @param {string} id
 * @param {number} offset
 * @param {Uint8Array} [bytes]
 */
export function encodeChunk(id, offset, bytes = new Uint8Array()) {
  const name = encoder.encode(id);
  const chunk = new Uint8Array(10 + name.length + bytes.length);
  const view = new DataView(chunk.buffer);
  view.setUint16(0, name.length);
  chunk.set(name, 2);
  view.setUint32(2 + name.length, Math.floor(offset / 2 ** 32));
  view.setUint32(6 + name.length, offset % 2 ** 32);
  chunk.set(bytes, 10 + name.length);
  return chunk;
}

/**
 * Takes the header off. `null`: it is not all there yet.
 * @param {Uint8Array} chunk
 * @throws {RangeError} for what cannot be a header
 */
export function decodeChunk(chunk) {
  if (chunk.length < 2) return null;
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
  const length = view.getUint16(0);
  if (length === 0 || length > MAX_ID_BYTES) throw new RangeError(`An id of ${length} bytes.`);
  if (chunk.length < 10 + length) return null;
  const id = decoder.decode(chunk.subarray(2, 2 + length));
  const offset = view.getUint32(2 + length) * 2 ** 32 + view.getUint32(6 + length);
  return { id, offset, bytes: chunk.subarray(10 + length) };
}
