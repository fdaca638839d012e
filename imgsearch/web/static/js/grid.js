/**
 * The grid of pictures, in justified rows. Only the rows near the viewport are in the document, so
 * 100 000 results cost no more than a few screens.
 */

import { h } from "./dom.js";
import { Rows, shapeOf } from "./layout.js";
import { Tile } from "./tile.js";
import { rightToLeft, t } from "./words.js";

/** Screens of rows kept above and below the viewport. */
const OVERSCAN_SCREENS = 0.75;
/** More results are requested when fewer screens than this remain. */
const PREFETCH_SCREENS = 3;
/** Screens scrolled per frame above which pictures pass too fast to be seen. */
const FAST_SCROLL_SCREENS = 0.7;
/** Pause in scrolling, in milliseconds, after which pictures are drawn anyway. */
const SETTLE_MS = 90;
/** Delay before pictures out of sight are requested: while words are typed, the next answer is near. */
const OVERSCAN_PAUSE_MS = 250;
/** A row of which less is in sight below the bar is not the first on screen. */
const REPORT_PIXELS = 12;
const SIZES = { small: 0.68, medium: 1, large: 1.5 };

export class Grid {
  /**
   * @param {HTMLElement} place
   * @param {Object} actions  what tiles do, see tile.js; `more()` requests more results and
   *   `sections()` returns the headings among them, see sections.js; `scrolled(hit, heading)` gets the
   *   first picture below the bar and the heading above it that is out of sight
   */
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.hits = [];
    this.total = null;
    this.size = "medium";
    this.current = 0;
    /** @type {Map<number, {element: HTMLElement, tile: Tile|null}[]>} contents of each row by its number */
    this.mounted = new Map();
    place.setAttribute("role", "list");
    place.setAttribute("aria-label", t("page.results"));
    this.width = 0;
    this.rows = this.#rows();
    this.sections = actions.sections();
    new ResizeObserver(() => this.#resized()).observe(place);
    addEventListener("scroll", () => this.#later(), { passive: true });
    addEventListener("resize", () => this.#later(), { passive: true });
    place.addEventListener("keydown", (event) => this.#key(event));
    place.addEventListener("focusin", (event) => this.#focused(event));
  }

  /** Remove all results. */
  clear() {
    this.hits = [];
    this.current = 0;
    this.#relayout();
  }

  /** Append results; `done` if they are the last. Of the first, those out of sight are drawn later. */
  append(hits, { total, done }) {
    const isNew = !this.mounted.size;
    this.total = total;
    for (const hit of hits) this.#push(hit);
    if (done) this.rows.finish();
    this.done = done;
    this.update(isNew ? 0 : OVERSCAN_SCREENS);
    if (isNew) setTimeout(() => this.update(), OVERSCAN_PAUSE_MS);
  }

  setSize(size) {
    this.size = size;
    this.#keepingPlace(() => this.#relayout());
  }

  /** Update marks and selection on the tiles in the document. */
  refresh() {
    for (const tile of this.#tiles()) tile.refresh();
  }

  /** Scroll a picture into view and focus it. */
  focus(index) {
    const row = this.rows.rows[this.rows.rowOf(index)];
    if (!row) return;
    this.current = index;
    this.reveal(row);
    this.update();
    this.tileAt(index)?.link.focus({ preventScroll: true });
  }

  /** Scroll just far enough to show a row. */
  reveal(row) {
    const above = this.place.getBoundingClientRect().top + row.top;
    const bar = document.querySelector(".bar").getBoundingClientRect().bottom + 8;
    if (above < bar) scrollBy({ top: above - bar, behavior: "instant" });
    else if (above + row.height > innerHeight - 8) scrollBy({ top: above + row.height - innerHeight + 8, behavior: "instant" });
  }

  /** Scroll so that a picture is in the first row, below its heading if that begins a section. */
  scrollTo(index) {
    const number = this.rows.rowOf(index);
    const row = this.rows.rows[this.rows.rows[number - 1]?.heading ? number - 1 : number];
    if (!row) return;
    const bar = document.querySelector(".bar").getBoundingClientRect().bottom;
    scrollBy({ top: this.place.getBoundingClientRect().top + row.top - bar - 4, behavior: "instant" });
    this.update();
  }

  tileAt(index) {
    const row = this.mounted.get(this.rows.rowOf(index));
    return row?.find(({ tile }) => tile?.index === index)?.tile ?? null;
  }

  #rows() {
    const narrow = this.width < 600;
    const base = this.width < 480 ? 116 : this.width < 900 ? 168 : this.width < 1600 ? 212 : 264;
    return new Rows({
      width: Math.max(120, this.width),
      target: base * SIZES[this.size],
      gap: narrow ? 3 : 6,
      heading: narrow ? 44 : 56,
    });
  }

  #push(hit) {
    const { begin = "", rename } = this.sections.next(hit);
    this.hits.push(hit);
    if (rename) this.#rename(rename);
    this.rows.push(shapeOf(hit), begin);
  }

  /** Change the last heading, which now covers more. */
  #rename(heading) {
    const number = this.rows.rows.findLastIndex((row) => row.heading);
    this.rows.rows[number].heading = heading;
    const [entry] = this.mounted.get(number) ?? [];
    if (entry) entry.element.firstChild.textContent = heading;
  }

  #relayout() {
    for (const number of [...this.mounted.keys()]) this.#unmount(number);
    this.rows = this.#rows();
    this.sections = this.actions.sections();
    const hits = this.hits;
    this.hits = [];
    for (const hit of hits) this.#push(hit);
    if (this.done && hits.length) this.rows.finish();
    if (!hits.length) this.done = false;
    this.update();
  }

  #resized() {
    const width = Math.floor(this.place.clientWidth);
    if (!width || width === this.width) return;
    this.#keepingPlace(() => {
      this.width = width;
      this.#relayout();
    });
  }

  /** Change the layout while the first picture on screen stays in place. */
  #keepingPlace(change) {
    const top = this.place.getBoundingClientRect().top;
    const bar = document.querySelector(".bar").getBoundingClientRect().bottom;
    const row = this.rows.rows[this.rows.rowAt(bar - top)];
    const scrolled = top < bar && row;
    const offset = scrolled ? top + row.top : 0;
    change();
    const now = scrolled ? this.rows.rows[this.rows.rowOf(row.first)] : null;
    if (now) scrollBy({ top: this.place.getBoundingClientRect().top + now.top - offset, behavior: "instant" });
    this.update();
  }

  #scheduled = false;

  #later() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.update();
    });
  }

  /** Update the document for the current scroll position, with some screens above and below it. */
  update(overscan = OVERSCAN_SCREENS) {
    this.place.style.height = `${this.rows.bottom}px`;
    const top = -this.place.getBoundingClientRect().top;
    const screen = innerHeight;
    const first = this.rows.rowAt(top - screen * overscan);
    const end = this.rows.rowAt(top + screen * (1 + overscan)) + 1;
    const focusedRow = this.#rowWithFocus();
    for (const number of [...this.mounted.keys()]) {
      if ((number < first || number >= end) && number !== focusedRow) this.#unmount(number);
    }
    for (let number = first; number < Math.min(end, this.rows.rows.length); number += 1) {
      if (!this.mounted.has(number)) this.#mount(number);
    }
    this.#keepReachable(top);
    this.#report(top);
    this.#draw(top, screen);
    if (!this.done && top + screen * PREFETCH_SCREENS > this.rows.bottom) this.actions.more();
  }

  #report(top) {
    const bar = document.querySelector(".bar").clientHeight;
    let number = this.rows.rowAt(top + bar + REPORT_PIXELS);
    const { rows } = this.rows;
    let passed = Math.min(number, rows.length - 1);
    while (passed >= 0 && !(rows[passed].heading && rows[passed].top < top + bar)) passed -= 1;
    while (rows[number]?.heading) number += 1;
    this.actions.scrolled(this.hits[rows[number]?.first] ?? null, rows[passed]?.heading ?? "");
  }

  #settleTimer = 0;
  #top = 0;

  /** Load thumbnails, but not for pictures that scroll past too fast to be seen. */
  #draw(top, screen) {
    const fast = Math.abs(top - this.#top) > screen * FAST_SCROLL_SCREENS;
    this.#top = top;
    clearTimeout(this.#settleTimer);
    if (fast) this.#settleTimer = setTimeout(() => this.update(), SETTLE_MS);
    else for (const tile of this.#tiles()) tile.draw();
  }

  #rowWithFocus() {
    return this.place.contains(document.activeElement) ? this.rows.rowOf(this.current) : -1;
  }

  /** Keep one tile in the tab order: the current one, or the first on screen if that is gone. */
  #keepReachable(top) {
    if (!this.hits.length || this.tileAt(this.current)) return;
    let number = this.rows.rowAt(Math.max(0, top));
    while (this.rows.rows[number]?.heading) number += 1;
    this.#setCurrent(this.rows.rows[number]?.first ?? 0);
  }

  #setCurrent(index) {
    this.tileAt(this.current)?.setReachable(false);
    this.current = index;
    this.tileAt(index)?.setReachable(true);
  }

  #mount(number) {
    const row = this.rows.rows[number];
    const entries = row.heading ? [{ element: this.#heading(row), tile: null }] : this.#tilesOf(row);
    const next = Math.min(...[...this.mounted.keys()].filter((other) => other > number));
    const before = Number.isFinite(next) ? this.mounted.get(next)[0].element : null;
    const fragment = document.createDocumentFragment();
    for (const { element } of entries) fragment.append(element);
    this.place.insertBefore(fragment, before);
    this.mounted.set(number, entries);
  }

  #tilesOf(row) {
    const entries = [];
    for (let index = row.first; index < row.first + row.count; index += 1) {
      const tile = new Tile(this.hits[index], index, this.actions);
      tile.place(this.rows.left[index], row.top, this.rows.wide[index], row.height);
      tile.element.setAttribute("aria-setsize", String(this.total ?? -1));
      tile.setReachable(index === this.current);
      entries.push({ element: tile.element, tile });
    }
    return entries;
  }

  #heading(row) {
    const element = h("div", { role: "listitem", class: "section" }, h("h2", {}, row.heading));
    element.style.transform = `translateY(${row.top}px)`;
    element.style.height = `${row.height}px`;
    return element;
  }

  #unmount(number) {
    for (const { element, tile } of this.mounted.get(number)) {
      tile?.stop();
      element.remove();
    }
    this.mounted.delete(number);
  }

  #tiles() {
    return [...this.mounted.values()].flat().map(({ tile }) => tile).filter(Boolean);
  }

  #focused(event) {
    const index = Number(event.target.closest(".tile")?.dataset.index ?? -1);
    if (index >= 0 && index !== this.current) this.#setCurrent(index);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = this.#goal(event.key);
    if (to === null) return;
    event.preventDefault();
    this.focus(Math.max(0, Math.min(this.rows.count - 1, to)));
  }

  #goal(key) {
    switch (key) {
      case "ArrowLeft": return this.current + (rightToLeft ? 1 : -1);
      case "ArrowRight": return this.current + (rightToLeft ? -1 : 1);
      case "ArrowUp": return this.rows.neighbour(this.current, -1);
      case "ArrowDown": return this.rows.neighbour(this.current, 1);
      case "Home": return 0;
      case "End": return this.rows.count - 1;
      default: return null;
    }
  }
}
