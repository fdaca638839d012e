/** The state of the page is its URL: the query, the filters and the open picture. */

import { endOf, startOf } from "./words.js";

export const LISTS = ["and", "not", "like", "unlike", "good", "bad", "image", "in", "camera", "type", "orientation", "has", "person", "keyword", "place", "cluster", "kind", "where"];
export const TEXTS = ["q", "after", "before", "near", "box", "rating", "name", "min_size", "mode", "min_strength", "sort", "saved", "region"];
export const FILTERS = ["after", "before", "in", "camera", "type", "orientation", "has", "person", "keyword", "place", "cluster", "kind", "near", "box", "rating", "name", "min_size", "where", "region"];
const FLAGS = ["all"];
/** Values of one parameter that the server takes. */
export const MAX_VALUES = 32;

/** The view in place of the pictures, such as "duplicates", and its choices. They are part of a query, but not sent
 * with a search. */
const SHOW = ["show", "level"];
/** The month that a list by date begins with, such as "2019-05": the place of the reader, and not a filter. */
const PLACE = ["at"];
/** Parameters of the display, which are not sent with a search. */
const VIEW = ["view"];

export const EMPTY = Object.freeze({
  ...Object.fromEntries(LISTS.map((name) => [name, Object.freeze([])])),
  ...Object.fromEntries(TEXTS.map((name) => [name, ""])),
  all: false,
  unique: true,
  ...Object.fromEntries([...SHOW, ...PLACE, ...VIEW].map((name) => [name, ""])),
});

/** Parse a query string such as "?q=dog&not=water". Unknown names are ignored. */
export function parse(search) {
  const params = new URLSearchParams(search);
  const state = { ...EMPTY };
  for (const name of LISTS) state[name] = params.getAll(name).filter(Boolean).slice(0, MAX_VALUES);
  for (const name of [...TEXTS, ...SHOW, ...PLACE, ...VIEW]) state[name] = params.get(name) ?? "";
  for (const name of FLAGS) state[name] = params.get(name) === "1";
  state.unique = params.get("unique") !== "0";
  return state;
}

/** The query string of a state; parse(format(state)) equals the state. */
export function format(state) {
  const params = new URLSearchParams();
  for (const name of ["q", ...LISTS, ...TEXTS.slice(1), ...SHOW, ...PLACE, ...VIEW]) {
    for (const value of [state[name]].flat()) if (value) params.append(name, value);
  }
  for (const name of FLAGS) if (state[name]) params.set(name, "1");
  if (!state.unique) params.set("unique", "0");
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** The state without the parameters of the display. */
export function query(state) {
  return { ...state, view: "" };
}

/** The parameters of the search API; example pictures are sent as files. */
export function parameters(state) {
  const params = new URLSearchParams(format(query(state)));
  for (const name of ["image", ...SHOW, ...PLACE]) params.delete(name);
  if (startOf(state.at)) {
    const [name, bound] = state.sort === "date" ? ["after", startOf(state.at)] : ["before", endOf(state.at.slice(0, 7))];
    const chosen = startOf(state[name]);
    if (!chosen || (name === "before" ? bound < chosen : bound > chosen)) params.set(name, bound);
  }
  if (state.unique) params.set("unique", "1");
  else params.delete("unique");
  return params;
}

/** Names of numbers, which identify pictures. */
const IDS = ["like", "unlike", "good", "bad"];

/** The same as an object: lists for what may occur several times, flags and numbers as such. */
export function searchObject(state) {
  const params = parameters({ ...state, at: "" });
  const listed = new Set([...LISTS, ...FILTERS].filter((name) => name !== "region"));
  const value = (name) => {
    if (IDS.includes(name)) return params.getAll(name).map(Number);
    if ([...FLAGS, "unique"].includes(name)) return true;
    return listed.has(name) ? params.getAll(name) : params.get(name);
  };
  return Object.fromEntries([...new Set(params.keys())].map((name) => [name, value(name)]));
}

/** What is searched for, without filters. */
const TERMS = ["q", "and", "not", "like", "unlike", "good", "bad", "image", "saved"];

export const hasTerms = (state) =>
  Boolean(state.q.trim()) || ["and", "not", "like", "unlike", "good", "bad", "image"].some((name) => state[name].length);

/** The filters of a state except the named ones. */
export function filtersOf(state, except = []) {
  const filters = new URLSearchParams();
  for (const [name, value] of parameters({ ...state, at: "" })) {
    if (FILTERS.includes(name) && !except.includes(name)) filters.append(name, value);
  }
  return filters;
}

/** The change that adds filters, by name with their values: a filter that takes one value takes the last. */
export function added(state, filters) {
  const value = (name, values) => (LISTS.includes(name) ? [...new Set([...state[name], ...values])].slice(0, MAX_VALUES) : values.at(-1));
  return Object.fromEntries(Object.entries(filters).filter(([name]) => FILTERS.includes(name)).map(([name, values]) => [name, value(name, values)]));
}

/** Whether something is searched for, by terms or by a saved search. */
export const isSearch = (state) => hasTerms(state) || Boolean(state.saved);

/** Whether the page shows what it begins with: nothing is searched for, filtered or ordered. */
export const isStart = (state) => !format({ ...query(state), unique: true });

/** The cluster whose pictures are listed, by id or name; "" if something else narrows the list. */
export const clusterOf = (state) => (state.cluster.length === 1 && isStart({ ...state, cluster: [], sort: "", at: "" }) ? state.cluster[0] : "");

export const hasFilters = (state) => FILTERS.some((name) => state[name].length > 0);

/** Whether the query contains words, so that the search mode matters. */
export const hasWords = (state) => Boolean(state.q.trim()) || state.and.length > 0;

export class Store {
  #state = parse(location.search);
  #listeners = [];

  constructor() {
    history.scrollRestoration = "manual";
    addEventListener("popstate", () => this.#become(parse(location.search), { back: true }));
  }

  get state() {
    return this.#state;
  }

  /** Call `listener(state, previous, {back})` after each change. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /**
   * Change part of the state. `push` adds an entry to the history; otherwise the current entry is
   * replaced, as for each letter typed.
   */
  set(patch, { push = true } = {}) {
    const next = { ...this.#state, ...patch };
    // Another list begins at its beginning.
    if (next.at && !("at" in patch) && Object.keys(patch).some((name) => name !== "view" && String(patch[name]) !== String(this.#state[name]))) next.at = "";
    // A new search shows pictures.
    if (next.show && !("show" in patch) && TERMS.some((name) => name in patch && String(patch[name]) !== String(this.#state[name]))) next.show = "";
    const address = location.pathname + format(next);
    if (format(next) === format(this.#state)) return;
    if (push) history.pushState({ pushed: true }, "", address);
    else history.replaceState(history.state, "", address);
    this.#become(next, { back: false });
  }

  #become(next, options) {
    const previous = this.#state;
    this.#state = next;
    for (const listener of this.#listeners) listener(next, previous, options);
  }
}
