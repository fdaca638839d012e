/** The selected pictures and the actions on them. */

import { zip } from "./api.js";
import { byId, copyText, h, icon, iconButton, toast } from "./dom.js";
import { number, t } from "./words.js";

/** Pictures that the server packs into one file. */
const MAX_ZIP_PICTURES = 500;

export class Selection {
  /** @param {Object} actions  `markAll(ids, what)`, `similarTo(ids)`, `changed()` */
  constructor(actions) {
    this.actions = actions;
    this.hits = new Map();
    this.last = -1;
    this.place = byId("selection");
    this.message = h("p", { class: "selection-count", role: "status" });
    const button = (name, words, onclick) => h("button", { type: "button", class: "action", "aria-label": words, title: words, onclick }, icon(name), h("span", {}, words));
    this.place.append(
      iconButton("close", t("selection.clear"), () => this.clear()),
      this.message,
      button("copy", t("selection.copy"), () => this.#copy()),
      button("download", t("selection.download"), () => this.#download()),
      button("similar", t("selection.similar"), () => this.#apply((ids) => actions.similarTo(ids))),
      button("good", t("mark.good"), () => this.#apply((ids) => actions.markAll(ids, "good"))),
      button("bad", t("mark.bad"), () => this.#apply((ids) => actions.markAll(ids, "bad"))),
    );
  }

  get size() {
    return this.hits.size;
  }

  has(hit) {
    return this.hits.has(hit.id);
  }

  /** Select or deselect a picture of `hits`; with `range`, select all from the last one to it. */
  toggle(hits, index, { range = false } = {}) {
    if (range && this.last >= 0) {
      const [from, to] = [Math.min(this.last, index), Math.max(this.last, index)];
      for (const hit of hits.slice(from, to + 1)) this.hits.set(hit.id, hit);
    } else if (!this.hits.delete(hits[index].id)) {
      this.hits.set(hits[index].id, hits[index]);
    }
    this.last = index;
    this.#show();
  }

  all(hits) {
    for (const hit of hits) this.hits.set(hit.id, hit);
    this.#show();
  }

  clear() {
    const hadFocus = this.place.contains(document.activeElement);
    this.hits.clear();
    this.last = -1;
    this.#show();
    if (hadFocus) byId("results").focus({ preventScroll: true });
  }

  #show() {
    this.place.hidden = !this.size;
    document.body.classList.toggle("selecting", this.size > 0);
    // Phones have room for the number only.
    const digits = number(this.size);
    const words = t("selection.count", { count: this.size }).split(digits).map((each) => h("span", { class: "selection-word" }, each));
    this.message.replaceChildren(...(this.size ? [words[0], digits, words[1]] : []));
    this.actions.changed();
  }

  async #copy() {
    await copyText([...this.hits.values()].map((hit) => hit.path).join("\n"));
    toast(t("copy.paths_copied", { count: this.size }));
  }

  #download() {
    const ids = [...this.hits.keys()];
    if (ids.length > MAX_ZIP_PICTURES) {
      toast(t("selection.too_many", { max: MAX_ZIP_PICTURES }));
      return;
    }
    const link = h("a", { href: zip(ids), download: "pictures.zip" });
    document.body.append(link);
    link.click();
    link.remove();
  }

  #apply(action) {
    const ids = [...this.hits.keys()].map(String);
    this.clear();
    action(ids);
  }
}
