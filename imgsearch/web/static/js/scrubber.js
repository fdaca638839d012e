/** The months of a list by date at the edge of the window: a press, a drag or a key goes to one. */

import * as api from "./api.js";
import { byId, h } from "./dom.js";
import { monthOf, number, rightToLeft, t } from "./words.js";

/** Least distance between two labels of years, in CSS pixels. */
const LABEL_PIXELS = 22;
/** Share of the height that is divided evenly, so that no month is too small to hit. */
const EVEN_SHARE = 0.3;

const keyOf = ({ year, month }) => `${year}-${String(month).padStart(2, "0")}`;
const wordsOf = ({ year, month }) => monthOf({ year, month: month - 1 });

export class Scrubber {
  /** @param {(month: string) => void} jump  gets a month such as "2019-05" */
  constructor(jump) {
    this.jump = jump;
    this.months = [];
    this.current = 0;
    this.labels = h("div", { class: "scrubber-labels", "aria-hidden": "true" });
    this.thumb = h("div", { class: "scrubber-thumb", "aria-hidden": "true" });
    this.tip = h("div", { class: "scrubber-tip", "aria-hidden": "true", hidden: true });
    this.track = h("div", { class: "scrubber-track", role: "slider", tabindex: "0", "aria-label": t("scrubber"), "aria-orientation": "vertical", "aria-valuemin": "0", "aria-valuenow": "0" }, this.labels, this.thumb, this.tip);
    this.element = byId("scrubber");
    this.element.append(this.track);
    this.#listen();
    addEventListener("resize", () => this.#draw());
  }

  /** Show the months of what passes the filters; null for a list that is not by date. */
  async show(params, reversed = false) {
    const key = params && `${params} ${reversed}`;
    if (key === this.key) return;
    this.key = key;
    this.abort?.abort();
    document.body.classList.toggle("by-date", Boolean(params));
    this.element.hidden = true;
    if (!params) return;
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const { months } = await api.timeline(params, signal);
      if (signal.aborted) return;
      this.months = reversed ? months.toReversed() : months;
      this.#layout();
    } catch {
      // The list itself reports errors, and scrolls without the months.
      if (!signal.aborted) this.key = undefined;
    }
  }

  /** Forget the months, because the library has changed. */
  renew() {
    this.key = undefined;
  }

  /** Mark the month of the first picture on screen. */
  mark(taken) {
    const month = (taken ?? "").slice(0, 7);
    const place = this.months.findIndex((each) => keyOf(each) === (month.length === 4 ? `${month}-01` : month));
    if (place >= 0 && !this.dragged) this.#set(place);
  }

  /** The month before another one in the list; null for the first. */
  before(month) {
    const place = this.months.findIndex((each) => keyOf(each) === month);
    return place > 0 ? { key: keyOf(this.months[place - 1]), words: wordsOf(this.months[place - 1]) } : null;
  }

  /** Number of pictures from a month to the end of the list; null while that is not known. */
  countFrom(month) {
    const place = this.months.findIndex((each) => keyOf(each) === month);
    return place < 0 ? null : this.months.slice(place).reduce((sum, { count }) => sum + count, 0);
  }

  /** Where each month begins and ends on the track, as shares of its height. */
  #layout() {
    const total = this.months.reduce((sum, { count }) => sum + count, 0) || 1;
    let top = 0;
    this.places = this.months.map(({ count }) => {
      const height = EVEN_SHARE / this.months.length + (1 - EVEN_SHARE) * (count / total);
      top += height;
      return { top: top - height, height };
    });
    this.element.hidden = this.months.length < 2;
    this.track.setAttribute("aria-valuemax", String(Math.max(0, this.months.length - 1)));
    this.current = Math.min(this.current, Math.max(0, this.months.length - 1));
    this.#draw();
  }

  #draw() {
    if (this.element.hidden) return;
    this.height = this.track.clientHeight; // reading it while pictures scroll would cost a layout
    const clientHeight = this.height;
    let last = -LABEL_PIXELS;
    const labels = [];
    this.months.forEach(({ year }, place) => {
      const top = this.places[place].top * clientHeight;
      if ((place && this.months[place - 1].year === year) || top - last < LABEL_PIXELS || top > clientHeight - 12) return;
      last = top;
      const label = h("span", {}, String(year));
      label.style.top = `${top}px`;
      labels.push(label);
    });
    this.labels.replaceChildren(...labels);
    this.#set(this.current);
  }

  #set(place) {
    const month = this.months[place];
    if (!month) return;
    this.current = place;
    this.thumb.style.transform = `translateY(${this.places[place].top * this.height}px)`;
    this.track.setAttribute("aria-valuenow", String(place));
    this.track.setAttribute("aria-valuetext", [wordsOf(month), t("pictures", { count: month.count })].join(t("separator")));
  }

  #go(place) {
    const to = Math.max(0, Math.min(this.months.length - 1, place));
    this.#set(to);
    this.jump(keyOf(this.months[to]));
  }

  #at(event) {
    const box = this.track.getBoundingClientRect();
    const share = (event.clientY - box.top) / box.height;
    const after = this.places.findIndex(({ top }) => top > share);
    return Math.max(0, (after < 0 ? this.months.length : after) - 1);
  }

  #point(event) {
    const place = this.#at(event);
    const { count } = this.months[place];
    this.tip.textContent = `${wordsOf(this.months[place])} · ${number(count)}`;
    this.tip.style.top = `${event.clientY - this.track.getBoundingClientRect().top}px`;
    this.tip.hidden = false;
    if (this.dragged) this.#set(place);
  }

  #listen() {
    const { track } = this;
    track.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.dragged = true;
      track.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    track.addEventListener("pointermove", (event) => this.#point(event));
    track.addEventListener("pointerup", (event) => {
      if (!this.dragged) return;
      this.#rest();
      this.#go(this.#at(event));
    });
    track.addEventListener("pointercancel", () => this.#rest());
    track.addEventListener("pointerleave", () => !this.dragged && this.#rest());
    track.addEventListener("keydown", (event) => this.#key(event));
  }

  #rest() {
    this.dragged = false;
    this.tip.hidden = true;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowDown: () => this.current + 1, [rightToLeft ? "ArrowLeft" : "ArrowRight"]: () => this.current + 1,
      ArrowUp: () => this.current - 1, [rightToLeft ? "ArrowRight" : "ArrowLeft"]: () => this.current - 1,
      PageDown: () => this.#otherYear(1), PageUp: () => this.#otherYear(-1),
      Home: () => 0, End: () => this.months.length - 1,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    this.#go(to());
  }

  /** The closest month of another year below or above; the last or the first without one. */
  #otherYear(by) {
    const { year } = this.months[this.current];
    let place = this.current;
    while (this.months[place]?.year === year) place += by;
    return place;
  }
}
