/** What can be typed and pressed. */

import { h, iconButton } from "./dom.js";

const KEYS = [
  ["/", "Go to the search field"],
  ["← → ↑ ↓", "From picture to picture"],
  ["Enter", "Open the picture; Esc closes it"],
  ["x", "Select the picture; Shift+x selects a range"],
  ["g, b", "It is right (good) or wrong (bad): refines the search"],
  ["s", "More like this"],
  ["i, z, + and −", "In an open picture: details, zoom"],
  ["c", "In an open picture: copy its path"],
  ["f", "Filters"],
  ["?", "This list"],
];

const WORDS = [
  ["a dog on the beach", "Pictures of that; names and captions count, too"],
  ["a bird -hens", "Leave something out"],
  ["a bird -\"brown hens\"", "Leave out several words"],
  ["Drop or paste a picture", "Pictures that look like it"],
];

export function buildHelp() {
  const list = (rows, tag) => h("dl", { class: "keys" }, rows.flatMap(([what, says]) => [h("dt", {}, h(tag, {}, what)), h("dd", {}, says)]));
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
