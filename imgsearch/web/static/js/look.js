/** Light or dark, and how large the pictures are: kept in this browser. */

import { iconButton, h } from "./dom.js";

const THEMES = ["auto", "light", "dark"];
const WORDS = { auto: "as the system has it", light: "light", dark: "dark" };

/** What this browser remembers under a name, if it is one of the choices. */
export function read(name, choices) {
  try {
    const value = localStorage.getItem(`imgsearch.${name}`);
    return choices.includes(value) ? value : null;
  } catch {
    return null;
  }
}

export function write(name, value) {
  try {
    localStorage.setItem(`imgsearch.${name}`, value);
  } catch {
    // Refused: it holds until the page is closed.
  }
}

/** A button that goes round: system, light, dark. */
export function themeButton() {
  let theme = read("theme", THEMES) ?? "auto";
  const make = () => iconButton(theme, `Colours: ${WORDS[theme]}`, turn, { id: "theme" });
  const turn = () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    write("theme", theme);
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const fresh = make();
    button.replaceWith(fresh);
    button = fresh;
    button.focus();
  };
  let button = make();
  return button;
}

const SIZES = ["small", "medium", "large"];

/** Three sizes of pictures. */
export function sizeControl(choose) {
  const chosen = read("size", SIZES) ?? "medium";
  const group = h("div", { class: "segments sizes", role: "group", "aria-label": "Size of pictures" });
  SIZES.forEach((size) => {
    const button = h("button", { type: "button", value: size, "aria-label": size, title: `${size} pictures`, "aria-pressed": String(size === chosen) }, h("i", { class: `swatch ${size}` }));
    button.addEventListener("click", () => {
      for (const each of group.children) each.setAttribute("aria-pressed", String(each === button));
      write("size", size);
      choose(size);
    });
    group.append(button);
  });
  choose(chosen);
  return group;
}
