// The class activation map over a photo: see-through where nothing speaks for the label, glowing where most does.

/** Colours from the first evidence to the hottest cell: red, green, blue, opacity. Bright on any photo. */
const FIRE = [
  [0, [120, 20, 90, 0]],
  [0.25, [160, 30, 100, 0.14]],
  [0.5, [222, 60, 60, 0.4]],
  [0.75, [250, 140, 40, 0.6]],
  [1, [255, 226, 110, 0.75]],
];
/** For a second label beside the first: told from it by people who see red and green alike, too. */
const ICE = [
  [0, [20, 40, 140, 0]],
  [0.25, [30, 70, 190, 0.14]],
  [0.5, [40, 120, 235, 0.4]],
  [0.75, [70, 190, 250, 0.6]],
  [1, [190, 245, 255, 0.75]],
];
const RAMPS = [FIRE, ICE];
/** Without colour under it the glow stands out; this much of the photo's light stays. */
const DIM = 0.38;

/** The heat maps of an answer: one for each label that the photo shows, two at most, or that of the likeliest label. */
export const mapsOf = ({ heatmap, heatmaps }) => (heatmaps?.length > 1 ? heatmaps.slice(0, RAMPS.length) : [heatmap]);

/**
 * Draws heat maps on a canvas that lies over the photo.
 *
 * @param {{rows: number, columns: number, values: number[][]}[]} maps values from 0 to 1 over the whole photo
 */
export function drawHeatmap(canvas, maps) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = `rgb(20 12 24 / ${DIM})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  maps.forEach((map, i) => context.drawImage(glow(map, RAMPS[i]), 0, 0, canvas.width, canvas.height));
}

/** Colours are looked up after interpolating the values: interpolated colours would be muddy at the edges. */
const STEPS = 8;

function glow({ values, rows, columns }, ramp) {
  const cells = document.createElement("canvas");
  const [width, height] = [columns * STEPS, rows * STEPS];
  Object.assign(cells, { width, height });
  const context = cells.getContext("2d");
  const image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = at(values, (y + 0.5) / STEPS - 0.5, (x + 0.5) / STEPS - 0.5, rows, columns);
      image.data.set(colour(value, ramp), (y * width + x) * 4);
    }
  }
  context.putImageData(image, 0, 0);
  return cells;
}

/** The value between cells, bilinear; beyond the centres of the outer ones theirs goes on. */
function at(values, y, x, rows, columns) {
  const [top, left] = [clamp(Math.floor(y), rows), clamp(Math.floor(x), columns)];
  const [bottom, right] = [clamp(Math.floor(y) + 1, rows), clamp(Math.floor(x) + 1, columns)];
  const [down, across] = [y - Math.floor(y), x - Math.floor(x)];
  const above = values[top][left] * (1 - across) + values[top][right] * across;
  const below = values[bottom][left] * (1 - across) + values[bottom][right] * across;
  return above * (1 - down) + below * down;
}

const clamp = (index, count) => Math.min(count - 1, Math.max(0, index));

function colour(value, ramp) {
  const upper = Math.max(1, ramp.findIndex(([at]) => at >= Math.min(1, value)));
  const [[from, first], [to, second]] = [ramp[upper - 1], ramp[upper]];
  const share = (Math.min(1, value) - from) / (to - from);
  const mixed = first.map((channel, i) => channel + (second[i] - channel) * share);
  return [...mixed.slice(0, 3), mixed[3] * 255];
}

/** The third of the photo that most of the evidence is in, as [row, column] from 0 to 2; null if there is none. */
export function hottestPlace({ rows, columns, values }) {
  let [best, place] = [0, null];
  values.forEach((row, y) =>
    row.forEach((value, x) => {
      if (value > best) [best, place] = [value, [third(y, rows), third(x, columns)]];
    }),
  );
  return place;
}

const third = (index, count) => Math.min(2, Math.floor(((index + 0.5) / count) * 3));
