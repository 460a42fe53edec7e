// Which labels a photo shows: the likeliest, and any other that a second look at its own place confirms. The API decides
// the same way, with the same numbers: api/_present.py says why, and benchmarks/both.py measures them.

export const RULE = { leastProbability: 0.001, leastAdvantage: 0.2, leastSecondLook: 0.95 };

/**
 * Labels beside the likeliest that deserve a second look, and where: { label, box: [top, left, bottom, right] } in pixels.
 *
 * @param {number[]} probabilities one for each label
 * @param {number[][][]} maps for each label its rows of cells, 0 to 1
 * @param {number} size side of the square that the network sees
 */
export function places(probabilities, maps, size, rule = RULE) {
  const [best, ...others] = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  return others
    .filter((label) => probabilities[label] >= rule.leastProbability)
    .map((label) => ({ label, ...bestHalf(maps[label], maps[best], size) }))
    .filter(({ advantage }) => advantage >= rule.leastAdvantage)
    .map(({ label, box }) => ({ label, box }));
}

/** Whether the second look, at its own place, says the label. */
export const confirmed = (probability, recognized, rule = RULE) => recognized && probability >= rule.leastSecondLook;

/** The half of the photo where `other` has more of its evidence than `first` has of its own, and how much more. */
function bestHalf(other, first, size) {
  const half = Math.floor(size / 2);
  const boxes = [[0, 0, size, half], [0, size - half, size, size], [0, 0, half, size], [size - half, 0, size, size]];
  const ofFirst = shares(first);
  const advantages = shares(other).map((share, i) => share - ofFirst[i]);
  const most = Math.max(...advantages);
  return { advantage: most, box: boxes[advantages.indexOf(most)] };
}

/** The share of a map that lies in its left, right, upper and lower half; an odd row in the middle is in both. */
function shares(rows) {
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  const down = rows.map(sum);
  const across = rows[0].map((_, x) => sum(rows.map((row) => row[x])));
  const halves = (cells) => [cells.slice(0, Math.ceil(cells.length / 2)), cells.slice(Math.floor(cells.length / 2))];
  return [...halves(across), ...halves(down)].map((cells) => sum(cells) / Math.max(sum(down), 1e-9));
}
