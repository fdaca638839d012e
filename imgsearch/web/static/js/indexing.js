/** A running index: followed by server-sent events, started and stopped from here. */

import * as api from "./api.js";
import { byId, h, toast } from "./dom.js";
import { number, plural } from "./words.js";

/** How often the server is asked whether something has changed, in milliseconds. */
const POLL = 5000;

const STAGES = { scan: "Looking for pictures", digest: "Comparing files", encode: "Reading new pictures" };

const running = (progress) => Boolean(progress) && ["starting", "running"].includes(progress.state);

export class Indexing {
  /** @param {Object} shown  `status(status)` with each answer, `moved(status)` when the revision has moved on */
  constructor(shown) {
    this.shown = shown;
    this.place = byId("indexing");
    this.bar = h("progress", { max: "1", "aria-label": "Progress of indexing" });
    this.says = h("p", {});
    this.place.append(this.says, this.bar, h("button", { type: "button", class: "plain", onclick: () => this.stop() }, "Stop"));
    this.status = null;
    document.addEventListener("visibilitychange", () => !document.hidden && this.ask());
    setInterval(() => !document.hidden && this.ask(), POLL);
  }

  /** Ask for the state of the library. */
  async ask() {
    let status;
    try {
      status = await api.status();
    } catch (error) {
      return error;
    }
    const before = this.status;
    this.status = status;
    this.shown.status(status);
    if (before && before.revision !== status.revision) this.shown.moved(status);
    if (running(status.indexing)) this.#follow();
    else if (!this.events) this.place.hidden = true;
    return null;
  }

  async start() {
    try {
      await api.startIndexing();
      toast("Indexing has begun.");
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
    this.says.textContent = "Indexing";
    this.bar.removeAttribute("value");
    this.events = api.indexEvents();
    const told = (event) => this.#told(JSON.parse(event.data));
    for (const name of ["message", "progress"]) this.events.addEventListener(name, told);
    this.events.addEventListener("error", () => this.#end());
  }

  #told(progress) {
    if (!running(progress)) {
      this.#end(progress);
      return;
    }
    const { stage = "", done = 0, total, rate } = progress;
    const of = total ? ` of ${number(total)}` : "";
    const speed = rate && stage === "encode" ? `, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second` : "";
    const words = STAGES[stage] ?? "Indexing";
    this.says.textContent = done || total ? `${words}: ${number(done)}${of}${speed}` : words;
    if (total) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
  }

  #end(progress = null) {
    this.events?.close();
    this.events = null;
    this.place.hidden = true;
    if (progress?.state === "failed") toast(`${progress.error ?? "Indexing failed."} ${progress.hint ?? ""}`);
    else if (progress?.state === "done") toast(progress.added ? `${plural(progress.added, "new picture", "new pictures")} indexed.` : "Everything is up to date.");
    this.ask();
  }
}
