/** The care of the library: its folders, what they leave out, and the files that could not be indexed. */

import * as api from "./api.js";
import { askLines, confirmed } from "./ask.js";
import { Chooser } from "./chooser.js";
import { copyText, h, icon, iconButton, toast } from "./dom.js";
import { lastPart, longDate, number, plural } from "./words.js";

const FILES_PER_PAGE = 100;
const KINDS = [["skipped", "Not indexed"], ["partial", "Indexed in part"]];
const OCR_MODES = [["off", "Off"], ["auto", "Where seen"], ["on", "All"]];

export class Care {
  /** @param {Object} actions  `leave()`, `changed()` after the summary has changed, `indexed()` after a run was started, `filter(patch)` */
  constructor(actions) {
    this.actions = actions;
    this.hits = [];
    this.roots = h("ul", { class: "roots" });
    this.chooser = new Chooser((path) => this.#run(() => api.addRoot(path), "Indexing started."));
    this.adder = h("button", { type: "button", class: "toggle", "aria-expanded": "false", onclick: () => this.#toggleChooser() }, icon("plus"), "Add a folder");
    this.kinds = h("div", { class: "segments", role: "group", "aria-label": "Which files" },
      KINDS.map(([value, words]) => h("button", { type: "button", value, onclick: () => this.#files(value) }, words)));
    this.ocr = h("div", { class: "segments", role: "group", "aria-label": "Read text in" },
      OCR_MODES.map(([value, words]) => h("button", { type: "button", value, onclick: () => this.#readTexts(value) }, words)));
    this.ocrNote = h("p", { class: "view-note", role: "status" });
    this.files = h("ul", { class: "skipped" });
    this.filesNote = h("p", { class: "view-note", role: "status" });
    this.more = h("button", { type: "button", class: "way", hidden: true, onclick: () => this.#moreFiles() }, "More files");
    this.element = h("div", { class: "view care" },
      h("div", { class: "view-head" }, h("h2", {}, "Folders"), iconButton("close", "Back to the pictures", () => actions.leave()), this.adder),
      h("p", { class: "view-note" }, "imgsearch only reads these folders. Forgetting one takes its pictures out of the library, and touches no file."),
      this.chooser.element, this.roots,
      h("div", { class: "view-head view-part" }, h("h2", {}, "Text in pictures"), this.ocr), this.ocrNote,
      h("div", { class: "view-head view-part" }, h("h2", {}, "Skipped files"), this.kinds),
      this.filesNote, this.files, h("div", { class: "ways" }, this.more));
    this.summary = "The library";
  }

  show() {
    this.#loadRoots();
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
      if (this.chooser.element.hidden) toast("Folders cannot be added here. In a terminal: imgsearch index FOLDER");
    }
  }

  async #loadRoots() {
    try {
      const [{ roots }, { ocr, texts, images }] = await Promise.all([api.roots(), api.status()]);
      this.#texts(ocr, texts, images);
      this.roots.replaceChildren(...roots.map((root) => this.#root(root)));
      this.summary = `${plural(roots.length, "folder", "folders")}, ${plural(roots.reduce((sum, { images }) => sum + images, 0), "picture", "pictures")}`;
    } catch (error) {
      this.summary = `${error.message} ${error.hint}`;
    }
    this.actions.changed();
  }

  /** The run that was started stores the mode; until then the summary has the one before. */
  async #readTexts(mode) {
    if (await this.#run(() => api.readTexts(mode), "Indexing started.")) this.#press(mode);
  }

  #press(mode) {
    for (const button of this.ocr.children) button.setAttribute("aria-pressed", String(button.value === mode));
  }

  #texts(mode, { read = 0, with_text: found = 0, passed_over: passed = 0 }, images) {
    this.#press(mode);
    const words = [`${number(read)} of ${plural(images, "picture", "pictures")} read`, `${number(found)} with text`];
    if (passed) words.push(`${number(passed)} passed over`);
    this.ocrNote.textContent = mode === "off" && !read ? "" : `${words.join(", ")}.`;
  }

  #root({ path, images, exclude, there, scanned_at: scanned }) {
    const button = (name, words, act) => h("button", { type: "button", class: "plain", "aria-label": `${words}: ${path}`, onclick: act }, icon(name), words);
    const facts = [plural(images, "picture", "pictures"), scanned ? `scanned ${longDate(scanned)}` : "not scanned completely yet"];
    return h("li", { class: "root" },
      h("p", { class: "root-path path" }, path),
      h("p", { class: "copy-facts" }, facts.join(", ")),
      there ? null : h("p", { class: "root-missing" }, "Missing: its disk may not be mounted. Its pictures are kept."),
      exclude.length ? h("p", { class: "copy-facts" }, "without ", h("code", {}, exclude.join("  "))) : null,
      h("div", { class: "root-acts" },
        button("picture", "Show", () => this.actions.filter({ in: [path], show: "" })),
        button("refresh", "Scan", () => this.#run(() => api.scanRoot(path), "Indexing started.")),
        button("filters", "Leave out", () => this.#exclude(path, exclude)),
        button("remove", "Forget", () => this.#forget(path, images))));
  }

  async #exclude(path, exclude) {
    const lines = await askLines(`Leave out of ${lastPart(path)}`, "Patterns, one on each line, such as thumbs/ or *.psd. Matching pictures leave the library; no file is touched.", exclude);
    if (lines) await this.#run(() => api.scanRoot(path, lines), "Indexing started.");
  }

  async #forget(path, images) {
    const words = `${plural(images, "picture leaves", "pictures leave")} the library. No file is touched.`;
    if (!(await confirmed(`Forget ${lastPart(path)}?`, words, "Forget"))) return;
    await this.#run(() => api.forgetRoot(path), "Forgotten.");
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
      this.filesNote.textContent = total ? `${plural(total, "file", "files")}. A file is tried again when it changes.` : "None.";
      this.more.hidden = this.files.childElementCount >= total || !files.length;
      this.more.textContent = `${number(total - this.files.childElementCount)} more`;
    } catch (error) {
      this.filesNote.textContent = `${error.message} ${error.hint}`;
    } finally {
      this.more.disabled = false;
    }
  }

  #file({ path, reason }) {
    return h("li", {}, h("span", { class: "path" }, path), h("span", { class: "skip-reason" }, reason),
      h("button", { type: "button", class: "plain", "aria-label": `Copy the path of ${lastPart(path)}`, onclick: async () => { await copyText(path); toast("Path copied."); } }, icon("copy")));
  }
}
