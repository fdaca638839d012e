/**
 * Example pictures that were dropped, pasted or chosen. The URL contains only a key; a reduced copy
 * stays in the tab's session storage, so that it survives a reload. Pictures are sent only to the
 * page's own imgsearch server.
 */

/** Longer side of the copy that is sent and kept; more than any model's input. */
const MAX_SIDE_PIXELS = 768;
const QUALITY = 0.9;
const STORAGE_PREFIX = "imgsearch.example.";

const inMemory = new Map();

/** Keep a picture and return its key for the URL. */
export async function keep(file) {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => (byte % 36).toString(36)).join("");
  const small = await shrink(file);
  inMemory.set(key, small ?? file);
  if (small) store(key, await dataUrl(small));
  return key;
}

/** The pictures for these keys; `missing` counts those that this tab does not have. */
export async function fetchAll(keys) {
  const blobs = keys.map((key) => inMemory.get(key) ?? restore(key));
  return { blobs: blobs.filter(Boolean), missing: blobs.filter((blob) => !blob).length };
}

/** A URL that shows the picture; "" if it is gone or the browser cannot draw it. */
export function preview(key) {
  try {
    const stored = sessionStorage.getItem(STORAGE_PREFIX + key);
    if (stored) return stored;
  } catch {
    // Some private windows refuse storage; use the copy in memory.
  }
  const blob = inMemory.get(key);
  return blob && blob.type === "image/jpeg" ? URL.createObjectURL(blob) : "";
}

/** A small, upright copy of the picture; null if the browser cannot decode it (HEIC, RAW). */
async function shrink(file) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, MAX_SIDE_PIXELS / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  } catch {
    return null;
  }
}

const dataUrl = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

function store(key, text) {
  try {
    sessionStorage.setItem(STORAGE_PREFIX + key, text);
  } catch {
    // Full or refused: the picture lasts until the page is closed.
  }
}

function restore(key) {
  let text = null;
  try {
    text = sessionStorage.getItem(STORAGE_PREFIX + key);
  } catch {
    return null;
  }
  if (!text) return null;
  const raw = atob(text.slice(text.indexOf(",") + 1));
  const blob = new Blob([Uint8Array.from(raw, (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });
  inMemory.set(key, blob);
  return blob;
}
