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

/** Strengths from which a match is strong, and possible (docs/STRENGTH.md); others are guesses. */
export const STRONG = 0.5;
export const POSSIBLE = 0.1;

/**
 * Why a picture was found: "name" or "text" if its words match, otherwise its strength in a word.
 * Words rank above any likeness, so a strength beside them would contradict the order. Strength
 * estimates how likely the picture is to match, too roughly for a percentage; the details show the
 * number.
 *
 * @returns {{label: string, word: string}|null}  for a tile, and for a sentence
 */
export function reason(hit) {
  if (hit.named) {
    const label = hit.matched?.includes("name") ? "name" : "text";
    return { label, word: `${label} match` };
  }
  if (hit.strength === null || hit.strength === undefined) return null;
  if (hit.strength >= STRONG) return { label: "strong", word: "strong match" };
  if (hit.strength >= POSSIBLE) return { label: "possible", word: "possible match" };
  return { label: "guess", word: "closest guess" };
}

/** Text alternative of a picture, for screen readers and pictures that cannot be drawn. */
export function describe(hit) {
  const parts = [hit.name];
  const date = longDate(hit.taken);
  if (date) parts.push(date);
  const match = reason(hit);
  if (match) parts.push(match.word);
  if (hit.duplicates > 0) parts.push(plural(hit.duplicates, "near-identical copy", "near-identical copies"));
  return parts.join(", ");
}

/** The last part of a path: "h" of "f/g/h". */
export const lastPart = (path) => path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || path;

/**
 * Labels for paths: each the shortest tail that no other path has, so that of six folders called
 * "images" each shows the part above it.
 *
 * @returns {Map<string, string>} by path
 */
export function uniqueTails(paths) {
  const split = [...new Set(paths)].map((path) => [path, path.replace(/[/\\]+$/, "").split(/[/\\]/)]);
  const tail = (parts, length) => parts.slice(-length).join("/");
  const labels = new Map();
  for (let length = 1, open = split; open.length; length += 1) {
    const uses = new Map();
    for (const [, parts] of open) uses.set(tail(parts, length), (uses.get(tail(parts, length)) ?? 0) + 1);
    const isLabel = ([, parts]) => uses.get(tail(parts, length)) === 1 || parts.length <= length;
    for (const entry of open.filter(isLabel)) labels.set(entry[0], tail(entry[1], length) || entry[0]);
    open = open.filter((entry) => !isLabel(entry));
  }
  return labels;
}

/** The first day after an ISO day, month or year: "2017-09" gives "2017-10-01". */
export function endOf(text) {
  const [year, month, day] = text.split("-").map(Number);
  if (day) return iso(new Date(Date.UTC(year, month - 1, day + 1)));
  if (month) return iso(new Date(Date.UTC(year, month, 1)));
  return iso(new Date(Date.UTC(year + 1, 0, 1)));
}

/** The day before an ISO date: "before=2017-10" is shown as "up to 30 Sep 2017". "" for other text. */
export function dayBefore(text) {
  if (!startOf(text)) return "";
  const [year, month, day] = startOf(text).split("-").map(Number);
  return iso(new Date(Date.UTC(year, month - 1, day - 1)));
}

/** The first day of an ISO day, month or year; "" for any other text. */
export function startOf(text) {
  const match = /^(\d{4})(?:-(\d\d))?(?:-(\d\d))?/.exec(text ?? "");
  return match ? `${match[1]}-${match[2] ?? "01"}-${match[3] ?? "01"}` : "";
}

const iso = (date) => date.toISOString().slice(0, 10);
