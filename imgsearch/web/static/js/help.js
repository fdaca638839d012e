/** The help dialog: search syntax and keys. */

import { h, iconButton } from "./dom.js";
import { languageMenu } from "./look.js";
import { t } from "./words.js";

const KEYS = ["search", "move", "open", "select", "mark", "similar", "viewer", "viewer_more", "filters", "map", "places", "help"];
const QUERIES = ["content", "without_word", "without_phrase", "filter", "compare", "quotes", "picture"];

export function buildHelp() {
  const list = (group, names, tag) => h("dl", { class: "keys" }, names.flatMap((name) => [h("dt", {}, h(tag, {}, t(`${group}.${name}`))), h("dd", {}, t(`${group}.${name}.does`))]));
  const dialog = h(
    "dialog", { class: "card help", "aria-labelledby": "help-title" },
    h("header", { class: "panel-head" }, h("h2", { id: "help-title", class: "panel-title" }, t("help")), languageMenu(), iconButton("close", t("close"), () => dialog.close(), { autofocus: true })),
    list("query", QUERIES, "code"),
    h("h3", {}, t("help.keys")),
    list("key", KEYS, "kbd"),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  return dialog;
}
