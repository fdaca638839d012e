/** Requests to the page's own server, and to no other. */

import { t } from "./words.js";

/** Below the path that a proxy may serve the page under. */
const BASE = new URL("api/v1", document.baseURI).pathname;
/** Retries of a request that exceeded the rate limit. */
const MAX_RETRIES = 3;

/** Answers whose status says all of it. The sentences of others are shown as the server wrote them. */
const KNOWN_STATUS = [401, 410, 429];

/** An error reported by the server; `hint` says how to fix it. */
export class ApiError extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

async function errorFrom(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // From a proxy or a crash, so only the status is known.
  }
  const { status } = response;
  if (KNOWN_STATUS.includes(status)) return new ApiError(status, t(`error.${status}`), t(`error.${status}.hint`));
  return new ApiError(status, problem.error || t("error.status", { status: String(status) }), problem.hint || "");
}

async function send(path, options) {
  try {
    return await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, t("error.silent"), t("error.silent.hint"));
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Send one request; wait and retry when the server asks to. */
async function request(path, options = {}) {
  let response = await send(path, options);
  for (let retry = 0; response.status === 429 && retry < MAX_RETRIES; retry += 1) {
    await pause(Math.min(5, Number(response.headers.get("retry-after")) || 1));
    options.signal?.throwIfAborted();
    response = await send(path, options);
  }
  if (!response.ok) throw await errorFrom(response);
  return response.status === 204 ? null : response.json();
}

/**
 * Run a search.
 *
 * @param {URLSearchParams} params  as in the API, including `cursor` and `limit`
 * @param {Blob[]} images  example pictures; the search is a POST if there are any
 * @param {AbortSignal} signal
 */
export function search(params, images, signal) {
  if (!images.length) return request(`/search?${params}`, { signal });
  const form = new FormData();
  for (const [name, value] of params) form.append(name, value);
  for (const image of images) form.append("image", image, "example");
  return request("/search", { method: "POST", body: form, signal });
}

const MAP_KINDS = [["ids", BigInt64Array, 1], ["points", Uint16Array, 2], ["places", Uint16Array, 1]];

/** The map of the pictures that pass the filters: its header, with an array for each property. */
export async function map(params, signal) {
  const response = await send(`/map?${params}`, { signal });
  if (!response.ok) throw await errorFrom(response);
  const data = await response.arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let start = 4 + length;
  for (const [name, Kind, width] of MAP_KINDS) {
    head[name] = new Kind(data, start, width * head.count);
    start += Math.ceil(head[name].byteLength / 8) * 8;
  }
  return head;
}

/** Clusters of the pictures that pass the filters on the map of the world. */
export const places = (params, signal) => request(`/places?${params}`, { signal });

/** The outline of the world, one of the files of the page. */
export async function worldOutline(signal) {
  const response = await fetch(new URL("../world.json", import.meta.url), { signal });
  if (!response.ok) throw await errorFrom(response);
  return response.json();
}

export const details = (id, signal) => request(`/images/${encodeURIComponent(id)}`, { signal });
/** What a typed text asks for, as parameters of a search. */
export const readQuery = (text) => request(`/query?${new URLSearchParams({ text })}`);
/** Ways to complete a typed text. */
export const suggest = (text, signal) => request(`/suggest?${new URLSearchParams({ text })}`, { signal });
export const facets = (params, signal) => request(`/facets?${params}`, { signal });
/** Numbers of pictures by month. */
export const timeline = (params, signal) => request(`/timeline?${params}`, { signal });
/** What the page begins with; the day is that of this browser, such as "11-29". */
export const start = (day) => request(`/start?day=${day}`);
export const clusters = () => request("/clusters");
const posted = (value) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
export const save = (name, search, replace) => request("/saved", posted({ name, search, replace }));
export const renameSaved = (id, name) => request(`/saved/${id}`, posted({ name }));
export const removeSaved = (id) => request(`/saved/${id}`, { method: "DELETE" });
/** The first picture of a saved search and the number of all. */
export const cover = (name, signal) => request(`/search?${new URLSearchParams({ saved: name, limit: 1, unique: 1 })}`, { signal });
export const duplicates = (params, signal) => request(`/dupes?${params}`, { signal });
export const status = () => request("/status");
export const startIndexing = () => request("/index", posted({}));
export const stopIndexing = () => request("/index", { method: "DELETE" });
export const roots = () => request("/roots");
export const addRoot = (path) => request("/roots", posted({ path }));
export const forgetRoot = (path) => request(`/roots?${new URLSearchParams({ path })}`, { method: "DELETE" });
/** Scan a folder of the library, with these exclude patterns in place of the earlier ones if there are any. */
export const scanRoot = (path, exclude = null) => request("/index", posted(exclude ? { path, exclude, no_exclude: true } : { path }));
/** Read the text in pictures of all folders: "auto", "on" or "off", from now on. */
export const readTexts = (ocr) => request("/index", posted({ ocr }));
/** The folders in a folder of the server; "" for the top. */
export const folders = (path) => request(`/folders?${new URLSearchParams({ path })}`);
export const skipped = (kind, start, limit) => request(`/skipped?${new URLSearchParams({ kind, start, limit })}`);
export const models = () => request("/models");
export const downloadModel = (model) => request("/models/download", posted({ model }));
export const switchModel = (model) => request("/models/switch", posted({ model }));
export const forgetModel = (model) => request(`/models?${new URLSearchParams({ model })}`, { method: "DELETE" });
/** Pictures that were added last. */
export const recent = (limit, signal) => request(`/recent?limit=${limit}`, { signal });
export const signIn = (token) => request("/session", posted({ token }));
export const indexEvents = () => new EventSource(`${BASE}/index/events`);

/** The error at the URL of a picture, which an <img> does not report; null if there is none. */
export async function problemOf(url) {
  try {
    const response = await fetch(url, { credentials: "same-origin" });
    return response.ok ? null : await errorFrom(response);
  } catch {
    return new ApiError(0, t("error.silent"), "");
  }
}

const THUMBNAIL_SIZES = [256, 384, 512, 768, 1024];

/** URL of a thumbnail with at least `pixels` on its longer side, up to 1024. */
export function thumbnail(hit, pixels) {
  const size = THUMBNAIL_SIZES.find((each) => each >= pixels) ?? 1024;
  return `${hit.thumb}${hit.thumb.includes("?") ? "&" : "?"}size=${size}`;
}

const BROWSER_TYPES = new Set(["jpeg", "png", "webp", "gif", "avif", "bmp"]);

/** URL of the full-size picture, in a format that browsers show. */
export function original(hit) {
  const supported = BROWSER_TYPES.has(String(hit.type).toLowerCase());
  return `${BASE}/original/${encodeURIComponent(hit.id)}${supported ? "" : "?as=jpeg"}`;
}

/** URL of a small picture of which only the id is known. */
export const thumbnailOf = (id) => `${BASE}/thumb/${encodeURIComponent(id)}?size=256`;

/** URL of a ZIP file of the unchanged files. */
export const zip = (ids) => `${BASE}/zip?${new URLSearchParams(ids.map((id) => ["id", id]))}`;
/** URL of the unchanged file. */
export const file = (hit) => `${BASE}/original/${encodeURIComponent(hit.id)}`;
