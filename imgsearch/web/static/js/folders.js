/** The folders of the library as a tree of checkboxes; children are created when first opened. */

import { h, icon } from "./dom.js";
import { number, t, uniqueTails } from "./words.js";

/** Subfolders shown before "more folders" is pressed. */
const MAX_FOLDERS_SHOWN = 60;

export class Folders {
  /** @param {(paths: string[]) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.element = h("div", { class: "folders" });
    this.open = new Set();
    this.selected = [];
  }

  show(selected, folders) {
    const focused = document.activeElement?.dataset?.focusKey;
    this.selected = selected;
    if (folders) this.folders = folders;
    const roots = this.folders ?? [];
    if (roots.length === 1 && this.first !== roots[0].path) {
      this.first = roots[0].path;
      this.open.add(this.first);
    }
    this.element.replaceChildren(this.#list(roots));
    if (focused) this.element.querySelector(`[data-focus-key="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Labels of all folders by path, the same in the tree and on chips. */
  get labels() {
    const all = (folders) => folders.flatMap((folder) => [folder, ...all(folder.children ?? [])]);
    return uniqueTails(all(this.folders ?? []).map(({ path }) => path));
  }

  #list(folders, limit = MAX_FOLDERS_SHOWN) {
    const labels = uniqueTails(folders.map(({ path }) => path));
    const list = h("ul", { class: "tree" }, folders.slice(0, limit).map((folder) => this.#item(folder, labels.get(folder.path))));
    if (folders.length > limit) {
      const rest = h("button", { type: "button", class: "plain", onclick: () => list.replaceWith(this.#list(folders, limit * 10)) }, t("folders.more", { count: folders.length - limit }));
      list.append(h("li", {}, rest));
    }
    return list;
  }

  #item(folder, label) {
    const children = folder.children ?? [];
    const open = this.open.has(folder.path);
    const box = h("input", { type: "checkbox", data: { focusKey: `box ${folder.path}` }, onchange: () => this.#toggle(folder.path) });
    box.checked = this.selected.includes(folder.path);
    const item = h(
      "li", {},
      h("div", { class: "tree-row" },
        children.length ? this.#opener(folder, open) : h("span", { class: "tree-space" }),
        h("label", { title: folder.path }, box, h("span", { class: "tree-name" }, label), h("span", { class: "tally" }, number(folder.count)))),
    );
    if (open && children.length) item.append(this.#list(children));
    return item;
  }

  #opener(folder, open) {
    return h("button", {
      type: "button", class: "tree-opener", "aria-expanded": String(open), "aria-label": t("folders.in", { name: folder.name }), data: { focusKey: `open ${folder.path}` },
      onclick: () => {
        if (open) this.open.delete(folder.path);
        else this.open.add(folder.path);
        this.show(this.selected);
      },
    }, icon("right"));
  }

  #toggle(path) {
    const { selected } = this;
    this.choose(selected.includes(path) ? selected.filter((other) => other !== path) : [...selected, path]);
  }
}
