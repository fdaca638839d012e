/** The map of meaning: all pictures on a plane, similar ones together. */

import * as api from "./api.js";
import { h, icon, iconButton } from "./dom.js";
import { Plane } from "./plane.js";
import { number, t } from "./words.js";

/** Pause before the name of the picture under the pointer is requested. */
const HOVER_MS = 120;
/** Pause before a map that was not ready within the server's time limit is requested again. */
const RETRY_MS = 3000;
const MAX_LISTED_REGIONS = 60;

export class MapView {
  #abort = new AbortController();
  #hover = 0;

  /** @param {Object} actions  `leave()`, `show(id)` a picture, `region(corners)` as the API takes it */
  constructor(actions) {
    this.actions = actions;
    this.place = h("div", {});
    this.element = h("div", { class: "view" },
      h("div", { class: "view-head" }, h("h2", {}, t("map")), iconButton("close", t("map.leave"), () => actions.leave())),
      this.place);
    this.summary = t("map.title");
    this.hits = [];
    this.plane = null;
    this.key = null;
  }

  /** Show the map of the pictures that pass the filters; a region of it chooses none of them. */
  show(params) {
    params.delete("region");
    if (this.key === `${params}`) return;
    this.stop();
    this.key = `${params}`;
    this.#load(params);
  }

  /** Forget the map, so that it is requested again when it is shown. */
  stop() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.plane?.close();
    this.plane = null;
    this.key = null;
    this.place.replaceChildren();
  }

  async #load(params) {
    const { signal } = this.#abort;
    this.place.replaceChildren(h("p", { class: "map-note", role: "status" }, t("map.wait")));
    try {
      const map = await api.map(params, signal);
      if (!signal.aborted) this.#draw(map);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === 503) setTimeout(() => !signal.aborted && this.#load(params), RETRY_MS);
      else this.place.replaceChildren(h("p", { class: "map-note", role: "status" }, `${error.message} ${error.hint ?? ""}`));
    }
  }

  #draw(map) {
    const ofRegion = [0, ...map.regions.map((region) => region.colour)];
    const holder = h("div", { class: "plane", tabindex: "0", role: "application", "aria-label": t("map.label", { count: map.count }) });
    this.label = h("div", { class: "map-label", hidden: true });
    this.place.replaceChildren(this.#tools(map), h("div", { class: "map-frame" }, holder, this.label), this.#regions(map));
    this.ids = map.ids;
    this.plane = new Plane(holder, {
      points: map.points,
      colours: Uint8Array.from(map.places, (place) => ofRegion[place]),
      palette: map.palette,
      regions: map.regions,
      levels: map.levels,
      picture: (i) => api.thumbnailOf(this.ids[i]),
      onhover: (i, left, top) => this.#name(i, left, top),
      onopen: (i) => this.actions.show(String(this.ids[i])),
      onlasso: (corners) => this.#choose(corners),
    });
  }

  #tools(map) {
    const lasso = h("button", { type: "button", class: "toggle", "aria-label": t("map.lasso"), "aria-pressed": "false", title: t("map.lasso.title"), onclick: () => this.#turn(lasso) }, icon("lasso"), h("span", {}, t("map.lasso.button")));
    const here = h("button", { type: "button", class: "toggle", onclick: () => this.#choose(this.plane.corners()) }, t("map.list"));
    const note = map.count < map.total ? t("map.shown", { shown: map.count, count: map.total }) : t("pictures", { count: map.count });
    const missing = map.unindexed ? t("separator") + t("map.unindexed", { count: map.unindexed, model: map.model }) : "";
    return h("div", { class: "map-tools" }, lasso, here,
      iconButton("plus", t("map.zoom_in"), () => this.plane.zoomBy(1.5)),
      iconButton("minus", t("map.zoom_out"), () => this.plane.zoomBy(1 / 1.5)),
      h("button", { type: "button", class: "toggle", onclick: () => this.plane.show() }, t("map.whole")),
      h("p", { class: "map-note", role: "status" }, note + missing));
  }

  #turn(button) {
    this.plane.lassoing = !this.plane.lassoing;
    this.plane.holder.classList.toggle("lassoing", this.plane.lassoing);
    button.setAttribute("aria-pressed", String(this.plane.lassoing));
  }

  /** The clusters as buttons, for those who do not use a pointer. */
  #regions({ regions }) {
    if (!regions.length) {
      return h("p", { class: "map-note" }, t("map.names"), " ", h("code", {}, "imgsearch clusters"));
    }
    const button = (region) => h("li", {}, h("button", { type: "button", class: "toggle", onclick: () => this.plane.show(region) }, `${region.name} ${number(region.count)}`));
    return h("ul", { class: "map-regions", "aria-label": t("map.groups") }, regions.slice(0, MAX_LISTED_REGIONS).map(button));
  }

  #choose(corners) {
    const near = (value) => Math.min(9, Math.max(-9, value)).toFixed(5);
    this.actions.region(corners.map(([x, y]) => `${near(x)},${near(y)}`).join(";"));
  }

  /** Show the picture under the pointer, with its name. */
  #name(i, left, top) {
    if (i === this.named) return;
    this.named = i;
    clearTimeout(this.#hover);
    this.label.hidden = true;
    if (i === null) return;
    this.#hover = setTimeout(async () => {
      const hit = await api.details(String(this.ids[i]), this.#abort.signal).catch(() => null);
      if (!hit || this.named !== i) return;
      this.label.replaceChildren(h("img", { src: api.thumbnailOf(hit.id), alt: "", width: "128", height: "96" }), h("span", {}, hit.name));
      const { width, height } = this.plane;
      this.label.style.transform = `translate(${Math.min(left + 14, width - 170)}px, ${Math.min(top + 14, height - 140)}px)`;
      this.label.hidden = false;
    }, HOVER_MS);
  }
}
