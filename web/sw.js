// The service worker: serves each tab from one whole version of the page, so that it works offline and never mixes two.
//
// lib/offline.js downloads versions, checks them and puts each into a cache of its own; this only hands them out. A tab
// keeps the version that it was opened with. Everything that is no file of the page goes to the network untouched.

const SCOPE = new URL(self.registration.scope);
const STATE = `purrdict-state ${SCOPE.pathname}`;
const cacheName = (version) => `purrdict ${SCOPE.pathname} ${version}`;
const CURRENT = new URL("~current", SCOPE).href;
const NEXT = new URL("~next", SCOPE).href;
const tabKey = (id) => new URL(`~tab/${id}`, SCOPE).href;

const versions = new Map();

addEventListener("install", () => self.skipWaiting());

// The first visit's tab is served from the version that it has just fetched, once that is whole.
addEventListener("message", (event) => {
  const { data, source } = event;
  if (data?.pin) event.waitUntil(pin(source.id, data.pin).then(() => self.clients.claim()));
});

addEventListener("fetch", (event) => {
  const { request, clientId, resultingClientId } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== SCOPE.origin || !url.pathname.startsWith(SCOPE.pathname)) return;
  const path = url.pathname.slice(SCOPE.pathname.length);
  if (request.mode === "navigate") {
    if (path === "" || path === "index.html") event.respondWith(opened(request, resultingClientId));
    return;
  }
  // A newer version is being fetched: it must come from the server.
  if (["no-cache", "reload"].includes(request.cache) && request.destination === "") return;
  // These say what is new, or are the server's own.
  if (path === "files.json" || path === "health" || path === "sw.js") return;
  event.respondWith(served(request, path, clientId, resultingClientId));
});

/** The page itself, for a tab that begins. */
async function opened(request, tab) {
  const version = await promoted().catch(() => null);
  const page = version && (await found(version, "index.html"));
  if (!page) return fetch(request);
  await pin(tab, version);
  forgetClosed();
  return page;
}

/** Tabs that are gone need no version. */
async function forgetClosed() {
  const state = await caches.open(STATE);
  for (const { url } of await state.keys()) {
    const id = url.split("~tab/")[1];
    if (id && !versions.has(id) && !(await self.clients.get(id))) await state.delete(url);
  }
}

async function served(request, path, client, born) {
  const version = await versionOf(client).catch(() => null);
  // A worker is a client of its own, and asks for its scripts by itself.
  if (version && born) await pin(born, version);
  return ((version && (await found(version, path))) || null) ?? fetch(request);
}

const found = async (version, path) => (await caches.open(cacheName(version))).match(new URL(path, SCOPE), { ignoreSearch: true });

/** The version for new tabs. A newer one takes over when no tab is open that still uses the older. */
async function promoted() {
  const state = await caches.open(STATE);
  const next = await textOf(state, NEXT);
  const current = await textOf(state, CURRENT);
  if (!next || next === current) return current;
  const open = await self.clients.matchAll({ type: "window" });
  if (open.length > 1) return current;
  await state.put(CURRENT, new Response(next));
  return next;
}

async function pin(id, version) {
  if (!id) return;
  versions.set(id, version);
  await (await caches.open(STATE)).put(tabKey(id), new Response(version)).catch(() => {});
}

/** The worker may have been stopped and started since: then the cache remembers. */
async function versionOf(id) {
  if (!versions.has(id)) versions.set(id, await textOf(await caches.open(STATE), tabKey(id)));
  return versions.get(id);
}

const textOf = async (cache, key) => (await (await cache.match(key))?.text()) ?? null;
