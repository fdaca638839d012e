/** DOM helpers. Strings become text nodes, never markup, so file names stay inert. */

/**
 * Create an element.
 *
 * @param {string} tag
 * @param {Object} props  `class`, `data`, `onX` listeners; anything else is an attribute, omitted
 *   if null or false
 * @param {...(Node|string|number|null|Array)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Icons as stroked paths on a 24-unit grid, drawn for this page. */
const SHAPES = {
  search: "M10.5 4a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM15.5 15.5L20.5 20.5",
  close: "M6 6L18 18M18 6L6 18",
  picture: "M4 5h16v14H4zM4 16l4.5-5 4 4.5 2.5-2.5 5 4.5M15.5 9.2v.1",
  filters: "M4 7h16M7 12h10M10 17h4",
  light: "M12 8a4 4 0 1 1 0 8a4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  dark: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  auto: "M12 4a8 8 0 1 1 0 16a8 8 0 1 1 0-16zM12 4a8 8 0 1 1 0 16z",
  help: "M12 3.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17zM9.6 9.6c.2-3 4.9-2.9 4.9-.2 0 2-2.5 2-2.5 4.1M12 16.6v.1",
  check: "M5 12.5L10 17.5L19.5 7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  good: "M4 11h3v9H4zM7 12l4.3-8.5c1.6.1 2.5 1.2 2.2 2.7L12.8 10H18c1.4 0 2.3 1.1 2 2.4l-1.4 5.9c-.2 1-1 1.7-2 1.7H7",
  similar: "M9.3 6a6 6 0 1 1 0 12a6 6 0 0 1 0-12zM14.7 6a6 6 0 1 1 0 12a6 6 0 0 1 0-12z",
  info: "M12 3.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17zM12 11v5.5M12 7.6v.1",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  down: "M6 9.5l6 6 6-6",
  zoom: "M10.5 4a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM15.5 15.5L20.5 20.5M10.5 7.8v5.4M7.8 10.5h5.4",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  open: "M13 4h7v7M20 4L11 13M17 14v6H4V7h6",
  pin: "M12 21c4.5-5 6.5-8 6.5-11a6.5 6.5 0 0 0-13 0c0 3 2 6 6.5 11zM12 7.8a2.4 2.4 0 1 1 0 4.8a2.4 2.4 0 0 1 0-4.8z",
  stack: "M12 4L21 9L12 14L3 9zM3.5 13.5L12 18.3L20.5 13.5",
  album: "M6 4h12v16l-6-4.5L6 20z",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18z",
  remove: "M5 7h14M9.5 7V4.5h5V7M7 7l1 13h8l1-13",
  play: "M8 5.5L18.5 12L8 18.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  download: "M12 4v11M7 10.5l5 5 5-5M4.5 20h15",
  folder: "M3.5 6h6l2 2.5h9V19h-17z",
  up: "M12 19V6M6.5 11L12 5.5L17.5 11",
  library: "M4 5h4v14H4zM10 5h4v14h-4zM16.2 5.6l3.2-.8 3 13.5-3.2.8z",
  map: "M3.5 6.5l5.5-2 6 2 5.5-2v13l-5.5 2-6-2-5.5 2zM9 4.5v13M15 6.5v13",
  world: "M12 3.5a8.5 8.5 0 1 1 0 17a8.5 8.5 0 0 1 0-17zM3.5 12h17M12 3.5c5 5 5 12 0 17c-5-5-5-12 0-17z",
  lasso: "M12 4c5 0 8.5 2 8.5 5s-3.5 5-8.5 5-8.5-2-8.5-5 3.5-5 8.5-5zM7 13c-2 2.5-1 5 2 7",
  refresh: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
};

/** An icon, hidden from screen readers: the button around it carries the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name === "bad" ? "good" : name]);
  svg.append(path);
  return svg;
}

/** A button that shows only an icon; the label is its accessible name and tooltip. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "round", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** An element that index.html must contain. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

let toastTimer = 0;

/** Show a short message, which screen readers announce, too. */
export function toast(text) {
  const place = byId("toast");
  // A modal dialog makes everything outside it inert, so show the message inside the open one.
  (document.querySelector("dialog[open]") ?? document.body).append(place);
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    place.classList.remove("shown");
    place.textContent = "";
  }, 4000);
}

/** Copy a text; pages served over plain HTTP from another host have no clipboard API. */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
