/** The models of the library: which are here, which is in use, and buttons to download and use them. */

import * as api from "./api.js";
import { confirmed } from "./ask.js";
import { h, icon, toast } from "./dom.js";
import { bytes, t } from "./words.js";

export class Models {
  /** @param {Object} actions  `started()` after a run was started */
  constructor(actions) {
    this.actions = actions;
    this.note = h("p", { class: "view-note", role: "status" });
    this.list = h("ul", { class: "roots models" });
    this.element = h("section", { "aria-labelledby": "models-title" },
      h("div", { class: "view-head view-part" }, h("h2", { id: "models-title" }, t("models.title"))),
      h("p", { class: "view-note" }, t("models.note")), this.note, this.list);
  }

  async load() {
    try {
      const { models, images, setting, running } = await api.models();
      const focused = this.list.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
      this.running = running;
      this.note.textContent = setting ? t("models.setting", { name: setting }) : "";
      this.list.replaceChildren(...models.map((model) => this.#model(model, images)));
      if (focused) this.list.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    } catch (error) {
      this.note.textContent = `${error.message} ${error.hint}`;
    }
  }

  /** Show an event of a run, if the list is on the page. */
  progress({ state, model, done, total }) {
    if (!this.list.isConnected) return;
    if (!["starting", "running"].includes(state) || (model ?? "") !== (this.running?.model ?? "")) {
      this.load();
      return;
    }
    const bar = this.list.querySelector("progress");
    if (!bar) return;
    if (total) bar.value = done / total;
    else bar.removeAttribute("value");
  }

  #model(model, total) {
    const { name, summary, languages, licence, bytes: size, here, obstacle, hubs, in_use: inUse, images } = model;
    const button = (sign, words, act) => h("button", { type: "button", class: "plain", disabled: Boolean(this.running), "aria-label": t("labelled", { label: words, value: name }), onclick: act }, icon(sign), words);
    const facts = [languages, licence, size ? bytes(size) : null, images ? t("models.images", { images, count: total }) : null].filter(Boolean);
    return h("li", { class: "root" },
      h("p", { class: "model-name" }, h("span", {}, name), inUse ? [" ", h("span", { class: "model-in-use" }, t("models.in_use"))] : null),
      summary ? h("p", { class: "copy-facts" }, summary) : null,
      h("p", { class: "copy-facts" }, facts.join(t("separator"))),
      here || hubs.length ? null : h("p", { class: "root-missing" }, obstacle),
      this.running?.model === name ? h("progress", { max: "1", "aria-label": t("models.progress", { name }) }) : null,
      h("div", { class: "root-acts" },
        !here && hubs.length ? button("download", t("models.download"), () => this.#download(model)) : null,
        here && !inUse ? button("check", t("models.use"), () => this.#use(model, total)) : null,
        images && !inUse ? button("remove", t("models.forget"), () => this.#forget(model)) : null));
  }

  async #download({ name, bytes: size, licence, hubs }) {
    const words = t("models.download.note", { size: bytes(size), hub: hubs.join(t("separator")), licence });
    if (!(await confirmed(t("models.download.title", { name }), words, t("models.download")))) return;
    await this.#run(() => api.downloadModel(name), t("models.downloading", { name }));
  }

  async #use({ name, images }, total) {
    const words = t("models.use.note", { count: Math.max(0, total - images) });
    if (!(await confirmed(t("models.use.title", { name }), words, t("models.use")))) return;
    await this.#run(() => api.switchModel(name), t("indexing.started"));
  }

  async #forget({ name, images }) {
    if (!(await confirmed(t("models.forget.title", { name }), t("models.forget.note", { count: images }), t("models.forget")))) return;
    await this.#run(() => api.forgetModel(name), t("models.forgotten"));
  }

  async #run(change, done) {
    try {
      await change();
      toast(done);
      this.actions.started();
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
    }
    await this.load();
  }
}
