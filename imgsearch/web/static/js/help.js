/** The help dialog: search syntax and keys. */

import { h, iconButton } from "./dom.js";

const KEYS = [
  ["/, Ctrl+k", "Go to the search field"],
  ["← → ↑ ↓", "Move between pictures"],
  ["Enter", "Open the picture; Esc closes it"],
  ["x", "Select the picture; Shift+x selects a range"],
  ["g, b", "Mark as relevant (g) or not relevant (b) to refine the search"],
  ["s", "More like this"],
  ["i, z, + and −", "In an open picture: details, zoom"],
  ["c, p", "In an open picture: copy its path, slide show"],
  ["f", "Filters"],
  ["m", "The map; arrows, +, − and 0 move and zoom it"],
  ["w", "The map of the world, if pictures have positions; the same keys move and zoom it"],
  ["?", "Show this help"],
];

const WORDS = [
  ["a dog on the beach", "Search picture content, names and captions"],
  ["a bird -hens", "Exclude a word"],
  ["a bird -\"brown hens\"", "Exclude a phrase"],
  ["camera:canon after:2023", "Filter: camera, after, before, in, type, person, keyword, place, rating, has and others"],
  ["rating>=4 -has:gps", "Compare, or turn a filter around"],
  ["\"camera:canon\"", "Words in quotes stay words"],
  ["Drop or paste a picture", "Find similar pictures"],
];

export function buildHelp() {
  const list = (rows, tag) => h("dl", { class: "keys" }, rows.flatMap(([what, meaning]) => [h("dt", {}, h(tag, {}, what)), h("dd", {}, meaning)]));
  const dialog = h(
    "dialog", { class: "card help", "aria-labelledby": "help-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "help-title", class: "panel-title" }, "How to search"), iconButton("close", "Close", () => dialog.close(), { autofocus: true })),
    list(WORDS, "code"),
    h("h3", {}, "Keys"),
    list(KEYS, "kbd"),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  return dialog;
}
