// What is kept for offline use: whole versions, each file as it was announced.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { beforeEach, test } from "node:test";
import { keepOffline } from "../../../web/lib/offline.js";

const SCOPE = new URL("../../../web/", import.meta.url);
const digest = (text) => createHash("sha256").update(text).digest("hex");
const WHOLE_RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz";

/** What the server has, by path: a text, or what it answers to (cache mode) => Response. */
let served;
/** Requests as [path, cache mode], messages to the service worker, elements of the page. */
let asked, told, elements;
/** Caches of the browser: name → Map of path → Response. */
let kept;

const path = (url) => String(url).slice(SCOPE.href.length);

class FakeCache {
  constructor(content) {
    this.content = content;
  }
  match = async (url) => this.content.get(path(url))?.clone();
  put = async (url, response) => void this.content.set(path(url), response);
}

const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

beforeEach(() => {
  [served, asked, told, elements, kept] = [{}, [], [], {}, new Map()];
  define("caches", {
    open: async (name) => new FakeCache(kept.get(name) ?? kept.set(name, new Map()).get(name)),
    keys: async () => [...kept.keys()],
    delete: async (name) => kept.delete(name),
  });
  define("fetch", async (url, { cache }) => {
    asked.push([path(url), cache]);
    const found = served[path(url)];
    if (found === undefined) return new Response("not there", { status: 404 });
    return typeof found === "function" ? found(cache) : new Response(found, { headers: { "Content-Type": "text/plain", "Content-Encoding": "gzip", "Content-Length": "9" } });
  });
  const registration = { active: { postMessage: (message) => told.push(message) } };
  define("navigator", {
    serviceWorker: { register: async () => registration, controller: {} },
    locks: { request: () => {}, query: async () => ({ held: [{ name: `purrdict-tab ${SCOPE.pathname}` }] }) },
    connection: { saveData: true },
  });
  define("document", {
    documentElement: { dataset: {} },
    getElementById: (id) => (elements[id] ??= { hidden: true, addEventListener: (_, listener) => (elements[id].click = listener) }),
  });
  define("location", { reload: () => told.push("reload") });
  define("localStorage", { getItem: () => null });
});

/** A version with these files as the server has them; `announced` are others than those that come. */
function publish(version, files, announced = {}) {
  const entries = Object.entries({ ...files, ...announced }).map(([name, text]) => [name, { bytes: text.length, sha256: digest(text) }]);
  served = { ...files, "files.json": JSON.stringify({ version, files: Object.fromEntries(entries) }) };
}

const keep = () => keepOffline({ settings: { offline: true } });
const versionOf = (version) => kept.get(`purrdict ${SCOPE.pathname} ${version}`) ?? new Map();
const state = async (name) => (await kept.get(`purrdict-state ${SCOPE.pathname}`)?.get(name)?.clone().text()) ?? null;
const filesAsked = () => asked.filter(([name]) => name !== "files.json");

test("a first visit keeps every file as it was announced, and says so to the worker and in the document", async () => {
  publish("v1", { "app.js": "code", "index.html": "page" });
  await keep();
  const files = versionOf("v1");
  assert.deepEqual([...files.keys()], ["app.js", "index.html"]);
  assert.equal(await files.get("app.js").text(), "code");
  // The body is unpacked: headers that say otherwise would spoil it.
  assert.deepEqual([...files.get("app.js").headers], [["content-type", "text/plain"]]);
  assert.equal(await state("~current"), "v1");
  assert.deepEqual(told, [{ pin: "v1" }]);
  assert.equal(document.documentElement.dataset.kept, "page");
  assert.deepEqual(asked, [["files.json", "no-store"], ["app.js", "no-cache"], ["index.html", "no-cache"]]);
});

test("a copy of the browser's that is not what was announced is left, and the file comes whole", async () => {
  publish("v1", {}, { "app.js": "new" });
  served["app.js"] = (cache) => new Response(cache === "reload" ? "new" : "old");
  await keep();
  assert.equal(await versionOf("v1").get("app.js").text(), "new");
  assert.deepEqual(filesAsked(), [["app.js", "no-cache"], ["app.js", "reload"]]);
});

test("an answer that is an error is asked for once more, and then the version is not kept", async () => {
  for (const answer of [() => new Response("new", { status: 500 }), () => new Response("old")]) {
    publish("v1", {}, { "app.js": "new" });
    served["app.js"] = answer;
    asked = [];
    await assert.rejects(keep(), { message: "app.js did not arrive as it was announced." });
    assert.deepEqual(filesAsked(), [["app.js", "no-cache"], ["app.js", "reload"]]);
    assert.equal(versionOf("v1").size, 0);
    assert.equal(await state("~current"), null);
    assert.equal(document.documentElement.dataset.kept, undefined);
  }
});

test("what is here already is not asked for again", async () => {
  publish("v1", { "app.js": "code" });
  await keep();
  asked = [];
  await keep();
  assert.deepEqual(filesAsked(), []);
});

test("an update fetches what has changed, and is offered before it is used", async () => {
  publish("v1", { "app.js": "code", "style.css": "grey" });
  await keep();
  [asked, told] = [[], []];
  publish("v2", { "app.js": "code", "style.css": "blue" });
  await keep();
  assert.deepEqual(filesAsked(), [["style.css", "no-cache"]]);
  assert.equal(await versionOf("v2").get("app.js").text(), "code");
  assert.deepEqual([await state("~current"), await state("~next")], ["v1", "v2"]);
  assert.deepEqual([elements.update.hidden, told], [false, []]);
  await elements["update-now"].click();
  assert.deepEqual([await state("~current"), told], ["v2", ["reload"]]);
});

test("what others keep at this address is not taken for a file of this page", async () => {
  publish("v1", { "app.js": "code" });
  for (const name of ["another", "purrdict /elsewhere/ v0"]) kept.set(name, new Map([["app.js", new Response("code")]]));
  await keep();
  assert.deepEqual(filesAsked(), [["app.js", "no-cache"]]);
});

test("older versions go when no other tab may use them, and what others keep stays", async () => {
  publish("v1", { "app.js": "code" });
  await keep();
  const tidied = async () => {
    for (const name of [`purrdict ${SCOPE.pathname} v0`, "purrdict /elsewhere/ v0", "another"]) kept.set(name, new Map());
    await keep();
    return !kept.has(`purrdict ${SCOPE.pathname} v0`);
  };
  const { locks, serviceWorker } = navigator;
  serviceWorker.controller = null;
  assert.equal(await tidied(), false, "the worker is not in charge yet");
  serviceWorker.controller = {};
  navigator.locks = undefined;
  assert.equal(await tidied(), false, "nobody knows of other tabs");
  const name = `purrdict-tab ${SCOPE.pathname}`;
  navigator.locks = { ...locks, query: async () => ({ held: [{ name }, { name }] }) };
  assert.equal(await tidied(), false, "another tab is open");
  navigator.locks = { ...locks, query: async () => ({ held: [{ name }, { name: "another" }] }) };
  assert.equal(await tidied(), true);
  // As a set: how these names sort depends on where this checkout lies.
  assert.deepEqual(new Set(kept.keys()), new Set(["another", "purrdict /elsewhere/ v0", `purrdict ${SCOPE.pathname} v1`, `purrdict-state ${SCOPE.pathname}`]));
});

test("the tab says that it is there for as long as it is", async () => {
  const held = [];
  navigator.locks.request = (name, options, callback) => held.push([name, options.mode, callback()]);
  publish("v1", { "app.js": "code" });
  await keep();
  assert.deepEqual(held.map(([name, mode]) => [name, mode]), [[`purrdict-tab ${SCOPE.pathname}`, "shared"]]);
  assert.equal(await Promise.race([held[0][2].then(() => "let go"), new Promise((resolve) => setTimeout(resolve, 5, "held"))]), "held");
});

test("the model and the runtime come last, and over a slow or metered connection not by themselves", async () => {
  publish("v1", { "model/model.onnx": "weights", "vendor/engine.js": "engine", "app.js": "code", "view/model/table.js": "view" });
  await keep();
  assert.deepEqual([...versionOf("v1").keys()], ["app.js", "view/model/table.js"]);
  navigator.connection = {};
  await keep();
  assert.deepEqual([...versionOf("v1").keys()], ["app.js", "view/model/table.js", "model/model.onnx", "vendor/engine.js"]);
  assert.equal(document.documentElement.dataset.kept, "all");
});

test("what nothing runs on is not kept, and of what is there packed too only that", async () => {
  navigator.connection = {};
  const files = { "samples/LICENSE.md": "1", "notes.txt": "2", "vendor/LICENSE": "3", "vendor/SHA256SUMS": "4", "a.wasm": "5", "a.wasm.gz": "6", [WHOLE_RUNTIME]: "7", "text.md.js": "8" };
  publish("v1", files);
  await keep();
  assert.deepEqual([...versionOf("v1").keys()], ["a.wasm.gz", "text.md.js"]);
  define("localStorage", { getItem: () => "whole" });
  await keep();
  assert.deepEqual([...versionOf("v1").keys()], ["a.wasm.gz", "text.md.js", WHOLE_RUNTIME]);
});

test("without a list of files, or what is needed to keep them, the page is left as it is", async () => {
  const lists = [undefined, "no JSON", "null", '{"files": {}}', '{"version": "v1"}', () => { throw new TypeError("no network"); }, () => new Response('{"version": "v1", "files": {}}', { status: 500 })];
  for (const list of lists) {
    served = { "files.json": list };
    await keep();
  }
  publish("v1", { "app.js": "code" });
  await keepOffline({ settings: { offline: false } });
  navigator.serviceWorker.register = async () => undefined;
  await keep();
  navigator.serviceWorker = undefined;
  await keep();
  assert.deepEqual([kept.size, document.documentElement.dataset.kept], [0, undefined]);
  assert.ok(asked.every(([name]) => name === "files.json"));
});

test("a worker that is still starting is told when it runs", async () => {
  publish("v1", { "app.js": "code" });
  navigator.serviceWorker.register = async () => ({ active: null });
  navigator.serviceWorker.ready = Promise.resolve({ active: { postMessage: (message) => told.push(["later", message]) } });
  await keep();
  assert.deepEqual(told, [["later", { pin: "v1" }]]);
});
