/** The search field, the picture button, and pictures dropped or pasted. */

import { byId, h, iconButton, toast } from "./dom.js";
import * as examples from "./examples.js";

/** Pause in typing after which the search runs. */
const TYPING_PAUSE_MS = 160;

/**
 * Split the text into words and exclusions: 'a dog -water -"red car"'.
 *
 * @returns {{text: string, not: string[]}}
 */
export function split(text) {
  const not = [];
  const rest = text.replace(/(^|\s)-(?:"([^"]+)"|([^\s"-][^\s"]*))(?=\s|$)/g, (_, before, quoted, word) => {
    not.push((quoted ?? word).trim());
    return before;
  });
  return { text: rest.replace(/\s+/g, " ").trim(), not };
}

/** The words to search for while typing, without an unfinished exclusion. */
const live = (text) => split(text).text.replace(/(^|\s)-(\S*|"[^"]*)$/, "").trim();

export class SearchBox {
  constructor(store) {
    this.store = store;
    this.field = byId("q");
    this.form = byId("searchbox");
    this.chooser = h("input", { type: "file", accept: "image/*,.heic,.heif,.tif,.tiff,.dng,.nef,.cr2,.cr3,.arw", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true" });
    this.clearer = iconButton("close", "Clear search", () => this.#clear(), { class: "round clear", hidden: true });
    this.form.append(
      this.clearer, this.chooser,
      iconButton("picture", "Search by picture: choose, drop or paste a file", () => this.chooser.click()),
    );
    this.#listen();
    this.show(store.state);
  }

  /** Show the state in the field, unless its words are already there. */
  show(state) {
    if (live(this.field.value) !== state.q) this.field.value = state.q;
    this.clearer.hidden = !this.field.value;
  }

  async add(files) {
    const pictures = [...files].filter((file) => !file.type || file.type.startsWith("image/"));
    if (!pictures.length) {
      toast("That is not a picture.");
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
    this.clearer.hidden = !this.field.value;
    clearTimeout(this.#timer);
    if (/\s$/.test(this.field.value) && split(this.field.value).not.length) this.#commit();
    else this.#timer = setTimeout(() => this.#search(), TYPING_PAUSE_MS);
  }

  /** The first search while typing adds an entry to the history; later ones replace it. */
  #search() {
    this.store.set({ q: live(this.field.value) }, { push: !this.#typing });
    this.#typing = true;
  }

  #commit() {
    clearTimeout(this.#timer);
    const { text, not } = split(this.field.value);
    const { state } = this.store;
    if (not.length) this.field.value = text;
    this.store.set({ q: text, not: [...new Set([...state.not, ...not])] }, { push: !this.#typing });
    this.#typing = false;
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
