/** Notices in place of pictures: first steps, no results, errors, sign-in. */

import * as api from "./api.js";
import { Chooser } from "./chooser.js";
import { byId, copyText, h, icon, toast } from "./dom.js";
import { EMPTY, hasTerms } from "./state.js";
import { activeFilters, noFilters } from "./terms.js";

/** Quote a word for the shell if necessary. */
const quote = (word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

export class Notice {
  constructor(store, { retry, startIndexing, addFolder }) {
    this.store = store;
    this.retry = retry;
    this.startIndexing = startIndexing;
    this.chooser = new Chooser(addFolder);
    this.place = byId("notice");
  }

  hide() {
    this.place.hidden = true;
    this.place.replaceChildren();
    this.kind = "";
  }

  #show(kind, title, ...content) {
    this.kind = kind;
    this.place.dataset.kind = kind;
    this.place.hidden = false;
    this.place.replaceChildren(h("h2", {}, title), ...content.filter(Boolean));
  }

  #ways(...ways) {
    return h("div", { class: "ways" }, ways.filter(Boolean).map(([words, act], at) => h("button", { type: "button", class: at ? "way" : "way main-way", onclick: act }, words)));
  }

  /** An empty library: a folder to choose, and the exact commands to type. */
  firstSteps(status) {
    const opened = this.kind === "first" && this.folders === status.roots;
    if (opened) return; // its list of folders stays where it is
    this.folders = status.roots;
    this.chooser.open();
    const library = status.library ? ` --library ${quote(String(status.library))}` : "";
    const command = (text) => h("div", { class: "command" }, h("code", {}, text),
      h("button", { type: "button", class: "plain", "aria-label": `Copy: ${text}`, onclick: async () => { await copyText(text); toast("Copied."); } }, icon("copy"), "Copy"));
    const roots = Array.isArray(status.roots) ? status.roots.length : status.roots;
    this.#show(
      "first", "No pictures yet",
      h("p", {}, "Choose a folder of pictures. imgsearch only reads them; nothing is moved, changed or sent anywhere."),
      this.chooser.element,
      h("p", {}, "Or, for any folder, in a terminal:"),
      command(`imgsearch${library} index ~/Pictures`),
      h("p", {}, "Replace ~/Pictures with your own folder. Most terminals insert the path of a folder that you drop on them."),
      h("p", {}, "Pictures appear here as they are indexed. Later, the same command without a folder brings the index up to date:"),
      command(`imgsearch${library} index`),
      roots ? this.#ways(["Index the known folders now", this.startIndexing]) : null,
    );
  }

  /** No results: say why, and offer alternatives. */
  nothing(state, answer) {
    const set = (patch) => () => this.store.set(patch);
    const filters = activeFilters(state);
    const searching = hasTerms(state);
    const weak = searching && !state.all && (answer.no_match ?? true) && state.mode !== "text";
    this.#show(
      "nothing", searching ? "No good match" : "No pictures match these filters",
      answer.note ? h("p", {}, answer.note) : null,
      searching ? h("p", {}, weak ? "No picture is a likely match. You can still see the closest ones." : "No picture matches all of these terms.") : null,
      this.#ways(
        weak ? ["Show the closest anyway", set({ all: true, min_strength: "" })] : null,
        searching && filters.length ? ["Search without filters", set(noFilters)] : null,
        !searching && filters.length > 1 ? ["Clear all filters", set(noFilters)] : null,
        ...filters.slice(0, 4).map(({ words, without }) => [`Remove “${words}”`, set(without)]),
        state.mode === "text" ? ["Also search picture content", set({ mode: "" })] : null,
        state.q && !state.mode ? ["Search names and captions only", set({ mode: "text" })] : null,
        state.not.length ? ["Remove all exclusions", set({ not: [] })] : null,
      ),
    );
  }

  missing(state) {
    const others = hasTerms({ ...state, image: [] });
    this.#show("missing", "This tab does not have the picture",
      h("p", {}, "A dropped picture is stored only in the tab where you dropped it. Drop it here again to repeat the search."),
      this.#ways([others ? "Search without it" : "Show all pictures", () => this.store.set({ image: [] })]));
  }

  failed(error) {
    if (error.status === 401) this.#signIn(error);
    else this.#show("failed", error.status === 0 ? "No response" : "Request failed", h("p", {}, error.message), error.hint ? h("p", {}, error.hint) : null, this.#ways(["Try again", this.retry], error.status === 400 ? ["Show all pictures", () => this.store.set({ ...EMPTY })] : null));
  }

  #signIn(error) {
    const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-label": "Token" });
    const message = h("p", { role: "alert" });
    const form = h("form", { class: "sign-in", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api.signIn(field.value.trim());
        this.retry();
      } catch (failure) {
        message.textContent = failure.status === 401 ? "That token is not valid." : failure.message;
        field.select();
      }
    } }, field, h("button", { class: "way main-way" }, "Sign in"));
    this.#show("sign-in", "Sign in", h("p", {}, error.hint || "'imgsearch serve' printed the token when it first started."), form, message);
    field.focus();
  }
}
