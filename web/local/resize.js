// The service's resize (Pillow, Image.resize with BILINEAR), to the bit: a triangle filter whose width grows with the
// reduction, so that shrinking averages instead of skipping; one axis after the other, rounded to bytes in between.

/** Weights are fixed-point numbers of so many bits; 255 of them, summed up, stay within 31. */
const BITS = 22;
const HALF = 2 ** (BITS - 1);

/**
 * Squashes RGBA pixels to a square of RGB.
 *
 * @param {Uint8ClampedArray} rgba height x width x 4
 * @returns {Uint8Array} size x size x 3
 */
export function resize(rgba, width, height, size) {
  const narrow = across(rgba, width, height, size, filter(width, size));
  return down(narrow, height, size, filter(height, size));
}

/** A part of a square of RGB, as a square of the same size; box is [top, left, bottom, right] in pixels. */
export function cut(pixels, size, [top, left, bottom, right]) {
  const [width, height] = [Math.max(1, right - left), Math.max(1, bottom - top)];
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, from = ((top + y) * size + left) * 3; x < width; x++, from += 3, to += 4) {
      [rgba[to], rgba[to + 1], rgba[to + 2]] = [pixels[from], pixels[from + 1], pixels[from + 2]];
    }
  }
  return resize(rgba, width, height, size);
}

function across(rgba, width, height, size, { first, ends, weights }) {
  const narrow = new Uint8Array(height * size * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * width * 4;
    for (let x = 0; x < size; x++) {
      let [red, green, blue] = [HALF, HALF, HALF];
      let from = row + first[x] * 4;
      for (let i = ends[x]; i < ends[x + 1]; i++, from += 4) {
        const weight = weights[i];
        red = (red + rgba[from] * weight) | 0;
        green = (green + rgba[from + 1] * weight) | 0;
        blue = (blue + rgba[from + 2] * weight) | 0;
      }
      narrow[to++] = byte(red);
      narrow[to++] = byte(green);
      narrow[to++] = byte(blue);
    }
  }
  return narrow;
}

function down(narrow, height, size, { first, ends, weights }) {
  const row = size * 3;
  const square = new Uint8Array(size * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < size; y++) {
    sums.fill(HALF);
    let from = first[y] * row;
    for (let i = ends[y]; i < ends[y + 1]; i++, from += row) {
      const weight = weights[i];
      for (let x = 0; x < row; x++) sums[x] += narrow[from + x] * weight;
    }
    for (let x = 0; x < row; x++) square[y * row + x] = byte(sums[x]);
  }
  return square;
}

const byte = (sum) => Math.min(255, Math.max(0, sum >> BITS));

/**
 * For each of `to` target pixels the first source pixel that counts, and the weights of it and those after it: target x
 * has weights[ends[x]] to weights[ends[x + 1] - 1].
 */
function filter(from, to) {
  const scale = from / to;
  const support = Math.max(1, scale);
  const [first, ends, weights] = [new Int32Array(to), new Int32Array(to + 1), []];
  for (let target = 0; target < to; target++) {
    const center = (target + 0.5) * scale;
    first[target] = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const shares = Array.from({ length: end - first[target] }, (_, i) =>
      Math.max(0, 1 - Math.abs((first[target] + i - center + 0.5) / support)),
    );
    const sum = shares.reduce((a, b) => a + b, 0);
    weights.push(...shares.map((share) => Math.trunc(0.5 + (share / sum) * 2 ** BITS)));
    ends[target + 1] = weights.length;
  }
  return { first, ends, weights: Int32Array.from(weights) };
}
