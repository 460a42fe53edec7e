import assert from "node:assert/strict";
import { test } from "node:test";

import { codeFor } from "../../../web/lib/code.js";
import { eventsOf } from "../../../web/lib/events.js";
import { addressesIn, fetchPhoto, filesOf, onlyPhotos } from "../../../web/lib/incoming.js";
import { ANSWERED_ELSEWHERE, FINAL, PASSING, Problem, SOLVED_BY_SETTINGS, UNREACHABLE, problemText } from "../../../web/lib/problem.js";
import { csv, record } from "../../../web/lib/records.js";

const answer = { prediction: "cat", confidence: 0.98, recognized: true, probabilities: { cat: 0.98, dog: 0.02 }, model_version: "1.0.0" };
const item = (more = {}) => ({ name: "a.jpg", by: "api", network: 1.6, photo: { bytes: 10, size: 8 }, answer, ...more });
const lines = (items) => csv(items).replace("\ufeff", "").split("\r\n");

test("a record says what was sent, who answered, and what", () => {
  const maps = { heatmap: { values: [[1]] }, heatmaps: [{ values: [[2]] }] };
  const wanted = { file: "a.jpg", bytes: 10, sent_bytes: 8, answered_by: "api", network_ms: 2, ...answer };
  assert.deepEqual(record(item()), wanted);
  assert.deepEqual(record(item({ answer: { ...answer, ...maps } })), { ...wanted, ...maps });
  assert.deepEqual(record(item({ answer: { ...answer, ...maps } }), false), wanted);
  assert.equal(record(item({ photo: { bytes: 10, size: 8, blob: { size: 7 } } })).sent_bytes, 7, "of a smaller copy that was sent");
  assert.equal(record(item({ by: "browser" })).sent_bytes, 0, "nothing leaves the device");
});

test("a photo without answer is a record of the reason", () => {
  assert.deepEqual(record({ name: "a.jpg", problem: new Problem("empty", { name: "a.jpg" }) }), { file: "a.jpg", error: "a.jpg is empty. Choose the photo again." });
});

test("a table without any answer has no labels", () => {
  const [head, failed, waiting, end] = lines([{ name: "a.jpg", problem: new Problem("empty", { name: "a.jpg" }) }, { name: "b.jpg" }]);
  assert.equal(head, "file,prediction,confidence,recognized,present,model_version,answered_by,error");
  assert.deepEqual([failed, waiting, end], ["a.jpg,,,,,,,a.jpg is empty. Choose the photo again.", "b.jpg,,,,,,,", ""]);
});

test("an old service's answers say what is present by what is recognized", () => {
  const [, known, unknown, both] = lines([
    item(), item({ answer: { ...answer, recognized: false } }), item({ answer: { ...answer, present: ["cat", "dog"], probabilities: { dog: 1 } } }),
  ]);
  assert.equal(known, "a.jpg,cat,0.98,true,cat,0.98,0.02,1.0.0,api,");
  assert.equal(unknown, "a.jpg,cat,0.98,false,,0.98,0.02,1.0.0,api,");
  assert.equal(both, "a.jpg,cat,0.98,true,cat dog,,1,1.0.0,api,", "a label that another model lacks is left empty");
});

for (const first of ["=", "+", "-", "@", "\t"])
  test(`what begins with ${JSON.stringify(first)} is no formula in a spreadsheet, and what only holds it stays`, () => {
    assert.ok(lines([item({ name: `${first}1.jpg` })])[1].startsWith(`'${first}1.jpg,`));
    assert.ok(lines([item({ name: `a${first}1.jpg` })])[1].startsWith(`a${first}1.jpg,`));
  });

test("what would end a cell or a line stands in quotes", () => {
  assert.ok(csv([item({ name: "a\nb" })]).includes('"a\nb",cat'));
  assert.ok(csv([item({ name: "a\rb" })]).includes('"a\rb",cat'));
  assert.ok(csv([item({ name: "\rb" })]).includes(`"'\rb",cat`));
  assert.ok(csv([item({ name: 'a"b"' })]).includes('"a""b""",cat'));
  assert.ok(csv([item({ name: "a,b" })]).includes('"a,b",cat'));
});

test("an amount below zero is a number and no formula", () => {
  assert.ok(csv([item({ answer: { ...answer, confidence: -1 } })]).includes(",-1,"));
});

// --- problems

test("each kind of problem belongs where the page looks for it", () => {
  for (const kind of UNREACHABLE) assert.ok(SOLVED_BY_SETTINGS.has(kind) && ANSWERED_ELSEWHERE.has(kind), kind);
  for (const kind of ["keyNeeded", "keyWrong"]) assert.ok(SOLVED_BY_SETTINGS.has(kind) && !UNREACHABLE.has(kind), kind);
  for (const kind of ["unavailable", "server", "rate"]) assert.ok(ANSWERED_ELSEWHERE.has(kind) && !SOLVED_BY_SETTINGS.has(kind), kind);
  for (const kind of ["down", "timeout", "server", "unavailable"]) assert.ok(PASSING.has(kind), kind);
  for (const kind of ["notPhoto", "empty", "heic", "undecodable", "unreadable", "tooLarge"])
    assert.ok(FINAL.has(kind) && !PASSING.has(kind) && !ANSWERED_ELSEWHERE.has(kind), kind);
  assert.equal(UNREACHABLE.size + SOLVED_BY_SETTINGS.size + ANSWERED_ELSEWHERE.size + PASSING.size + FINAL.size, 11 + 13 + 16 + 4 + 6);
});

test("a problem keeps its kind and what fills its sentence in", () => {
  assert.deepEqual([new Problem("empty").message, new Problem("empty").values], ["empty", {}]);
  assert.equal(problemText(new Problem("empty", { name: "a.jpg" })), "a.jpg is empty. Choose the photo again.");
  assert.ok(problemText({ kind: "server", values: { id: "r-1" } }).includes("r-1"));
  const without = problemText({ kind: "server" });
  assert.ok(without.length > 10 && !/undefined|\{/.test(without), without);
  const large = problemText(new Problem("undecodable", { name: "a.tif", bytes: 4_500_000 }));
  assert.match(large, /^This browser cannot open a\.tif, and at 4\.5\sMB it is too large/);
  assert.ok(problemText(new Problem("tooLarge", { detail: "At most 9 bytes." })).endsWith("At most 9 bytes."));
});

// --- photos that come by drop, folder or address

const file = (name, path = "") => ({ name, type: name.endsWith(".jpg") ? "image/jpeg" : "text/plain", size: 1, webkitRelativePath: path });
const entryOf = (one) => ({ isDirectory: false, name: one.name, file: (resolve) => resolve(one) });
const folder = (name, ...portions) => ({
  isDirectory: true,
  name,
  createReader: () => ({ readEntries: (resolve) => resolve(portions.shift() ?? []) }),
});

test("of a folder the photos are taken, without those that are hidden", () => {
  const files = [file("a.jpg"), file("notes.txt"), file(".b.jpg"), file("c.jpg", "cats/.trash/c.jpg"), file("d.jpg", "cats/d.jpg"), file("e.f.jpg", "my.cats/e.f.jpg")];
  const { found, leftOut } = onlyPhotos(files);
  assert.deepEqual(found.map(({ name }) => name), ["a.jpg", "d.jpg", "e.f.jpg"]);
  assert.equal(leftOut, 3);
});

test("a folder that is dropped is read in all its portions and folders, by number", async () => {
  const entries = [
    entryOf(file("single.txt")),
    folder("cats", [entryOf(file("10.jpg")), entryOf(file("9.jpg"))], [folder("more", [entryOf(file("1.jpg"))]), entryOf(file("x.txt"))]),
  ];
  const { found, leftOut } = await filesOf({ files: [], entries, text: "" });
  assert.deepEqual(found.map(({ name }) => name), ["single.txt", "9.jpg", "10.jpg", "1.jpg"]);
  assert.equal(leftOut, 1);
});

test("what is dropped without a folder is taken as it is, or else its addresses", async () => {
  const files = [file("notes.txt")];
  const text = "https://a.example/cat.jpg";
  assert.deepEqual(await filesOf({ files, entries: [entryOf(files[0])], text }), { found: files, leftOut: 0 });
  assert.deepEqual(await filesOf({ files: [], entries: [], text }), { found: [{ url: text, name: "cat.jpg" }], leftOut: 0 });
});

test("the web addresses in a text are told from its other words, each once", () => {
  const text = "see https://a.example/x/cat%20one.jpg?size=1\nHTTP://b.example/ xhttps://c.example/ ftp://d.example/a https:// https://b.example/dog.png https://b.example/dog.png";
  assert.deepEqual(addressesIn(text), [
    { url: "https://a.example/x/cat%20one.jpg?size=1", name: "cat one.jpg" },
    { url: "HTTP://b.example/", name: "b.example" },
    { url: "https://b.example/dog.png", name: "dog.png" },
  ]);
});

async function fetched(response, onLine = true) {
  const before = globalThis.fetch;
  const asked = [];
  globalThis.fetch = async (...given) => {
    asked.push(given);
    if (response instanceof Error) throw response;
    return response;
  };
  Object.defineProperty(globalThis, "navigator", { value: { onLine }, configurable: true });
  try {
    return { photo: await fetchPhoto("https://a.example/cats/one.jpg"), asked };
  } catch (problem) {
    return { problem };
  } finally {
    globalThis.fetch = before;
  }
}

const answered = (type, status = 200) => new Response(new Blob(["12345"], { type }), { status });

test("a photo is fetched from its address without a trace of who asks", async () => {
  const { photo, asked } = await fetched(answered("image/jpeg"));
  assert.deepEqual([photo.name, photo.type, photo.size], ["one.jpg", "image/jpeg", 5]);
  // Where the page is, its own rule keeps: <meta name="referrer">.
  assert.deepEqual(asked, [["https://a.example/cats/one.jpg", { credentials: "omit" }]]);
});

for (const [what, response, onLine, kind, values] of [
  ["without a connection", new TypeError(), false, "offline", { host: "a.example" }],
  ["that refuses", new TypeError(), true, "urlRefused", { host: "a.example" }],
  ["where there is none", answered("image/jpeg", 404), true, "urlMissing", { host: "a.example", status: 404 }],
  ["that is a page", answered("text/html"), true, "urlNoPhoto", { host: "a.example" }],
  ["that is data", answered("application/ld+json"), true, "urlNoPhoto", { host: "a.example" }],
])
  test(`an address ${what} gives its reason: ${kind}`, async () => {
    const { problem } = await fetched(response, onLine);
    assert.deepEqual([problem.kind, problem.values], [kind, values]);
  });

// --- events

const streamOf = (...pieces) => {
  let cancelled = false;
  const waiting = pieces.map((piece) => new TextEncoder().encode(piece));
  const reader = {
    read: async () => (waiting.length ? { value: waiting.shift(), done: false } : { done: true }),
    cancel: async () => {
      cancelled = true;
      throw new Error("closed already");
    },
  };
  return { getReader: () => reader, wasCancelled: () => cancelled };
};

async function events(stream) {
  const found = [];
  for await (const event of eventsOf(stream)) found.push(event);
  return found;
}

test("events are read whole however they come in pieces, and what is no data is none", async () => {
  const text = 'event: a\r\ndata: {"n":\r\ndata:1}\r\n\r\n: a comment\n\nevent: lonely\n\ndata: 2\n\ndata: "unfinished"\n';
  const wanted = [{ event: "a", data: { n: 1 } }, { event: "message", data: 2 }];
  for (let at = 0; at < text.length; at++) assert.deepEqual(await events(streamOf(text.slice(0, at), text.slice(at))), wanted, `cut at ${at}`);
  assert.deepEqual(await events(streamOf(...text)), wanted);
});

test("a value may hold a colon, and its first blank alone is left out", async () => {
  assert.deepEqual(await events(streamOf('event:  x: y\nid: 7\ndata: ":"\n\n')), [{ event: " x: y", data: ":" }]);
});

test("a line without a colon is a name without a value", async () => {
  assert.deepEqual(await events(streamOf("event\ndata: 1\ndatas: 2\n\n")), [{ event: "", data: 1 }]);
});

test("whoever stops reading ends the stream", async () => {
  const stream = streamOf("data: 1\n\ndata: 2\n\n");
  for await (const { data } of eventsOf(stream)) {
    assert.equal(data, 1);
    break;
  }
  assert.ok(stream.wasCancelled());
});

// --- the same request for a terminal or a program

test("the command asks the same address for the same file", () => {
  const curl = codeFor("curl", "https://a.example/prod/", `it's "a"\\.jpg`);
  assert.equal(curl, `curl -F 'file=@"it'\\''s \\"a\\"\\\\.jpg"' 'https://a.example/prod/predict?explain=true'`);
  for (const kind of ["python", "javascript"]) {
    const code = codeFor(kind, "https://a.example/", 'a "b".jpg');
    assert.ok(code.includes(JSON.stringify('a "b".jpg')) && code.includes('"https://a.example/predict?explain=true"'), code);
    assert.ok(!code.includes("API_KEY") && !code.includes("import os"), "no key where none is kept");
  }
});
