/** Dialogs that ask for a name or a confirmation. */

import { h } from "./dom.js";
import { t } from "./words.js";

/** A dialog; resolves to its return value, "" if it was dismissed. */
function ask(title, content, words) {
  const close = () => dialog.close("");
  const dialog = h("dialog", { class: "card ask", "aria-labelledby": "ask-title" },
    h("form", { method: "dialog" }, h("h2", { id: "ask-title", class: "panel-title" }, title), ...[content].flat(),
      h("div", { class: "ways" }, h("button", { class: "way main-way", value: "yes" }, words), h("button", { type: "button", class: "way", onclick: close }, t("ask.cancel")))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue);
      dialog.remove();
    });
  });
}

export const confirmed = async (title, text, words) => Boolean(await ask(title, h("p", {}, text), words));

export async function askName(title, name = "") {
  const field = h("input", { type: "text", class: "chip-field", "aria-label": t("ask.name"), maxlength: "100", required: true, value: name, autofocus: true });
  return (await ask(title, field, t("save"))) ? field.value.trim() : "";
}

/** Ask for lines of text; null if the dialog was dismissed. */
export async function askLines(title, hint, lines) {
  const field = h("textarea", { class: "lines-field", "aria-label": title, rows: "5", spellcheck: "false", value: lines.join("\n"), autofocus: true });
  const answer = await ask(title, [h("p", {}, hint), field], t("save"));
  return answer ? field.value.split("\n").map((each) => each.trim()).filter(Boolean) : null;
}
