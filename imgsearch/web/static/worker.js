/**
 * Shows offline.html when the server is not reachable. It keeps the files of that page, with the
 * texts of the language in its own address, and nothing else: no answers of the API and no pictures.
 * The version in their paths makes it a new worker after each update.
 */

const SHELL = [
  "offline.html",
  "static/css/base.css",
  "static/css/offline.css",
  "static/favicon.svg",
  "static/js/offline.js",
  "static/js/early.js",
  "static/js/words.js",
  "static/words/en.json",
];
const SCOPE = self.registration.scope;
const WORDS = "static/words/" + new URLSearchParams(self.location.search).get("lang") + ".json";
const FILES = [...new Set([...SHELL, WORDS])].map((path) => new URL(path, SCOPE).href);
/** Caches belong to an origin, which may serve several libraries below different paths. */
const OURS = `imgsearch ${SCOPE} `;
const CACHE = OURS + SHELL[1];

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** The answer of the server, or the kept file if there is none. */
async function answer(request, kept) {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(CACHE);
    return (await cache.match(kept)) ?? Promise.reject(error);
  }
}

addEventListener("install", (event) => {
  event.waitUntil(install());
  // Where browsers support it, requests to the API bypass the worker, which may have to start first.
  event.addRoutes?.({ condition: { urlPattern: `${new URL(SCOPE).pathname}api/*` }, source: "network" });
});
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const url = event.request.url.split(/[?#]/)[0];
  if (event.request.mode === "navigate" && url === SCOPE) event.respondWith(answer(event.request, FILES[0]));
  else if (FILES.includes(url) && url !== FILES[0]) event.respondWith(answer(event.request, url));
});
