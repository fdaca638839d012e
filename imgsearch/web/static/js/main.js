/** Builds the page once, and updates it when its URL changes. */

import { byId, h, icon, iconButton, toast } from "./dom.js";
import * as api from "./api.js";
import { Care } from "./care.js";
import { Duplicates } from "./duplicates.js";
import * as examples from "./examples.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { buildHelp } from "./help.js";
import { Indexing } from "./indexing.js";
import { sizeControl, themeButton } from "./look.js";
import { MapView } from "./map.js";
import { Notice } from "./notice.js";
import { PlacesView } from "./places.js";
import { Scrubber } from "./scrubber.js";
import { Search } from "./search.js";
import { SearchBox } from "./searchbox.js";
import { Sections } from "./sections.js";
import { Selection } from "./selection.js";
import { Shelves, saveSearch } from "./shelves.js";
import { SortMenu, orderOf } from "./sort.js";
import { EMPTY, MAX_VALUES, Store, filtersOf, format, hasFilters, hasTerms, isSearch, isStart, parameters, query, searchObject } from "./state.js";
import { Terms } from "./terms.js";
import { Viewer } from "./viewer.js";
import { fillIn, monthOf, parseDate, t } from "./words.js";

/** Pause between two attempts to reach a server that does not respond. */
const RECONNECT_MS = 1500;

fillIn();
byId("q").placeholder = t("search.label");

const store = new Store();
const results = byId("results");
const count = byId("count");

/** Ids are numbers in answers and strings in URLs. */
const idOf = (hit) => String(hit.id);

let grid = null;
let search = null;

// ---- Actions on pictures ---------------------------------------------------------------------

const markOf = (hit) => (store.state.good.includes(idOf(hit)) ? "good" : store.state.bad.includes(idOf(hit)) ? "bad" : "");

/** As many pictures as a search takes. */
function capped(ids) {
  if (ids.length > MAX_VALUES) toast(t("search.too_many", { max: MAX_VALUES, count: ids.length }));
  return ids.slice(0, MAX_VALUES);
}

function markAll(marked, mark) {
  const ids = capped(marked);
  const without = (list) => list.filter((id) => !ids.includes(id));
  const marks = { good: without(store.state.good), bad: without(store.state.bad) };
  // Without terms there is no search to refine, so relevant pictures become examples.
  if (!hasTerms(store.state) && mark === "good") store.set({ like: ids, view: "" });
  else store.set({ ...marks, [mark]: [...marks[mark], ...ids].slice(-MAX_VALUES) });
}

function toggleMark(hit, mark) {
  if (markOf(hit) === mark) store.set({ [mark]: store.state[mark].filter((id) => id !== idOf(hit)) });
  else markAll([idOf(hit)], mark);
}

const similarTo = (ids) => store.set({ q: "", and: [], not: [], image: [], good: [], bad: [], unlike: [], all: false, mode: "", like: capped(ids), view: "" });

/** The pictures that the viewer goes through. */
const listed = () => (store.state.show ? views[store.state.show]?.hits ?? [] : grid.hits);

function openAt(index, { push = true } = {}) {
  const hit = listed()[index];
  if (hit) store.set({ view: idOf(hit) }, { push });
}

function closeViewer() {
  if (history.state?.pushed && openedHere) history.back();
  else store.set({ view: "" }, { push: false });
}

// ---- Parts of the page -----------------------------------------------------------------------

const actions = {
  open: openAt,
  similar: (hit) => similarTo([idOf(hit)]),
  similarTo,
  mark: toggleMark,
  markAll,
  markOf,
  more: () => search.more(),
  select: (index, options) => selection.toggle(grid.hits, index, options),
  isSelected: (hit) => selection.has(hit),
  selecting: () => selection.size > 0,
  address: (hit) => `${location.pathname}${format({ ...store.state, view: idOf(hit) })}`,
  sections,
  changed: () => grid?.refresh(),
  scrolled,
  close: closeViewer,
  go: (index) => {
    openAt(index, { push: false });
    if (!store.state.show && index > grid.hits.length - 20) search.more();
  },
  filter: (patch) => store.set({ ...patch, view: "" }),
  help: () => help.showModal(),
  show: (id) => store.set({ view: String(id) }),
};

/** Headings: periods if pictures are sorted by date, the start of the closest guesses if all are shown. */
function sections() {
  const { sort, all } = store.state;
  if (search?.answer?.first.by_date) return new Sections(["", "-date"].includes(sort) ? "date" : "");
  return new Sections(all && ["", "score"].includes(sort) ? "fit" : "");
}

/** Report the place of the reader to the scrubber, and to the heading that sticks below the bar. */
function scrolled(hit, heading) {
  const period = byId("period");
  period.textContent = heading;
  period.hidden = !heading;
  if (hit) scrubber.mark(hit.taken);
}

/** Go to a month of a list by date: by scrolling, or with a list that begins there. */
function goTo(month) {
  const oldestFirst = store.state.sort === "date";
  const reached = ({ taken }) => taken && (oldestFirst ? taken.slice(0, 7) >= month : taken.slice(0, 7) <= month);
  const index = grid.hits.findIndex(reached);
  const isLoaded = index > 0 || (index === 0 && (!store.state.at || grid.hits[0].taken.startsWith(month)));
  if (isLoaded) grid.scrollTo(index);
  else store.set({ at: month }, { push: !store.state.at });
}

/** Whether the pictures are in the order of their dates. */
const isByDate = (state) => !state.show && !isSearch(state) && ["", "date", "-date"].includes(state.sort);

let openedHere = false;
const scrubber = new Scrubber(goTo);
const selection = new Selection(actions);
search = new Search((keys) => examples.fetchAll(keys), { showWaiting, showAnswer, appendHits, showError });
grid = new Grid(byId("grid"), actions);
const viewer = new Viewer(actions);
const box = new SearchBox(store, () => search.answer?.first.seconds ?? 0);
const terms = new Terms(store);
const filters = new Filters(store, { scan: () => indexing.start(), labelled: (labels) => terms.label(labels) });
const help = buildHelp();
const indexing = new Indexing({ status: showStatus, revised: offerUpdate, progress: (progress) => care.models.progress(progress) });
const notice = new Notice(store, { retry, startIndexing: () => indexing.start(), addFolder });

const filterButton = iconButton("filters", t("filters.button"), () => filters.toggle());
byId("bar-tools").append(filterButton, iconButton("help", t("help.button"), () => help.showModal()), themeButton());

const copies = h("button", { type: "button", class: "toggle", "aria-label": t("fold"), title: t("fold.title"), onclick: () => store.set({ unique: !store.state.unique }) }, icon("stack"), h("span", {}, t("fold")));
const weaker = h("button", { type: "button", class: "toggle", title: t("guesses.title"), onclick: () => store.set({ all: !store.state.all, min_strength: "" }) }, h("span", {}, t("guesses")));
const shelves = new Shelves({
  filter: (patch) => store.set({ ...patch, view: "" }),
  show: actions.show,
  address: (patch) => `${location.pathname}${format({ ...EMPTY, unique: store.state.unique, ...patch })}`,
  named: () => store.state.cluster.length && terms.show(store.state),
});
const duplicates = new Duplicates({
  open: actions.show,
  address: (id) => actions.address({ id }),
  level: (level) => store.set({ level }),
  leave: leaveView,
  changed: () => store.state.show === "duplicates" && showView(duplicates),
});
const care = new Care({
  leave: leaveView,
  changed: () => store.state.show === "library" && showView(care),
  indexed: () => indexing.poll(),
  filter: actions.filter,
});
const map = new MapView({
  leave: leaveView,
  show: actions.show,
  region: (corners) => store.set({ region: corners, show: "", view: "" }),
});
const places = new PlacesView({
  leave: leaveView,
  show: actions.show,
  box: (box) => store.set({ box, show: "", view: "" }),
});
/** What is shown in place of the pictures, by the `show` of the state. */
const views = Object.assign(Object.create(null), { duplicates, library: care, map, places });
const sortMenu = new SortMenu(store);
const mapButton = h("button", { type: "button", class: "toggle", "aria-label": t("map"), title: t("map.button"), onclick: () => toggleView("map") }, icon("map"), h("span", {}, t("map")));
const placesButton = h("button", { type: "button", class: "toggle", "aria-label": t("places"), title: t("places.button"), hidden: true, onclick: () => toggleView("places") }, icon("world"), h("span", {}, t("places")));
const saver = h("button", { type: "button", class: "toggle", title: t("saved.save"), onclick: saveThis }, icon("album"), h("span", {}, t("save")));
const newer = h("button", { type: "button", class: "toggle newer", hidden: true });
byId("grid").before(newer);
byId("view-tools").append(mapButton, placesButton, saver, sortMenu.element, weaker, copies, sizeControl((size) => grid.setSize(size)));

function toggleView(name) {
  store.set({ show: store.state.show === name ? "" : name, level: "", view: "" });
}

/** Add the first folder of a library. */
async function addFolder(path) {
  try {
    await api.addRoot(path);
    toast(t("indexing.started_first"));
  } catch (error) {
    toast(`${error.message} ${error.hint}`);
  }
  indexing.poll();
}

async function saveThis() {
  if (await saveSearch(store.state, searchObject(store.state))) shelves.reload();
}

/** Repeat everything that may have failed before the user signed in. */
async function retry() {
  await indexing.poll();
  if (!isEmpty()) filters.load(store.state, { reload: true });
  begin({ reload: true });
}

// ---- Answers ---------------------------------------------------------------------------------

let waitingTimer = 0;

function showWaiting() {
  clearTimeout(waitingTimer);
  // Most answers are immediate; show a sign only for slow ones.
  waitingTimer = setTimeout(() => {
    results.setAttribute("aria-busy", "true");
    byId("more").textContent = t("page.searching");
    byId("more").hidden = grid.hits.length > 0 || Boolean(notice.kind);
  }, 250);
}

function showAnswer(answer) {
  stopWaiting();
  // A new element: the sign of waiting goes, and is not pushed down by the pictures.
  byId("more").replaceWith(byId("more").cloneNode());
  const { first } = answer;
  selection.clear();
  grid.clear();
  grid.append(answer.hits, answer);
  scrollTo({ top: answer.scroll, behavior: "instant" });
  showCount(...(answer.missing ? [t("summary.missing")] : summary(answer)));
  showMore(answer);
  showTitle();
  offerNewer();
  if (answer.hits.length) notice.hide();
  else if (answer.missing) notice.missing(store.state);
  else notice.nothing(store.state, first);
  showViewer();
}

function appendHits(hits, answer) {
  stopWaiting();
  grid.append(hits, answer);
  showCount(...summary(answer));
  showMore(answer);
  if (viewer.isOpen) showViewer();
}

/** A list that begins in the middle has a way back. */
function offerNewer() {
  const { at, sort } = store.state;
  newer.hidden = !at;
  if (!at) return;
  const before = scrubber.before(at);
  newer.textContent = before ? t(sort === "date" ? "page.older" : "page.newer", { month: before.words }) : t("page.all");
  newer.onclick = () => store.set({ at: before?.key ?? "" }, { push: false });
}

/** The server ranks a limited number of pictures; say so at the end of the list. */
function showMore({ hits, total, done }) {
  const truncated = done && hits.length > 0 && total === null;
  byId("more").hidden = done && !truncated;
  byId("more").textContent = truncated ? t("page.end", { count: hits.length }) : t("page.loading");
}

function showError(error) {
  stopWaiting();
  if (error.status !== 401 && grid.hits.length && search.answer?.broken) {
    // Keep the pictures; the server may no longer have the list that they belong to.
    byId("more").hidden = true;
    offerReload(t("page.broken"));
    return;
  }
  grid.clear();
  showCount(error.message, "");
  byId("more").hidden = true;
  notice.failed(error);
  showTitle();
  if (isOutage(error)) setTimeout(reconnect, RECONNECT_MS);
}

/** The server is stopped, restarting, or behind a proxy that does not reach it. */
const isOutage = (error) => error.status === 0 || error.status >= 500;

/** Search again as soon as the server answers. */
async function reconnect() {
  if (notice.kind !== "failed") return;
  const error = await indexing.poll();
  if (notice.kind !== "failed") return;
  if (error && isOutage(error)) setTimeout(reconnect, RECONNECT_MS);
  else retry();
}

function stopWaiting() {
  clearTimeout(waitingTimer);
  results.removeAttribute("aria-busy");
}

const isEmpty = () => indexing.status && librarySize(indexing.status) === 0;
const librarySize = (status) => status.images ?? null;

/** The number of pictures before the answer's order and note; the title has it alone. */
let counted = "";

function showCount(words, brief = words) {
  count.textContent = words;
  counted = brief;
}

/** The line above the pictures, and the number in it. */
function summary({ hits, total, first }) {
  if (!hits.length) return [t(hasTerms(store.state) ? "nothing.match" : "page.none")];
  const listsAll = !isSearch(store.state) && !hasFilters(store.state);
  const { at } = store.state;
  const size = total ?? (at ? scrubber.countFrom(at) : listsAll ? librarySize(indexing.status) : null);
  const pictures = size === null ? t("summary.at_least", { count: hits.length }) : t("pictures", { count: size });
  const usual = first.by_date ? t("ordered.-date") : isSearch(store.state) ? t("ordered.best") : "";
  const chosen = orderOf(store.state) || usual;
  const place = at ? t(store.state.sort === "date" ? "summary.from" : "summary.until", { pictures, month: monthOf(parseDate(at)) }) : pictures;
  const words = [place, chosen].filter(Boolean).join(t("separator"));
  return [first.note ? `${t("sentence", { words })} ${first.note}` : words, place];
}

// ---- Changes of the URL ----------------------------------------------------------------------

function begin(options = {}) {
  const { state } = store;
  showTitle();
  document.body.classList.toggle("empty", Boolean(isEmpty()));
  if (isEmpty() && !views[state.show]) {
    showView(null);
    scrubber.show(null);
    shelves.show(null);
    results.removeAttribute("data-starting");
    showCount(t("page.none"));
    notice.firstSteps(indexing.status);
    return;
  }
  const view = views[state.show];
  if (options.reload) scrubber.renew();
  scrubber.show(isByDate(state) ? filtersOf(state) : null, state.sort === "date");
  showView(view ?? null);
  if (view) {
    results.removeAttribute("data-starting");
    search.stop();
    grid.clear();
    notice.hide();
    if (options.reload) view.stop();
    view.show(filtersOf(state), state.level);
    return;
  }
  showPictures(state, options);
}

function leaveView() {
  store.set({ show: "", level: "" });
  results.focus({ preventScroll: true });
}

/** Show a view in place of the pictures; null brings them back. */
function showView(view) {
  const place = byId("view");
  results.toggleAttribute("data-show", Boolean(view));
  place.hidden = !view;
  for (const each of [map, places]) if (view !== each) each.stop(); // they hold megabytes
  if (!view) {
    place.replaceChildren();
    return;
  }
  if (place.firstChild !== view.element) place.replaceChildren(view.element);
  showCount(view.summary);
  showTitle();
  showViewer();
}

/** The shelves come first, so that the pictures do not move. */
async function showPictures(state, options) {
  await shelves.show(state);
  results.removeAttribute("data-starting");
  if (state === store.state) search.run(state, options);
}

store.subscribe((state, previous, options) => {
  const newQuery = format(query(state)) !== format(query(previous));
  openedHere = Boolean(state.view) && !options.back && (openedHere || !previous.view);
  box.show(state);
  if (newQuery) {
    terms.show(state);
    showTools(state);
    filters.load(state);
    if (!state.view) viewer.close();
    begin(options);
    viewer.refresh();
  } else {
    showViewer();
  }
});

function showTools(state) {
  weaker.hidden = !hasTerms(state) || state.mode === "text";
  weaker.setAttribute("aria-pressed", String(state.all));
  copies.setAttribute("aria-pressed", String(state.unique));
  sortMenu.show(state);
  saver.hidden = !isSearch(state) && !hasFilters(state);
  filterButton.classList.toggle("active", hasFilters(state));
}

/** The title names the view: the open picture, the words, or the number of pictures. */
function showTitle() {
  const { state } = store;
  const words = [state.saved, state.q, ...state.and, ...state.not.map((text) => `-${text}`)].filter(Boolean).join(" ");
  document.title = [viewer.hit?.name, words, viewer.hit || words ? "" : counted, "imgsearch"].filter(Boolean).join(" · ");
}

/** Open, change or close the picture named in the URL. */
async function showViewer() {
  await changeViewer();
  showTitle();
}

async function changeViewer() {
  const { view } = store.state;
  if (!view) {
    const last = viewer.hit;
    viewer.close();
    if (last) returnTo(last);
    return;
  }
  const hits = listed();
  const index = hits.findIndex((hit) => idOf(hit) === view);
  if (index >= 0) {
    if (viewer.hit?.id === hits[index].id && viewer.index === index && viewer.hits.length === hits.length) return;
    viewer.show(hits[index], hits, index, store.state.show ? hits.length : search.answer?.total);
    return;
  }
  if (viewer.hit && idOf(viewer.hit) === view) return;
  try {
    const hit = await api.details(view);
    if (store.state.view === view) viewer.show(hit, [], -1, null);
  } catch (error) {
    store.set({ view: "" }, { push: false });
    showCount(`${error.message} ${error.hint}`, "");
  }
}

/** After a picture is closed, move the focus to its tile. */
function returnTo(hit) {
  const index = grid.hits.findIndex((each) => each.id === hit.id);
  if (index >= 0) grid.focus(index);
  else byId("view").querySelector(`[data-id="${CSS.escape(hit.id)}"]`)?.focus();
}

// ---- Changes of the library ------------------------------------------------------------------

function showStatus(status) {
  const size = librarySize(status);
  placesButton.hidden = !status.located;
  byId("q").placeholder = size ? t("search.count", { count: size }) : t("search.label");
}

/** Reload a changed library if that disturbs nothing; otherwise offer it. */
function offerUpdate() {
  filters.load(store.state, { reload: true });
  shelves.load();
  if (!["map", "places"].includes(store.state.show) && scrollY < 40 && !viewer.isOpen && !selection.size && !grid.place.contains(document.activeElement)) begin({ reload: true });
  else offerReload();
}

function offerReload(words = t("page.changed")) {
  if (document.querySelector(".fresh")) return;
  const button = h("button", { type: "button", class: "fresh", onclick: () => { button.remove(); scrollTo({ top: 0 }); begin({ reload: true }); } }, icon("refresh"), words);
  results.prepend(button);
}

// ---- Global keys -----------------------------------------------------------------------------

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
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "k" && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    byId("q").focus();
    byId("q").select();
  }
  if (typing || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "a" && results.contains(document.activeElement) && grid.hits.length) {
    event.preventDefault();
    selection.all(grid.hits);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const command = { "/": () => byId("q").select(), "?": () => help.showModal(), f: () => filters.toggle(), m: () => toggleView("map"), w: () => placesButton.hidden || toggleView("places") }[event.key];
  if (!command) return;
  event.preventDefault();
  if (event.key === "/") byId("q").focus();
  command();
});

showTools(store.state);
document.body.classList.toggle("by-date", isByDate(store.state));
if (isStart(store.state)) shelves.load();
document.documentElement.dataset.ready = "";
indexing.poll().then(() => {
  if (!isEmpty()) filters.load(store.state);
  begin();
});

/** The page for a server that is not reachable. Browsers offer workers with TLS and on loopback. */
navigator.serviceWorker?.register(`worker.js?lang=${document.documentElement.lang.split("-")[0]}`, { updateViaCache: "none" }).catch(() => {});
