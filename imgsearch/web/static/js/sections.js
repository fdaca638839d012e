/** Headings among the results: periods of time, and the start of the closest guesses. */

import { monthOf, monthsOf, parseDate, POSSIBLE, t } from "./words.js";

/** Fewer pictures share the next heading, or sparse years would be all headings. */
const MIN_PICTURES_PER_HEADING = 8;

const isGuess = (hit) => typeof hit.strength === "number" && hit.strength < POSSIBLE && !hit.named;

/** A period in words: a month, or a range of months. */
function period(newest, oldest) {
  return monthOf(oldest) === monthOf(newest) ? monthOf(newest) : monthsOf(oldest, newest);
}

export class Sections {
  /** @param {"date"|"fit"|""} by  criterion for headings */
  constructor(by) {
    this.by = by;
    this.count = 0;
    this.newest = null;
    this.guesses = false;
    this.started = false;
  }

  /**
   * Add the next result. Returns `{begin}` with a heading before it, `{rename}` with a new text for
   * the current heading, or `{}`.
   */
  next(hit) {
    if (this.by === "date") return this.#date(hit);
    if (this.by !== "fit" || this.guesses || !isGuess(hit)) return {};
    this.guesses = true;
    return { begin: t("guesses") };
  }

  #date(hit) {
    const date = parseDate(hit.taken);
    if (!date) return this.#undated();
    const month = `${date.year}-${date.month}`;
    this.count += 1;
    if (this.started && month === this.month) return {};
    this.month = month;
    if (this.started && this.newest && this.count <= MIN_PICTURES_PER_HEADING) return { rename: period(this.newest, date) };
    this.started = true;
    this.count = 1;
    this.newest = date;
    return { begin: period(date, date) };
  }

  #undated() {
    if (this.started && !this.newest) return {};
    this.started = true;
    this.newest = null;
    return { begin: t("page.undated") };
  }
}
