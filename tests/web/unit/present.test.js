import assert from "node:assert/strict";
import { test } from "node:test";

import { RULE, confirmed, places } from "../../../web/local/present.js";

const map = (...cells) => Array.from({ length: 4 }, (_, y) => Array.from({ length: 4 }, (_, x) => Number(cells.some(([a, b]) => a === y && b === x))));
const LEFT = map([1, 0], [2, 0]);
const RIGHT = map([1, 3], [2, 3]);

test("a label with evidence elsewhere deserves a second look, there", () => {
  assert.deepEqual(places([0.9, 0.1], [LEFT, RIGHT], 100), [{ label: 1, box: [0, 50, 100, 100] }]);
});

test("a label with too little probability does not", () => {
  assert.deepEqual(places([1 - RULE.leastProbability / 2, RULE.leastProbability / 2], [LEFT, RIGHT], 100), []);
});

test("a label with its evidence in the same place does not", () => {
  assert.deepEqual(places([0.9, 0.1], [LEFT, LEFT], 100), []);
});

test("a label without any evidence does not", () => {
  assert.deepEqual(places([0.9, 0.1], [LEFT, map()], 100), []);
});

test("the likeliest label is found wherever it stands in the model", () => {
  assert.equal(places([0.1, 0.9], [LEFT, RIGHT], 100)[0].label, 0);
});

test("the second look counts only where it recognizes the label, and is sure", () => {
  assert.equal(confirmed(0.99, true), true);
  assert.equal(confirmed(0.99, false), false);
  assert.equal(confirmed(RULE.leastSecondLook - 0.01, true), false);
});

test("what the rule asks for exactly is enough", () => {
  const everywhere = Array.from({ length: 4 }, () => [1, 1, 1, 1]); // half of its evidence is on the right, all of the other's
  const rule = { leastProbability: 0.25, leastAdvantage: 0.5, leastSecondLook: 0.75 };
  assert.deepEqual(places([0.75, 0.25], [everywhere, RIGHT], 100, rule), [{ label: 1, box: [0, 50, 100, 100] }]);
  assert.equal(confirmed(0.75, true, rule), true);
});

for (const [where, rows, columns, box] of [
  ["left", [1, 2], [0, 1], [0, 0, 101, 50]],
  ["right", [1, 2], [3, 4], [0, 51, 101, 101]],
  ["upper", [0, 1], [0, 1, 2, 3, 4], [0, 0, 50, 101]],
  ["lower", [3, 4], [0, 1, 2, 3, 4], [51, 0, 101, 101]],
])
  test(`the second look is at the half with the label's evidence: ${where}`, () => {
    const grid = (cell) => Array.from({ length: 5 }, (_, y) => Array.from({ length: 5 }, (_, x) => cell(y, x)));
    const there = grid((y, x) => Number(rows.includes(y) && columns.includes(x)));
    assert.deepEqual(places([0.9, 0.1], [grid(() => 0.5), there], 101), [{ label: 1, box }]);
  });

test("evidence counts by where it is, however much of it there is", () => {
  const times = (rows, factor) => rows.map((row) => row.map((cell) => cell * factor));
  const both = map([1, 0], [1, 3], [2, 3]); // a third of it on the left
  for (const factor of [0.001, 1, 50]) {
    assert.deepEqual(places([0.9, 0.1], [LEFT, times(RIGHT, factor)], 100), [{ label: 1, box: [0, 50, 100, 100] }]);
    assert.deepEqual(places([0.9, 0.1], [times(RIGHT, factor), both], 100, { ...RULE, leastAdvantage: 0.4 }), [], "a third more on the left");
  }
});

test("with three labels each other one is judged against the likeliest", () => {
  assert.deepEqual(places([0.05, 0.8, 0.15], [RIGHT, LEFT, LEFT], 100), [{ label: 0, box: [0, 50, 100, 100] }]);
});
