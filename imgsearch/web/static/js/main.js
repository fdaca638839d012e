/** The page: everything made once, and what happens when the address changes. */

import { byId, h, icon, iconButton } from "./dom.js";
import * as api from "./api.js";
import * as examples from "./examples.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { buildHelp } from "./help.js";
import { Indexing } from "./indexing.js";
import { sizeControl, themeButton } from "./look.js";
import { Notice } from "./notice.js";
import { Search } from "./search.js";
import { SearchBox } from "./searchbox.js";
import { Sections } from "./sections.js";
import { Selection } from "./selection.js";
import { Store, format, hasFilters, hasTerms, question } from "./state.js";
import { Terms } from "./terms.js";
import { Viewer } from "./viewer.js";
import { number, plural } from "./words.js";

const store = new Store();
const results = byId("results");
const count = byId("count");

/** Ids are numbers in answers and words in addresses. */
const idOf = (hit) => String(hit.id);

let grid = null;
let search = null;

// ---- What can be done with pictures ----------------------------------------------------------

const markOf = (hit) => (store.state.good.includes(idOf(hit)) ? "good" : store.state.bad.includes(idOf(hit)) ? "bad" : "");

function markAll(ids, what) {
  const without = (list) => list.filter((id) => !ids.includes(id));
  const marks = { good: without(store.state.good), bad: without(store.state.bad) };
  // A search for nothing cannot be refined: then what is right is simply an example.
  if (!hasTerms(store.state) && what === "good") store.set({ like: ids, view: "" });
  else store.set({ ...marks, [what]: [...marks[what], ...ids] });
}

function mark(hit, what) {
  if (markOf(hit) === what) store.set({ [what]: store.state[what].filter((id) => id !== idOf(hit)) });
  else markAll([idOf(hit)], what);
}

const similarTo = (ids) => store.set({ q: "", and: [], not: [], image: [], good: [], bad: [], unlike: [], all: false, mode: "", like: ids, view: "" });

function openAt(index, { push = true } = {}) {
  const hit = grid.hits[index];
  if (hit) store.set({ view: idOf(hit) }, { push });
}

function closeViewer() {
  if (history.state?.pushed && openedHere) history.back();
  else store.set({ view: "" }, { push: false });
}

// ---- The parts -------------------------------------------------------------------------------

const actions = {
  open: openAt,
  similar: (hit) => similarTo([idOf(hit)]),
  similarTo,
  mark,
  markAll,
  markOf,
  more: () => search.more(),
  select: (index, how) => selection.toggle(grid.hits, index, how),
  isSelected: (hit) => selection.has(hit),
  selecting: () => selection.size > 0,
  address: (hit) => `/${format({ ...store.state, view: idOf(hit) })}`,
  sections,
  changed: () => grid?.refresh(),
  close: closeViewer,
  go: (index) => {
    openAt(index, { push: false });
    if (index > grid.hits.length - 20) search.more();
  },
  filter: (patch) => store.set({ ...patch, view: "" }),
};

/** Stretches of time where pictures are listed by date; where the weak ones begin where all are shown. */
function sections() {
  if (search?.answer?.first.by_date) return new Sections("date");
  return new Sections(store.state.all ? "weak" : "");
}

let openedHere = false;
const selection = new Selection(actions);
search = new Search((keys) => examples.fetchAll(keys), { waiting, answered, grew, failed });
grid = new Grid(byId("grid"), actions);
const viewer = new Viewer(actions);
const box = new SearchBox(store);
const terms = new Terms(store);
const filters = new Filters(store, () => indexing.start());
const help = buildHelp();
const indexing = new Indexing({ status: showStatus, moved });
const notice = new Notice(store, { retry, startIndexing: () => indexing.start() });

const filterButton = iconButton("filters", "Filters (f)", () => filters.toggle());
byId("bar-tools").append(filterButton, iconButton("help", "How to search (?)", () => help.showModal()), themeButton());

const copies = h("button", { type: "button", class: "toggle", "aria-label": "Fold copies", title: "Show near-identical pictures as one", onclick: () => store.set({ unique: !store.state.unique }) }, icon("stack"), h("span", {}, "Fold copies"));
const weaker = h("button", { type: "button", class: "toggle", title: "Show pictures that are hardly meant, too", onclick: () => store.set({ all: !store.state.all, min_strength: "" }) }, h("span", {}, "Weak matches"));
byId("view-tools").append(weaker, copies, sizeControl((size) => grid.setSize(size)));

/** Ask again: what the library has may have become known only now, by signing in. */
async function retry() {
  await indexing.ask();
  if (!isEmpty()) filters.load(store.state, { again: true });
  begin({ again: true });
}

// ---- Answers ---------------------------------------------------------------------------------

let waitingTimer = 0;

function waiting() {
  clearTimeout(waitingTimer);
  // Most answers come at once; only a slow one is worth a sign.
  waitingTimer = setTimeout(() => {
    results.setAttribute("aria-busy", "true");
    byId("more").textContent = "Searching";
    byId("more").hidden = grid.hits.length > 0 || Boolean(notice.kind);
  }, 250);
}

function answered(answer) {
  rested();
  const { first } = answer;
  selection.clear();
  grid.clear();
  grid.append(answer.hits, answer);
  scrollTo({ top: answer.scroll, behavior: "instant" });
  count.textContent = summary(answer);
  showMore(answer);
  if (answer.hits.length) notice.hide();
  else if (answer.missing) notice.missing();
  else notice.nothing(store.state, first);
  showViewer();
}

function grew(hits, answer) {
  rested();
  grid.append(hits, answer);
  count.textContent = summary(answer);
  showMore(answer);
  if (viewer.isOpen) showViewer();
}

/** The server ranks a bounded number of pictures; where it stopped is told, not passed over. */
function showMore({ hits, total, done }) {
  const cut = done && hits.length > 0 && total === null;
  byId("more").hidden = done && !cut;
  byId("more").textContent = cut ? `The list ends after ${number(hits.length)} pictures. Filters show the others.` : "Loading more";
}

function failed(error) {
  rested();
  if (error.status !== 401 && grid.hits.length && search.answer?.broken) {
    // The pictures that are there stay; the list that they begin may no longer be kept.
    byId("more").hidden = true;
    offerFresh("The rest did not come: search again");
    return;
  }
  grid.clear();
  count.textContent = error.message;
  byId("more").hidden = true;
  notice.failed(error);
}

function rested() {
  clearTimeout(waitingTimer);
  results.removeAttribute("aria-busy");
}

const isEmpty = () => indexing.status && librarySize(indexing.status) === 0;
const librarySize = (status) => status.images ?? null;

function summary({ hits, total, first }) {
  if (!hits.length) return hasTerms(store.state) ? "No good match" : "No pictures";
  const listed = !hasTerms(store.state) && !hasFilters(store.state);
  const known = total ?? (listed ? librarySize(indexing.status) : null);
  const many = known === null ? `${number(hits.length)} pictures and more` : plural(known, "picture", "pictures");
  const order = first.by_date ? ", newest first" : hasTerms(store.state) ? ", best first" : "";
  return `${many}${order}${first.note ? `. ${first.note}` : ""}`;
}

// ---- The address changes ---------------------------------------------------------------------

function begin(how = {}) {
  const { state } = store;
  document.title = state.q ? `${state.q} · imgsearch` : "imgsearch";
  document.body.classList.toggle("empty", Boolean(isEmpty()));
  if (isEmpty()) {
    count.textContent = "No pictures";
    notice.firstSteps(indexing.status);
    return;
  }
  search.ask(state, how);
}

store.subscribe((state, previous, how) => {
  const asked = format(question(state)) !== format(question(previous));
  openedHere = Boolean(state.view) && !how.back && (openedHere || !previous.view);
  box.show(state);
  if (asked) {
    terms.show(state);
    showTools(state);
    filters.load(state);
    if (!state.view) viewer.close();
    begin(how);
    viewer.refresh();
  } else {
    showViewer();
  }
});

function showTools(state) {
  weaker.hidden = !hasTerms(state) || state.mode === "text";
  weaker.setAttribute("aria-pressed", String(state.all));
  copies.setAttribute("aria-pressed", String(state.unique));
  filterButton.classList.toggle("active", hasFilters(state));
}

/** Open, change or close the picture in the address. */
async function showViewer() {
  const { view } = store.state;
  if (!view) {
    const last = viewer.hit;
    viewer.close();
    if (last) returnTo(last);
    return;
  }
  const index = grid.hits.findIndex((hit) => idOf(hit) === view);
  if (index >= 0) {
    if (viewer.hit?.id === grid.hits[index].id && viewer.index === index && viewer.hits.length === grid.hits.length) return;
    viewer.show(grid.hits[index], grid.hits, index, search.answer?.total);
    return;
  }
  if (viewer.hit && idOf(viewer.hit) === view) return;
  try {
    const hit = await api.details(view);
    if (store.state.view === view) viewer.show(hit, [], -1, null);
  } catch (error) {
    store.set({ view: "" }, { push: false });
    count.textContent = `${error.message} ${error.hint}`;
  }
}

/** After the picture is closed, the keyboard goes on where it stands among the others. */
function returnTo(hit) {
  const index = grid.hits.findIndex((each) => each.id === hit.id);
  if (index >= 0) grid.focus(index);
}

// ---- The library changes ---------------------------------------------------------------------

function showStatus(status) {
  const size = librarySize(status);
  byId("q").placeholder = size ? `Search ${number(size)} ${size === 1 ? "picture" : "pictures"}` : "Search your pictures";
}

/** The index has moved on: at the top of the page the answer is renewed, further down it is offered. */
function moved() {
  filters.load(store.state, { again: true });
  if (scrollY < 40 && !viewer.isOpen && !selection.size && !grid.place.contains(document.activeElement)) begin({ again: true });
  else offerFresh();
}

function offerFresh(words = "The library has changed: show again") {
  if (document.querySelector(".fresh")) return;
  const button = h("button", { type: "button", class: "fresh", onclick: () => { button.remove(); scrollTo({ top: 0 }); begin({ again: true }); } }, icon("refresh"), words);
  results.prepend(button);
}

// ---- Keys that hold everywhere ---------------------------------------------------------------

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select");
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (selection.size) selection.clear();
    else if (typing) event.target.blur();
    return;
  }
  if (event.key === "ArrowDown" && event.target === byId("q") && grid.hits.length) {
    event.preventDefault();
    grid.focus(0);
  }
  if (typing || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "a" && results.contains(document.activeElement) && grid.hits.length) {
    event.preventDefault();
    selection.all(grid.hits);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const does = { "/": () => byId("q").select(), "?": () => help.showModal(), f: () => filters.toggle() }[event.key];
  if (!does) return;
  event.preventDefault();
  if (event.key === "/") byId("q").focus();
  does();
});

showTools(store.state);
document.documentElement.dataset.ready = "";
indexing.ask().then(() => {
  if (!isEmpty()) filters.load(store.state);
  begin();
});
