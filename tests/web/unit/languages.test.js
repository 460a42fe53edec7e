import assert from "node:assert/strict";
import { test } from "node:test";

import { LANGUAGES } from "../../../web/lib/text.js";
import { words as english } from "../../../web/words/en.js";

const VALUES = {
  labels: ["cat", "dog"], label: "cat", count: 2, list: "L", name: "N", host: "H", api: "A", origin: "O", detail: "D", file: "F", type: "T",
  accuracy: "99 %", photos: "7", done: "1", total: "2", status: "500", id: "x", question: "Q", confidence: "C", together: "T", place: "P", places: "P",
};
const said = (entry) => (typeof entry === "function" ? entry(VALUES, (word) => word) : entry);
const names = (entry) => [...new Set(typeof entry === "string" ? [...entry.matchAll(/\{(\w+)\}/g)].map(([, name]) => name) : [])].sort();

for (const language of Object.keys(LANGUAGES))
  test(`${language} says everything with the same values`, async () => {
    const { words } = await import(`../../../web/words/${language}.js`);
    for (const [key, entry] of Object.entries(english)) {
      assert.equal(typeof words[key], typeof entry, key);
      assert.deepEqual(names(words[key]), names(entry), key);
      assert.ok(said(words[key]).length > 0, key);
      assert.ok(!/undefined|\[object/.test(said(words[key])), key);
    }
  });
