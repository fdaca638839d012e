/** The panel of filters: beside the pictures where there is room, else a sheet over them. */

import { byId, h, icon, iconButton } from "./dom.js";
import * as api from "./api.js";
import { Folders } from "./folders.js";
import { Histogram } from "./histogram.js";
import { read, write } from "./look.js";
import { FILTERS, hasFilters, hasWords, parameters } from "./state.js";
import { noFilters } from "./terms.js";
import { cameraName, number } from "./words.js";

const BESIDE = matchMedia("(min-width: 1000px)");
/** Cameras and types shown until asked for more. */
const SHOWN = 8;

/**
 * The filters of a state but for some: what there is to choose from does not depend on what is
 * chosen, or the first choice would leave no other.
 */
function without(state, names) {
  const filters = new URLSearchParams();
  for (const [name, value] of parameters(state)) {
    if (FILTERS.includes(name) && !names.includes(name)) filters.append(name, value);
  }
  return filters;
}

export class Filters {
  /** @param {() => void} look  look for new pictures in the folders of the library */
  constructor(store, look) {
    this.store = store;
    this.look = look;
    this.place = byId("filters");
    this.sheet = h("dialog", { class: "sheet", "aria-label": "Filters" });
    document.body.append(this.sheet);
    this.histogram = new Histogram((range) => store.set(range));
    this.folders = new Folders((paths) => store.set({ in: paths }));
    this.panel = this.#build();
    this.facets = null;
    this.wanted = read("filters", ["open", "closed"]) !== "closed";
    BESIDE.addEventListener("change", () => this.#arrange());
    this.sheet.addEventListener("click", (event) => event.target === this.sheet && this.sheet.close());
    this.#arrange();
  }

  get open() {
    return BESIDE.matches ? this.wanted : this.sheet.open;
  }

  toggle() {
    if (BESIDE.matches) {
      this.wanted = !this.wanted;
      write("filters", this.wanted ? "open" : "closed");
      this.#arrange();
    } else {
      this.sheet.showModal();
    }
    this.load(this.store.state);
  }

  /** Ask what there is to choose from, unless nobody sees it. */
  async load(state, { again = false } = {}) {
    this.show(state);
    const [undated, rest] = [without(state, ["after", "before"]), without(state, ["in", "camera", "type"])];
    const key = `${undated} ${rest}`;
    if (!this.open || (this.key === key && !again)) return;
    this.key = key;
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const found = api.facets(rest, signal);
      const [facets, dates] = await Promise.all([found, `${undated}` === `${rest}` ? found : api.facets(undated, signal)]);
      this.facets = { ...facets, years: dates.years };
      if (!signal.aborted) this.show(this.store.state);
    } catch {
      // The search itself tells of errors; the choices that are there stay.
      if (signal.aborted) return;
      this.key = null;
      this.panel.classList.add("known");
    }
  }

  show(state) {
    const { facets } = this;
    // Shown when it is known what there is to choose from, so that nothing moves later.
    this.panel.classList.toggle("known", facets !== null);
    this.histogram.show(state, facets?.years);
    this.folders.show(state.in, facets?.folders);
    this.#choices(this.cameras, "camera", facets?.cameras ?? [], state.camera, "radio");
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
    this.place.hidden = !beside || !this.wanted;
    document.body.classList.toggle("with-filters", beside && this.wanted);
  }

  #build() {
    const section = (title, ...content) => h("section", { class: "facet" }, h("h2", {}, title), ...content);
    this.cameras = h("div", { class: "choices", role: "radiogroup", "aria-label": "Camera" });
    this.types = h("div", { class: "choices", role: "group", "aria-label": "Type of file" });
    this.shapes = this.#segments("Shape", [["landscape", "Wide"], ["portrait", "Tall"], ["square", "Square"]], (value) => this.#toggle("orientation", value));
    this.modes = this.#segments("Where to look", [["hybrid", "Both"], ["semantic", "Picture"], ["text", "Names"]], (value) => this.store.set({ mode: value === "hybrid" ? "" : value }));
    this.modeSection = section("Look for words in", this.modes);
    this.resetter = h("button", { type: "button", class: "plain", onclick: () => this.store.set(noFilters) }, "Clear filters");
    this.placeSection = section("Place", ...this.#placeFields());
    return h(
      "div", { class: "panel" },
      h("header", { class: "panel-head" }, h("p", { class: "panel-title" }, "Filters"), this.resetter,
        iconButton("close", "Close the filters", () => (this.sheet.open ? this.sheet.close() : this.toggle()))),
      this.modeSection,
      section("Date", this.histogram.element),
      section("Folder", this.folders.element),
      section("Camera", this.cameras),
      section("Shape", this.shapes),
      section("Type", this.types),
      this.placeSection,
      h("details", { class: "facet more-filters" }, h("summary", {}, "More"), ...this.#textFields()),
      h("section", { class: "facet" }, h("h2", {}, "Library"), h("button", { type: "button", class: "plain", onclick: () => { this.sheet.close(); this.look(); } }, icon("refresh"), "Look for new pictures")),
    );
  }

  #segments(label, choices, choose) {
    return h("div", { class: "segments", role: "group", "aria-label": label },
      choices.map(([value, words]) => h("button", { type: "button", value, onclick: () => choose(value) }, words)));
  }

  #placeFields() {
    this.located = h("input", { type: "checkbox", onchange: () => this.#toggle("has", "gps") });
    this.locatedTally = h("span", { class: "tally" });
    const field = (label, name, limits) => h("label", { class: "date" }, h("span", {}, label), h("input", { type: "number", step: "any", inputmode: "decimal", data: { near: name }, ...limits, onchange: () => this.#near() }));
    this.nearFields = h("div", { class: "near" }, field("Latitude", "latitude", { min: -90, max: 90 }), field("Longitude", "longitude", { min: -180, max: 180 }), field("Within km", "km", { min: 0.1, max: 20000, placeholder: "10" }));
    return [h("label", { class: "choice" }, this.located, h("span", {}, "Only with a place"), this.locatedTally), this.nearFields];
  }

  #near() {
    const [latitude, longitude, km] = [...this.nearFields.querySelectorAll("input")].map((input) => input.value.trim());
    if (latitude && longitude) this.store.set({ near: [latitude, longitude, km].filter(Boolean).join(",") });
    else if (!latitude && !longitude) this.store.set({ near: "" });
  }

  #textFields() {
    const field = (label, name, placeholder) => h("label", { class: "date" }, h("span", {}, label), h("input", { type: "text", spellcheck: "false", placeholder, data: { field: name }, onchange: (event) => this.store.set({ [name]: event.target.value.trim() }) }));
    return [field("File name", "name", "IMG_*"), field("At least (pixels)", "min_size", "1920x1080"), field("Expression", "where", "width > 4000 and not has gps")];
  }

  #fields(state) {
    const [latitude = "", longitude = "", km = ""] = state.near.split(",");
    const values = { latitude, longitude, km };
    for (const input of this.panel.querySelectorAll("[data-near]")) if (input !== document.activeElement) input.value = values[input.dataset.near];
    for (const input of this.panel.querySelectorAll("[data-field]")) if (input !== document.activeElement) input.value = state[input.dataset.field];
  }

  #toggle(name, value) {
    const values = this.store.state[name];
    this.store.set({ [name]: values.includes(value) ? values.filter((other) => other !== value) : [...values, value] });
  }

  /** Of several cameras all would have to hold, so one is chosen; of types any may. */
  #choices(place, name, known, chosen, kind) {
    const missing = chosen.filter((value) => !known.some((each) => each.name.toLowerCase() === value.toLowerCase())).map((value) => ({ name: value, count: null }));
    const all = [...missing, ...known];
    const focused = place.contains(document.activeElement) ? document.activeElement.value : null;
    const limit = place.dataset.all ? all.length : SHOWN;
    const isChosen = (value) => chosen.some((each) => each.toLowerCase() === value.toLowerCase());
    place.replaceChildren(...all.slice(0, limit).map((each) => this.#choice(name, each, isChosen(each.name), kind)));
    if (all.length > limit) {
      place.append(h("button", { type: "button", class: "plain", onclick: () => { place.dataset.all = "1"; this.show(this.store.state); } }, `${number(all.length - limit)} more`));
    }
    if (kind === "radio" && chosen.length) place.prepend(this.#choice(name, { name: "", count: null, label: "Any" }, false, kind));
    place.parentElement?.toggleAttribute("hidden", !all.length);
    if (focused !== null) [...place.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
  }

  #choice(name, { name: value, count, label }, chosen, kind) {
    const choose = () => (kind === "radio" ? this.store.set({ [name]: value ? [value] : [] }) : this.#toggle(name, value));
    const input = h("input", { type: kind, name: `facet-${name}`, value, onchange: choose });
    input.checked = chosen;
    const words = label ?? (name === "type" ? value.toUpperCase() : cameraName(value));
    return h("label", { class: "choice", title: value }, input, h("span", {}, words), count === null ? null : h("span", { class: "tally" }, number(count)));
  }
}
