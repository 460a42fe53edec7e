// The page without a network: after a visit all of its files, the runtime and the model are on this device.
//
// files.json, which whoever serves the page makes of its files, names a version: every file with its size and digest. A
// version is downloaded whole, checked file by file, and only then offered; sw.js hands it out. A server without
// files.json, a browser without service workers, or one that keeps nothing: the page works as it does, with a network.

import { digest } from "./digest.js";
import { byId, show } from "./dom.js";
import { remembered } from "./settings.js";

const STATE_KEYS = { current: "~current", next: "~next" };
/** Not needed to run: what people read beside the files. */
const NOT_KEPT = /(\.md|\.txt|SHA256SUMS|LICENSE)$/;
/** What only answers need: it comes last, and over a slow or metered connection only when it is asked for. */
const HEAVY = /^(model|vendor)\//;

/** Only models that need it fetch the whole runtime: then it is kept, too (local/network.js). */
const WHOLE_RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz";

const SCOPE = new URL("..", import.meta.url);
const STATE = `purrdict-state ${SCOPE.pathname}`;
const cacheName = (version) => `purrdict ${SCOPE.pathname} ${version}`;
const key = (name) => new URL(name, SCOPE).href;

/** Keeps the page for offline use, and offers a newer version when one has come. Quiet where that cannot be. */
export async function keepOffline(page) {
  if (!page.settings.offline || !navigator.serviceWorker || !globalThis.caches || !crypto.subtle) return;
  holdTabLock();
  const registration = await navigator.serviceWorker.register(key("sw.js"));
  // What blocks service workers may answer with nothing: downloads would be in vain.
  if (!registration) return;
  const list = await published();
  if (!list) return;
  const state = await caches.open(STATE);
  const before = await textOf(state, STATE_KEYS.current);
  await fetchAll(list, (path) => !HEAVY.test(path));
  if (!before) await begin(state, list, registration);
  else if (before !== list.version) offer(state, list);
  else await tidy(list.version);
  // Said in the document: "page", and "all" once the model is here, too.
  document.documentElement.dataset.kept = "page";
  const { mayFetch } = await import("../local/local.js");
  if (!mayFetch()) return;
  await fetchAll(list, (path) => HEAVY.test(path));
  document.documentElement.dataset.kept = "all";
}

/** Nobody waits for these downloads, but somebody may be using the page meanwhile. */
const idle = () =>
  new Promise((resolve) => (globalThis.requestIdleCallback ? requestIdleCallback(resolve, { timeout: 500 }) : setTimeout(resolve)));

/** What the server has now; null when it cannot or does not say. */
async function published() {
  try {
    const response = await fetch(key("files.json"), { cache: "no-store" });
    const list = response.ok ? await response.json() : null;
    return list?.version && list.files ? list : null;
  } catch {
    return null;
  }
}

/** Downloads the files of a version that are not here yet. @throws when one cannot be had as it was announced */
async function fetchAll({ version, files }, wanted) {
  const cache = await caches.open(cacheName(version));
  for (const [path, { sha256 }] of Object.entries(files)) {
    if (!wanted(path) || !isKept(path, files) || (await cache.match(key(path)))) continue;
    await idle();
    await cache.put(key(path), (await fromOlder(path, sha256)) ?? (await fetched(path, sha256)));
  }
}

function isKept(path, files) {
  // What is there gzipped is fetched so.
  if (NOT_KEPT.test(path) || files[`${path}.gz`]) return false;
  return path !== WHOLE_RUNTIME || remembered("runtime") !== null;
}

/** The same file of an older version: an update fetches only what has changed. */
async function fromOlder(path, sha256) {
  for (const name of await caches.keys()) {
    if (!name.startsWith(cacheName(""))) continue;
    const response = await (await caches.open(name)).match(key(path));
    if (response && (await digest(await response.clone().arrayBuffer())) === sha256) return response;
  }
  return null;
}

async function fetched(path, sha256) {
  // The browser's own copy will do if it is the newest one. Servers that date files to the second take an older one for it
  // that was replaced within that second: then it comes whole. sw.js lets these requests pass.
  for (const cache of ["no-cache", "reload"]) {
    const response = await fetch(key(path), { cache });
    const body = await response.arrayBuffer();
    if (!response.ok || (await digest(body)) !== sha256) continue;
    const headers = new Headers(response.headers);
    // The body is unpacked already.
    for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name);
    return new Response(body, { headers });
  }
  throw new Error(`${path} did not arrive as it was announced.`);
}

async function begin(state, { version }, registration) {
  await state.put(key(STATE_KEYS.current), new Response(version));
  const worker = registration.active ?? (await navigator.serviceWorker.ready).active;
  worker.postMessage({ pin: version });
}

async function offer(state, { version }) {
  await state.put(key(STATE_KEYS.next), new Response(version));
  byId("update-now").addEventListener("click", async () => {
    await state.put(key(STATE_KEYS.current), new Response(version));
    location.reload();
  });
  show({ update: true });
}

/** Older versions go when no other tab may still use them. */
async function tidy(version) {
  const { controller } = navigator.serviceWorker;
  if (!controller || (await otherTabs())) return;
  for (const name of await caches.keys())
    if (name.startsWith(cacheName("")) && name !== cacheName(version)) await caches.delete(name);
}

const LOCK = `purrdict-tab ${SCOPE.pathname}`;

/** Tabs that show this page hold a lock that they share. */
const holdTabLock = () => navigator.locks?.request(LOCK, { mode: "shared" }, () => new Promise(() => {}));

async function otherTabs() {
  if (!navigator.locks) return true;
  const { held } = await navigator.locks.query();
  return held.filter(({ name }) => name === LOCK).length > 1;
}

const textOf = async (cache, name) => (await (await cache.match(key(name)))?.text()) ?? null;
