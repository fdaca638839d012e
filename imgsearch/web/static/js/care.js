/** The care of the library: its folders, what they leave out, its models, and the files that could not be indexed. */

import * as api from "./api.js";
import { askLines, confirmed } from "./ask.js";
import { Chooser } from "./chooser.js";
import { copyText, h, icon, iconButton, toast } from "./dom.js";
import { Models } from "./models.js";
import { lastPart, list, longDate, t } from "./words.js";

const FILES_PER_PAGE = 100;
const KINDS = ["skipped", "partial"];
const OCR_MODES = ["off", "auto", "on"];

export class Care {
  /** @param {Object} actions  `leave()`, `changed()` after the summary has changed, `indexed()` after a run was started, `filter(patch)` */
  constructor(actions) {
    this.actions = actions;
    this.hits = [];
    this.roots = h("ul", { class: "roots" });
    this.chooser = new Chooser((path) => this.#run(() => api.addRoot(path), t("indexing.started")));
    this.adder = h("button", { type: "button", class: "toggle", "aria-expanded": "false", onclick: () => this.#toggleChooser() }, icon("plus"), t("care.add"));
    this.kinds = h("div", { class: "segments", role: "group", "aria-label": t("skipped.which") },
      KINDS.map((value) => h("button", { type: "button", value, onclick: () => this.#files(value) }, t(`skipped.${value}`))));
    this.ocr = h("div", { class: "segments", role: "group", "aria-label": t("ocr.label") },
      OCR_MODES.map((value) => h("button", { type: "button", value, onclick: () => this.#readTexts(value) }, t(`ocr.${value}`))));
    this.ocrNote = h("p", { class: "view-note", role: "status" });
    this.models = new Models({ started: () => actions.indexed() });
    this.files = h("ul", { class: "skipped" });
    this.filesNote = h("p", { class: "view-note", role: "status" });
    this.more = h("button", { type: "button", class: "way", hidden: true, onclick: () => this.#moreFiles() }, t("skipped.more"));
    this.element = h("div", { class: "view care" },
      h("div", { class: "view-head" }, h("h2", {}, t("folders")), iconButton("close", t("view.leave"), () => actions.leave()), this.adder),
      h("p", { class: "view-note" }, t("care.note")),
      this.chooser.element, this.roots,
      h("div", { class: "view-head view-part" }, h("h2", {}, t("ocr.title")), this.ocr), this.ocrNote,
      this.models.element,
      h("div", { class: "view-head view-part" }, h("h2", {}, t("skipped.title")), this.kinds),
      this.filesNote, this.files, h("div", { class: "ways" }, this.more));
    this.summary = t("care.title");
  }

  show() {
    this.#loadRoots();
    this.models.load();
    this.#files("skipped");
  }

  /** Everything is requested again when it is shown. */
  stop() {}

  async #toggleChooser() {
    const closed = this.chooser.element.hidden;
    this.adder.setAttribute("aria-expanded", String(closed));
    if (!closed) this.chooser.element.hidden = true;
    else {
      await this.chooser.open();
      if (this.chooser.element.hidden) toast(t("care.no_adding"));
    }
  }

  async #loadRoots() {
    try {
      const [{ roots }, { ocr, texts, images }] = await Promise.all([api.roots(), api.status()]);
      this.#texts(ocr, texts, images);
      this.roots.replaceChildren(...roots.map((root) => this.#root(root)));
      this.summary = list([t("folders.count", { count: roots.length }), t("pictures", { count: roots.reduce((sum, { images }) => sum + images, 0) })]);
    } catch (error) {
      this.summary = `${error.message} ${error.hint}`;
    }
    this.actions.changed();
  }

  /** The run that was started stores the mode; until then the summary has the one before. */
  async #readTexts(mode) {
    if (await this.#run(() => api.readTexts(mode), t("indexing.started"))) this.#press(mode);
  }

  #press(mode) {
    for (const button of this.ocr.children) button.setAttribute("aria-pressed", String(button.value === mode));
  }

  #texts(mode, { read = 0, with_text: found = 0, passed_over: passed = 0 }, images) {
    this.#press(mode);
    const counts = [t("ocr.read", { read, count: images }), t("ocr.found", { found })];
    if (passed) counts.push(t("ocr.passed", { passed }));
    this.ocrNote.textContent = mode === "off" && !read ? "" : t("sentence", { words: list(counts) });
  }

  #root({ path, images, exclude, there, scanned_at: scanned }) {
    const button = (name, words, act) => h("button", { type: "button", class: "plain", "aria-label": t("labelled", { label: words, value: path }), onclick: act }, icon(name), words);
    const facts = [t("pictures", { count: images }), scanned ? t("care.scanned", { date: longDate(scanned) }) : t("care.unscanned")];
    return h("li", { class: "root" },
      h("p", { class: "root-path path" }, path),
      h("p", { class: "copy-facts" }, facts.join(t("separator"))),
      there ? null : h("p", { class: "root-missing" }, t("care.missing")),
      exclude.length ? h("p", { class: "copy-facts" }, t("care.without"), " ", h("code", {}, exclude.join("  "))) : null,
      h("div", { class: "root-acts" },
        button("picture", t("care.show"), () => this.actions.filter({ in: [path], show: "" })),
        button("refresh", t("care.scan"), () => this.#run(() => api.scanRoot(path), t("indexing.started"))),
        button("filters", t("care.exclude"), () => this.#exclude(path, exclude)),
        button("remove", t("care.forget"), () => this.#forget(path, images))));
  }

  async #exclude(path, exclude) {
    const lines = await askLines(t("care.exclude.title", { name: lastPart(path) }), t("care.exclude.hint"), exclude);
    if (lines) await this.#run(() => api.scanRoot(path, lines), t("indexing.started"));
  }

  async #forget(path, images) {
    const words = t("care.forget.note", { count: images });
    if (!(await confirmed(t("care.forget.title", { name: lastPart(path) }), words, t("care.forget")))) return;
    await this.#run(() => api.forgetRoot(path), t("care.forgotten"));
  }

  /** Do something that changes the library, and show its folders again; false if that failed. */
  async #run(change, done) {
    let succeeded = false;
    try {
      await change();
      succeeded = true;
      toast(done);
      this.chooser.element.hidden = true;
      this.adder.setAttribute("aria-expanded", "false");
      this.actions.indexed();
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
    }
    await this.#loadRoots();
    return succeeded;
  }

  async #files(kind) {
    this.kind = kind;
    this.files.replaceChildren();
    for (const button of this.kinds.children) button.setAttribute("aria-pressed", String(button.value === kind));
    await this.#moreFiles();
  }

  async #moreFiles() {
    const { kind } = this;
    this.more.disabled = true;
    try {
      const { total, files } = await api.skipped(kind, this.files.childElementCount, FILES_PER_PAGE);
      if (kind !== this.kind) return;
      this.files.append(...files.map((file) => this.#file(file)));
      this.filesNote.textContent = total ? t("skipped.count", { count: total }) : t("skipped.none");
      this.more.hidden = this.files.childElementCount >= total || !files.length;
      this.more.textContent = t("more", { count: total - this.files.childElementCount });
    } catch (error) {
      this.filesNote.textContent = `${error.message} ${error.hint}`;
    } finally {
      this.more.disabled = false;
    }
  }

  #file({ path, reason }) {
    return h("li", {}, h("span", { class: "path" }, path), h("span", { class: "skip-reason" }, reason),
      h("button", { type: "button", class: "plain", "aria-label": t("copy.path_of", { name: lastPart(path) }), onclick: async () => { await copyText(path); toast(t("copy.path_copied")); } }, icon("copy")));
  }
}
