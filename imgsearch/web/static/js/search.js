/** Asking the server: one question at a time, page after page, stale answers dropped. */

import * as api from "./api.js";
import { format, parameters, question } from "./state.js";

const FIRST = 120;
const NEXT = 500;
/** Answers of earlier questions that are kept for the back button. */
const KEPT = 6;

/** An answer as it grows. */
class Answer {
  constructor(key) {
    this.key = key;
    this.hits = [];
    this.ids = new Set();
    this.total = null;
    this.cursor = null;
    this.done = false;
    this.scroll = 0;
  }

  add(page) {
    const fresh = page.hits.filter((hit) => !this.ids.has(hit.id));
    for (const hit of fresh) this.ids.add(hit.id);
    this.hits.push(...fresh);
    this.total = page.total ?? this.total;
    this.cursor = page.next ?? null;
    this.done = !this.cursor;
    if (this.first === undefined) this.first = page;
    return fresh;
  }
}

export class Search {
  #abort = new AbortController();
  #kept = new Map();
  #loading = false;

  /**
   * @param {(keys: string[]) => Promise<{blobs: Blob[], missing: number}>} examples  the pictures of a question
   * @param {Object} shown  `waiting()`, `answered(answer)`, `grew(hits, answer)`, `failed(error)`
   */
  constructor(examples, shown) {
    this.examples = examples;
    this.shown = shown;
    this.answer = null;
  }

  /** Ask a question; an earlier one that is not yet answered is given up. */
  async ask(state, { back = false, again = false } = {}) {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const key = format(question(state));
    this.#keep();
    const known = back && !again ? this.#kept.get(key) : null;
    if (known) return this.#show(known);
    this.#loading = true;
    this.shown.waiting();
    try {
      const { blobs, missing } = await this.examples(state.image);
      const answer = new Answer(key);
      answer.missing = missing;
      answer.send = (cursor, limit, stop) => api.search(paged(parameters(state), cursor, limit), blobs, stop);
      answer.add(await answer.send(null, FIRST, signal));
      if (!signal.aborted) this.#show(answer);
    } catch (error) {
      this.#fail(error, signal);
    }
  }

  /** The next page of the answer, unless it is on its way or there is none. */
  async more() {
    const { answer } = this;
    if (this.#loading || !answer || answer.done || answer.broken) return;
    this.#loading = true;
    const { signal } = this.#abort;
    try {
      const page = await answer.send(answer.cursor, NEXT, signal);
      if (signal.aborted) return;
      this.#loading = false; // before the page is told, which may ask for more at once
      this.shown.grew(answer.add(page), answer);
    } catch (error) {
      answer.broken = error.name !== "AbortError";
      this.#fail(error, signal);
    }
  }

  #show(answer) {
    this.#loading = false;
    this.answer = answer;
    this.shown.answered(answer);
  }

  #fail(error, signal) {
    if (error.name === "AbortError" || signal.aborted) return;
    this.#loading = false;
    this.shown.failed(error);
  }

  #keep() {
    if (!this.answer) return;
    this.answer.scroll = scrollY;
    this.#kept.delete(this.answer.key);
    this.#kept.set(this.answer.key, this.answer);
    for (const key of [...this.#kept.keys()].slice(0, -KEPT)) this.#kept.delete(key);
  }
}

function paged(params, cursor, limit) {
  params.set("limit", String(limit));
  if (cursor) params.set("cursor", cursor);
  return params;
}
