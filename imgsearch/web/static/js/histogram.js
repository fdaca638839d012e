/** Histogram of dates: click a bar, or drag over several, to filter by date. */

import { h } from "./dom.js";
import { dayBefore, endOf, monthOf, monthsOf, number, rightToLeft, startOf, t } from "./words.js";

/** Up to this many years are shown by month. */
const MAX_YEARS_BY_MONTH = 4;
const WIDTH = 240;
const HEIGHT = 56;
const SVG = "http://www.w3.org/2000/svg";

/** More years without pictures than this share one bin, or one picture of 1919 squeezes the rest. */
const MAX_EMPTY_YEARS = 3;

/** The years to show, in order: those with pictures, and the empty ones of short gaps. */
function yearsShown(withPictures) {
  const shown = [];
  for (const year of withPictures.sort((a, b) => a - b)) {
    const last = shown.at(-1) ?? year;
    if (year - last - 1 <= MAX_EMPTY_YEARS) for (let empty = last + 1; empty < year; empty += 1) shown.push(empty);
    shown.push(year);
  }
  return shown;
}

/**
 * Bins {from, to, label, count, gap} that follow each other; ISO dates, `to` exclusive. A `gap`
 * stands for many years without pictures.
 */
export function binsOf(years) {
  const byYear = new Map(years.map(({ year, months }) => [year, months]));
  const rest = new Map(years.map(({ year, without_month: count }) => [year, count ?? 0]));
  const shown = yearsShown([...byYear.keys()]);
  const bins = [];
  for (const [at, year] of shown.entries()) {
    const months = byYear.get(year) ?? new Array(12).fill(0);
    const last = shown[at - 1] ?? year - 1;
    if (last < year - 1) bins.push({ from: endOf(String(last)), to: startOf(String(year)), label: monthsOf({ year: last + 1, month: null }, { year: year - 1, month: null }), count: 0, gap: true });
    if (shown.length > MAX_YEARS_BY_MONTH) {
      bins.push(bin(String(year), monthOf({ year, month: null }), months.reduce((sum, each) => sum + each, rest.get(year) ?? 0)));
    } else {
      months.forEach((count, month) => {
        const name = `${year}-${String(month + 1).padStart(2, "0")}`;
        bins.push(bin(name, monthOf({ year, month }), count));
      });
    }
  }
  return bins;
}

const bin = (name, label, count) => ({ from: startOf(name), to: endOf(name), label, count, gap: false });

export class Histogram {
  /** @param {(range: {after: string, before: string}) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.chart = document.createElementNS(SVG, "svg");
    this.chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.chart.setAttribute("preserveAspectRatio", "none");
    this.chart.setAttribute("class", "chart");
    this.chart.setAttribute("aria-hidden", "true");
    this.caption = h("p", { class: "chart-caption", "aria-hidden": "true" });
    this.ends = h("p", { class: "chart-ends", "aria-hidden": "true" });
    const date = (label, name) => h("label", { class: "date" }, h("span", {}, label), h("input", { type: "date", min: "1800-01-01", max: "9998-12-30", onchange: () => this.#onDateInput(name) }));
    this.from = date(t("date.from"), "after");
    this.to = date(t("date.to"), "before");
    this.element = h("div", { class: "histogram" }, this.caption, this.chart, this.ends, h("div", { class: "dates" }, this.from, this.to));
    this.years = [];
    this.state = { after: "", before: "" };
    this.#listen();
  }

  /** `years` as in /facets; null keeps the current ones. */
  show(state, years) {
    this.state = state;
    if (years) this.years = years;
    this.from.lastChild.value = startOf(state.after);
    this.to.lastChild.value = state.before ? dayBefore(state.before) : "";
    this.bins = this.years.length ? binsOf(this.years) : [];
    for (const part of [this.chart, this.ends, this.caption]) part.toggleAttribute("hidden", !this.bins.length);
    this.chart.style.display = this.bins.length ? "" : "none";
    this.#draw();
  }

  #draw(range = null) {
    const { bins } = this;
    this.chart.replaceChildren();
    if (!bins.length) return;
    const maximum = Math.max(1, ...bins.map(({ count }) => count));
    const step = WIDTH / bins.length;
    bins.forEach((each, at) => {
      // The square root keeps a month with one picture visible beside one with a thousand.
      const high = each.count ? Math.max(3, Math.sqrt(each.count / maximum) * (HEIGHT - 4)) : 1;
      const bar = document.createElementNS(SVG, "rect");
      bar.setAttribute("x", String(at * step + step * 0.12));
      bar.setAttribute("y", String(HEIGHT - high));
      bar.setAttribute("width", String(step * 0.76));
      bar.setAttribute("height", String(high));
      bar.setAttribute("class", each.gap ? "gap" : this.#within(at, range) ? "in" : "out");
      this.chart.append(bar);
    });
    this.ends.replaceChildren(h("span", {}, bins[0].from.slice(0, 4)), h("span", {}, bins.at(-1).from.slice(0, 4)));
    this.caption.textContent = t("date.chart");
  }

  #within(at, range) {
    if (range) return at >= range[0] && at <= range[1];
    const { from, to } = this.bins[at];
    const after = startOf(this.state.after);
    const before = startOf(this.state.before);
    return (!after || to > after) && (!before || from < before);
  }

  #listen() {
    const { chart } = this;
    let start = null;
    const at = (event) => {
      const box = chart.getBoundingClientRect();
      const from = rightToLeft ? box.right - event.clientX : event.clientX - box.left;
      return Math.max(0, Math.min(this.bins.length - 1, Math.floor((from / box.width) * this.bins.length)));
    };
    const range = (event) => [Math.min(start, at(event)), Math.max(start, at(event))];
    chart.addEventListener("pointerdown", (event) => {
      start = at(event);
      chart.setPointerCapture(event.pointerId);
      this.#draw([start, start]);
    });
    chart.addEventListener("pointermove", (event) => {
      if (start !== null) this.#draw(range(event));
      const { label, count } = this.bins[at(event)];
      this.caption.textContent = t("labelled", { label, value: number(count) });
    });
    chart.addEventListener("pointerleave", () => start === null && this.#draw());
    chart.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [first, last] = range(event);
      start = null;
      if (this.bins.slice(first, last + 1).every(({ gap }) => gap)) this.#draw();
      else this.choose({ after: this.bins[first].from, before: this.bins[last].to });
    });
    chart.addEventListener("pointercancel", () => {
      start = null;
      this.#draw();
    });
  }

  #onDateInput(name) {
    const { value } = (name === "after" ? this.from : this.to).lastChild;
    this.choose({ after: this.state.after, before: this.state.before, [name]: name === "before" && value ? endOf(value) : value });
  }
}
