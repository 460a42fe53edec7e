import assert from "node:assert/strict";
import { test } from "node:test";

import { codeFor } from "../../../web/lib/code.js";
import { eventsOf } from "../../../web/lib/events.js";
import { addressesIn, onlyPhotos } from "../../../web/lib/incoming.js";
import { Problem } from "../../../web/lib/problem.js";
import { csv, record } from "../../../web/lib/records.js";
import { formatBytes, formatDuration, formatProbability } from "../../../web/lib/text.js";
import { mayFetch } from "../../../web/local/local.js";
import { counts, groupOf } from "../../../web/view/answer.js";
import { ordered } from "../../../web/view/batch.js";
import { inside, moved } from "../../../web/view/crop.js";

const answer = { prediction: "cat", confidence: 0.98, recognized: true, present: ["cat"], probabilities: { cat: 0.98, dog: 0.02 }, heatmap: { values: [[1]] }, model_version: "1.0.0" };
const answered = (name, more = {}) => ({ name, state: "answered", by: "api", network: 1.4, photo: { bytes: 10, size: 8 }, answer: { ...answer, ...more } });
const failed = (name) => ({ name, state: "failed", problem: new Problem("empty", { name }) });

test("a table has a row for each photo, and heat maps in none", () => {
  const rows = csv([answered("a.jpg"), answered("b, \"c\".jpg"), failed("d.jpg")]).trimEnd().split("\r\n");
  assert.equal(rows[0], "\ufefffile,prediction,confidence,recognized,present,p(cat),p(dog),model_version,answered_by,error");
  assert.equal(rows[1], "a.jpg,cat,0.98,true,cat,0.98,0.02,1.0.0,api,");
  assert.ok(rows[2].startsWith('"b, ""c"".jpg",cat'));
  assert.ok(rows[3].startsWith("d.jpg,,,,,,,,,d.jpg is empty."));
});

test("a file's name is no formula in a spreadsheet", () => {
  assert.ok(csv([answered("=cmd|'/c calc'!A1.jpg")]).includes("'=cmd"));
});

test("a record keeps heat maps only where they are wanted", () => {
  assert.ok(record(answered("a.jpg")).heatmap);
  assert.equal(record(answered("a.jpg"), false).heatmap, undefined);
  assert.equal(record(answered("a.jpg")).sent_bytes, 8);
});

test("the least sure come first, then those of none, then those without answer", () => {
  const items = [answered("sure"), failed("failed"), answered("none", { recognized: false, present: [] }), answered("torn", { confidence: 0.51 })];
  assert.deepEqual(ordered(items, "unsure", "all").map(({ name }) => name), ["torn", "sure", "none", "failed"]);
  assert.deepEqual(ordered(items, "chosen", "none").map(({ name }) => name), ["none"]);
  assert.deepEqual(ordered([answered("10.jpg"), answered("9.jpg")], "name", "all").map(({ name }) => name), ["9.jpg", "10.jpg"]);
});

test("a photo of both counts as both, and the counts add up", () => {
  const both = answered("x", { present: ["cat", "dog"] });
  assert.equal(groupOf(both), "both");
  assert.deepEqual(counts([answered("a"), answered("b"), both, failed("c"), { state: "busy" }]), ["2 × cat", "1 × both", "1 × no answer"]);
});

test("numbers keep their units beside them", () => {
  for (const words of [formatBytes(3_600_000), formatBytes(950), formatDuration(12), formatDuration(2500)]) assert.ok(!words.includes(" "), words);
  assert.equal(formatProbability(0.9999), ">99.9%");
});

test("the key stays out of every sample of code, and every name is quoted", () => {
  const name = `Mimi's "best"; photo.jpg`;
  globalThis.sessionStorage = { getItem: () => "secret" };
  for (const kind of ["curl", "python", "javascript"]) {
    const code = codeFor(kind, "https://api.example/", name);
    assert.ok(!code.includes("secret"));
    assert.match(code, /API_KEY/);
    assert.match(code, /https:\/\/api\.example\/predict\?explain=true/);
  }
  delete globalThis.sessionStorage;
  assert.ok(codeFor("python", "https://api.example/", name).includes(JSON.stringify(name)));
});

test("addresses are found in what was pasted, once each, and nothing else is", () => {
  assert.deepEqual(addressesIn("see https://a.example/cat%20one.jpg\nand https://a.example/cat%20one.jpg javascript:alert(1)"), [
    { url: "https://a.example/cat%20one.jpg", name: "cat one.jpg" },
  ]);
});

test("an address with a percent sign that stands for itself is taken, and one that is none is not", () => {
  assert.deepEqual(addressesIn("https://a.example/100%.jpg https://[a/cat.jpg https://:80 https://a.example:x/"), [
    { url: "https://a.example/100%.jpg", name: "100%.jpg" },
  ]);
});

test("of a folder only what looks like a photo is taken", () => {
  const names = [["a.jpg", "image/jpeg"], ["b.HEIC", ""], ["notes.txt", "text/plain"], [".hidden.jpg", "image/jpeg"], ["x", ""]];
  const { found, leftOut } = onlyPhotos(names.map(([name, type]) => ({ name, type })));
  assert.deepEqual([found.map(({ name }) => name), leftOut], [["a.jpg", "b.HEIC"], 3]);
});

test("events come whole, however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode('event: delta\r\ndata: {"text":"Mieße"}\r\n\r\n: a comment\n\nevent: done\ndata: {"usage":{}}\n\n');
  const stream = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const found = [];
  for await (const event of eventsOf(stream)) found.push(event);
  assert.deepEqual(found, [{ event: "delta", data: { text: "Mieße" } }, { event: "done", data: { usage: {} } }]);
});

test("nothing large is fetched unasked over a slow or metered connection", () => {
  assert.equal(mayFetch({ effectiveType: "4g" }), true);
  assert.equal(mayFetch({ effectiveType: "3g" }), false);
  assert.equal(mayFetch({ saveData: true }), false);
  assert.equal(mayFetch({}), true);
});

test("the box of a part stays on the photo", () => {
  const box = { x: 0.49, y: 0, width: 0.5, height: 0.5 };
  assert.equal(moved(box, { key: "ArrowRight" }).x, 0.5);
  assert.equal(moved(box, { key: "ArrowUp" }).y, 0);
  assert.equal(moved(box, { key: "a" }), null);
  assert.ok(Math.abs(moved(box, { key: "ArrowRight", shiftKey: true }).width - 0.51) < 1e-9);
  assert.deepEqual(inside({ x: 0.8, y: 0.8, width: 0.5, height: 0.5 }).width.toFixed(1), "0.2");
});
