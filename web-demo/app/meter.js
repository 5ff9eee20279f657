/** How loud it is now and was a moment ago: bars that wander from right to left. */

const BAR = 3;
const GAP = 2;
/** In milliseconds; the slow one is for those who want no motion. */
const EVERY = 70;
const SLOWLY = 500;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {MediaStream} stream
 */
export function meter(canvas, stream) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(stream).connect(analyser);
  const sound = new Float32Array(analyser.fftSize);
  const every = matchMedia("(prefers-reduced-motion: reduce)").matches ? SLOWLY : EVERY;
  /** @type {number[]} the newest last */
  const levels = [];
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(sound);
    const loud = Math.sqrt(sound.reduce((sum, value) => sum + value * value, 0) / sound.length);
    levels.push(Math.min(1, Math.sqrt(loud) * 1.6));
    draw();
  }, every);

  return {
    close() {
      clearInterval(timer);
      if (context.state !== "closed") context.close().catch(() => {});
    },
  };

  function draw() {
    const brush = canvas.getContext("2d");
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    if (!brush || !width) return;
    // To set the size also wipes it.
    canvas.width = width * scale;
    canvas.height = height * scale;
    brush.scale(scale, scale);
    brush.fillStyle = getComputedStyle(canvas).color;
    const most = Math.ceil(width / (BAR + GAP));
    levels.splice(0, levels.length - most);
    for (let bar = 0; bar < most; bar += 1) {
      const level = levels[levels.length - 1 - bar] ?? 0;
      const tall = Math.max(BAR, level * height);
      brush.beginPath();
      brush.roundRect(width - BAR - bar * (BAR + GAP), (height - tall) / 2, BAR, tall, BAR / 2);
      brush.fill();
    }
  }
}
