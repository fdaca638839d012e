/** Chooses a folder of the server to add to the library: one list at a time, down and up. */

import * as api from "./api.js";
import { h, icon } from "./dom.js";
import { lastPart, t } from "./words.js";

export class Chooser {
  /** @param {(path: string) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.path = h("p", { class: "chooser-path path", role: "status" });
    this.list = h("ul", { class: "chooser-list", "aria-label": t("folders") });
    this.count = h("span", { class: "tally" });
    this.adder = h("button", { type: "button", class: "way main-way", onclick: () => choose(this.current.path) }, t("chooser.add"));
    this.message = h("p", { class: "view-note", role: "alert" });
    this.element = h("div", { class: "chooser", hidden: true }, this.path, this.list, h("div", { class: "chooser-end" }, this.adder, this.count), this.message);
  }

  /** List a folder; "" for the top. A server that lets no folder be added hides the chooser. */
  async open(path = "") {
    try {
      this.#show(await api.folders(path));
    } catch (error) {
      if (this.current) this.message.textContent = `${error.message} ${error.hint}`;
      else this.element.hidden = true;
    }
  }

  #show(listing) {
    const moved = this.list.contains(document.activeElement);
    this.current = listing;
    const { path, parent, folders, pictures, complete } = listing;
    this.path.textContent = path || t("chooser.places");
    const entry = (name, words, to) => h("li", {}, h("button", { type: "button", class: "chooser-entry", onclick: () => this.open(to) }, icon(name), h("span", {}, words)));
    this.list.replaceChildren(
      ...(parent === null ? [] : [entry("up", t("chooser.up"), parent)]),
      ...folders.map((each) => entry("folder", path ? each.name : each.path, each.path)),
    );
    if (!this.list.childElementCount) this.list.append(h("li", { class: "view-note" }, t("chooser.empty")));
    this.adder.disabled = !path;
    this.adder.setAttribute("aria-label", path ? t("chooser.add_named", { name: lastPart(path) }) : t("care.add"));
    this.count.textContent = path ? t(complete ? "chooser.pictures" : "chooser.many_pictures", { count: pictures }) : "";
    this.message.textContent = "";
    this.element.hidden = false;
    this.list.scrollTop = 0;
    if (moved) this.list.querySelector("button")?.focus();
  }
}
