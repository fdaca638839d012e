/** Notices in place of pictures: first steps, no results, errors, sign-in. */

import * as api from "./api.js";
import { Chooser } from "./chooser.js";
import { byId, copyText, h, icon, toast } from "./dom.js";
import { EMPTY, hasTerms } from "./state.js";
import { activeFilters, noFilters } from "./terms.js";
import { t } from "./words.js";

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
      h("button", { type: "button", class: "plain", "aria-label": t("copy.text", { text }), onclick: async () => { await copyText(text); toast(t("copy.copied")); } }, icon("copy"), t("copy")));
    const roots = Array.isArray(status.roots) ? status.roots.length : status.roots;
    this.#show(
      "first", t("first.title"),
      h("p", {}, t("first.choose")),
      this.chooser.element,
      h("p", {}, t("first.terminal")),
      command(`imgsearch${library} index ~/Pictures`),
      h("p", {}, t("first.folder", { folder: "~/Pictures" })),
      h("p", {}, t("first.later")),
      command(`imgsearch${library} index`),
      roots ? this.#ways([t("first.index"), this.startIndexing]) : null,
    );
  }

  /** No results: say why, and offer alternatives. */
  nothing(state, answer) {
    const set = (patch) => () => this.store.set(patch);
    const filters = activeFilters(state);
    const searching = hasTerms(state);
    const weak = searching && !state.all && (answer.no_match ?? true) && state.mode !== "text";
    this.#show(
      "nothing", t(searching ? "nothing.match" : "nothing.filtered"),
      answer.note ? h("p", {}, answer.note) : null,
      searching ? h("p", {}, t(weak ? "nothing.weak" : "nothing.all_terms")) : null,
      this.#ways(
        weak ? [t("nothing.closest"), set({ all: true, min_strength: "" })] : null,
        searching && filters.length ? [t("nothing.without_filters"), set(noFilters)] : null,
        !searching && filters.length > 1 ? [t("nothing.clear_filters"), set(noFilters)] : null,
        ...filters.slice(0, 4).map(({ words, without }) => [t("nothing.remove", { filter: words }), set(without)]),
        state.mode === "text" ? [t("nothing.content"), set({ mode: "" })] : null,
        state.q && !state.mode ? [t("nothing.names"), set({ mode: "text" })] : null,
        state.not.length ? [t("nothing.exclusions"), set({ not: [] })] : null,
      ),
    );
  }

  missing(state) {
    const others = hasTerms({ ...state, image: [] });
    this.#show("missing", t("missing.title"),
      h("p", {}, t("missing.why")),
      this.#ways([t(others ? "missing.without" : "show_all"), () => this.store.set({ image: [] })]));
  }

  failed(error) {
    if (error.status === 401) this.#signIn(error);
    else this.#show("failed", t(error.status === 0 ? "error.silent.title" : "error.title"), h("p", {}, error.message), error.hint ? h("p", {}, error.hint) : null, this.#ways([t("again"), this.retry], error.status === 400 ? [t("show_all"), () => this.store.set({ ...EMPTY })] : null));
  }

  #signIn(error) {
    const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-label": t("sign_in.token") });
    const message = h("p", { role: "alert" });
    const form = h("form", { class: "sign-in", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await api.signIn(field.value.trim());
        this.retry();
      } catch (failure) {
        message.textContent = failure.status === 401 ? t("sign_in.wrong") : failure.message;
        field.select();
      }
    } }, field, h("button", { class: "way main-way" }, t("sign_in")));
    this.#show("sign-in", t("sign_in"), h("p", {}, error.hint), form, message);
    field.focus();
  }
}
