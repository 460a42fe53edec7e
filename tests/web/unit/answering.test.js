import assert from "node:assert/strict";
import { test } from "node:test";

import { answering } from "../../../web/answering.js";
import { Problem } from "../../../web/lib/problem.js";

const item = (where = "api") => ({ where, abort: new AbortController() });
const server = async () => ({ by: "api" });
const device = async () => ({ by: "browser" });
const fails = (kind) => async () => {
  throw new Problem(kind);
};
const never = (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Problem("cancelled"))));

const ask = (places, one = item()) =>
  answering({ there: server, here: device, trouble: () => null, mayStandIn: () => true, slowAfter: 20, ...places })(one);
const kindOf = (promise) => promise.then(() => "answered", ({ kind }) => kind);

test("the server answers where it can", async () => {
  assert.deepEqual(await ask({}), { by: "api" });
});

test("this device answers where that was chosen, and the server hears nothing", async () => {
  const asked = [];
  assert.deepEqual(await ask({ there: async () => asked.push(1) }, item("browser")), { by: "browser" });
  assert.deepEqual(asked, []);
});

for (const kind of ["offline", "down", "timeout", "keyNeeded", "keyWrong", "unavailable", "server", "rate", "noModel", "cors"])
  test(`this device stands in for a server that cannot answer: ${kind}`, async () => {
    assert.deepEqual(await ask({ there: fails(kind) }), { by: "browser", instead: kind });
  });

for (const kind of ["unreadable", "tooLarge", "refused", "cancelled"])
  test(`this device does not stand in where the photo was refused: ${kind}`, async () => {
    assert.equal(await kindOf(ask({ there: fails(kind) })), kind);
  });

test("a server that is known to be away is not asked first", async () => {
  const asked = [];
  const places = { trouble: () => new Problem("down"), there: async () => asked.push(1) };
  assert.deepEqual(await ask(places), { by: "browser", instead: "down" });
  assert.deepEqual(asked, []);
});

test("after a slow start this device answers, and the server's request ends", async () => {
  let aborted = false;
  const there = (one, signal) => {
    signal.addEventListener("abort", () => (aborted = true));
    return never(one, signal);
  };
  assert.deepEqual(await ask({ there }), { by: "browser", instead: "slow" });
  assert.ok(aborted);
});

test("a slow server that is still the first counts", async () => {
  const there = () => new Promise((resolve) => setTimeout(() => resolve({ by: "api" }), 60));
  const here = () => new Promise((resolve) => setTimeout(() => resolve({ by: "browser" }), 400));
  assert.deepEqual(await ask({ there, here }), { by: "api" });
});

test("where neither can answer it is the server's reason that is told", async () => {
  assert.equal(await kindOf(ask({ there: fails("down"), here: fails("modelMissing") })), "down");
  assert.equal(await kindOf(ask({ trouble: () => new Problem("keyNeeded"), there: fails("keyNeeded"), here: fails("offline") })), "keyNeeded");
});

test("who chose the server gets the server's answer or none", async () => {
  assert.equal(await kindOf(ask({ there: fails("down"), mayStandIn: () => false })), "down");
});

test("who cancels stops the server's request, too", async () => {
  const one = item();
  const asked = ask({ there: never, slowAfter: 10_000, mayStandIn: () => true }, one);
  one.abort.abort();
  assert.equal(await kindOf(asked), "cancelled");
});

test("this device is not even asked where the server answers in time", async () => {
  const asked = [];
  await ask({ here: async () => asked.push(1) });
  assert.deepEqual(asked, []);
});
