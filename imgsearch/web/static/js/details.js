/** The panel beside an open picture: date, place, camera and match. */

import { copyText, h, icon, toast } from "./dom.js";
import * as api from "./api.js";
import { bytes, endOf, fixed, longDate, number, ofCode, reason, t, zone } from "./words.js";

const has = (value) => value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && !value.length);

/** Exposure in photographers' notation: 1/250 s, f/2.8, 35 mm, ISO 200. */
function exposure(all) {
  const time = all.exposure_time ?? all.exposure;
  const seconds = typeof time === "number" ? (time >= 0.4 ? `${number(time)} s` : `1/${Math.round(1 / time)} s`) : time;
  const aperture = all.f_number ?? all.aperture;
  const length = all.focal_length;
  return [
    seconds,
    has(aperture) ? `f/${typeof aperture === "number" ? number(aperture) : aperture}` : null,
    has(length) ? `${typeof length === "number" ? number(length) : length} mm` : null,
    has(all.iso) ? `ISO ${all.iso}` : null,
  ].filter(has).join(" · ");
}

/** The date as far as it is known, its zone, and where it comes from if that is not the camera. */
function taken(hit, all) {
  const offset = has(all.utc_offset_minutes) ? ` (${zone(all.utc_offset_minutes)})` : "";
  const date = `${longDate(hit.taken)}${offset}`;
  return has(all.taken_source) && all.taken_source !== "exif" ? t("details.from", { date, source: ofCode("source", all.taken_source) }) : date;
}

const places = (all) => [...new Set([all.city, all.state, all.country].filter(has))];
const rating = (stars) => (stars < 0 ? t("details.rejected") : t("details.stars", { signs: "★".repeat(stars), stars }));

/** Fields that the panel already shows, or never does; "More" lists the others. */
const SHOWN_FIELDS = new Set(
  ("id rank score strength named matched name folder path width height taken taken_at type duplicates thumb size_bytes camera lens gps title description " +
    "taken_precision taken_source utc_offset_minutes people city state country country_code gazetteer_fields rating note keywords camera_make camera_model original parts browser_shows modified_ns exposure_time exposure f_number aperture focal_length iso").split(" "),
);

/** Where a picture has the words of the query. */
const wordsIn = (matched) => {
  const [name, text] = ["name", "text"].map((each) => matched?.includes(each));
  if (name && text) return t("details.in_both");
  return t(text ? "details.in_text" : "details.in_name");
};

export class Details {
  constructor(actions) {
    this.actions = actions;
    this.element = h("aside", { class: "details", "aria-label": t("details") });
  }

  /** Show the fields of the hit at once, and the full record when it has loaded. */
  async show(hit) {
    this.hit = hit;
    this.abort?.abort();
    this.abort = new AbortController();
    this.#draw(hit, null);
    try {
      const all = await api.details(hit.id, this.abort.signal);
      if (this.hit === hit) this.#draw({ ...all, ...hit, parts: all.parts }, all);
    } catch (error) {
      if (error.name !== "AbortError" && this.hit === hit) this.element.append(h("p", { class: "details-note" }, error.message));
    }
  }

  async copyPath() {
    await copyText(this.hit.path);
    toast(t("copy.path_copied"));
  }

  #draw(hit, all) {
    const match = reason(hit);
    this.element.replaceChildren(...[
      h("h2", {}, hit.title || hit.name),
      hit.description ? h("p", { class: "details-text" }, hit.description) : null,
      match ? this.#match(hit, match) : null,
      h("dl", {}, this.#lines(hit, all ?? {})),
      has(hit.keywords) ? h("p", { class: "keywords" }, [hit.keywords].flat().map((word) => h("button", { type: "button", class: "keyword", title: t("details.with_keyword", { name: word }), onclick: () => this.actions.filter({ keyword: [word] }) }, word))) : null,
      all ? this.#rest(all) : null,
    ].filter(Boolean));
  }

  #match(hit, match) {
    const score = has(hit.score) ? ` ${t("details.score", { score: fixed(hit.score, 3) })}` : "";
    const explanation = hit.named
      ? `${wordsIn(hit.matched)}${hit.matched?.includes("meaning") ? ` ${t("details.also")}` : ""}`
      : t("details.strength", { strength: fixed(hit.strength, 2) }) + score;
    return h("div", { class: "match" }, h("p", { class: "match-word" }, match.word[0].toLocaleUpperCase() + match.word.slice(1)), h("p", { class: "match-explanation" }, explanation));
  }

  #lines(hit, all) {
    const mega = (hit.width * hit.height) / 1e6;
    const line = (label, ...content) => [h("dt", {}, label), h("dd", {}, ...content)];
    const size = [hit.width && `${number(hit.width)} × ${number(hit.height)}`, mega >= 0.1 && t("details.megapixels", { size: fixed(mega, 1) }), all.size_bytes && bytes(all.size_bytes), ];
    const shot = exposure(all);
    return [
      hit.taken ? line(t("details.taken"), this.#taken(hit, all)) : null,
      has(all.people) ? line(t("details.people"), ...all.people.map((name) => this.#action(name, t("details.with_person", { name }), { person: [name] }))) : null,
      places(all).length ? line(t("details.place"), ...places(all).map((name) => this.#action(name, t("details.in_place", { name }), { place: [name] }))) : null,
      has(all.rating) ? line(t("details.rating"), all.rating > 0 ? this.#action(rating(all.rating), t("details.as_many_stars"), { rating: String(all.rating) }) : rating(all.rating)) : null,
      has(all.note) ? line(t("details.note"), all.note) : null,
      has(all.camera) ? line(t("camera"), this.#action(all.camera, t("details.with_camera"), { camera: [all.camera] })) : null,
      has(all.lens) ? line(t("details.lens"), all.lens) : null,
      shot ? line(t("details.exposure"), shot) : null,
      line(t("picture"), size.filter(Boolean).join(" · "), has(hit.type) ? this.#action(String(hit.type).toUpperCase(), t("details.of_type"), { type: [String(hit.type).toLowerCase()] }) : null),
      line(t("folder"), this.#action(hit.folder, t("details.in_folder"), { in: [hit.folder] })),
      line(t("details.file"), h("span", { class: "path" }, hit.name), h("button", { type: "button", class: "plain", onclick: () => this.copyPath() }, icon("copy"), t("copy.path"))),
      all.gps ? line(t("location"), this.#location(all.gps)) : null,
      has(all.parts) ? line(t("details.parts"), ...all.parts.map((part) => this.#part(part))) : null,
      hit.duplicates > 0 ? line(t("details.copies"), t("copies.folded", { count: hit.duplicates }),
        h("button", { type: "button", class: "plain", onclick: () => this.actions.filter({ unique: false }) }, t("details.show_copies"))) : null,
    ].filter(Boolean).flat();
  }

  /** Another file of the shot: a picture opens here, a video in a tab of its own. */
  #part({ id, name, type, original }) {
    const row = (opener) => h("span", { class: "part" }, opener);
    if (id === null) return row(h("a", { href: original, target: "_blank", rel: "noopener" }, t("details.video", { name })));
    return row(h("button", { type: "button", class: "link", title: t("details.open", { name }), onclick: () => this.actions.show(id) }, `${name} (${type})`));
  }

  /** The date, which leads to the pictures of that day, or of its month or year if no more is known. */
  #taken(hit, all) {
    const from = hit.taken.slice(0, 10);
    return this.#action(taken(hit, all), t("details.of_time"), { after: from, before: endOf(from).slice(0, from.length) });
  }

  #action(words, title, patch) {
    return h("button", { type: "button", class: "link", title, onclick: () => this.actions.filter(patch) }, h("bdi", {}, words));
  }

  #location({ latitude, longitude }) {
    const degrees = (value) => ({ degrees: fixed(Math.abs(value), 4) });
    const words = [t(latitude < 0 ? "details.south" : "details.north", degrees(latitude)), t(longitude < 0 ? "details.west" : "details.east", degrees(longitude))].join(t("separator"));
    return h("button", { type: "button", class: "link", title: t("details.nearby"), onclick: () => this.actions.filter({ near: `${latitude},${longitude},10` }) }, icon("pin"), words);
  }

  #rest(all) {
    const more = Object.entries(all).filter(([name, value]) => !SHOWN_FIELDS.has(name) && has(value) && typeof value !== "object");
    if (!more.length) return null;
    return h("details", { class: "more-details" }, h("summary", {}, t("details.more")),
      h("dl", {}, more.flatMap(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value))])));
  }
}
