/** Headings among the pictures: stretches of time, and where weak matches begin. */

import { monthName, taken } from "./words.js";

/** A heading stands over so many pictures at least, or sparse years would be all headings. */
const FEWEST = 8;
/** The default of the server for words (docs/STRENGTH.md): what is weaker is shown only when asked for. */
export const WEAK = 0.2;

const isWeak = (hit) => typeof hit.strength === "number" && hit.strength < WEAK && !hit.named;

/** The months that a stretch of time goes through, newest first, in words. */
function stretch(newest, oldest) {
  const from = `${monthName(oldest.month)} ${oldest.year}`;
  const to = `${monthName(newest.month)} ${newest.year}`;
  if (from === to) return to;
  return oldest.year === newest.year ? `${monthName(oldest.month)} to ${to}` : `${from} to ${to}`;
}

export class Sections {
  /** @param {"date"|"weak"|""} by  what is told apart */
  constructor(by) {
    this.by = by;
    this.count = 0;
    this.newest = null;
    this.weak = false;
    this.begun = false;
  }

  /**
   * The next picture of the results: `{begin}` with a heading that stands before it,
   * `{rename}` with what the heading above it is called from now on, or `{}`.
   */
  next(hit) {
    if (this.by === "date") return this.#date(hit);
    if (this.by !== "weak" || this.weak || !isWeak(hit)) return {};
    this.weak = true;
    return { begin: "Weak matches" };
  }

  #date(hit) {
    const date = taken(hit.taken_at);
    if (!date) return this.#undated();
    const month = `${date.year}-${date.month}`;
    this.count += 1;
    if (this.begun && month === this.month) return {};
    this.month = month;
    if (this.begun && this.newest && this.count <= FEWEST) return { rename: stretch(this.newest, date) };
    this.begun = true;
    this.count = 1;
    this.newest = date;
    return { begin: stretch(date, date) };
  }

  #undated() {
    if (this.begun && !this.newest) return {};
    this.begun = true;
    this.newest = null;
    return { begin: "Without a date" };
  }
}
