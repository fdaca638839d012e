/** Chips for the additional terms of a search and its active filters. */

import { thumbnailOf } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { preview } from "./examples.js";
import { EMPTY, FILTERS, hasFilters, hasTerms } from "./state.js";
import { dayBefore, daysOf, endOf, lastPart, monthOf, number, ofCode, parseDate, shortDay, startOf, t } from "./words.js";

/** Pictures of a query with a chip each; more share one. */
const MAX_PICTURE_CHIPS = 4;

/** Labels of folders by path, as in the filter panel. */
let folderLabels = new Map();

/** Names of clusters by id, as on the tiles of the start. */
const clusterNames = new Map();
export function nameClusters(clusters) {
  for (const { id, name } of clusters) clusterNames.set(String(id), name);
}

/** A date range in its shortest form: "2017", "September 2017", "from 3 Sep 2017". */
export function period(after, before) {
  const from = startOf(after);
  const to = startOf(before);
  if (!from && !to) return after && before ? t("range", { from: after, to: before }) : after || before;
  if (from && to) {
    if (from.endsWith("-01-01") && endOf(from.slice(0, 4)) === to) return monthOf(parseDate(from.slice(0, 4)));
    if (from.endsWith("-01") && endOf(from.slice(0, 7)) === to) return monthOf(parseDate(from.slice(0, 7)));
    return daysOf(from, dayBefore(to));
  }
  return from ? t("period.from", { day: shortDay(from) }) : t("period.until", { day: shortDay(dayBefore(to)) });
}

const WORDS = {
  in: (value) => t("chip.in", { name: folderLabels.get(value) ?? lastPart(value) }),
  camera: (value) => value,
  type: (value) => value.toUpperCase(),
  orientation: (value) => ofCode("orientation", value),
  has: (value) => t("chip.has", { what: ofCode("has", value) }),
  person: (value) => t("chip.person", { name: value }),
  keyword: (value) => t("chip.keyword", { name: value }),
  place: (value) => t("chip.place", { name: value }),
  cluster: (value) => clusterNames.get(value) ?? t("chip.cluster", { name: value }),
  kind: (value) => ofCode("kind", value),
  rating: (value) => t("chip.rating", { stars: value }),
  near: (value) => {
    const [latitude, longitude, km] = value.split(",");
    return t("chip.near", { km: Number(km ?? 10), place: `${Number(latitude).toFixed(2)}, ${Number(longitude).toFixed(2)}` });
  },
  box: () => t("chip.box"),
  name: (value) => t("chip.name", { name: value }),
  min_size: (value) => t("chip.min_size", { size: value.replace("x", " × ") }),
  where: (value) => value,
  region: () => t("chip.region"),
};

/** The active filters, each with its label and the change that removes it. */
export function activeFilters(state) {
  const active = [];
  if (state.after || state.before) {
    active.push({ words: period(state.after, state.before), without: { after: "", before: "" } });
  }
  for (const name of FILTERS.filter((each) => each in WORDS)) {
    for (const value of [state[name]].flat().filter(Boolean)) {
      const without = Array.isArray(state[name]) ? state[name].filter((other) => other !== value) : "";
      active.push({ words: WORDS[name](value), title: value, without: { [name]: without } });
    }
  }
  return active;
}

export const noFilters = Object.fromEntries(FILTERS.map((name) => [name, EMPTY[name]]));

export class Terms {
  constructor(store) {
    this.store = store;
    this.place = byId("terms");
    this.show(store.state);
  }

  /** Label the chips of folders as the filter panel does. */
  label(labels) {
    folderLabels = labels;
    if (this.store.state.in.length) this.show(this.store.state);
  }

  show(state) {
    const focused = document.activeElement?.closest?.(".chip")?.dataset.key;
    const saved = state.saved ? [this.#chip("positive", state.saved, state.saved, { saved: "" }, [icon("album")])] : [];
    const chips = [...saved, ...this.#pictures(state), ...this.#texts(state), ...this.#filters(state)];
    const adders = hasTerms(state) ? [this.#adder("and", "plus"), this.#adder("not", "minus")] : [];
    const reset = chips.length > 1 ? [h("button", { type: "button", class: "plain", onclick: () => this.store.set({ ...EMPTY }) }, t("terms.clear"))] : [];
    this.place.replaceChildren(...chips, ...adders, ...reset);
    this.place.hidden = !this.place.childElementCount;
    if (focused) this.#refocus();
  }

  /** After the focused chip is removed, focus the first one, so that keyboard users keep their place. */
  #refocus() {
    (this.place.querySelector(".chip button") ?? byId("q")).focus();
  }

  #chip(kind, what, label, patch, extra = []) {
    return h(
      "span",
      { class: `chip ${kind}`, title: what, data: { key: label } },
      ...extra,
      what ? h("span", { class: "chip-text" }, label) : label,
      h("button", { type: "button", class: "chip-close", "aria-label": t("terms.remove", { term: label }), onclick: () => this.store.set(patch) }, icon("close")),
    );
  }

  #without(name, value) {
    return { [name]: this.store.state[name].filter((other) => other !== value) };
  }

  #texts(state) {
    const chip = (name, sign, other) => (text) => {
      const turn = h(
        "button",
        {
          type: "button", class: "chip-sign", title: t(name === "and" ? "terms.exclude.title" : "terms.include.title"),
          "aria-label": t(name === "and" ? "terms.exclude" : "terms.include", { text }),
          onclick: () => this.store.set({ ...this.#without(name, text), [other]: [...state[other], text] }),
        },
        icon(sign),
      );
      return this.#chip(name === "and" ? "positive" : "negative", text, name === "and" ? text : t("terms.without", { text }), this.#without(name, text), [turn]);
    };
    return [...state.and.map(chip("and", "plus", "not")), ...state.not.map(chip("not", "minus", "and"))];
  }

  #pictures(state) {
    const image = (source) => h("img", { class: "chip-picture", src: source, alt: "", width: "28", height: "28" });
    const thumb = (id) => image(thumbnailOf(id));
    const stored = (name, kind) => {
      const one = t(`terms.${name}`);
      const ids = state[name];
      if (ids.length <= MAX_PICTURE_CHIPS) return ids.map((id) => this.#chip(kind, one, one, this.#without(name, id), [thumb(id)]));
      const label = t(`terms.${name}.many`, { count: ids.length });
      return [this.#chip(kind, label, label, { [name]: [] }, [thumb(ids[0])])];
    };
    const dropped = (key) => {
      const source = preview(key);
      return this.#chip("positive", t("terms.picture.title"), t("terms.picture"), this.#without("image", key), [source ? image(source) : icon("picture")]);
    };
    return [
      ...state.image.map(dropped),
      ...stored("like", "positive"),
      ...stored("unlike", "negative"),
      ...stored("good", "positive"),
      ...stored("bad", "negative"),
    ];
  }

  #filters(state) {
    const filters = activeFilters(state).map(({ words, title, without }) => this.#chip("filter", title ?? words, words, without, [icon("filters")]));
    return filters.length > 1 && hasFilters(state) ? filters : filters;
  }

  #adder(name, sign) {
    const button = h("button", { type: "button", class: "chip adder", onclick: () => open() }, icon(sign), t(`adder.${name}`));
    const open = () => {
      const field = h("input", { class: "chip-field", type: "text", "aria-label": t(`adder.${name}.label`), placeholder: t(`adder.${name}.placeholder`), maxlength: "200" });
      const done = (keep) => {
        const text = field.value.trim();
        field.onblur = null;
        field.replaceWith(button);
        if (keep && text) this.store.set({ [name]: [...new Set([...this.store.state[name], text])] });
        this.place.querySelector(`.adder-${name}`)?.focus();
      };
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") done(true);
        if (event.key === "Escape") done(false);
      });
      field.onblur = () => done(true);
      button.replaceWith(field);
      field.focus();
    };
    button.classList.add(`adder-${name}`);
    return button;
  }
}
