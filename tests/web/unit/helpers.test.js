import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Helpers } from "../../../web/local/helpers.js";

const settle = () => new Promise((resolve) => setImmediate(resolve));
const IDLE_MS = 1000;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

/** Helpers that start at once and note their end. */
function helpersOn(processors, begin) {
  const started = [];
  const one = async () => {
    const engine = { busy: 0, ended: false, end: () => (engine.ended = true) };
    started.push(engine);
    return engine;
  };
  return { started, helpers: new Helpers(begin ?? one, { processors, idleAfter: IDLE_MS }) };
}

async function expecting(helpers, photos, times = 6) {
  for (let i = 0; i < times; i++) {
    helpers.expect(photos);
    await settle();
  }
}

test("for a few photos nobody is started", async () => {
  const { started, helpers } = helpersOn(8);
  await expecting(helpers, 9);
  assert.equal(started.length, 0);
});

test("the more photos wait, the more networks work, one for each processor and four at most", async () => {
  for (const [photos, processors, wanted] of [[10, 8, 1], [20, 8, 2], [1000, 8, 3], [1000, 2, 1], [1000, 1, 0]]) {
    const { started, helpers } = helpersOn(processors);
    await expecting(helpers, photos);
    assert.equal(started.length, wanted, `${photos} photos, ${processors} processors`);
  }
});

test("they start one at a time, so that the photos at hand do not wait for all of them", async () => {
  const waiting = [];
  const { helpers } = helpersOn(8, () => new Promise((resolve) => waiting.push(resolve)));
  await expecting(helpers, 1000);
  assert.equal(waiting.length, 1);
  waiting[0]({ busy: 0, end: () => {} });
  await expecting(helpers, 1000);
  assert.equal(waiting.length, 2);
});

test("a photo goes to whoever has the least to do, and the first one has the first chance", async () => {
  const { started, helpers } = helpersOn(2);
  const first = { busy: 0 };
  assert.equal(helpers.orFirst(first), first);
  await expecting(helpers, 1000, 1);
  assert.equal(helpers.orFirst(first), first);
  first.busy = 1;
  assert.equal(helpers.orFirst(first), started[0]);
  started[0].busy = 2;
  assert.equal(helpers.orFirst(first), first);
});

test("one that could not start is missed by nobody, and one that failed is not asked again", async () => {
  const { helpers } = helpersOn(2, () => Promise.reject(new Error("no memory")));
  await expecting(helpers, 1000);
  assert.equal(helpers.orFirst({ busy: 3 }).busy, 3);
  const { started, helpers: others } = helpersOn(2);
  await expecting(others, 1000, 1);
  others.drop(started[0]);
  assert.equal(others.orFirst({ busy: 3 }).busy, 3);
});

test("one that comes when all is answered ends as well", async () => {
  let come;
  const { helpers } = helpersOn(2, () => new Promise((resolve) => (come = resolve)));
  await expecting(helpers, 1000, 1);
  mock.timers.tick(IDLE_MS);
  const late = { busy: 0, ended: false, end: () => (late.ended = true) };
  come(late);
  await settle();
  mock.timers.tick(IDLE_MS);
  assert.equal(late.ended, true);
});

test("without work they end and give their memory back; one that works does not", async () => {
  const { started, helpers } = helpersOn(2);
  await expecting(helpers, 1000, 1);
  mock.timers.tick(IDLE_MS - 1);
  helpers.expect(0);
  mock.timers.tick(IDLE_MS - 1);
  assert.equal(started[0].ended, false);
  started[0].busy = 1;
  mock.timers.tick(1);
  assert.equal(started[0].ended, false);
  started[0].busy = 0;
  mock.timers.tick(IDLE_MS);
  assert.equal(started[0].ended, true);
  assert.equal(helpers.orFirst({ busy: 3 }).busy, 3);
});
