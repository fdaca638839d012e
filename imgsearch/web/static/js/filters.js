/** The filter panel: beside the pictures if there is room, otherwise a sheet over them. */

import { byId, h, icon, iconButton } from "./dom.js";
import * as api from "./api.js";
import { Folders } from "./folders.js";
import { Histogram } from "./histogram.js";
import { read, write } from "./look.js";
import { LISTS, filtersOf, hasFilters, hasWords } from "./state.js";
import { noFilters } from "./terms.js";
import { number, t } from "./words.js";

const BESIDE = matchMedia("(min-width: 1000px)");
/** Cameras and types shown before "more" is pressed. */
const MAX_CHOICES_SHOWN = 8;

/** Expressions as one; another text as it is. */
const joined = (value) => (Array.isArray(value) && value.length > 1 ? value.map((each) => `(${each})`).join(" and ") : String(value));

/** Countries and cities with the most pictures; a city that is a country is one of them. */
function placesOf(facets) {
  const all = [...(facets?.countries ?? []), ...(facets?.cities ?? [])].sort((one, other) => other.count - one.count);
  return all.filter(({ name }, i) => all.findIndex((each) => each.name.toLowerCase() === name.toLowerCase()) === i);
}

export class Filters {
  /**
   * @param {Object} actions  `scan()` the folders of the library for new pictures,
   *   `labelled(labels)` when the labels of folders by path are known
   */
  constructor(store, { scan, labelled }) {
    this.store = store;
    this.scan = scan;
    this.labelled = labelled;
    this.place = byId("filters");
    this.sheet = h("dialog", { class: "sheet", "aria-label": t("filters") });
    document.body.append(this.sheet);
    this.histogram = new Histogram((range) => store.set(range));
    this.folders = new Folders((paths) => store.set({ in: paths }));
    this.panel = this.#build();
    this.facets = null;
    this.expanded = read("filters", ["open", "closed"]) !== "closed";
    BESIDE.addEventListener("change", () => this.#arrange());
    this.sheet.addEventListener("click", (event) => event.target === this.sheet && this.sheet.close());
    this.#arrange();
  }

  get open() {
    return BESIDE.matches ? this.expanded : this.sheet.open;
  }

  toggle() {
    if (BESIDE.matches) {
      this.expanded = !this.expanded;
      write("filters", this.expanded ? "open" : "closed");
      this.#arrange();
    } else {
      this.sheet.showModal();
    }
    this.load(this.store.state);
  }

  /** Load the choices, unless the panel is hidden. */
  async load(state, { reload = false } = {}) {
    this.show(state);
    // The choices of a filter must not depend on that filter itself, or choosing one would hide all others.
    const [undated, rest] = [filtersOf(state, ["after", "before"]), filtersOf(state, ["in", "camera", "type", "place"])];
    const key = `${undated} ${rest}`;
    if (!this.open || (this.key === key && !reload)) return;
    this.key = key;
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const request = api.facets(rest, signal);
      const [facets, dates] = await Promise.all([request, `${undated}` === `${rest}` ? request : api.facets(undated, signal)]);
      this.facets = { ...facets, years: dates.years };
      if (signal.aborted) return;
      this.show(this.store.state);
      this.labelled(this.folders.labels);
    } catch {
      // The search itself reports errors; keep the current choices.
      if (signal.aborted) return;
      this.key = null;
      this.panel.classList.add("known");
    }
  }

  show(state) {
    const { facets } = this;
    // Stay hidden until the choices are known, so that nothing moves afterwards.
    this.panel.classList.toggle("known", facets !== null);
    this.histogram.show(state, facets?.years);
    this.folders.show(state.in, facets?.folders);
    this.#choices(this.cameras, "camera", facets?.cameras ?? [], state.camera, "radio");
    this.#choices(this.places, "place", placesOf(facets), state.place, "radio");
    this.#choices(this.types, "type", facets?.types ?? [], state.type, "checkbox");
    for (const button of this.shapes.querySelectorAll("button")) button.setAttribute("aria-pressed", String(state.orientation.includes(button.value)));
    for (const button of this.modes.querySelectorAll("button")) button.setAttribute("aria-pressed", String((state.mode || "hybrid") === button.value));
    this.modeSection.hidden = !hasWords(state);
    this.located.checked = state.has.includes("gps");
    this.locatedTally.textContent = facets ? number(facets.located) : "";
    this.#fields(state);
    this.resetter.hidden = !hasFilters(state);
    this.placeSection.hidden = facets !== null && !facets.located && !state.near && !state.has.length;
  }

  #arrange() {
    const beside = BESIDE.matches;
    if (this.sheet.open) this.sheet.close();
    (beside ? this.place : this.sheet).append(this.panel);
    this.place.hidden = !beside || !this.expanded;
    document.body.classList.toggle("with-filters", beside && this.expanded);
  }

  #build() {
    const section = (title, ...content) => h("section", { class: "facet" }, h("h2", {}, title), ...content);
    this.cameras = h("div", { class: "choices", role: "radiogroup", "aria-label": t("camera") });
    this.places = h("div", { class: "choices", role: "radiogroup", "aria-label": t("place") });
    this.types = h("div", { class: "choices", role: "group", "aria-label": t("filters.file_type") });
    this.shapes = this.#segments(t("filters.shape"), ["landscape", "portrait", "square"].map((value) => [value, t(`shape.${value}`)]), (value) => this.#toggle("orientation", value));
    this.modes = this.#segments(t("filters.mode.label"), ["hybrid", "semantic", "text"].map((value) => [value, t(`mode.${value}`)]), (value) => this.store.set({ mode: value === "hybrid" ? "" : value }));
    this.modeSection = section(t("filters.mode"), this.modes);
    this.resetter = h("button", { type: "button", class: "plain", onclick: () => this.store.set(noFilters) }, t("filters.clear"));
    this.placeSection = section(t("location"), ...this.#placeFields());
    return h(
      "div", { class: "panel" },
      h("header", { class: "panel-head" }, h("p", { class: "panel-title" }, t("filters")), this.resetter,
        iconButton("close", t("filters.close"), () => (this.sheet.open ? this.sheet.close() : this.toggle()))),
      this.modeSection,
      section(t("filters.date"), this.histogram.element),
      section(t("folder"), this.folders.element),
      section(t("camera"), this.cameras),
      section(t("place"), this.places),
      section(t("filters.shape"), this.shapes),
      section(t("filters.type"), this.types),
      this.placeSection,
      h("details", { class: "facet more-filters" }, h("summary", {}, t("details.more")), ...this.#textFields()),
      section(t("filters.library"), ...this.#libraryButtons()),
    );
  }

  #libraryButtons() {
    const button = (name, words, act) => h("button", { type: "button", class: "plain", onclick: () => { this.sheet.close(); act(); } }, icon(name), words);
    return [
      button("refresh", t("filters.scan"), () => this.scan()),
      button("folder", t("filters.care"), () => this.store.set({ show: "library" })),
      button("copy", t("filters.duplicates"), () => this.store.set({ show: "duplicates" })),
    ];
  }

  #segments(label, choices, choose) {
    return h("div", { class: "segments", role: "group", "aria-label": label },
      choices.map(([value, words]) => h("button", { type: "button", value, onclick: () => choose(value) }, words)));
  }

  #placeFields() {
    this.located = h("input", { type: "checkbox", onchange: () => this.#toggle("has", "gps") });
    this.locatedTally = h("span", { class: "tally" });
    const field = (label, name, limits) => h("label", { class: "date" }, h("span", {}, label), h("input", { type: "number", step: "any", inputmode: "decimal", data: { near: name }, ...limits, onchange: () => this.#near() }));
    this.nearFields = h("div", { class: "near" }, field(t("filters.latitude"), "latitude", { min: -90, max: 90 }), field(t("filters.longitude"), "longitude", { min: -180, max: 180 }), field(t("filters.km"), "km", { min: 0.1, max: 20000, placeholder: "10" }));
    return [h("label", { class: "choice" }, this.located, h("span", {}, t("filters.located")), this.locatedTally), this.nearFields];
  }

  #near() {
    const [latitude, longitude, km] = [...this.nearFields.querySelectorAll("input")].map((input) => input.value.trim());
    if (latitude && longitude) this.store.set({ near: [latitude, longitude, km].filter(Boolean).join(",") });
    else if (!latitude && !longitude) this.store.set({ near: "" });
  }

  #textFields() {
    const patch = (name, text) => ({ [name]: LISTS.includes(name) ? [text].filter(Boolean) : text });
    const field = (label, name, placeholder) => h("label", { class: "date" }, h("span", {}, label), h("input", { type: "text", spellcheck: "false", placeholder, data: { field: name }, onchange: (event) => this.store.set(patch(name, event.target.value.trim())) }));
    return [field(t("filters.name"), "name", "IMG_*"), field(t("filters.min_size"), "min_size", "1920x1080"), field(t("filters.where"), "where", "width > 4000 and not has gps")];
  }

  #fields(state) {
    const [latitude = "", longitude = "", km = ""] = state.near.split(",");
    const values = { latitude, longitude, km };
    for (const input of this.panel.querySelectorAll("[data-near]")) if (input !== document.activeElement) input.value = values[input.dataset.near];
    for (const input of this.panel.querySelectorAll("[data-field]")) if (input !== document.activeElement) input.value = joined(state[input.dataset.field]);
  }

  #toggle(name, value) {
    const values = this.store.state[name];
    this.store.set({ [name]: values.includes(value) ? values.filter((other) => other !== value) : [...values, value] });
  }

  /** Cameras are combined with "and", so only one can be selected; types with "or". */
  #choices(place, name, choices, selected, kind) {
    const missing = selected.filter((value) => !choices.some((each) => each.name.toLowerCase() === value.toLowerCase())).map((value) => ({ name: value, count: null }));
    const all = [...missing, ...choices];
    const focused = place.contains(document.activeElement) ? document.activeElement.value : null;
    const limit = place.dataset.all ? all.length : MAX_CHOICES_SHOWN;
    const isSelected = (value) => selected.some((each) => each.toLowerCase() === value.toLowerCase());
    place.replaceChildren(...all.slice(0, limit).map((each) => this.#choice(name, each, isSelected(each.name), kind)));
    if (all.length > limit) {
      place.append(h("button", { type: "button", class: "plain", onclick: () => { place.dataset.all = "1"; this.show(this.store.state); } }, t("more", { count: all.length - limit })));
    }
    if (kind === "radio" && selected.length) place.prepend(this.#choice(name, { name: "", count: null, label: t("filters.any") }, false, kind));
    place.parentElement?.toggleAttribute("hidden", !all.length);
    if (focused !== null) [...place.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
  }

  #choice(name, { name: value, count, label }, selected, kind) {
    const choose = () => (kind === "radio" ? this.store.set({ [name]: value ? [value] : [] }) : this.#toggle(name, value));
    const input = h("input", { type: kind, name: `facet-${name}`, value, onchange: choose });
    input.checked = selected;
    const words = label ?? (name === "type" ? value.toUpperCase() : value);
    return h("label", { class: "choice", title: value }, input, h("span", {}, words), count === null ? null : h("span", { class: "tally" }, number(count)));
  }
}
