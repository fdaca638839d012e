/**
 * Pictures that were dropped, pasted or chosen. The address holds only a key; the picture, made
 * small, stays in the tab's session storage, so that a reload finds it again. None leaves the
 * machine but to the imgsearch server that the page came from.
 */

/** Longest side of what is sent and kept, in pixels: more than any model looks at. */
const LONGEST = 768;
const QUALITY = 0.9;
const STORED = "imgsearch.example.";

const inMemory = new Map();

/** Keep a picture; the key for the address. */
export async function keep(file) {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => (byte % 36).toString(36)).join("");
  const small = await shrink(file);
  inMemory.set(key, small ?? file);
  if (small) store(key, await dataUrl(small));
  return key;
}

/** The pictures for these keys; `missing` counts those of another tab or another day. */
export async function fetchAll(keys) {
  const found = keys.map((key) => inMemory.get(key) ?? restore(key));
  return { blobs: found.filter(Boolean), missing: found.filter((blob) => !blob).length };
}

/** An address that shows the picture, "" where it is gone or no browser can draw it. */
export function preview(key) {
  try {
    const stored = sessionStorage.getItem(STORED + key);
    if (stored) return stored;
  } catch {
    // Storage is refused in some private windows: the picture in memory does.
  }
  const blob = inMemory.get(key);
  return blob && blob.type === "image/jpeg" ? URL.createObjectURL(blob) : "";
}

/** The picture the right way up and small, null where the browser cannot decode it (HEIC, RAW). */
async function shrink(file) {
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
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
    sessionStorage.setItem(STORED + key, text);
  } catch {
    // Full or refused: the picture lasts as long as the page does.
  }
}

function restore(key) {
  let text = null;
  try {
    text = sessionStorage.getItem(STORED + key);
  } catch {
    return null;
  }
  if (!text) return null;
  const raw = atob(text.slice(text.indexOf(",") + 1));
  const blob = new Blob([Uint8Array.from(raw, (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });
  inMemory.set(key, blob);
  return blob;
}
