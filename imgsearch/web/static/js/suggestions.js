/** A list below the search field: values of filters, saved searches, and earlier searches. */

import * as api from "./api.js";
import { byId, h } from "./dom.js";
import { number, ofCode, t } from "./words.js";

/** Pause in typing after which suggestions are requested: after the search, which would wait for them. */
const TYPING_PAUSE_MS = 160;
const MAX_EARLIER = 30;
const MAX_EARLIER_SHOWN = 5;
const STORAGE_KEY = "imgsearch.earlier";
const FORGET = { kind: "forget", value: t("suggestion.forget"), text: "" };

/** Earlier searches of this browser, the last one first. They are stored nowhere else. */
function earlier() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((each) => typeof each === "string") : [];
  } catch {
    return [];
  }
}

function store(texts) {
  try {
    if (texts.length) localStorage.setItem(STORAGE_KEY, JSON.stringify(texts.slice(0, MAX_EARLIER)));
    else localStorage.removeItem(STORAGE_KEY);
  } catch {
    // Storage is refused: earlier searches are not suggested.
  }
}

export function remember(text) {
  if (text.trim()) store([text.trim(), ...earlier().filter((each) => each !== text.trim())]);
}

export class Suggestions {
  /** @param {(suggestion: {kind: string, value: string, text: string}) => void} accept */
  constructor(field, accept) {
    this.field = field;
    this.accept = accept;
    this.shown = [];
    this.active = -1;
    this.list = h("ul", { id: "suggestions", class: "suggestions", role: "listbox", "aria-label": t("suggestions"), hidden: true });
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": "suggestions", "aria-expanded": "false" })) field.setAttribute(name, value);
    field.form.append(this.list);
    field.addEventListener("keydown", (event) => this.#key(event));
    field.addEventListener("focus", () => !field.value && this.type());
    field.addEventListener("blur", () => this.close());
    // A press must not take the focus from the field, which would close the list before the click.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("li");
      if (option) this.#take(Number(option.dataset.place));
    });
  }

  #timer = 0;

  /** Suggest for what is in the field now. */
  type() {
    clearTimeout(this.#timer);
    this.abort?.abort();
    const { value } = this.field;
    if (!value.trim()) {
      // The list would cover the chips of a search.
      this.#show(!value && byId("terms").hidden ? this.#earlier("") : []);
      return;
    }
    this.#timer = setTimeout(() => this.#request(value), TYPING_PAUSE_MS);
  }

  close() {
    clearTimeout(this.#timer);
    this.abort?.abort();
    this.#show([]);
  }

  #earlier(text) {
    const found = earlier().filter((each) => each !== text && each.toLowerCase().startsWith(text.toLowerCase()));
    const shown = found.slice(0, MAX_EARLIER_SHOWN).map((each) => ({ kind: "earlier", value: each, text: each }));
    return shown.length && !text ? [...shown, FORGET] : shown;
  }

  async #request(value) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    const before = this.#earlier(value);
    try {
      const { suggestions } = await api.suggest(value, signal);
      if (!signal.aborted && document.activeElement === this.field) this.#show([...suggestions, ...before]);
    } catch {
      // The search itself reports errors.
    }
  }

  #show(suggestions) {
    this.shown = suggestions;
    this.list.replaceChildren(...suggestions.map((each, place) => this.#option(each, place)));
    this.list.hidden = !suggestions.length;
    this.field.setAttribute("aria-expanded", String(suggestions.length > 0));
    this.#activate(-1);
  }

  #option({ kind, value, count }, place) {
    const words = kind === "forget" ? "" : ofCode("suggestion", kind);
    const text = kind === "filter" ? `${value}:` : value;
    return h("li", { id: `suggestion-${place}`, role: "option", "aria-selected": "false", data: { place } },
      h("span", { class: "suggestion-value", title: value }, text),
      h("span", { class: "suggestion-kind" }, count ? `${words} · ${number(count)}` : words));
  }

  #activate(place) {
    this.active = place;
    for (const option of this.list.children) option.setAttribute("aria-selected", String(Number(option.dataset.place) === place));
    if (place < 0) this.field.removeAttribute("aria-activedescendant");
    else {
      this.field.setAttribute("aria-activedescendant", `suggestion-${place}`);
      this.list.children[place].scrollIntoView({ block: "nearest" });
    }
  }

  #take(place) {
    const suggestion = this.shown[place];
    this.close();
    if (suggestion === FORGET) store([]);
    else this.accept(suggestion);
  }

  /** Arrows go through the list; below its end the focus moves on to the pictures. */
  #key(event) {
    if (this.list.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.shown.length - 1;
    const act = {
      ArrowDown: () => this.#activate(this.active + 1),
      ArrowUp: () => this.#activate(this.active < 0 ? last : this.active - 1),
      Enter: () => this.#take(this.active),
      Escape: () => this.close(),
    }[event.key];
    if (!act) return;
    if ((event.key === "ArrowDown" && this.active === last) || (event.key === "Enter" && this.active < 0)) {
      this.close();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}
