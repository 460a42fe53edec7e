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
