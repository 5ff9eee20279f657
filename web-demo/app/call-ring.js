/** The sound of a call that comes in: two soft tones, made here; and a short buzz where the machine can. */

/** Hz: a fourth apart. */
const TONES = [523.25, 698.46];
/** In seconds. */
const TONE = 0.34;
const EVERY = 2.6;
const LOUD = 0.11;
/** On, off, on; in milliseconds. */
const BUZZ = [180, 120, 180];

/** Rings until it is stopped. Browsers let only a page that was touched make a sound. */
export function ring() {
  if (!navigator.userActivation?.hasBeenActive) return { stop() {} };
  const context = new AudioContext();
  const volume = context.createGain();
  volume.connect(context.destination);
  const buzz = () => navigator.vibrate?.(BUZZ);
  const once = () => {
    TONES.forEach((tone, index) => play(tone, context.currentTime + 0.05 + index * TONE * 0.8));
    buzz();
  };
  once();
  const timer = setInterval(once, EVERY * 1000);
  let stopped = false;
  return {
    stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      navigator.vibrate?.(0);
      // At once, also in the middle of a tone; cut off without a click.
      volume.gain.setTargetAtTime(0, context.currentTime, 0.01);
      setTimeout(() => context.close(), 80);
    },
  };

  /**
   * @param {number} hertz
   * @param {number} at
   */
  function play(hertz, at) {
    const tone = new OscillatorNode(context, { type: "sine", frequency: hertz });
    const shape = new GainNode(context, { gain: 0 });
    shape.gain.setValueAtTime(0, at);
    shape.gain.linearRampToValueAtTime(LOUD, at + 0.03);
    shape.gain.exponentialRampToValueAtTime(0.0005, at + TONE * 2.2);
    tone.connect(shape).connect(volume);
    tone.start(at);
    tone.stop(at + TONE * 2.3);
  }
}
