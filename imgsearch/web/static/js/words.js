/** Formats numbers, dates and scores as text. */

const count = new Intl.NumberFormat("en-GB");
export const number = (value) => count.format(value);
export const plural = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
export const monthName = (index) => MONTHS[index];

/**
 * Parse a camera's date, in local time without a zone, as far as it is known. Parsed as text,
 * because Date would convert the zone.
 *
 * @returns {{year: number, month: number|null, day: number|null, time: string}|null}
 */
export function parseDate(text) {
  const match = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d:\d\d))?)?)?/.exec(text ?? "");
  if (!match) return null;
  const [, year, month, day, time] = match;
  return { year: Number(year), month: month ? Number(month) - 1 : null, day: day ? Number(day) : null, time: time ?? "" };
}

/** The month of a date in words, or its year if no more is known. */
export const monthOf = (date) => (date.month === null ? `${date.year}` : `${MONTHS[date.month]} ${date.year}`);

export function longDate(text) {
  const date = parseDate(text);
  if (!date) return "";
  return `${date.day === null ? "" : `${date.day} `}${monthOf(date)}${date.time ? `, ${date.time}` : ""}`;
}

/** A time zone as its offset: 330 minutes are "UTC+05:30". */
export function zone(minutes) {
  const size = Math.abs(minutes);
  const two = (value) => String(value).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function bytes(size) {
  const units = ["bytes", "kB", "MB", "GB"];
  let value = size;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/**
 * Strength as a label and 1 to 4 bars. It estimates how likely the picture is to match, to a step
 * rather than a percent (docs/STRENGTH.md); the details show the number.
 */
export function strength(hit) {
  if (hit.strength === null || hit.strength === undefined) {
    return hit.named ? { word: "text match", bars: 4 } : null;
  }
  if (hit.strength >= 0.7) return { word: "strong match", bars: 4 };
  if (hit.strength >= 0.45) return { word: "good match", bars: 3 };
  if (hit.strength >= 0.2) return { word: "fair match", bars: 2 };
  return { word: "weak match", bars: 1 };
}

/** Text alternative of a picture, for screen readers and pictures that cannot be drawn. */
export function describe(hit) {
  const parts = [hit.name];
  const date = longDate(hit.taken);
  if (date) parts.push(date);
  const match = strength(hit);
  if (match) parts.push(match.word);
  if (hit.duplicates > 0) parts.push(plural(hit.duplicates, "near-identical copy", "near-identical copies"));
  return parts.join(", ");
}

/** The last part of a path: "h" of "f/g/h". */
export const lastPart = (path) => path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || path;

/** Camera name without a repeated maker: "NIKON CORPORATION NIKON D40" becomes "NIKON D40". */
export const cameraName = (text) => text.replace(/^(\S+)\b.*\s(?=\1\b)/i, "");

/** The first day after an ISO day, month or year: "2017-09" gives "2017-10-01". */
export function endOf(text) {
  const [year, month, day] = text.split("-").map(Number);
  if (day) return iso(new Date(Date.UTC(year, month - 1, day + 1)));
  if (month) return iso(new Date(Date.UTC(year, month, 1)));
  return iso(new Date(Date.UTC(year + 1, 0, 1)));
}

/** The day before an ISO date; "before=2017-10" is shown as "up to 30 Sep 2017". */
export function dayBefore(text) {
  const [year, month, day] = startOf(text).split("-").map(Number);
  return iso(new Date(Date.UTC(year, month - 1, day - 1)));
}

/** The first day of an ISO day, month or year; "" for any other text. */
export function startOf(text) {
  const match = /^(\d{4})(?:-(\d\d))?(?:-(\d\d))?/.exec(text ?? "");
  return match ? `${match[1]}-${match[2] ?? "01"}-${match[3] ?? "01"}` : "";
}

const iso = (date) => date.toISOString().slice(0, 10);
