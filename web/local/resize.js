// The service's resize (Pillow, Image.resize with BILINEAR), to the bit: a triangle filter whose width grows with the
// reduction, so that shrinking averages instead of skipping; one axis after the other, rounded to bytes in between.

const PRECISION = 2 ** 22;

/**
 * Squashes RGBA pixels to a square of RGB.
 *
 * @param {Uint8ClampedArray} rgba height x width x 4
 * @returns {Uint8Array} size x size x 3
 */
export function resize(rgba, width, height, size) {
  const across = filter(width, size);
  const narrow = new Uint8Array(height * size * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { first, weights } = across[x];
      const from = (y * width + first) * 4;
      const to = (y * size + x) * 3;
      for (let channel = 0; channel < 3; channel++) narrow[to + channel] = average(rgba, from + channel, 4, weights);
    }
  }
  const down = filter(height, size);
  const square = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const { first, weights } = down[y];
    for (let i = 0; i < size * 3; i++) square[y * size * 3 + i] = average(narrow, first * size * 3 + i, size * 3, weights);
  }
  return square;
}

function average(values, from, step, weights) {
  let sum = PRECISION / 2;
  for (let i = 0; i < weights.length; i++) sum += values[from + i * step] * weights[i];
  return Math.min(255, Math.max(0, Math.floor(sum / PRECISION)));
}

/** For each of `to` target pixels the source pixels that count, and their weights as fixed-point numbers. */
function filter(from, to) {
  const scale = from / to;
  const support = Math.max(1, scale);
  return Array.from({ length: to }, (_, target) => {
    const center = (target + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, i) =>
      Math.max(0, 1 - Math.abs((first + i - center + 0.5) / support)),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: Int32Array.from(weights, (weight) => Math.trunc(0.5 + (weight / sum) * PRECISION)) };
  });
}
