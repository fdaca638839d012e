/** What stands where pictures would: first steps, nothing found, errors, signing in. */

import * as api from "./api.js";
import { byId, copyText, h, icon, toast } from "./dom.js";
import { hasTerms } from "./state.js";
import { activeFilters, noFilters } from "./terms.js";

/** A shell word, quoted only where it must be. */
const quoted = (word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

export class Notice {
  constructor(store, { retry, startIndexing }) {
    this.store = store;
    this.retry = retry;
    this.startIndexing = startIndexing;
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

  /** A library without pictures: what to type, exactly. */
  firstSteps(status) {
    const library = status.library ? ` --library ${quoted(String(status.library))}` : "";
    const command = (text) => h("div", { class: "command" }, h("code", {}, text),
      h("button", { type: "button", class: "plain", "aria-label": `Copy: ${text}`, onclick: async () => { await copyText(text); toast("Copied."); } }, icon("copy"), "Copy"));
    const roots = Array.isArray(status.roots) ? status.roots.length : status.roots;
    this.#show(
      "first", "No pictures yet",
      h("p", {}, "Tell imgsearch where your pictures are. It only reads them; nothing is moved, changed or sent anywhere. In a terminal:"),
      command(`imgsearch${library} index ~/Pictures`),
      h("p", {}, "Write your own folder in place of ~/Pictures. Most terminals write the path of a folder that is dropped on them."),
      h("p", {}, "They show up here while they are being read. Later the same command without a folder brings everything up to date:"),
      command(`imgsearch${library} index`),
      roots ? this.#ways(["Read the known folders now", this.startIndexing]) : null,
    );
  }

  /** Nothing fits: say why, and offer ways on. */
  nothing(state, answer) {
    const set = (patch) => () => this.store.set(patch);
    const filters = activeFilters(state);
    const asked = hasTerms(state);
    const weak = asked && !state.all && (answer.no_match ?? true) && state.mode !== "text";
    this.#show(
      "nothing", asked ? "No good match" : "No picture passes these filters",
      answer.note ? h("p", {}, answer.note) : null,
      asked ? h("p", {}, weak ? "Nothing here is likely enough to be what you mean. The nearest pictures can still be shown." : "Nothing matches all of this.") : null,
      this.#ways(
        weak ? ["Show the nearest all the same", set({ all: true, min_strength: "" })] : null,
        asked && filters.length ? ["Search without filters", set(noFilters)] : null,
        !asked && filters.length > 1 ? ["Clear all filters", set(noFilters)] : null,
        ...filters.slice(0, 4).map(({ words, without }) => [`Drop “${words}”`, set(without)]),
        state.mode === "text" ? ["Look into the pictures, too", set({ mode: "" })] : null,
        state.q && !state.mode ? ["Look in names and captions only", set({ mode: "text" })] : null,
        state.not.length ? ["Leave nothing out", set({ not: [] })] : null,
      ),
    );
  }

  missing() {
    this.#show("missing", "The picture of this search is not in this tab",
      h("p", {}, "A dropped picture is kept in the tab that it was dropped into, and sent nowhere else. Drop it here again."),
      this.#ways(["Show all pictures", () => this.store.set({ image: [] })]));
  }

  failed(error) {
    if (error.status === 401) this.#signIn(error);
    else this.#show("failed", error.status === 0 ? "No answer" : "That did not work", h("p", {}, error.message), error.hint ? h("p", {}, error.hint) : null, this.#ways(["Try again", this.retry]));
  }

  #signIn(error) {
    const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-label": "Token" });
    const says = h("p", { role: "alert" });
    const form = h("form", { class: "sign-in", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api.signIn(field.value.trim());
        this.retry();
      } catch (refused) {
        says.textContent = refused.status === 401 ? "That is not the token." : refused.message;
        field.select();
      }
    } }, field, h("button", { class: "way main-way" }, "Sign in"));
    this.#show("sign-in", "Sign in", h("p", {}, error.hint || "The token was printed when 'imgsearch serve' was started for the first time."), form, says);
    field.focus();
  }
}
