import assert from "node:assert/strict";
import { test } from "node:test";

import { AT_ONCE, Queue, isDone } from "../../../web/queue.js";
import { Problem } from "../../../web/lib/problem.js";

/** Promises that are settled by hand, by name. */
function held() {
  const waiting = new Map();
  const wait = (name) => new Promise((resolve, reject) => waiting.set(name, { resolve, reject }));
  return { waiting, wait };
}

const files = (...names) => names.map((name) => ({ name }));
const settle = () => new Promise((resolve) => setTimeout(resolve));

function queueOf(answer, hooks = {}) {
  const finished = [];
  const queue = new Queue({
    read: async ({ name }) => ({ name }),
    answer,
    changed: () => {},
    finished: ({ name, state }) => finished.push(`${name} ${state}`),
    ...hooks,
  });
  return { queue, finished };
}

test("a few photos are asked about at once, and the next begins when one is done", async () => {
  const { waiting, wait } = held();
  const { queue, finished } = queueOf(({ name }) => wait(name));
  const items = queue.add(files("a", "b", "c", "d"), "api");
  await settle();
  assert.equal(waiting.size, AT_ONCE);
  assert.deepEqual(items.map(({ state }) => state), ["busy", "busy", "busy", "waiting"]);
  waiting.get("b").resolve({ answer: 1 });
  await settle();
  assert.deepEqual(items.map(({ state }) => state), ["busy", "answered", "busy", "busy"]);
  assert.deepEqual(finished, ["b answered"]);
});

test("it knows how many nobody has been asked about yet", async () => {
  const { waiting, wait } = held();
  const { queue } = queueOf(({ name }) => wait(name));
  assert.equal(queue.waiting, 0);
  queue.add(files("a", "b", "c", "d", "e"), "api");
  await settle();
  assert.equal(queue.waiting, 5 - AT_ONCE);
  for (const name of ["a", "b"]) waiting.get(name).resolve({});
  await settle();
  assert.equal(queue.waiting, 0);
  queue.add(files("f", "g", "h"), "api");
  queue.clear();
  assert.equal(queue.waiting, 0);
});

test("photos are read one after the other: several large ones are more than a phone holds", async () => {
  let [reading, most] = [0, 0];
  const read = async () => {
    most = Math.max(most, ++reading);
    await settle();
    reading--;
    return {};
  };
  const { queue, finished } = queueOf(async () => ({}), { read });
  queue.add(files("a", "b", "c", "d", "e"), "api");
  while (finished.length < 5) await settle();
  assert.equal(most, 1);
});

test("one photo that fails leaves the others alone, and says why", async () => {
  const { queue, finished } = queueOf(async ({ name }) => {
    if (name === "bad") throw new Problem("unreadable", { detail: "It is cut off." });
    if (name === "odd") throw new TypeError("undefined is not a function");
    return { answer: name };
  });
  const [good, bad, odd] = queue.add(files("good", "bad", "odd"), "api");
  while (finished.length < 3) await settle();
  assert.equal(good.answer, "good");
  assert.deepEqual([bad.problem.kind, bad.problem.values.detail], ["unreadable", "It is cut off."]);
  assert.deepEqual([odd.problem.kind, odd.problem.values.detail], ["unexpected", "undefined is not a function"]);
});

test("a photo that is waited for, or waits itself, can be cancelled and tried again", async () => {
  const asked = [];
  const { queue } = queueOf(async (item) => {
    asked.push(item.name);
    if (item.name !== "d" && asked.length <= AT_ONCE)
      await new Promise((_, reject) => item.abort.signal.addEventListener("abort", () => reject(new Problem("cancelled"))));
    return { answer: item.name };
  });
  const items = queue.add(files("a", "b", "c", "d"), "api");
  await settle();
  queue.cancel(items[3]);
  assert.equal(items[3].problem.kind, "cancelled");
  queue.cancel(items[0]);
  await settle();
  assert.equal(items[0].problem.kind, "cancelled");
  assert.deepEqual(asked, ["a", "b", "c"]);
  queue.retry([items[3]], "browser");
  await settle();
  assert.deepEqual([items[3].state, items[3].where, items[3].problem], ["answered", "browser", null]);
});

test("what is under way when everything is cleared is never heard of again", async () => {
  const { waiting, wait } = held();
  const { queue, finished } = queueOf(({ name }) => wait(name));
  queue.add(files("a", "b"), "api");
  await settle();
  queue.clear();
  waiting.get("a").resolve({ answer: 1 });
  await settle();
  assert.deepEqual([queue.items, finished], [[], []]);
  queue.add(files("c"), "api");
  await settle();
  assert.ok(waiting.has("c"));
});

test("three thousand photos take no longer each than thirty", async () => {
  const seconds = async (count) => {
    const { queue, finished } = queueOf(async () => ({ answer: 1 }));
    const start = process.cpuUsage();
    queue.add(Array.from({ length: count }, (_, i) => ({ name: String(i) })), "api");
    while (finished.length < count) await settle();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / count;
  };
  await seconds(3000);
  const [few, many] = [await seconds(300), await seconds(3000)];
  assert.ok(many < 5 * few, `${few} and ${many} microseconds each`);
});

test("what is under way when everything is cleared is stopped, so that nothing more is sent", async () => {
  const { wait } = held();
  const signals = [];
  const { queue } = queueOf(({ name, abort }) => signals.push(abort.signal) && wait(name));
  queue.add(files("a", "b"), "api");
  await settle();
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, false]);
  queue.clear();
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
});

test("an item is done when it is answered or failed, and not before", () => {
  assert.deepEqual(["waiting", "busy", "answered", "failed"].map((state) => isDone({ state })), [false, false, true, true]);
});

test("a new queue is empty, and each choice has a number of its own, counted up", async () => {
  const { queue } = queueOf(async () => ({ answer: 1 }));
  assert.deepEqual(queue.items, []);
  const [first] = queue.add(files("a"), "api");
  const [second, third] = queue.add([{ name: "b" }, {}], "browser");
  assert.deepEqual([first.drop, second.drop, third.drop], [1, 2, 2]);
  assert.deepEqual([first.name, third.name, third.where], ["a", "photo", "browser"]);
});

test("what is done cannot be cancelled any more", async () => {
  const { queue, finished } = queueOf(async () => ({ answer: 1 }));
  const [item] = queue.add(files("a"), "api");
  await settle();
  queue.cancel(item);
  assert.deepEqual([item.state, finished], ["answered", ["a answered"]]);
});

test("every change of an item is told, and its end once", async () => {
  const told = [];
  const { queue, finished } = queueOf(async () => ({ answer: 1 }), { changed: ({ state, photo }) => told.push(`${state}${photo ? " read" : ""}`) });
  const [item] = queue.add(files("a"), "api");
  await settle();
  assert.deepEqual(told, ["busy", "busy read", "answered read"]);
  assert.equal(item.abort, undefined);
  queue.retry([item], "api");
  await settle();
  assert.deepEqual(told.slice(3), ["waiting read", "busy read", "busy read", "answered read"], "a photo that was read is not read again");
  assert.deepEqual(finished, ["a answered", "a answered"]);
});

test("a photo that is cancelled while it is read is not asked about", async () => {
  const asked = [];
  const { waiting, wait } = held();
  const { queue } = queueOf(async ({ name }) => asked.push(name), { read: ({ name }) => wait(name) });
  const [item, next] = queue.add(files("a", "b"), "api");
  await settle();
  queue.cancel(item);
  waiting.get("a").resolve({});
  await settle();
  assert.deepEqual([item.state, item.problem.kind, asked], ["failed", "cancelled", []]);
  waiting.get("b").reject(new Problem("unreadable"));
  await settle();
  assert.equal(next.problem.kind, "unreadable");
  assert.equal(queue.add(files("c"), "api")[0].state, "busy", "one that cannot be read does not keep the next one waiting");
  await settle();
  waiting.get("c").resolve({});
  await settle();
  assert.deepEqual(asked, ["c"]);
});
