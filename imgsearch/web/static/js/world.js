/** The map of the world: land, borders and clusters of pictures, in the Mercator projection of web maps. */

import { thumbnail } from "./api.js";
import { h } from "./dom.js";
import { Plane } from "./plane.js";
import { describe, number, t } from "./words.js";

/** The zoom of web maps that nothing is shown beyond: a pixel is then 30 cm. */
const MAX_LEVEL = 19;
/** The zoom at which a box without an extent is shown. */
const POINT_LEVEL = 14;
const TILE_SIDE = 256;
const CLUSTER_SIDE = 52;
const MAX_LATITUDE = 85.0511;
const EARTH_METRES = 40_075_017;
const BAR_PIXELS = 110;

/** Degrees to the plane, on which the world reaches from -1 to 1. */
export function toPlane(latitude, longitude) {
  const phi = (Math.max(-MAX_LATITUDE, Math.min(MAX_LATITUDE, latitude)) * Math.PI) / 180;
  return [longitude / 180, Math.asinh(Math.tan(phi)) / Math.PI];
}

/** Latitude and longitude of a place on the plane. */
export function toDegrees(x, y) {
  const inside = (value) => Math.max(-1, Math.min(1, value));
  return [(Math.atan(Math.sinh(inside(y) * Math.PI)) * 180) / Math.PI, inside(x) * 180];
}

/** Whether a step of longitude crosses the date line. */
const crosses = (before, after) => Math.abs(after[0] - before[0]) > 180;

/** The parts of a line between the date lines. */
function parts(line) {
  const starts = [0, ...line.keys()].filter((i) => i === 0 || crosses(line[i - 1], line[i]));
  return [...new Set(starts)].map((start, i, all) => line.slice(start, all[i + 1]));
}

/** A ring whose longitudes go on beyond 180 degrees, and its copy on the other side of the world. */
function unrolled(ring) {
  let turn = 0;
  const points = ring.map(([longitude, latitude], i) => {
    if (i && crosses(ring[i - 1], ring[i])) turn += longitude < ring[i - 1][0] ? 360 : -360;
    return [longitude + turn, latitude];
  });
  // One that goes all the way round has the pole inside.
  if (turn) points.push([points.at(-1)[0], -90], [points[0][0], -90]);
  const moved = (shift) => points.map(([longitude, latitude]) => [longitude + shift, latitude]);
  const [east, west] = [points.some(([x]) => x > 180), points.some(([x]) => x < -180)];
  return [points, ...(east ? [moved(-360)] : []), ...(west ? [moved(360)] : [])];
}

/** The arcs of the outline as lines on the plane, and its land as rings. */
export function unpack({ unit, arcs, land }) {
  const lines = arcs.map((steps) => {
    const line = [];
    let [longitude, latitude] = [0, 0];
    for (let i = 0; i < steps.length; i += 2) {
      longitude += steps[i];
      latitude += steps[i + 1];
      line.push([longitude * unit, latitude * unit]);
    }
    return line;
  });
  const rings = land.map((ring) => ring.flatMap((i) => (i < 0 ? lines[~i].toReversed() : lines[i])));
  const flat = (line) => line.map(([longitude, latitude]) => toPlane(latitude, longitude));
  return { lines: lines.flatMap(parts).map(flat), rings: rings.flatMap(unrolled).map(flat) };
}

export class World extends Plane {
  /**
   * @param {HTMLElement} holder  gets the canvases and clusters; focusable, with a size of its own
   * @param {Object} what
   * @param {Object} what.outline  of `unpack`
   * @param {?number[]} what.chosen  south, west, north and east of the box that is a filter
   * @param {function()} what.onrest  the part that is shown has changed, and rests
   * @param {function(Object)} what.oncluster  a cluster of the API was pressed
   * @param {function(number[][])} what.onlasso  corners of a box that was drawn
   */
  constructor(holder, what) {
    super(holder, { colours: [], regions: [], ...what });
    this.layer.removeAttribute("aria-hidden");
    this.clusters = new Map();
  }

  // There are no points to prepare, to find or to draw.
  index() {}
  prepare() {}
  at() {
    return null;
  }

  get maxZoom() {
    return this.zoomOf(MAX_LEVEL);
  }

  zoomOf(level) {
    return (TILE_SIDE * 2 ** level) / (2 * 0.46 * Math.min(this.width, this.height));
  }

  /** The zoom of web maps, with a fraction. */
  get level() {
    return Math.log2((2 * this.scale) / TILE_SIDE);
  }

  /** Show a box of south, west, north and east up to a zoom, or the whole world without one. */
  show(box = null, level = MAX_LEVEL) {
    [this.x, this.y, this.zoom] = [0, 0, 1];
    if (box) {
      const [west, south] = toPlane(box[0], box[1]);
      const [east, north] = toPlane(box[2], box[3]);
      [this.x, this.y] = [(west + east) / 2, (south + north) / 2];
      const extent = Math.max((east - west) / this.width, (north - south) / this.height);
      const fits = extent > 0 ? 0.75 / extent / (0.46 * Math.min(this.width, this.height)) : Infinity;
      const most = this.zoomOf(extent > 0 ? level : Math.min(level, POINT_LEVEL));
      this.zoom = Math.max(1, Math.min(fits, most, this.maxZoom));
    }
    this.draw();
  }

  /** Draw another box as the one that is a filter, or none. */
  choose(box) {
    this.chosen = box;
    this.draw();
  }

  // Drawing

  paint(count, resting = false) {
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.holder);
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    pen.save();
    pen.beginPath();
    pen.rect(...this.toScreen(-1, 1), 2 * this.scale, 2 * this.scale);
    pen.clip();
    pen.beginPath();
    for (const ring of this.outline.rings) {
      this.follow(pen, ring);
      pen.closePath();
    }
    pen.fillStyle = style.color;
    pen.globalAlpha = 0.1;
    pen.fill("evenodd");
    pen.beginPath();
    for (const line of this.outline.lines) this.follow(pen, line);
    pen.strokeStyle = style.color;
    pen.globalAlpha = 0.22;
    pen.lineWidth = 1;
    pen.stroke();
    pen.restore();
    this.paintBar(pen, style);
    this.paintOver();
    this.placePictures();
    if (resting) this.onrest();
  }

  follow(pen, line) {
    line.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
  }

  /** A bar of a round length, since the outline is too rough to judge distances by. */
  paintBar(pen, style) {
    const [latitude] = toDegrees(this.x, this.y);
    const metres = (EARTH_METRES * Math.cos((latitude * Math.PI) / 180)) / (2 * this.scale);
    const most = metres * BAR_PIXELS;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].find((each) => each * power <= most) * power;
    const [left, top] = [12, this.height - 12];
    pen.strokeStyle = style.color;
    pen.fillStyle = style.color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(left, top - 5);
    pen.lineTo(left, top);
    pen.lineTo(left + length / metres, top);
    pen.lineTo(left + length / metres, top - 5);
    pen.stroke();
    pen.font = `13px ${style.fontFamily}`;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillText(length < 1000 ? `${number(length)} m` : `${number(length / 1000)} km`, left + 5, top - 5);
  }

  paintOver() {
    super.paintOver();
    if (!this.chosen) return;
    const [west, south] = toPlane(this.chosen[0], this.chosen[1]);
    const [east, north] = toPlane(this.chosen[2], this.chosen[3]);
    const pen = this.over.getContext("2d");
    pen.strokeStyle = getComputedStyle(this.holder).color;
    pen.lineWidth = 1.5;
    this.trace(pen, [[west, south], [east, south], [east, north], [west, north]]);
    pen.stroke();
  }

  // Clusters

  /** Show these clusters of the API. */
  put(clusters) {
    const named = new Map(clusters.map((each) => [`${each.cover.id} ${each.count} ${each.box}`, each]));
    for (const [key, { button }] of this.clusters) {
      if (named.has(key)) continue;
      if (button.contains(document.activeElement)) this.holder.focus();
      button.remove();
      this.clusters.delete(key);
    }
    for (const [key, cluster] of named) {
      if (!this.clusters.has(key)) this.clusters.set(key, { cluster, button: this.button(cluster) });
    }
    // In the order of the answer, which is that of the Tab key.
    this.layer.append(...[...named.keys()].map((key) => this.clusters.get(key).button));
    this.placePictures();
  }

  button(cluster) {
    const { count, cover, place } = cluster;
    const label = count === 1 ? describe(cover) : t("pictures", { count });
    const image = h("img", { src: thumbnail(cover, 256), alt: "", draggable: "false", width: CLUSTER_SIDE, height: CLUSTER_SIDE });
    image.addEventListener("error", () => image.remove());
    // The holder has captured the pointer, and acts on its release; this is for keys and screen readers.
    const press = (event) => event.detail === 0 && this.oncluster(cluster);
    return h("button", { type: "button", class: "world-cluster", title: place, "aria-label": place ? `${label}, ${place}` : label, onclick: press },
      image, count === 1 ? null : h("span", { class: "world-count" }, number(count)));
  }

  placePictures() {
    for (const { cluster, button } of this.clusters?.values() ?? []) {
      const [left, top] = this.toScreen(...toPlane(cluster.latitude, cluster.longitude));
      button.style.transform = `translate(${left - CLUSTER_SIDE / 2}px, ${top - CLUSTER_SIDE / 2}px)`;
    }
  }

  // Pointer

  press(event) {
    super.press(event);
    if (event.button) return;
    const button = event.target.closest?.(".world-cluster");
    this.aimed = [...this.clusters.values()].find((each) => each.button === button)?.cluster;
    if (event.shiftKey && !this.path) this.path = [this.toMap(...this.pressed)];
  }

  drag(event) {
    if (!this.path || !this.pointers.has(event.pointerId)) {
      super.drag(event);
      return;
    }
    const [[left, top]] = this.path;
    const [right, bottom] = this.toMap(...this.spot(event));
    this.path = [[left, top], [right, top], [right, bottom], [left, bottom]];
    this.draw();
  }

  release(event) {
    const [left, top] = this.spot(event);
    const still = this.pointers.size === 1 && Math.hypot(left - this.pressed[0], top - this.pressed[1]) < 4;
    const aimed = still && event.type === "pointerup" ? this.aimed : null;
    if (still) this.path = null;
    super.release(event);
    if (aimed) this.oncluster(aimed);
  }
}
