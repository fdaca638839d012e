/** Theme, picture size and language, stored in this browser. */

import { iconButton, h } from "./dom.js";
import { languages, t } from "./words.js";

const THEMES = ["auto", "light", "dark"];

/** The stored value of a setting; null if it is not one of the choices. */
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
    // Storage is refused: the setting lasts until the page is closed.
  }
}

/** A button that cycles through system, light and dark. */
export function themeButton() {
  let theme = read("theme", THEMES) ?? "auto";
  const build = () => iconButton(theme, t(`theme.${theme}`), turn, { id: "theme" });
  const turn = () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    write("theme", theme);
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const next = build();
    button.replaceWith(next);
    button = next;
    button.focus();
  };
  let button = build();
  return button;
}

const SIZES = ["small", "medium", "large"];

/** Buttons for three picture sizes. */
export function sizeControl(choose) {
  const current = read("size", SIZES) ?? "medium";
  const group = h("div", { class: "segments sizes", role: "group", "aria-label": t("size") });
  SIZES.forEach((size) => {
    const button = h("button", { type: "button", value: size, "aria-label": t(`size.${size}`), title: t(`size.${size}.title`), "aria-pressed": String(size === current) }, h("i", { class: `swatch ${size}` }));
    button.addEventListener("click", () => {
      for (const each of group.children) each.setAttribute("aria-pressed", String(each === button));
      write("size", size);
      choose(size);
    });
    group.append(button);
  });
  choose(current);
  return group;
}

/** A menu of the languages, each called as in itself; the first entry is the browser's language. */
export function languageMenu() {
  const nameOf = (language) => new Intl.DisplayNames([language], { type: "language" }).of(language);
  const option = (value, words) => h("option", { value, lang: value || null }, words);
  const choose = () => {
    write("language", menu.value);
    location.reload();
  };
  const menu = h("select", { class: "sort", "aria-label": t("language"), onchange: choose },
    option("", t("language.browser")), languages.map((each) => option(each, nameOf(each))));
  menu.value = read("language", languages) ?? "";
  return menu;
}
