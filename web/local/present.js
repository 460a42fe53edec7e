// Which labels a photo shows: the likeliest, and any other that has strong evidence of its own in another place. The API
// decides the same way (api/_present.py); benchmarks/both.py measures and chooses the numbers.

/** How warm a cell must be to count as evidence for its label; 1 is the hottest cell of the photo. */
export const WARM = 0.5;
/** The other label needs at least this probability ... */
export const LEAST_PROBABILITY = 0.02;
/** ... so many warm cells, as a share of all ... */
export const LEAST_AREA = 0.06;
/** ... and at most this share of its warm cells among those of the likeliest label. */
export const MOST_OVERLAP = 0.25;

/**
 * @param {number[]} probabilities one for each label
 * @param {number[][][]} maps for each label its rows of cells, 0 to 1
 * @returns {number[]} indices of the labels present, the likeliest first
 */
export function present(probabilities, maps) {
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const [best, ...others] = order;
  const first = warmCells(maps[best]);
  const beside = (i) => {
    if (probabilities[i] < LEAST_PROBABILITY) return false;
    const cells = warmCells(maps[i]);
    const warm = cells.filter(Boolean).length;
    const shared = cells.filter((cell, at) => cell && first[at]).length;
    return warm >= LEAST_AREA * cells.length && shared <= MOST_OVERLAP * warm;
  };
  return [best, ...others.filter(beside)];
}

const warmCells = (rows) => rows.flat().map((value) => value >= WARM);
