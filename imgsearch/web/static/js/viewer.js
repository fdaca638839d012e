/** A picture that fills the window, with arrows, zoom and details. A modal dialog keeps the focus. */

import { h, icon, iconButton } from "./dom.js";
import * as api from "./api.js";
import { Details } from "./details.js";
import { read, write } from "./look.js";
import { describe, rightToLeft, t } from "./words.js";
import { Zoom } from "./zoom.js";

/** Minimum length of a swipe, in CSS pixels. */
const MIN_SWIPE_PIXELS = 60;
/** How long a picture of a slide show stays. */
const SLIDE_MS = 4000;
/** Details fit beside the picture; on narrower screens they start closed. */
const WIDE_SCREEN = matchMedia("(min-width: 901px)");

export class Viewer {
  /**
   * @param {Object} actions  `close()`, `go(index)`, `show(id)`, `help()`, `similar(hit)`, `mark(hit, what)`, `markOf(hit)`,
   *   `near(latitude, longitude)`, `filter(patch)`
   */
  constructor(actions) {
    this.actions = actions;
    this.hits = [];
    this.index = -1;
    this.image = h("img", { class: "full", alt: "", draggable: "false" });
    this.message = h("p", { class: "stage-note", role: "status" });
    this.stage = h("div", { class: "stage" }, this.image, this.message);
    this.zoom = new Zoom(this.stage, this.image);
    this.details = new Details(actions);
    this.dialog = this.#build();
    document.body.append(this.dialog);
    this.toggleDetails(read("details", ["open", "closed"]) !== "closed" && WIDE_SCREEN.matches);
    this.#listen();
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Show a picture; `index` is its position in `hits`, or -1. */
  show(hit, hits, index, total) {
    this.hit = hit;
    this.hits = hits;
    this.index = index;
    if (!this.isOpen) this.dialog.showModal();
    this.place.textContent = index >= 0 && hits.length > 1 ? t("viewer.place", { place: index + 1, total: total ?? hits.length }) : "";
    this.title.textContent = hit.name;
    this.dialog.setAttribute("aria-label", describe(hit));
    this.previousButton.disabled = index <= 0;
    this.nextButton.disabled = index < 0 || index >= hits.length - 1;
    this.openFile.href = api.file(hit);
    this.#load(hit);
    if (this.playing) this.#schedule();
    this.refresh();
    this.details.show(hit);
    this.#preload();
  }

  close() {
    this.play(false);
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
    this.detailsButton.setAttribute("aria-expanded", String(!hidden));
    this.zoom.reset();
  }

  /** Start or end the slide show: each picture stays for some seconds. */
  play(playing) {
    this.playing = playing;
    clearTimeout(this.timer);
    const words = t(playing ? "viewer.stop" : "viewer.play");
    this.player.replaceChildren(icon(playing ? "pause" : "play"));
    this.player.title = words;
    this.player.setAttribute("aria-label", words);
    this.player.setAttribute("aria-pressed", String(playing));
    this.dialog.classList.toggle("playing", playing);
    if (playing) this.#schedule();
  }

  /** The next slide follows when this one has been drawn, or as soon as there is one. */
  #schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      await this.image.decode().catch(() => {});
      if (!this.playing) return;
      if (this.hits[this.index + 1]) this.#step(1);
      else this.play(false);
    }, SLIDE_MS);
  }

  #toggleAndStoreDetails() {
    this.toggleDetails();
    write("details", this.dialog.classList.contains("plain-view") ? "closed" : "open");
  }

  #build() {
    const { actions } = this;
    const mark = (what, label) => iconButton(what, label, () => actions.mark(this.hit, what), { data: { marks: what }, "aria-pressed": "false" });
    this.title = h("p", { class: "viewer-title" });
    this.place = h("p", { class: "viewer-place", role: "status" });
    this.openFile = h("a", { class: "round", target: "_blank", rel: "noopener", "aria-label": t("viewer.original"), title: t("viewer.original") }, icon("open"));
    this.player = iconButton("play", t("viewer.play"), () => this.play(!this.playing), { "aria-pressed": "false" });
    this.detailsButton = iconButton("info", t("viewer.details"), () => this.#toggleAndStoreDetails(), { "aria-expanded": "true" });
    this.previousButton = iconButton("left", t("viewer.previous"), () => this.#step(-1), { class: "round arrow before" });
    this.nextButton = iconButton("right", t("viewer.next"), () => this.#step(1), { class: "round arrow after" });
    const bar = h(
      "header", { class: "viewer-bar" },
      iconButton("close", t("close"), () => actions.close(), { class: "round first", autofocus: true }),
      h("div", { class: "viewer-words" }, this.title, this.place),
      mark("good", t("viewer.good")),
      mark("bad", t("viewer.bad")),
      iconButton("similar", t("viewer.similar"), () => actions.similar(this.hit)),
      iconButton("zoom", t("viewer.zoom"), () => this.zoom.toggle(), { class: "round zoomer" }),
      this.player,
      this.openFile,
      this.detailsButton,
    );
    return h("dialog", { class: "viewer", "aria-label": t("picture") }, bar, h("div", { class: "viewer-body" }, this.previousButton, this.stage, this.nextButton), this.details.element);
  }

  /** Show the thumbnail first, which may be cached, then the full picture. */
  #load(hit) {
    const { image } = this;
    this.zoom.reset();
    image.alt = describe(hit);
    if (hit.width && hit.height) {
      image.width = hit.width;
      image.height = hit.height;
      image.style.aspectRatio = `${hit.width} / ${hit.height}`;
    }
    image.hidden = false;
    this.message.textContent = "";
    image.src = api.thumbnail(hit, 1024);
    const full = new Image();
    full.src = api.original(hit);
    full.decode().then(
      () => { if (this.hit?.id === hit.id) image.src = full.src; },
      () => this.#explain(hit, full.src),
    );
  }

  /** Say why the file of a picture cannot be shown, in place of the browser's broken image. */
  async #explain(hit, source) {
    const problem = await api.problemOf(source);
    const { image } = this;
    if (this.hit?.id !== hit.id) return;
    await image.decode().catch(() => {});
    if (this.hit?.id !== hit.id) return;
    image.hidden = !image.naturalWidth;
    const why = problem?.status === 404 ? t("viewer.gone") : problem?.message ?? t("viewer.undrawn");
    this.message.textContent = image.hidden ? t("labelled", { label: hit.name, value: why }) : why;
  }

  #preload() {
    for (const neighbour of [this.hits[this.index + 1], this.hits[this.index - 1]]) {
      if (this.index >= 0 && neighbour) new Image().src = api.thumbnail(neighbour, 1024);
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
      if (Math.abs(across) > MIN_SWIPE_PIXELS && Math.abs(across) > 2 * Math.abs(down)) this.#step(across < 0 === rightToLeft ? -1 : 1);
      else if (down > 2 * MIN_SWIPE_PIXELS && down > 2 * Math.abs(across)) this.actions.close();
    });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
    const command = {
      ArrowLeft: () => (this.zoom.scale > 1 ? this.zoom.move(80, 0) : this.#step(rightToLeft ? 1 : -1)),
      ArrowRight: () => (this.zoom.scale > 1 ? this.zoom.move(-80, 0) : this.#step(rightToLeft ? -1 : 1)),
      ArrowUp: () => this.zoom.move(0, 80),
      ArrowDown: () => this.zoom.move(0, -80),
      Home: () => this.actions.go(0),
      End: () => this.actions.go(this.hits.length - 1),
      "?": () => this.actions.help(),
      z: () => this.zoom.toggle(),
      "+": () => this.zoom.by(1.4),
      "=": () => this.zoom.by(1.4),
      "-": () => this.zoom.by(1 / 1.4),
      0: () => this.zoom.reset(),
      i: () => this.#toggleAndStoreDetails(),
      s: () => this.actions.similar(this.hit),
      g: () => this.actions.mark(this.hit, "good"),
      b: () => this.actions.mark(this.hit, "bad"),
      c: () => this.details.copyPath(),
      p: () => this.play(!this.playing),
    }[event.key];
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    command();
  }
}
