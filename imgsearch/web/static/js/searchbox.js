/** The search field, the picture button, and pictures dropped or pasted. */

import { byId, h, iconButton, toast } from "./dom.js";
import * as api from "./api.js";
import * as examples from "./examples.js";
import { added } from "./state.js";
import { Suggestions, remember } from "./suggestions.js";
import { t } from "./words.js";

/** Limits of the pause in typing before a search, which is half as long as the last search took. */
const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 150;

/** What may be a filter or an exclusion; the server knows which names are filters. */
const SYNTAX = /(?:^|\s)-?(?:(?<=-)[^\s-]|[a-z][a-z_-]*(?::|\s*[!<>=~]=?\s*)(?=\S))/iu;
/** The same at the end of the text, still being typed. */
const UNFINISHED = /(?:^|\s)(?:-\S*|-"[^"]*|-?[a-z][a-z_-]*(?::|\s*[!<>=~]=?\s*)(?:"[^"]*"?|\S*))$/iu;

/** The text without an unfinished filter or exclusion at its end. */
const finished = (text) => text.replace(UNFINISHED, "");
const hasOpenQuote = (text) => text.split('"').length % 2 === 0;
const tidy = (text) => text.replace(/\s+/g, " ").trim();

export class SearchBox {
  /** @param {() => number} lastSeconds  how long the server took for the last search */
  constructor(store, lastSeconds) {
    this.store = store;
    this.lastSeconds = lastSeconds;
    this.field = byId("q");
    this.form = byId("searchbox");
    this.chooser = h("input", { type: "file", accept: "image/*,.heic,.heif,.tif,.tiff,.dng,.nef,.cr2,.cr3,.arw", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true" });
    this.clearer = iconButton("close", t("search.clear"), () => this.#clear(), { class: "round clear", hidden: true });
    this.form.append(
      this.clearer, this.chooser,
      iconButton("picture", t("search.picture"), () => this.chooser.click()),
    );
    this.suggestions = new Suggestions(this.field, (suggestion) => this.#accept(suggestion));
    /** The words of the state that the field stands for. */
    this.q = "";
    this.#listen();
    this.show(store.state);
  }

  /** Show the state in the field, unless it stands for it already. */
  show(state) {
    if (this.q !== state.q) this.field.value = state.q;
    this.q = state.q;
    this.clearer.hidden = !this.field.value;
  }

  async add(files) {
    const pictures = [...files].filter((file) => !file.type || file.type.startsWith("image/"));
    if (!pictures.length) {
      toast(t("search.not_a_picture"));
      return;
    }
    const keys = await Promise.all(pictures.slice(0, 4).map(examples.keep));
    this.field.blur();
    this.store.set({ image: keys, q: "", and: [], not: [], like: [], unlike: [], good: [], bad: [] });
  }

  #typing = false;
  #timer = 0;

  #listen() {
    this.field.addEventListener("input", () => this.#input());
    this.field.addEventListener("change", () => this.#commit());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#commit();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" && !this.field.value) this.#dropLastTerm();
    });
    this.chooser.addEventListener("change", () => {
      this.add(this.chooser.files);
      this.chooser.value = "";
    });
    this.#dropping();
    addEventListener("paste", (event) => {
      if (event.clipboardData?.files.length) {
        event.preventDefault();
        this.add(event.clipboardData.files);
      }
    });
  }

  #input() {
    this.suggestions.type();
    this.#readLater();
  }

  #readLater() {
    const { value } = this.field;
    this.clearer.hidden = !value;
    clearTimeout(this.#timer);
    if (/\s$/.test(value) && SYNTAX.test(value) && !hasOpenQuote(value)) this.#read(value);
    else this.#timer = setTimeout(() => this.#read(finished(this.field.value)), this.#pause());
  }

  #pause() {
    return Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, this.lastSeconds() * 500));
  }

  /** Search for the words of the text; its filters and exclusions become chips. */
  #read(text, typing = true) {
    if (SYNTAX.test(text)) this.#readFilters(text, typing);
    else this.#search({ q: tidy(text) }, typing);
  }

  /** The first search while typing adds an entry to the history; later ones replace it. */
  #search(patch, typing) {
    this.q = patch.q;
    this.store.set(patch, { push: !this.#typing });
    this.#typing = typing;
  }

  /** Take filters and exclusions out of the field; what is typed meanwhile stays behind the text. */
  async #readFilters(text, typing) {
    let found;
    try {
      found = await api.readQuery(text);
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
      return;
    }
    const { value } = this.field;
    if (!value.startsWith(text)) {
      this.#readLater(); // an earlier answer, or the user, has changed the text
      return;
    }
    const faults = found.faults.map((each) => each.text).join(" ");
    this.#explain(faults, found.faults);
    const kept = [found.q, faults].filter(Boolean).join(" ");
    const space = kept && /\s$/.test(text) ? " " : "";
    if (kept !== tidy(text)) this.field.value = kept + space + (kept ? value.slice(text.length) : value.slice(text.length).trimStart());
    const { state } = this.store;
    this.#search({ q: found.q, not: [...new Set([...state.not, ...found.not])], ...added(state, found.filters) }, typing);
    this.clearer.hidden = !this.field.value;
  }

  /** Say once what is wrong with a filter; it stays in the field, and is not searched for. */
  #explain(texts, faults) {
    if (faults.length && texts !== this.explained) toast(`${faults[0].error}. ${faults[0].hint}`);
    this.explained = texts;
  }

  #commit() {
    clearTimeout(this.#timer);
    this.suggestions.close();
    remember(this.field.value);
    this.#read(this.field.value, false);
  }

  #accept({ kind, value, text }) {
    if (kind === "saved") {
      this.field.value = text;
      this.q = tidy(text);
      this.store.set({ saved: value, q: this.q });
      return;
    }
    this.field.value = text;
    if (kind === "filter") this.#input();
    else this.#commit();
  }

  #clear() {
    this.field.value = "";
    this.#commit();
    this.field.focus();
  }

  #dropLastTerm() {
    const { state } = this.store;
    for (const name of ["not", "and", "image"]) {
      if (state[name].length) {
        this.store.set({ [name]: state[name].slice(0, -1) });
        return;
      }
    }
  }

  #dropping() {
    const veil = byId("drop");
    let inside = 0;
    // A picture dragged out of the page is meant for another program.
    let own = false;
    addEventListener("dragstart", () => { own = true; });
    addEventListener("dragend", () => { own = false; });
    const holdsFile = (event) => !own && event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => {
      if (!holdsFile(event)) return;
      inside += 1;
      veil.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!holdsFile(event)) return;
      inside = Math.max(0, inside - 1);
      veil.hidden = inside === 0;
    });
    addEventListener("dragover", (event) => holdsFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      inside = 0;
      veil.hidden = true;
      this.add(event.dataTransfer.files);
    });
  }
}
