import assert from "node:assert/strict";
import { test } from "node:test";

import { AT_ONCE, Queue } from "../../../web/queue.js";
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
