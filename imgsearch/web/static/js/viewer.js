/** One picture over the whole window: arrows, zoom, details. A modal dialog holds the focus. */

import { h, icon, iconButton } from "./dom.js";
import * as api from "./api.js";
import { Details } from "./details.js";
import { read, write } from "./look.js";
import { describe, number } from "./words.js";
import { Zoom } from "./zoom.js";

/** A swipe is at least so long, in CSS pixels. */
const SWIPE = 60;
/** Where details have room beside the picture; elsewhere they wait to be asked for. */
const ROOMY = matchMedia("(min-width: 901px)");

export class Viewer {
  /**
   * @param {Object} actions  `close()`, `go(index)`, `similar(hit)`, `mark(hit, what)`, `markOf(hit)`,
   *   `near(latitude, longitude)`, `filter(patch)`
   */
  constructor(actions) {
    this.actions = actions;
    this.hits = [];
    this.index = -1;
    this.image = h("img", { class: "full", alt: "", draggable: "false" });
    this.stage = h("div", { class: "stage" }, this.image);
    this.zoom = new Zoom(this.stage, this.image);
    this.details = new Details(actions);
    this.dialog = this.#build();
    document.body.append(this.dialog);
    this.toggleDetails(read("details", ["open", "closed"]) !== "closed" && ROOMY.matches);
    this.#listen();
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Show a picture; `hits` are its neighbours, among which it stands at `index` (-1: not among them). */
  show(hit, hits, index, total) {
    this.hit = hit;
    this.hits = hits;
    this.index = index;
    if (!this.isOpen) this.dialog.showModal();
    this.place.textContent = index >= 0 && hits.length > 1 ? `${number(index + 1)} of ${number(total ?? hits.length)}` : "";
    this.title.textContent = hit.name;
    this.dialog.setAttribute("aria-label", describe(hit));
    this.before.disabled = index <= 0;
    this.after.disabled = index < 0 || index >= hits.length - 1;
    this.openFile.href = api.file(hit);
    this.#load(hit);
    this.refresh();
    this.details.show(hit);
    this.#preload();
  }

  close() {
    if (this.isOpen) this.dialog.close();
    this.image.removeAttribute("src");
    this.hit = null;
  }

  refresh() {
    const mark = this.hit ? this.actions.markOf(this.hit) : "";
    for (const button of this.dialog.querySelectorAll("[data-marks]")) button.setAttribute("aria-pressed", String(button.dataset.marks === mark));
  }

  toggleDetails(shown = this.dialog.classList.contains("plain-view")) {
    const hidden = this.dialog.classList.toggle("plain-view", !shown);
    this.informer.setAttribute("aria-expanded", String(!hidden));
    this.zoom.reset();
  }

  #turnDetails() {
    this.toggleDetails();
    write("details", this.dialog.classList.contains("plain-view") ? "closed" : "open");
  }

  #build() {
    const { actions } = this;
    const mark = (what, label) => iconButton(what, label, () => actions.mark(this.hit, what), { data: { marks: what }, "aria-pressed": "false" });
    this.title = h("p", { class: "viewer-title" });
    this.place = h("p", { class: "viewer-place", role: "status" });
    this.openFile = h("a", { class: "round", target: "_blank", rel: "noopener", "aria-label": "Open the file itself", title: "Open the file itself" }, icon("open"));
    this.informer = iconButton("info", "Details (i)", () => this.#turnDetails(), { "aria-expanded": "true" });
    this.before = iconButton("left", "Previous picture", () => this.#step(-1), { class: "round arrow before" });
    this.after = iconButton("right", "Next picture", () => this.#step(1), { class: "round arrow after" });
    const bar = h(
      "header", { class: "viewer-bar" },
      iconButton("close", "Close", () => actions.close(), { class: "round first", autofocus: true }),
      h("div", { class: "viewer-words" }, this.title, this.place),
      mark("good", "Right: more like this (g)"),
      mark("bad", "Wrong: less like this (b)"),
      iconButton("similar", "More like this (s)", () => actions.similar(this.hit)),
      iconButton("zoom", "Zoom (z)", () => this.zoom.toggle()),
      this.openFile,
      this.informer,
    );
    return h("dialog", { class: "viewer", "aria-label": "Picture" }, bar, h("div", { class: "viewer-body" }, this.before, this.stage, this.after), this.details.element);
  }

  /** First the thumbnail, which the grid has loaded already, then the picture in full. */
  #load(hit) {
    const { image } = this;
    this.zoom.reset();
    image.alt = describe(hit);
    if (hit.width && hit.height) {
      image.width = hit.width;
      image.height = hit.height;
      image.style.aspectRatio = `${hit.width} / ${hit.height}`;
    }
    image.classList.remove("broken");
    image.src = api.thumbnail(hit, 1024);
    const full = new Image();
    full.src = api.original(hit);
    full.decode().then(
      () => { if (this.hit?.id === hit.id) image.src = full.src; },
      () => { if (this.hit?.id === hit.id && image.complete && !image.naturalWidth) image.classList.add("broken"); },
    );
  }

  #preload() {
    for (const beside of [this.hits[this.index + 1], this.hits[this.index - 1]]) {
      if (this.index >= 0 && beside) new Image().src = api.thumbnail(beside, 1024);
    }
  }

  #step(by) {
    const next = this.index + by;
    if (this.index >= 0 && this.hits[next]) this.actions.go(next);
  }

  #listen() {
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.actions.close();
    });
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.stage.addEventListener("click", (event) => {
      if (event.target === this.stage && !this.zoom.moved) this.actions.close();
    });
    let start = null;
    this.stage.addEventListener("pointerdown", (event) => {
      start = event.isPrimary && event.pointerType === "touch" ? { x: event.clientX, y: event.clientY } : null;
    });
    this.stage.addEventListener("pointerup", (event) => {
      if (!start || this.zoom.scale > 1) return;
      const across = event.clientX - start.x;
      const down = event.clientY - start.y;
      start = null;
      if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) this.#step(across < 0 ? 1 : -1);
      else if (down > 2 * SWIPE && down > 2 * Math.abs(across)) this.actions.close();
    });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
    const does = {
      ArrowLeft: () => (this.zoom.scale > 1 ? this.zoom.move(80, 0) : this.#step(-1)),
      ArrowRight: () => (this.zoom.scale > 1 ? this.zoom.move(-80, 0) : this.#step(1)),
      ArrowUp: () => this.zoom.move(0, 80),
      ArrowDown: () => this.zoom.move(0, -80),
      Home: () => this.actions.go(0),
      z: () => this.zoom.toggle(),
      "+": () => this.zoom.by(1.4),
      "=": () => this.zoom.by(1.4),
      "-": () => this.zoom.by(1 / 1.4),
      0: () => this.zoom.reset(),
      i: () => this.#turnDetails(),
      s: () => this.actions.similar(this.hit),
      g: () => this.actions.mark(this.hit, "good"),
      b: () => this.actions.mark(this.hit, "bad"),
      c: () => this.details.copyPath(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  }
}
