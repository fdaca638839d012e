/** Groups of duplicates side by side, with the picture to keep. Nothing is deleted or moved. */

import * as api from "./api.js";
import { copyText, h, icon, iconButton, toast } from "./dom.js";
import { bytes, describe, longDate, number, ofCode, t } from "./words.js";

const LEVELS = [["exact", "duplicates.exact"], ["", "duplicates.copies"], ["shots", "duplicates.shots"]];
/** Copies of a group that are drawn before "more" is pressed. */
const MAX_SHOWN = 12;
/** Pause before a request that the server gave up is repeated: it goes on comparing. */
const RETRY_MS = 3000;

export class Duplicates {
  /**
   * @param {Object} actions  `open(id)`, `address(id)` the URL of a picture, `level(level)`,
   *   `leave()`, `changed()` after groups were added
   */
  constructor(actions) {
    this.actions = actions;
    this.groups = h("div", { class: "groups" });
    this.levels = h("div", { class: "segments", role: "group", "aria-label": t("duplicates.level") },
      LEVELS.map(([value, words]) => h("button", { type: "button", value, onclick: () => actions.level(value) }, t(words))));
    this.copier = h("button", { type: "button", class: "toggle", onclick: () => this.#copy(this.loaded) }, icon("copy"), t("duplicates.copy_all"));
    this.more = h("button", { type: "button", class: "way", hidden: true, onclick: () => this.#load() }, t("duplicates.more"));
    this.message = h("p", { class: "view-note", role: "status" });
    this.element = h("div", { class: "view duplicates" },
      h("div", { class: "view-head" }, h("h2", {}, t("duplicates.title")), iconButton("close", t("view.leave"), () => actions.leave()), this.levels, this.copier),
      h("p", { class: "view-note" }, t("duplicates.note")),
      this.message, this.groups, h("div", { class: "ways" }, this.more));
    this.#forget();
  }

  /** The pictures in the order of the page, for the arrows of the viewer. */
  get hits() {
    return this.loaded.flatMap(({ keep, duplicates }) => [keep, ...duplicates]);
  }

  /** What the line above the pictures says. */
  get summary() {
    if (!this.answered) return t("duplicates.comparing");
    if (!this.loaded.length) return t("duplicates.none");
    return t(this.cursor ? "duplicates.many_groups" : "duplicates.groups", { count: this.loaded.length });
  }

  /** Show the duplicates among the pictures that pass the filters of a state. */
  show(params, level) {
    for (const button of this.levels.children) button.setAttribute("aria-pressed", String(button.value === level));
    if (level) params.set("level", level);
    if (this.key === `${params}`) return;
    this.#forget();
    this.key = `${params}`;
    this.#load();
  }

  /** Forget the groups, so that they are requested again when they are shown. */
  stop() {
    this.abort?.abort();
    this.#forget();
  }

  #forget() {
    this.loaded = [];
    this.cursor = null;
    this.key = null;
    this.answered = false;
    this.groups.replaceChildren();
    this.more.hidden = true;
    this.copier.hidden = true;
    this.message.textContent = "";
  }

  async #load() {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const params = new URLSearchParams(this.key);
    if (this.cursor) params.set("cursor", this.cursor);
    this.more.hidden = true;
    if (!this.answered) this.message.textContent = t("duplicates.wait");
    this.actions.changed();
    try {
      const page = await api.duplicates(params, signal);
      if (!signal.aborted) this.#add(page);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === 503 && !this.answered) setTimeout(() => !signal.aborted && this.#load(), RETRY_MS);
      else this.#fail(error);
    }
    this.actions.changed();
  }

  #add({ groups, next, notes }) {
    this.answered = true;
    this.loaded.push(...groups);
    this.cursor = next;
    this.groups.append(...groups.map((group) => this.#group(group)));
    this.message.textContent = notes.join(" ");
    this.copier.hidden = !this.loaded.length;
    this.#offerMore(t("duplicates.more"));
    this.more.hidden = !next;
  }

  /** A list of a library that has changed meanwhile begins again. */
  #fail(error) {
    this.answered = true;
    this.message.textContent = `${error.message} ${error.hint}`;
    if (error.status === 410) this.#offerMore(t("duplicates.restart"), () => { const { key } = this; this.#forget(); this.key = key; this.#load(); });
    else this.#offerMore(t("again"));
    this.more.hidden = false;
  }

  #offerMore(words, act = () => this.#load()) {
    const button = h("button", { type: "button", class: "way", onclick: act }, words);
    this.more.replaceWith(button);
    this.more = button;
  }

  #group(group) {
    const { keep, duplicates, count, size_bytes: size } = group;
    const title = t("duplicates.count", { count, size: bytes(size) });
    const row = h("ul", { class: "copies-row" }, this.#copyOf(keep), duplicates.slice(0, MAX_SHOWN).map((each) => this.#copyOf(each)));
    const hidden = duplicates.slice(MAX_SHOWN);
    const rest = hidden.length ? h("button", { type: "button", class: "plain", onclick: () => { row.append(...hidden.map((each) => this.#copyOf(each))); rest.remove(); } }, t("more", { count: hidden.length })) : null;
    return h("section", { class: "group", "aria-label": t("labelled", { label: keep.name, value: title }) },
      h("header", { class: "group-head" }, h("h3", {}, title),
        h("button", { type: "button", class: "plain", "aria-label": t("duplicates.copy_of", { name: keep.name }), onclick: () => this.#copy([group]) }, icon("copy"), t("duplicates.copy"))),
      row, rest);
  }

  #copyOf(hit) {
    const kept = hit.match === "keep";
    const image = h("img", { src: hit.thumb, alt: "", loading: "lazy", decoding: "async", width: "256", height: "256" });
    image.addEventListener("error", () => image.replaceWith(h("span", { class: "copy-blank" }, icon("picture"))));
    const open = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.actions.open(hit.id);
    };
    return h("li", { class: kept ? "copy kept" : "copy" },
      h("a", { class: "copy-link", href: this.actions.address(hit.id), "aria-label": kept ? t("labelled", { label: t("duplicates.keep"), value: describe(hit) }) : describe(hit), data: { id: hit.id }, onclick: open }, image),
      h("p", { class: "copy-match" }, kept ? [icon("check"), t("duplicates.keep")] : ofCode("duplicate", hit.match)),
      h("p", { class: "copy-name", title: hit.path }, hit.name),
      h("p", { class: "copy-facts" }, `${number(hit.width)} × ${number(hit.height)}`),
      h("p", { class: "copy-facts" }, `${bytes(hit.size_bytes)} · ${hit.type}`),
      hit.taken ? h("p", { class: "copy-facts" }, longDate(hit.taken)) : null,
      h("p", { class: "copy-facts", title: hit.folder }, hit.folder.split("/").slice(-2).join("/")));
  }

  async #copy(groups) {
    const paths = groups.flatMap(({ duplicates }) => duplicates.map(({ path }) => path));
    await copyText(paths.join("\n"));
    toast(t("copy.paths_copied", { count: paths.length }));
  }
}
