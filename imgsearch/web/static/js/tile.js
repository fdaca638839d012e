/** A picture in the grid. */

import { h, icon, iconButton } from "./dom.js";
import { problemOf, thumbnail } from "./api.js";
import { describe, reason, rightToLeft, t } from "./words.js";

/** How long a touch must last to select a picture. */
const LONG_PRESS_MS = 450;
/** Delays before a failed thumbnail is requested again. */
const RETRY_DELAYS_MS = [700, 2500];

export class Tile {
  /**
   * @param {Object} hit  as in the API
   * @param {number} index  position among the results, from 0
   * @param {Object} actions  `open(index)`, `similar(hit)`, `mark(hit, "good"|"bad")`,
   *   `markOf(hit)`, `select(index, {range})`, `isSelected(hit)`, `selecting()`, `address(hit)`
   */
  constructor(hit, index, actions) {
    this.hit = hit;
    this.index = index;
    this.actions = actions;
    this.image = h("img", { alt: "", decoding: "async", draggable: "true" });
    this.image.addEventListener("load", () => this.element.classList.add("loaded"));
    this.image.addEventListener("error", () => this.#retry());
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

  /** Position the tile; all arguments in CSS pixels. */
  place(left, top, wide, high) {
    const { style } = this.element;
    style.transform = `translate(${rightToLeft ? -left : left}px, ${top}px)`;
    style.width = `${wide}px`;
    style.height = `${high}px`;
    this.element.classList.toggle("slim", wide < 150);
    this.pixels = Math.max(wide, high) * Math.min(devicePixelRatio || 1, 2);
  }

  /** Request the thumbnail once. */
  draw() {
    if (this.requested) return;
    this.requested = true;
    this.image.src = thumbnail(this.hit, this.pixels);
  }

  /** Cancel the request when the tile leaves the document. */
  stop() {
    if (this.requested && !this.image.complete) this.image.removeAttribute("src");
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
    this.selector.setAttribute("aria-label", t("tile.select", { name: this.hit.name }));
    this.selector.title = t("tile.select.title");
    for (const button of this.element.querySelectorAll("[data-marks]")) {
      button.setAttribute("aria-pressed", String(button.dataset.marks === mark));
    }
  }

  #badges() {
    const match = reason(this.hit);
    return h(
      "div",
      { class: "badges", "aria-hidden": "true" },
      h("span", { class: "name" }, this.hit.name),
      this.hit.duplicates > 0
        ? h("span", { class: "copies", title: t("copies.folded", { count: this.hit.duplicates }) },
            icon("stack"), `+${this.hit.duplicates}`)
        : null,
      ...(this.hit.parts ?? []).map((part) => h("span", { class: "copies part-type", title: part.name }, `+${part.type}`)),
      match ? sign(match) : null,
    );
  }

  /** Buttons are created on hover or focus, because most tiles never need them. */
  #withButtons() {
    if (this.acts) return;
    const { hit, actions } = this;
    const mark = (what, label) =>
      iconButton(what, label, () => actions.mark(hit, what), { data: { marks: what }, "aria-pressed": "false" });
    this.acts = h(
      "div",
      { class: "acts" },
      iconButton("similar", t("tile.similar", { name: hit.name }), () => actions.similar(hit)),
      mark("good", t("tile.good", { name: hit.name })),
      mark("bad", t("tile.bad", { name: hit.name })),
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
    this.#listenForLongPress(link);
  }

  #click(event) {
    if (this.longPressed) {
      this.longPressed = false;
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (this.actions.selecting() || event.shiftKey) this.actions.select(this.index, { range: event.shiftKey });
    else this.actions.open(this.index);
  }

  #listenForLongPress(link) {
    let timer = 0;
    link.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") return;
      timer = setTimeout(() => {
        this.longPressed = true;
        this.actions.select(this.index, { range: false });
      }, LONG_PRESS_MS);
    });
    for (const name of ["pointerup", "pointercancel", "pointermove"]) link.addEventListener(name, () => clearTimeout(timer));
    link.addEventListener("contextmenu", (event) => this.longPressed && event.preventDefault());
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { actions, hit } = this;
    const command = {
      x: () => actions.select(this.index, { range: false }),
      X: () => actions.select(this.index, { range: true }),
      s: () => actions.similar(hit),
      g: () => actions.mark(hit, "good"),
      b: () => actions.mark(hit, "bad"),
    }[event.key];
    if (!command) return;
    event.preventDefault();
    command();
  }

  /** Retry a thumbnail, which may have failed because too many were requested at once. */
  async #retry() {
    const problem = await problemOf(this.image.src);
    if (problem?.status === 404) return this.#showName(t("tile.gone"));
    const delay = RETRY_DELAYS_MS[this.failures ?? 0];
    this.failures = (this.failures ?? 0) + 1;
    const source = this.image.src;
    if (delay === undefined) return this.#showName(t("tile.undrawn"));
    return setTimeout(() => this.element.isConnected && (this.image.src = source), delay);
  }

  #showName(why) {
    this.element.classList.add("lost");
    this.link.replaceChildren(h("span", {}, h("span", { class: "lost-name" }, this.hit.name), h("span", { class: "lost-reason" }, why)));
    this.link.setAttribute("aria-label", [describe(this.hit), why].join(t("separator")));
  }
}

/** Why a picture was found, in a word. */
export const sign = (match) => h("span", { class: "reason", title: match.word }, match.label);
