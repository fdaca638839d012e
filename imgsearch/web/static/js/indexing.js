/** Starts and stops indexing, and follows its progress by server-sent events. */

import * as api from "./api.js";
import { byId, h, toast } from "./dom.js";
import { bytes, fixed, number, ofCode, t } from "./words.js";

/** Interval between two requests for the status of the library. */
const POLL_MS = 5000;
/** The same during a run over a library that has few pictures yet, so that they appear. */
const QUICK_POLL_MS = 1500;
const FEW_PICTURES = 400;
/** Pictures in the strip beside the progress, and the interval between two requests for them. */
const MAX_STRIP = 8;
const STRIP_MS = 2000;

const running = (progress) => Boolean(progress) && ["starting", "running"].includes(progress.state);

/** What a run has done, in a sentence. */
function outcome({ task, model, added, notes = [] }) {
  if (task === "download") return t("models.downloaded", { name: model });
  if (task === "switch" && notes.length) return notes.join(" ");
  return added ? t("indexing.added", { count: added }) : t("indexing.up_to_date");
}

export class Indexing {
  /** @param {Object} callbacks  `status(status)` after each request, `revised(status)` after a new revision, `progress(progress)` with each event of a run */
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.place = byId("indexing");
    this.bar = h("progress", { max: "1", "aria-label": t("indexing.progress") });
    this.message = h("p", {});
    this.strip = h("span", { class: "strip", "aria-hidden": "true" });
    this.place.append(this.strip, this.message, this.bar, h("button", { type: "button", class: "plain", onclick: () => this.stop() }, t("indexing.stop")));
    this.status = null;
    document.addEventListener("visibilitychange", () => !document.hidden && this.poll());
    setInterval(() => !document.hidden && this.poll(), POLL_MS);
  }

  /** Request the status of the library. */
  async poll() {
    this.polledAt = performance.now();
    let status;
    try {
      status = await api.status();
    } catch (error) {
      return error;
    }
    const before = this.status;
    this.status = status;
    this.callbacks.status(status);
    if (before && before.revision !== status.revision) this.callbacks.revised(status);
    if (running(status.indexing)) this.#follow();
    else if (!this.events) this.place.hidden = true;
    return null;
  }

  async start() {
    try {
      await api.startIndexing();
      toast(t("indexing.started"));
      this.#follow();
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
      if (error.status === 409) this.#follow();
    }
  }

  async stop() {
    try {
      await api.stopIndexing();
    } catch (error) {
      toast(`${error.message} ${error.hint}`);
    }
  }

  #follow() {
    if (this.events) return;
    this.place.hidden = false;
    this.message.textContent = t("indexing");
    this.bar.removeAttribute("value");
    this.events = api.indexEvents();
    const onProgress = (event) => this.#update(JSON.parse(event.data));
    for (const name of ["message", "progress"]) this.events.addEventListener(name, onProgress);
    this.events.addEventListener("error", () => this.#end());
  }

  #update(progress) {
    if (!running(progress)) {
      this.#end(progress);
      return;
    }
    this.callbacks.progress(progress);
    const { stage = "", done = 0, total, rate } = progress;
    const words = stage ? ofCode("stage", stage) : t("indexing");
    let counted = total ? t("indexing.of", { stage: words, done, total }) : t("indexing.done", { stage: words, done });
    if (stage === "download") counted = t("models.of", { stage: words, done: bytes(done), total: bytes(total ?? 0) });
    const speed = rate && stage === "encode" ? t("indexing.rate", { rate: rate < 10 ? fixed(rate, 1) : number(Math.round(rate)) }) : "";
    this.message.textContent = done || total ? counted + speed : words;
    if (total) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
    if (stage === "encode" && done) this.#showNew();
  }

  #shownAt = 0;

  /** Show what was indexed last. */
  async #showNew() {
    const now = performance.now();
    if ((this.status?.images ?? 0) < FEW_PICTURES && now - (this.polledAt ?? 0) > QUICK_POLL_MS) this.poll();
    if (document.hidden || now - this.#shownAt < STRIP_MS) return;
    this.#shownAt = now;
    try {
      const { pictures } = await api.recent(MAX_STRIP);
      this.strip.replaceChildren(...pictures.map(({ thumb }) => h("img", { src: thumb, alt: "", width: "40", height: "40" })));
    } catch {
      // The progress itself is shown without them.
    }
  }

  #end(progress = null) {
    this.events?.close();
    this.events = null;
    this.place.hidden = true;
    this.strip.replaceChildren();
    if (progress?.state === "failed") toast(`${progress.error ?? t("indexing.failed")} ${progress.hint ?? ""}`);
    else if (progress?.state === "done") toast(outcome(progress));
    if (progress) this.callbacks.progress(progress);
    this.poll();
  }
}
