/** Runs one search at a time, page by page, and drops stale answers. */

import * as api from "./api.js";
import { format, parameters, query } from "./state.js";

const FIRST_PAGE = 120;
const NEXT_PAGE = 500;
/** Earlier answers kept for the back button. */
const MAX_KEPT_ANSWERS = 6;

/** An answer that grows page by page. */
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
  #cache = new Map();
  #loading = false;

  /**
   * @param {(keys: string[]) => Promise<{blobs: Blob[], missing: number}>} examples  the example pictures of a query
   * @param {Object} callbacks  `showWaiting()`, `showAnswer(answer)`, `appendHits(hits, answer)`,
   *   `showError(error)`
   */
  constructor(examples, callbacks) {
    this.examples = examples;
    this.callbacks = callbacks;
    this.answer = null;
  }

  /** Run a search and cancel the one in progress. */
  async run(state, { back = false, reload = false } = {}) {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const key = format(query(state));
    this.#keep();
    const cached = back && !reload ? this.#cache.get(key) : null;
    if (cached) return this.#show(cached);
    this.#loading = true;
    this.callbacks.showWaiting();
    try {
      const { blobs, missing } = await this.examples(state.image);
      const answer = new Answer(key);
      answer.missing = missing;
      // The rest of the query is another search, and without any of it all pictures would be listed.
      if (missing) {
        answer.add({ hits: [], total: 0 });
        this.#show(answer);
        return;
      }
      answer.send = (cursor, limit, stop) => api.search(paged(parameters(state), cursor, limit), blobs, stop);
      answer.add(await answer.send(null, FIRST_PAGE, signal));
      if (!signal.aborted) this.#show(answer);
    } catch (error) {
      this.#fail(error, signal);
    }
  }

  /** Cancel the search in progress; what was answered is kept for the back button. */
  stop() {
    this.#abort.abort();
    this.#keep();
    this.answer = null;
    this.#loading = false;
  }

  /** Load the next page of the answer, unless it is loading or the answer is complete. */
  async more() {
    const { answer } = this;
    if (this.#loading || !answer || answer.done || answer.broken) return;
    this.#loading = true;
    const { signal } = this.#abort;
    try {
      const page = await answer.send(answer.cursor, NEXT_PAGE, signal);
      if (signal.aborted) return;
      this.#loading = false; // before the callback, which may request more at once
      this.callbacks.appendHits(answer.add(page), answer);
    } catch (error) {
      answer.broken = error.name !== "AbortError";
      this.#fail(error, signal);
    }
  }

  #show(answer) {
    this.#loading = false;
    this.answer = answer;
    this.callbacks.showAnswer(answer);
  }

  #fail(error, signal) {
    if (error.name === "AbortError" || signal.aborted) return;
    this.#loading = false;
    this.callbacks.showError(error);
  }

  #keep() {
    if (!this.answer) return;
    this.answer.scroll = scrollY;
    this.#cache.delete(this.answer.key);
    this.#cache.set(this.answer.key, this.answer);
    for (const key of [...this.#cache.keys()].slice(0, -MAX_KEPT_ANSWERS)) this.#cache.delete(key);
  }
}

function paged(params, cursor, limit) {
  params.set("limit", String(limit));
  if (cursor) params.set("cursor", cursor);
  return params;
}
