// Which labels a photo shows: the likeliest, and any other that a second look at its own place confirms. The API decides
// the same way, with the same numbers: api/_present.py says why, and benchmarks/both.py measures them.

export const RULE = { warm: 0.5, leastProbability: 0.01, mostOverlap: 0.34, margin: 0.08, leastSecondLook: 0.8 };

/**
 * Labels beside the likeliest that deserve a second look, and where: { label, box: [top, left, bottom, right] } in pixels.
 *
 * @param {number[]} probabilities one for each label
 * @param {number[][][]} maps for each label its rows of cells, 0 to 1
 * @param {number} size side of the square that the network sees
 */
export function places(probabilities, maps, size, rule = RULE) {
  const [best, ...others] = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const first = warmCells(maps[best], rule);
  const apart = (cells) => {
    const warm = cells.filter(Boolean).length;
    return warm > 0 && cells.filter((cell, at) => cell && first[at]).length <= rule.mostOverlap * warm;
  };
  return others
    .filter((label) => probabilities[label] >= rule.leastProbability && apart(warmCells(maps[label], rule)))
    .map((label) => ({ label, box: around(maps[label], size, rule) }));
}

/** Whether the second look, at its own place, says the label. */
export const confirmed = (probability, recognized, rule = RULE) => recognized && probability >= rule.leastSecondLook;

const warmCells = (rows, { warm }) => rows.flat().map((value) => value >= warm);

function around(rows, size, { warm, margin }) {
  const down = rows.map((row) => row.some((value) => value >= warm));
  const across = rows[0].map((_, x) => rows.some((row) => row[x] >= warm));
  const low = (cells) => Math.trunc(Math.max(0, cells.indexOf(true) / cells.length - margin) * size);
  const high = (cells) => Math.trunc(Math.min(1, (cells.lastIndexOf(true) + 1) / cells.length + margin) * size);
  return [low(down), low(across), high(down), high(across)];
}
