/** The texts of the page in its language, and numbers, dates and scores as text. */

const root = document.documentElement;
/** The language with its region, such as "de-AT", as early.js chose it. */
const locale = root.lang;
const isMirrored = locale === "en-x-rtl";
/** Whether the next thing is on the left. */
export const rightToLeft = root.dir === "rtl";
/** Languages of the page. */
export const languages = (root.dataset.languages ?? "en").split(" ");

async function load(language) {
  const response = await fetch(new URL(`../words/${language}.json`, import.meta.url));
  if (!response.ok) throw new Error(`No texts: status ${response.status}`);
  return response.json();
}

/** Names of the texts with the texts, or their plural forms. Modules that use them wait for these. */
const texts = await load(locale.split("-")[0]).catch(() => load("en"));
const plurals = new Intl.PluralRules(locale);

const count = new Intl.NumberFormat(locale);
export const number = (value) => count.format(value);
/** A number with this many digits after the point. */
export const fixed = (value, digits) => new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
/** Amounts in a row: "1 folder, 2 pictures". */
export const list = (amounts) => new Intl.ListFormat(locale, { style: "narrow" }).format(amounts);

/**
 * A text by its name in words/, with values in place of their names in braces. `count` chooses the
 * plural form; numbers are formatted.
 */
export function t(name, values = {}) {
  const forms = texts[name];
  if (forms === undefined) throw new Error(`words/ has no text ${name}`);
  const text = typeof forms === "string" ? forms : forms[plurals.select(values.count)] ?? forms.other;
  const filled = text.replace(/\{(\w+)\}/g, (_, each) => (typeof values[each] === "number" ? number(values[each]) : values[each]));
  return isMirrored && /\p{L}/u.test(text.replace(/\{\w+\}/g, "")) ? `\u27e6${filled}\u27e7` : filled;
}

/** The text for a code of the server, or the code itself if it has none. */
export const ofCode = (group, code, values) => (texts[`${group}.${code}`] === undefined ? code : t(`${group}.${code}`, values));

/** Fill the texts in that the HTML file names. */
export function fillIn() {
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = t(each.dataset.text);
  for (const each of document.querySelectorAll("[data-label]")) each.setAttribute("aria-label", t(each.dataset.label));
}

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

const formats = (options) => new Intl.DateTimeFormat(locale, { timeZone: "UTC", calendar: "gregory", ...options });
const YEAR = formats({ year: "numeric" });
const MONTH = formats({ year: "numeric", month: "long" });
const SHORT_MONTH = formats({ year: "numeric", month: "short" });
const DAY = formats({ year: "numeric", month: "long", day: "numeric" });
const SHORT_DAY = formats({ year: "numeric", month: "short", day: "numeric" });
const TIME = formats({ timeStyle: "short" });

/** A parsed date for Intl. A month or day that does not exist is one of later. */
function instant({ year, month, day, time }) {
  const [hour, minute] = (time || "00:00").split(":").map(Number);
  const date = new Date(Date.UTC(2000, month ?? 0, day ?? 1, hour, minute)); // which takes 50 for 1950
  date.setUTCFullYear(year);
  return date;
}

/** The month of a date in words, or its year if no more is known. */
export const monthOf = (date) => (date.month === null ? YEAR : MONTH).format(instant(date));
export const shortMonthOf = (date) => (date.month === null ? YEAR : SHORT_MONTH).format(instant(date));
export const shortDay = (text) => (startOf(text) ? SHORT_DAY.format(instant(parseDate(startOf(text)))) : text);

/** Two months, or years, as a range in words. */
export function monthsOf(from, to) {
  if (from.month === null && to.month === null) return YEAR.formatRange(instant(from), instant(to));
  if (from.month === null || to.month === null) return t("range", { from: monthOf(from), to: monthOf(to) });
  return MONTH.formatRange(instant(from), instant(to));
}

/** Two ISO days as a range in words. */
export const daysOf = (from, to) => SHORT_DAY.formatRange(instant(parseDate(from)), instant(parseDate(to)));

export function longDate(text) {
  const date = parseDate(text);
  if (!date) return "";
  const day = date.day === null ? monthOf(date) : DAY.format(instant(date));
  return date.time ? t("date.time", { date: day, time: TIME.format(instant(date)) }) : day;
}

/** A time zone as its offset: 330 minutes are "UTC+05:30". */
export function zone(minutes) {
  const size = Math.abs(minutes);
  const two = (value) => String(value).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function bytes(size) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let value = size;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  const digits = unit && value < 10 ? 1 : 0;
  return new Intl.NumberFormat(locale, { style: "unit", unit: units[unit], unitDisplay: unit ? "short" : "long", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Strengths from which a match is strong, and possible (docs/STRENGTH.md); others are guesses. */
export const STRONG = 0.5;
export const POSSIBLE = 0.1;

/**
 * Why a picture was found: that its name or text matches, otherwise its strength in a word.
 * Words rank above any likeness, so a strength beside them would contradict the order. Strength
 * estimates how likely the picture is to match, too roughly for a percentage; the details show the
 * number.
 *
 * @returns {{label: string, word: string}|null}  for a tile, and for a sentence
 */
export function reason(hit) {
  if (hit.named) {
    return matched(hit.matched?.includes("name") ? "name" : "text");
  }
  if (hit.strength === null || hit.strength === undefined) return null;
  if (hit.strength >= STRONG) return matched("strong");
  return matched(hit.strength >= POSSIBLE ? "possible" : "guess");
}

const matched = (how) => ({ label: t(`match.${how}`), word: t(`matched.${how}`) });

/** Text alternative of a picture, for screen readers and pictures that cannot be drawn. */
export function describe(hit) {
  const parts = [hit.name];
  const date = longDate(hit.taken);
  if (date) parts.push(date);
  const match = reason(hit);
  if (match) parts.push(match.word);
  if (hit.duplicates > 0) parts.push(t("copies", { count: hit.duplicates }));
  return parts.join(t("separator"));
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
