/** What the page begins with: shelves of periods, clusters, saved searches and recent pictures. Above the pictures of
 * a cluster there is one, with its parts. */

import * as api from "./api.js";
import { askName, confirmed } from "./ask.js";
import { byId, h, icon, iconButton, toast } from "./dom.js";
import { clusterOf, isStart } from "./state.js";
import { nameClusters } from "./terms.js";
import { describe, endOf, lastPart, number, parseDate, shortMonthOf, t } from "./words.js";

const CLUSTERS_COMMAND = "imgsearch clusters";
/** Covers of saved searches that are requested at the same time: each is a search. */
const MAX_COVERS_AT_ONCE = 2;

function today() {
  const now = new Date();
  return [now.getMonth() + 1, now.getDate()].map((each) => String(each).padStart(2, "0")).join("-");
}

/** A link that changes the page without loading it again. */
function link({ act, ...props }, ...children) {
  const open = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    act();
  };
  return h("a", { ...props, onclick: open }, ...children);
}

/** A tile: a picture with a name and a second line, which is a link with a purpose of its own. */
function tile({ label, below = "", thumb = null, act, href, current = false }) {
  const image = thumb ? h("img", { src: thumb, alt: "", loading: "lazy", decoding: "async", width: "256", height: "256" }) : h("span", { class: "shelf-blank" }, icon("picture"));
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "shelf-blank" }, icon("picture"))));
  const words = [h("span", { class: "shelf-label" }, label), below ? h("span", { class: "shelf-below" }, below) : null];
  return h("li", { class: "shelf-item" }, link({ class: "shelf-tile", href, act, "aria-current": current && "true" }, image, words));
}

export class Shelves {
  /**
   * @param {Object} actions  `filter(patch)`, `show(id)`, `address(patch)` the URL of a patch, `named()` clusters have
   *   got names
   */
  constructor(actions) {
    this.actions = actions;
    this.place = byId("start");
    this.answer = null;
    this.clusters = [];
  }

  /** Request the shelves; they are drawn when the start is shown. */
  load() {
    this.loadingClusters = null;
    this.loading = api.start(today()).then((answer) => {
      this.answer = answer;
      nameClusters(answer.clusters.clusters);
    }).catch(() => {
      // The list of pictures reports errors, and does without shelves.
      this.answer = null;
    });
    return this.loading;
  }

  /** Request the clusters of both levels, which are kept until the library changes. */
  async #loadClusters() {
    try {
      this.clusters = (await api.clusters()).clusters;
      nameClusters(this.clusters);
      this.actions.named();
    } catch {
      // The list of pictures reports errors, and does without the parts.
      this.clusters = [];
      this.loadingClusters = null;
    }
  }

  /** Show the shelves of a state: those of the start, or the parts of a cluster; null for none. */
  async show(state) {
    this.wanted = state;
    const starts = Boolean(state && isStart(state));
    const cluster = state ? clusterOf(state) : "";
    if (starts) await (this.loading ?? this.load());
    if (cluster) await (this.loadingClusters ??= this.#loadClusters());
    if (this.wanted !== state) return;
    this.covers?.abort();
    const shelves = starts && this.answer ? this.#shelves(this.answer) : cluster ? this.#parts(cluster) : [];
    this.place.hidden = !shelves.length;
    this.place.replaceChildren(...shelves);
    this.#followFocus();
    if (starts && this.answer) this.#fillCovers();
  }

  /** Focus the tile of a cluster that was opened or left, because the pressed link may no longer be there. */
  #followFocus() {
    const current = this.place.querySelector(".shelf-tile[aria-current]");
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (this.left) this.place.querySelector(`[data-cluster="${this.left}"] a`)?.focus();
    else if (this.opened) (current ?? this.place.querySelector(".crumb[aria-current]"))?.focus();
    this.left = this.opened = null;
  }

  #shelves({ recent, on_this_day: anniversaries, years, months, places, clusters, saved }) {
    return [
      this.#shelf(t("shelves.saved"), saved.map((each) => this.#saved(each)), "saved"),
      this.#shelf(t("shelves.day"), anniversaries.map((each) => this.#picture(each, String(parseDate(each.taken)?.year ?? ""))), "day"),
      this.#shelf(t("shelves.years"), years.map((each) => this.#period(each)), "years"),
      this.#shelf(t("page.months"), months.length > years.length ? months.map((each) => this.#period(each)) : [], "months"),
      this.#shelf(t("places"), places.map((each) => this.#place(each)), "places"),
      this.#clusters(clusters),
      this.#shelf(t("shelves.recent"), recent.map((each) => this.#picture(each, each.name)), "recent"),
    ].filter(Boolean);
  }

  #shelf(title, tiles, kind, heading = title) {
    if (!tiles.length) return null;
    return h("section", { class: "shelf", data: { kind }, "aria-label": title }, h("h2", {}, heading), h("ul", { class: "shelf-row", tabindex: "0", "aria-label": title }, tiles));
  }

  #clusters({ made, clusters }) {
    if (made) return this.#shelf(t("shelves.groups"), clusters.map((each) => this.#cluster(each)), "clusters");
    return h("section", { class: "shelf", data: { kind: "clusters" }, "aria-label": t("shelves.groups") }, h("h2", {}, t("shelves.groups")),
      h("p", { class: "shelf-hint" }, t("shelves.groups.hint"), " ", h("code", {}, CLUSTERS_COMMAND)));
  }

  #patched(patch, rest) {
    return tile({ ...rest, href: this.actions.address(patch), act: () => this.actions.filter(patch) });
  }

  #period({ year, month, count, thumb }) {
    const start = month ? `${year}-${String(month).padStart(2, "0")}` : String(year);
    const label = shortMonthOf({ year, month: month ? month - 1 : null });
    return this.#patched({ after: start, before: endOf(start).slice(0, start.length) }, { label, below: number(count), thumb });
  }

  #cluster({ id, name, count, thumb }, current = false) {
    const item = tile({ ...this.#toCluster(id), label: name, below: number(count), thumb, current });
    item.dataset.cluster = id;
    return item;
  }

  /** Address and action of a link to the pictures of a cluster. */
  #toCluster(id) {
    const patch = { cluster: [String(id)] };
    const act = () => {
      this.opened = id;
      this.actions.filter(patch);
    };
    return { href: this.actions.address(patch), act };
  }

  /** The parts of a broad cluster, one of which may be chosen, below the way back. One that is not divided is its only
   * part. */
  #parts(chosen) {
    const found = this.clusters.find(({ id, name }) => String(id) === chosen || name === chosen);
    if (!found) return [];
    const broad = this.clusters.find(({ id }) => id === found.parent) ?? found;
    const divided = this.clusters.filter(({ parent }) => parent === broad.id);
    const parts = divided.length ? divided : [broad];
    const leave = () => {
      this.left = broad.id;
      this.actions.filter({ cluster: [], sort: "", at: "" });
    };
    const path = [
      link({ class: "crumb", href: this.actions.address({}), act: leave }, t("shelves.groups")),
      ...(found === broad ? [broad] : [broad, found]).flatMap((each) => [
        h("span", { "aria-hidden": "true" }, " › "),
        link({ class: "crumb", ...this.#toCluster(each.id), "aria-current": each === found && "page" }, each.name),
      ]),
    ];
    return [this.#shelf(t("shelves.parts", { name: broad.name }), parts.map((each) => this.#cluster(each, each === found)), "parts", path)];
  }

  #place({ name, count, thumb }) {
    return this.#patched({ place: [name] }, { label: name, below: number(count), thumb });
  }

  #picture(hit, label) {
    const item = tile({ label, thumb: hit.thumb, href: this.actions.address({ view: String(hit.id) }), act: () => this.actions.show(hit.id) });
    item.firstChild.setAttribute("aria-label", describe(hit));
    return item;
  }

  #saved(each) {
    const gone = each.missing.length ? t("shelves.gone", { name: lastPart(each.missing[0]) }) : "";
    const item = this.#patched({ saved: each.name }, { label: each.name, below: gone || "\u00a0" });
    item.firstChild.title = each.text;
    item.dataset.saved = each.name;
    item.append(h("span", { class: "shelf-acts" },
      iconButton("edit", t("saved.rename", { name: each.name }), () => this.#rename(each)),
      iconButton("remove", t("saved.delete", { name: each.name }), () => this.#remove(each))));
    return item;
  }

  /** Fill in cover and count of each saved search, some at a time: what it finds now. */
  async #fillCovers() {
    this.covers = new AbortController();
    const { signal } = this.covers;
    const waiting = this.answer.saved.filter((each) => !each.missing.length);
    const work = async () => {
      for (let each = waiting.shift(); each && !signal.aborted; each = waiting.shift()) await this.#fillCover(each, signal);
    };
    await Promise.all(Array.from({ length: MAX_COVERS_AT_ONCE }, work));
  }

  async #fillCover(each, signal) {
    try {
      const { hits, total } = await api.cover(each.name, signal);
      const link = this.place.querySelector(`[data-saved="${CSS.escape(each.name)}"] a`);
      if (!link || signal.aborted) return;
      link.querySelector(".shelf-below").textContent = total === null ? t("shelves.many") : t("pictures", { count: total });
      if (hits.length) link.firstChild.replaceWith(h("img", { src: hits[0].thumb, alt: "", decoding: "async", width: "256", height: "256" }));
    } catch {
      // The tile opens the search, which says what is wrong.
    }
  }

  async reload() {
    await this.load();
    if (this.wanted) await this.show(this.wanted);
  }

  async #rename({ id, name }) {
    const wanted = await askName(t("saved.rename.title"), name);
    if (wanted) await this.#change(() => api.renameSaved(id, wanted), t("saved.renamed"));
  }

  async #remove({ id, name }) {
    if (await confirmed(t("saved.delete.title", { name }), t("saved.delete.note"), t("saved.delete.button"))) await this.#change(() => api.removeSaved(id), t("saved.deleted"));
  }

  async #change(change, done) {
    try {
      await change();
      toast(done);
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
    }
    await this.reload();
    (this.place.querySelector("[data-kind=saved] a") ?? byId("results")).focus();
  }
}

/** Save the search of the page under a name that the user types. */
export async function saveSearch(state, search) {
  if (state.image.length) {
    toast(t("saved.dropped"));
    return false;
  }
  const name = await askName(t("saved.save"), state.saved);
  if (!name) return false;
  return saveAs(name, search, false);
}

/** Save a search; ask before another one of that name is replaced. */
async function saveAs(name, search, replace) {
  try {
    await api.save(name, search, replace);
  } catch (error) {
    if (error.status === 409 && !replace) {
      return (await confirmed(t("saved.replace.title", { name }), error.message, t("saved.replace.button"))) && saveAs(name, search, true);
    }
    toast(`${error.message} ${error.hint}`);
    return false;
  }
  toast(t("saved.done", { name }));
  return true;
}
