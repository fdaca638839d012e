/** Requests to the server that the page came from, and to no other. */

const BASE = "/api/v1";
/** How often a request is repeated that came too fast after others. */
const PATIENCE = 3;

/** What the server says about a request that it does not answer; `hint` is the mend. */
export class ApiError extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

async function failure(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // Not ours: a proxy or a crash. The status has to do.
  }
  return new ApiError(response.status, said.error || `The server answered ${response.status}.`, said.hint || "");
}

async function send(path, options) {
  try {
    return await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The imgsearch server does not answer.", "Is 'imgsearch serve' still running?");
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** One request; where the server asks for patience, it gets some. */
async function request(path, options = {}) {
  let response = await send(path, options);
  for (let again = 0; response.status === 429 && again < PATIENCE; again += 1) {
    await pause(Math.min(5, Number(response.headers.get("retry-after")) || 1));
    options.signal?.throwIfAborted();
    response = await send(path, options);
  }
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/**
 * Search.
 *
 * @param {URLSearchParams} params  as in the API, `cursor` and `limit` included
 * @param {Blob[]} images  example pictures; with any the search is posted
 * @param {AbortSignal} signal
 */
export function search(params, images, signal) {
  if (!images.length) return request(`/search?${params}`, { signal });
  const form = new FormData();
  for (const [name, value] of params) form.append(name, value);
  for (const image of images) form.append("image", image, "example");
  return request("/search", { method: "POST", body: form, signal });
}

export const details = (id, signal) => request(`/images/${encodeURIComponent(id)}`, { signal });
export const facets = (params, signal) => request(`/facets?${params}`, { signal });
export const status = () => request("/status");
export const startIndexing = () =>
  request("/index", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
export const stopIndexing = () => request("/index", { method: "DELETE" });
export const signIn = (token) =>
  request("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
export const indexEvents = () => new EventSource(`${BASE}/index/events`);

/** The address of a thumbnail, `pixels` on its longer side at least if there are so many. */
export function thumbnail(hit, pixels) {
  const size = pixels <= 256 ? 256 : pixels <= 512 ? 512 : 1024;
  return `${hit.thumb}${hit.thumb.includes("?") ? "&" : "?"}size=${size}`;
}

const SHOWN_BY_BROWSERS = new Set(["jpeg", "png", "webp", "gif", "avif", "bmp"]);

/** The address of the picture in full, in a form that browsers show. */
export function original(hit) {
  const plain = SHOWN_BY_BROWSERS.has(String(hit.type).toLowerCase());
  return `${BASE}/original/${encodeURIComponent(hit.id)}${plain ? "" : "?as=jpeg"}`;
}

/** The address of the file as it is. */
export const file = (hit) => `${BASE}/original/${encodeURIComponent(hit.id)}`;
