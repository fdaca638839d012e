/** The menu for the order of the pictures. */

import { h } from "./dom.js";
import { isSearch } from "./state.js";
import { t } from "./words.js";

const ORDERS = ["-date", "date", "name", "-name", "-size", "size"];

/** The order of a state in words; "" for the order by default. */
export const orderOf = (state) => (ORDERS.includes(state.sort) ? t(`ordered.${state.sort}`) : "");

export class SortMenu {
  constructor(store) {
    this.first = h("option", { value: "" });
    this.element = h("select", { class: "sort", "aria-label": t("order"), onchange: () => store.set({ sort: this.element.value }) },
      this.first, h("option", { value: "score" }, t("order.score")), ORDERS.map((value) => h("option", { value }, t(`order.${value}`))));
  }

  show(state) {
    const searching = isSearch(state);
    this.first.textContent = t(searching ? "order.best" : "order.-date");
    // Without a search no picture has a score, and the first entry already is the order by date.
    this.element.querySelector("[value=score]").hidden = !searching;
    this.element.querySelector("[value='-date']").hidden = !searching;
    this.element.value = state.sort;
  }
}
