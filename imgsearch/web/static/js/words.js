/** Numbers, dates and scores in words. */

const count = new Intl.NumberFormat("en-GB");
export const number = (value) => count.format(value);
export const plural = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
export const monthName = (index) => MONTHS[index];

/**
 * A date as the camera wrote it, in local time without a zone: read as text, because Date would
 * move it.
 *
 * @returns {{year: number, month: number, day: number, time: string}|null}
 */
export function taken(text) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d))?/.exec(text ?? "");
  if (!found) return null;
  return { year: Number(found[1]), month: Number(found[2]) - 1, day: Number(found[3]), time: found[4] ?? "" };
}

export function longDate(text) {
  const date = taken(text);
  if (!date) return "";
  return `${date.day} ${MONTHS[date.month]} ${date.year}${date.time ? `, ${date.time}` : ""}`;
}

export function bytes(size) {
  const units = ["bytes", "kB", "MB", "GB"];
  let value = size;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/**
 * Strength in one word and in bars from 1 to 4. It is an estimate of how likely the picture is
 * meant, good to a step rather than to a percent (docs/STRENGTH.md); the number is in the details.
 */
export function strength(hit) {
  if (hit.strength === null || hit.strength === undefined) {
    return hit.named ? { word: "has the words", bars: 4 } : null;
  }
  if (hit.strength >= 0.7) return { word: "strong match", bars: 4 };
  if (hit.strength >= 0.45) return { word: "good match", bars: 3 };
  if (hit.strength >= 0.2) return { word: "fair match", bars: 2 };
  return { word: "weak match", bars: 1 };
}

/** What a screen reader says of a picture, and what shows where it cannot be drawn. */
export function describe(hit) {
  const parts = [hit.name];
  const date = longDate(hit.taken_at);
  if (date) parts.push(date);
  const match = strength(hit);
  if (match) parts.push(match.word);
  if (hit.duplicates > 0) parts.push(plural(hit.duplicates, "near-identical copy", "near-identical copies"));
  return parts.join(", ");
}

/** "f/g/h" by its last part; the whole is for the tooltip. */
export const lastPart = (path) => path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || path;

/** A camera without its maker's name twice: "NIKON CORPORATION NIKON D40" is a NIKON D40. */
export const cameraName = (text) => text.replace(/^(\S+)\b.*\s(?=\1\b)/i, "");

/** The first day after an ISO day, month or year: "2017-09" gives "2017-10-01". */
export function endOf(text) {
  const [year, month, day] = text.split("-").map(Number);
  if (day) return iso(new Date(Date.UTC(year, month - 1, day + 1)));
  if (month) return iso(new Date(Date.UTC(year, month, 1)));
  return iso(new Date(Date.UTC(year + 1, 0, 1)));
}

/** The day before an ISO date: "before=2017-10" is "up to 2017-09-30". */
export function dayBefore(text) {
  const [year, month, day] = startOf(text).split("-").map(Number);
  return iso(new Date(Date.UTC(year, month - 1, day - 1)));
}

/** The first day of an ISO day, month or year; "" of what is none. */
export function startOf(text) {
  const found = /^(\d{4})(?:-(\d\d))?(?:-(\d\d))?/.exec(text ?? "");
  return found ? `${found[1]}-${found[2] ?? "01"}-${found[3] ?? "01"}` : "";
}

const iso = (date) => date.toISOString().slice(0, 10);
