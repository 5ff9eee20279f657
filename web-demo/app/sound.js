/** What is in a recording: how long it is, how loud where, and the sound itself. A browser that records tells none of it. */

/** In Hz; enough for speech. */
const RATE = 24_000;
const HEADER = 44;

/**
 * @param {Blob} blob
 * @param {number} bars
 */
export async function hear(blob, bars) {
  const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await blob.arrayBuffer());
  const { duration, length } = decoded;
  const samples = decoded.getChannelData(0);
  const loud = Array.from({ length: bars }, (_, bar) => {
    const part = samples.subarray(Math.floor((bar * length) / bars), Math.max(1, Math.floor(((bar + 1) * length) / bars)));
    return Math.sqrt(part.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, part.length));
  });
  // What is hardly to be heard must not look like a shout.
  const most = Math.max(0.01, ...loud);
  return { duration, peaks: loud.map((level) => level / most), wav: () => wav(samples) };
}

/** As plain 16-bit sound. @param {Float32Array} samples */
function wav(samples) {
  const size = samples.length * 2;
  const view = new DataView(new ArrayBuffer(HEADER + size));
  const words = (/** @type {number} */ at, /** @type {string} */ text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  words(0, "RIFF");
  view.setUint32(4, HEADER - 8 + size, true);
  words(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // what follows of the format
  view.setUint16(20, 1, true); // numbers, not compressed
  view.setUint16(22, 1, true); // mono
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a sample
  view.setUint16(34, 16, true); // bits
  words(36, "data");
  view.setUint32(40, size, true);
  samples.forEach((sample, index) => view.setInt16(HEADER + index * 2, Math.max(-1, Math.min(1, sample)) * 32_767, true));
  return new Blob([view.buffer], { type: "audio/wav" });
}
