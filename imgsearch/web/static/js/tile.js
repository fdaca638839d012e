/** One picture among the results. */

import { h, icon, iconButton } from "./dom.js";
import { thumbnail } from "./api.js";
import { describe, plural, strength } from "./words.js";

/** Finger held so long on a picture selects it, in milliseconds. */
const LONG_PRESS = 450;
/** Milliseconds before a thumbnail that did not come is asked for again. */
const RETRIES = [700, 2500];

export class Tile {
  /**
   * @param {Object} hit  as in the API
   * @param {number} index  its place among the results, from 0
   * @param {Object} actions  `open(index)`, `similar(hit)`, `mark(hit, "good"|"bad")`,
   *   `markOf(hit)`, `select(index, {range})`, `isSelected(hit)`, `selecting()`, `address(hit)`
   */
  constructor(hit, index, actions) {
    this.hit = hit;
    this.index = index;
    this.actions = actions;
    this.image = h("img", { alt: "", decoding: "async", draggable: "true" });
    this.image.addEventListener("load", () => this.element.classList.add("loaded"));
    this.image.addEventListener("error", () => this.#again());
    this.link = h("a", { class: "tile-link", href: actions.address(hit), "aria-label": describe(hit) }, this.image);
    this.selector = iconButton("check", "", (event) => actions.select(this.index, { range: event.shiftKey }), { class: "select" });
    this.element = h(
      "div",
      { class: "tile", role: "listitem", "aria-posinset": index + 1, data: { index, id: hit.id } },
      this.link, this.selector, this.#badges(),
    );
    this.#listen();
    this.refresh();
  }

  /** Put the tile on its place; all in CSS pixels. */
  place(left, top, wide, high) {
    const { style } = this.element;
    style.transform = `translate(${left}px, ${top}px)`;
    style.width = `${wide}px`;
    style.height = `${high}px`;
    this.element.classList.toggle("slim", wide < 150);
    this.pixels = Math.max(wide, high) * Math.min(devicePixelRatio || 1, 2);
  }

  /** Ask for the thumbnail, unless that was done. */
  draw() {
    if (this.drawn) return;
    this.drawn = true;
    this.image.src = thumbnail(this.hit, this.pixels);
  }

  /** A tile that leaves the document asks for its thumbnail no longer. */
  stop() {
    if (this.drawn && !this.image.complete) this.image.removeAttribute("src");
  }

  setReachable(reachable) {
    const order = reachable ? "0" : "-1";
    for (const each of this.element.querySelectorAll("a, button")) each.setAttribute("tabindex", order);
    this.reachable = reachable;
  }

  refresh() {
    const selected = this.actions.isSelected(this.hit);
    const mark = this.actions.markOf(this.hit);
    this.element.classList.toggle("selected", selected);
    this.element.dataset.mark = mark;
    this.selector.setAttribute("aria-pressed", String(selected));
    const label = `Select ${this.hit.name}`;
    this.selector.setAttribute("aria-label", label);
    this.selector.title = "Select (x)";
    for (const button of this.element.querySelectorAll("[data-marks]")) {
      button.setAttribute("aria-pressed", String(button.dataset.marks === mark));
    }
  }

  #badges() {
    const match = strength(this.hit);
    return h(
      "div",
      { class: "badges", "aria-hidden": "true" },
      h("span", { class: "name" }, this.hit.name),
      this.hit.duplicates > 0
        ? h("span", { class: "copies", title: plural(this.hit.duplicates, "near-identical copy folded", "near-identical copies folded") },
            icon("stack"), `+${this.hit.duplicates}`)
        : null,
      match ? bars(match) : null,
    );
  }

  /** Buttons are made when a tile is pointed at or focused: most tiles never need them. */
  #withButtons() {
    if (this.acts) return;
    const { hit, actions } = this;
    const mark = (what, label) =>
      iconButton(what, label, () => actions.mark(hit, what), { data: { marks: what }, "aria-pressed": "false" });
    this.acts = h(
      "div",
      { class: "acts" },
      iconButton("similar", `More like ${hit.name}`, () => actions.similar(hit)),
      mark("good", `${hit.name} is right: more like it`),
      mark("bad", `${hit.name} is wrong: less like it`),
    );
    this.element.append(this.acts);
    this.setReachable(this.reachable);
    this.refresh();
  }

  #listen() {
    const { element, link } = this;
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.#withButtons());
    element.addEventListener("focusin", () => this.#withButtons());
    element.addEventListener("keydown", (event) => this.#key(event));
    link.addEventListener("click", (event) => this.#click(event));
    this.#holding(link);
  }

  #click(event) {
    if (this.held) {
      this.held = false;
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (this.actions.selecting() || event.shiftKey) this.actions.select(this.index, { range: event.shiftKey });
    else this.actions.open(this.index);
  }

  #holding(link) {
    let timer = 0;
    link.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") return;
      timer = setTimeout(() => {
        this.held = true;
        this.actions.select(this.index, { range: false });
      }, LONG_PRESS);
    });
    for (const name of ["pointerup", "pointercancel", "pointermove"]) link.addEventListener(name, () => clearTimeout(timer));
    link.addEventListener("contextmenu", (event) => this.held && event.preventDefault());
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { actions, hit } = this;
    const does = {
      x: () => actions.select(this.index, { range: false }),
      X: () => actions.select(this.index, { range: true }),
      s: () => actions.similar(hit),
      g: () => actions.mark(hit, "good"),
      b: () => actions.mark(hit, "bad"),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** A thumbnail may fail because many were asked for at once: only one that fails again is lost. */
  #again() {
    const wait = RETRIES[this.failures ?? 0];
    this.failures = (this.failures ?? 0) + 1;
    const source = this.image.src;
    if (wait === undefined) this.#lost();
    else setTimeout(() => this.element.isConnected && (this.image.src = source), wait);
  }

  #lost() {
    this.element.classList.add("lost");
    this.link.replaceChildren(h("span", { class: "lost-name" }, this.hit.name));
  }
}

/** Strength as up to four bars; the word is the tooltip. */
export function bars(match) {
  return h(
    "span",
    { class: "bars", title: match.word, data: { bars: match.bars } },
    [1, 2, 3, 4].map((step) => h("i", { class: step <= match.bars ? "on" : "off" })),
  );
}
