"""The map as files: a page that can be moved and zoomed, SVG and PNG. None needs a network."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.cli.contact_sheet import PAGE_MARK, rendered
from imgsearch.cli.terminal import count_of, plain
from imgsearch.curation.density import level_to_plain
from imgsearch.curation.map import COLOURS, PictureMap, region_to_plain

if TYPE_CHECKING:
    from imgsearch.records import Thumbnail

MAX_PAGE_POINTS = 100_000
"""Pictures of a page or an SVG; of more, some from all over the map are shown."""
SVG_MARK = b"<!-- imgsearch map -->"
_SVG_SIDE = 1000

STYLE = """\
:root { color-scheme: light dark; --page: #fff; --text: #1b1c1e; --faint: #5b5f66; --edge: #ddd }
@media (prefers-color-scheme: dark) {
  :root { --page: #161616; --text: #e4e4e4; --faint: #a3a8b0; --edge: #333 }
}
* { box-sizing: border-box }
html, body { height: 100%; margin: 0 }
body { display: flex; flex-direction: column; background: var(--page); color: var(--text);
  font: 15px/1.4 sans-serif }
header { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .5rem 1rem;
  align-items: baseline; border-bottom: 1px solid var(--edge) }
h1 { font-size: 1.1rem; font-weight: normal; margin: 0 }
p { margin: 0; color: var(--faint) }
#plane { position: relative; flex: 1; min-height: 0; overflow: hidden; touch-action: none;
  background: var(--page); cursor: grab }
#plane:focus-visible { outline: 2px solid #4063d8; outline-offset: -2px }
.plane-points, .plane-over, .plane-near { position: absolute; inset: 0; width: 100%; height: 100% }
.plane-over { pointer-events: none }
.plane-near { overflow: hidden; pointer-events: none }
.plane-near img { position: absolute; left: 0; top: 0; object-fit: contain }
#name { position: absolute; z-index: 1; padding: .1rem .4rem; max-width: 80%; pointer-events: none;
  background: var(--page); border: 1px solid var(--edge); border-radius: 3px;
  overflow-wrap: anywhere }
"""
BOOT = """\
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const holder = document.getElementById("plane");
const name = document.getElementById("name");
new Plane(holder, {
  points: new Uint16Array(bytes(data.points).buffer),
  colours: bytes(data.colours),
  palette: data.palette,
  regions: data.regions,
  levels: data.levels,
  picture: (i) => (data.pictures[i] ? `data:image/jpeg;base64,${data.pictures[i]}` : null),
  onhover(i, left, top) {
    name.hidden = i === null;
    if (i === null) return;
    name.textContent = data.names[i];
    name.style.left = `${Math.min(left + 12, holder.clientWidth * 0.6)}px`;
    name.style.top = `${top + 12}px`;
  },
});
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src '{{ style_hash }}'; \
script-src '{{ script_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="imgsearch">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header><h1>{{ title }}</h1><p>Drag to move, scroll or pinch to zoom. With the keyboard: arrows,
+, -, and 0 for the whole map.</p></header>
<div id="plane" role="application" tabindex="0" aria-label="{{ title }}"><span id="name" hidden>\
</span></div>
<script type="application/json" id="data">{{ data | safe }}</script>
<script type="module">{{ script | safe }}</script>
</body>
</html>
"""
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ side }} {{ side }}">
<!-- imgsearch map -->
<title>{{ title }}</title>
<rect width="{{ side }}" height="{{ side }}" fill="#fff"/>
{% for colour, path in dots %}<path d="{{ path }}" stroke="rgb{{ colour }}"
 stroke-width="{{ size }}" stroke-linecap="round" fill="none"/>
{% endfor %}{% for image in images %}<image x="{{ image.x }}" y="{{ image.y }}"
 width="{{ image.width }}" height="{{ image.height }}"
 href="data:image/jpeg;base64,{{ image.data }}"/>
{% endfor %}{% for line in lines %}<polyline points="{{ line }}" fill="none" stroke="#333"
 stroke-opacity=".3"/>
{% endfor %}<g font-family="sans-serif" font-size="15" text-anchor="middle" fill="#1b1c1e"
 stroke="#fff" stroke-width="4" paint-order="stroke" stroke-linejoin="round">
{% for name in names %}<text x="{{ name.x }}" y="{{ name.y }}">{{ name.text }}</text>
{% endfor %}</g>
</svg>
"""
assert PAGE_MARK.decode() in PAGE
assert SVG_MARK.decode() in SVG


def map_page(
    shown: PictureMap, names: Mapping[int, str], pictures: Mapping[int, Thumbnail]
) -> bytes:
    """A page that draws the map, with the names of all pictures and some of them in small.

    Parameters
    ----------
    names : mapping of id to str
    pictures : mapping of id to Thumbnail
    """
    ids = shown.ids.tolist()
    places = np.round((shown.positions.astype(np.float64) + 1) * 32767.5).astype("<u2")
    data = {
        "points": b64encode(places.tobytes()).decode(),
        "colours": b64encode(shown.colours().tobytes()).decode(),
        "palette": COLOURS,
        "regions": [region_to_plain(each) for each in shown.regions],
        "levels": [level_to_plain(each) for each in shown.levels()],
        "names": [plain(names.get(each, "")) for each in ids],
        "pictures": {
            place: b64encode(pictures[each].data).decode()
            for place, each in enumerate(ids)
            if each in pictures
        },
    }
    module = files("imgsearch.web").joinpath("static", "js", "plane.js").read_text("utf-8")
    script = "\n" + module.replace("export class Plane", "class Plane") + BOOT
    return rendered(
        PAGE,
        title=_title(shown),
        style=STYLE,
        style_hash=_hash(STYLE),
        script=script,
        script_hash=_hash(script),
        data=json.dumps(data).replace("<", "\\u003c"),
    )


def _title(shown: PictureMap) -> str:
    return f"Map of {count_of(len(shown.ids), 'picture')}"


def _hash(text: str) -> str:
    """How a Content Security Policy names an inline script or style."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def map_svg(shown: PictureMap, pictures: Mapping[int, Thumbnail]) -> bytes:
    """The map as an SVG: points, lines of density, and names of the broad clusters."""
    where = dict(zip(shown.ids.tolist(), shown.positions.tolist(), strict=True))
    colours = shown.colours()
    dots = [
        (COLOURS[number], "".join(f"M{_at(x)} {_at(-y)}h0" for x, y in points.tolist()))
        for number in range(len(COLOURS))
        if len(points := shown.positions[colours == number])
    ]
    images = [
        {
            "x": _at(where[key][0], -each.width / 4),
            "y": _at(-where[key][1], -each.height / 4),
            "width": each.width / 2,
            "height": each.height / 2,
            "data": b64encode(each.data).decode(),
        }
        for key, each in pictures.items()
    ]
    broad = shown.broad()
    return rendered(
        SVG,
        title=_title(shown),
        side=_SVG_SIDE,
        size=round(min(12.0, max(1.5, 500 / len(shown.ids) ** 0.5)), 1),
        dots=dots,
        images=images,
        lines=[_corners(line) for level in shown.levels() for line in level.lines],
        names=[{"x": _at(each.x), "y": _at(-each.y), "text": plain(each.name)} for each in broad],
    )


def _corners(line: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_at(x)},{_at(-y)}" for x, y in line)


def _at(value: float, offset: float = 0) -> float:
    return round(_SVG_SIDE / 2 * (1 + 0.9 * value) + offset, 1)


def map_png(shown: PictureMap, pictures: Mapping[int, Thumbnail]) -> bytes:
    """The map as a PNG: points, lines of density, and names of the broad clusters."""
    from imgsearch.sources import map_drawing

    places = {key: place for place, key in enumerate(shown.ids.tolist())}
    broad = shown.broad()
    return map_drawing.map_png(
        shown.positions,
        COLOURS,
        shown.colours(),
        [line for level in shown.levels() for line in level.lines],
        [(plain(each.name), each.x, each.y) for each in broad],
        {places[key]: each.data for key, each in pictures.items()},
    )
