/** The menu for the order of the pictures. */

import { h } from "./dom.js";
import { isSearch } from "./state.js";

const ORDERS = [
  ["-date", "Newest first"],
  ["date", "Oldest first"],
  ["name", "Name, A to Z"],
  ["-name", "Name, Z to A"],
  ["-size", "Largest first"],
  ["size", "Smallest first"],
];

/** The order of a state in words; "" for the order by default. */
export const orderOf = (state) => ORDERS.find(([value]) => value === state.sort)?.[1].toLowerCase() ?? "";

export class SortMenu {
  constructor(store) {
    this.first = h("option", { value: "" });
    this.element = h("select", { class: "sort", "aria-label": "Order", onchange: () => store.set({ sort: this.element.value }) },
      this.first, h("option", { value: "score" }, "Score"), ORDERS.map(([value, words]) => h("option", { value }, words)));
  }

  show(state) {
    const searching = isSearch(state);
    this.first.textContent = searching ? "Best first" : "Newest first";
    // Without a search no picture has a score, and the first entry already is the order by date.
    this.element.querySelector("[value=score]").hidden = !searching;
    this.element.querySelector("[value='-date']").hidden = !searching;
    this.element.value = state.sort;
  }
}
