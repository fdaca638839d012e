/** The map of the world: where the pictures were taken, those close to each other as one. */

import * as api from "./api.js";
import { h, icon, iconButton } from "./dom.js";
import { t } from "./words.js";
import { World, toDegrees, unpack } from "./world.js";

/** Cells of the grid along a tile, as the API has them. */
const CELLS_PER_TILE = 4;
/** Clusters that are requested at most; larger windows have larger cells. */
const MAX_CELLS_SHOWN = 700;
const MAX_KEPT_ANSWERS = 40;
/** The zoom of the first view, and the one up to which it goes in where all pictures are close to each other. */
const FIRST_LEVEL = 2;
const NEAREST_FIRST_LEVEL = 6;
/** Degrees, about 20 m: pictures of a cluster this small are listed, and not zoomed into. */
const SAME_PLACE = 0.0002;

const edges = (box) => box.split(",").map(Number);
/** South, west, north and east around some boxes. */
const around = (boxes) => boxes.reduce(([s, w, n, e], box) => [Math.min(s, box[0]), Math.min(w, box[1]), Math.max(n, box[2]), Math.max(e, box[3])]);

export class PlacesView {
  #abort = new AbortController();
  #answers = new Map();

  /** @param {Object} actions  `leave()`, `show(id)` a picture, `box(text)` as the API takes it */
  constructor(actions) {
    this.actions = actions;
    this.place = h("div", {});
    this.element = h("div", { class: "view" },
      h("div", { class: "view-head" }, h("h2", {}, t("places")), iconButton("close", t("places.leave"), () => actions.leave())),
      this.place);
    this.summary = t("places.title");
    this.hits = [];
    this.world = null;
    this.key = null;
  }

  /** Show the places of the pictures that pass the filters; a box of it chooses none of them. */
  show(params) {
    const chosen = params.get("box");
    params.delete("box");
    if (this.key === `${params}`) {
      this.world?.choose(chosen ? edges(chosen) : null);
      return;
    }
    this.stop();
    this.key = `${params}`;
    this.params = params;
    this.#load(chosen);
  }

  /** Forget the map, so that it is requested again when it is shown. */
  stop() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#answers.clear();
    this.world?.close();
    this.world = null;
    this.key = null;
    this.place.replaceChildren();
  }

  #say(text) {
    this.place.replaceChildren(h("p", { class: "map-note", role: "status" }, text));
  }

  async #load(chosen) {
    const { signal } = this.#abort;
    this.#say(t("places.wait"));
    try {
      const [outline, whole] = await Promise.all([api.worldOutline(signal), this.#request(FIRST_LEVEL, null, signal)]);
      if (signal.aborted) return;
      if (whole.located) this.#draw(unpack(outline), whole, chosen);
      else this.#say(whole.total ? t("places.none") : t("page.none"));
    } catch (error) {
      if (error.name !== "AbortError" && !signal.aborted) this.#say(`${error.message} ${error.hint ?? ""}`);
    }
  }

  async #request(level, box, signal) {
    const params = new URLSearchParams(this.params);
    params.set("zoom", level);
    if (box) params.append("box", box);
    const key = `${params}`;
    const answer = this.#answers.get(key) ?? (await api.places(params, signal));
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    if (this.#answers.size > MAX_KEPT_ANSWERS) this.#answers.delete(this.#answers.keys().next().value);
    return answer;
  }

  #draw(outline, whole, chosen) {
    const holder = h("div", { class: "plane world", tabindex: "0", role: "application", "aria-label": t("places.label", { count: whole.located }) });
    this.problem = h("p", { class: "map-note", role: "status", hidden: true });
    this.place.replaceChildren(this.#tools(whole), h("div", { class: "map-frame" }, holder), this.problem);
    this.world = new World(holder, {
      outline,
      chosen: chosen ? edges(chosen) : null,
      onrest: () => this.#fill(),
      oncluster: (cluster) => this.#open(cluster),
      onlasso: (corners) => this.#choose(corners),
    });
    this.world.put(whole.clusters);
    this.world.show(chosen ? edges(chosen) : around(whole.clusters.map(({ box }) => edges(box))), chosen ? undefined : NEAREST_FIRST_LEVEL);
  }

  #tools({ total, located }) {
    const area = h("button", { type: "button", class: "toggle", "aria-label": t("places.area"), "aria-pressed": "false", title: t("places.area.title"), onclick: () => this.#turn(area) }, icon("lasso"), h("span", {}, t("places.area")));
    const missing = total - located;
    const note = t("pictures", { count: located }) + (missing ? t("separator") + t("places.missing", { count: missing }) : "");
    return h("div", { class: "map-tools" }, area,
      h("button", { type: "button", class: "toggle", onclick: () => this.#choose(this.world.corners()) }, t("map.list")),
      iconButton("plus", t("map.zoom_in"), () => this.world.zoomBy(2)),
      iconButton("minus", t("map.zoom_out"), () => this.world.zoomBy(1 / 2)),
      h("button", { type: "button", class: "toggle", onclick: () => this.world.show() }, t("places.world")),
      h("p", { class: "map-note", role: "status" }, note));
  }

  #turn(button) {
    this.world.lassoing = !this.world.lassoing;
    this.world.holder.classList.toggle("lassoing", this.world.lassoing);
    button.setAttribute("aria-pressed", String(this.world.lassoing));
  }

  /** Request the clusters of the part that is shown. */
  async #fill() {
    this.filling?.abort();
    this.filling = new AbortController();
    const signal = AbortSignal.any([this.filling.signal, this.#abort.signal]);
    const { level, box } = this.#part();
    try {
      const { clusters } = await this.#request(level, box, signal);
      if (signal.aborted) return;
      this.world.put(clusters);
      this.problem.hidden = true;
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      this.problem.textContent = `${error.message} ${error.hint ?? ""}`;
      this.problem.hidden = false;
    }
  }

  /** The zoom and the box of what is shown, in whole cells, so that clusters stay as they are when it moves. */
  #part() {
    const [[left, top], , [right, bottom]] = this.world.corners();
    let level = Math.max(0, Math.round(this.world.level));
    const cells = () => CELLS_PER_TILE * 2 ** level;
    while (level > 0 && ((right - left) / 2) * ((top - bottom) / 2) * cells() ** 2 > MAX_CELLS_SHOWN) level -= 1;
    const side = 2 / cells();
    const down = (value) => Math.max(-1, Math.floor((value + 1) / side) * side - 1);
    const up = (value) => Math.min(1, Math.ceil((value + 1) / side) * side - 1);
    const low = toDegrees(down(left), down(bottom));
    const high = toDegrees(up(right), up(top));
    // The plane ends before the poles do.
    if (down(bottom) === -1) low[0] = -90;
    if (up(top) === 1) high[0] = 90;
    return { level, box: [...low, ...high].map((each) => each.toFixed(6)).join(",") };
  }

  /** Zoom in on a cluster, or show its pictures where that would not part them. */
  #open({ count, box, cover }) {
    if (count === 1) {
      this.actions.show(cover.id);
      return;
    }
    const [south, west, north, east] = edges(box);
    if (Math.max(north - south, east - west) < SAME_PLACE || this.world.zoom >= this.world.maxZoom * 0.99) {
      this.actions.box(box);
      return;
    }
    const before = this.world.zoom;
    this.world.holder.focus();
    this.world.show([south, west, north, east]);
    // A cluster that fills the view is parted by going further in.
    if (this.world.zoom < 2 * before) this.world.zoomBy((2 * before) / this.world.zoom);
  }

  #choose(corners) {
    const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
    const low = toDegrees(Math.min(...xs), Math.min(...ys));
    const high = toDegrees(Math.max(...xs), Math.max(...ys));
    this.actions.box([...low, ...high].map((each) => each.toFixed(5)).join(","));
  }
}
