"""Contact sheet: the hits as one self-contained HTML page, without scripts or network access."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch.cli.group import Context
from imgsearch.cli.terminal import complain, count_of, plain
from imgsearch.errors import ImgSearchError
from imgsearch.writing import replace_file

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.records import Skipped, Thumbnail
    from imgsearch.searching.hits import Hit

SIDE_PIXELS = 320
"""Longer side of a thumbnail in pixels."""

# Jinja escapes every value, so names and queries are only text. Should that ever fail, the policy
# in the head still blocks scripts and requests.
HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="imgsearch">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --text: #222; --faint: #666; --edge: #ddd }
@media (prefers-color-scheme: dark) {
  :root { --page: #161616; --text: #ddd; --faint: #999; --edge: #333 }
}
body { margin: 1.5rem; background: var(--page); color: var(--text); font: 15px/1.4 sans-serif }
h1, h2 { font-size: 1.3rem; font-weight: normal; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .8rem }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem;
  margin: 0; padding: 0; list-style: none }
li { border: 1px solid var(--edge); border-radius: 4px; padding: .6rem; overflow-wrap: anywhere }
li.first { grid-column-start: 1 }
a { color: inherit }
a.picture { display: flex; height: 15rem; align-items: center; justify-content: center;
  text-align: center; margin-bottom: .4rem }
img { max-width: 100%; max-height: 100%; object-fit: contain }
p { margin: 0 }
table { border-collapse: collapse; margin-bottom: 1.5rem }
td, th { border: 1px solid var(--edge); padding: .3rem .6rem; text-align: left }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; align-items: start }
.faint { color: var(--faint); font-size: .85rem }
</style>
</head>
<body>
"""
ENTRIES = """\
<ol>
{% for entry in entries %}
<li{% if entry.first %} class="first"{% endif %}>
<a class="picture" href="{{ entry.link }}">
{%- if entry.data %}<img src="data:image/jpeg;base64,{{ entry.data }}"
 width="{{ entry.width }}" height="{{ entry.height }}" alt="{{ entry.name }}">
{%- else %}<span class="faint">{{ entry.reason }}</span>{% endif -%}
</a>
<p>{{ entry.rank }}. <a href="{{ entry.link }}">{{ entry.name }}</a></p>
<p class="faint">{{ entry.facts }}</p>
<p class="faint">{{ entry.folder }}</p>
</li>
{% endfor %}
</ol>
"""
TEMPLATE = f"""\
{HEAD}<h1>{{{{ title }}}}</h1>
{{% for heading, entries in sections %}}
{{% if heading %}}<h2>{{{{ heading }}}}</h2>{{% endif %}}
{ENTRIES}{{% endfor %}}
</body>
</html>
"""


def write_sheet(
    ctx: Context,
    lib: Library,
    hits: Sequence[Hit],
    target: str,
    title: str,
    marks: Mapping[int, str] | None = None,
) -> int:
    """Write the page; returns 1 if any picture could not be read, which is listed without one.

    Parameters
    ----------
    marks : mapping of id to str, optional
        Notes about pictures. Pictures of one rank then share a row.
    """
    return write_sections(ctx, lib, [("", hits)], target, title, marks)


def write_sections(
    ctx: Context,
    lib: Library,
    sections: Sequence[tuple[str, Sequence[Hit]]],
    target: str,
    title: str,
    marks: Mapping[int, str] | None = None,
) -> int:
    """Write a page with a heading above each list of hits, as `write_sheet` does."""
    from imgsearch.records import Skipped

    require_writable(target)
    hits = [hit for _, each in sections for hit in each]
    thumbnails = lib.thumbnails(hits, SIDE_PIXELS)
    missing = [each for each in thumbnails.values() if isinstance(each, Skipped)]
    for each in missing:
        complain(f"{each.file.absolute}: {each.reason}")
    entries = [
        (plain(heading), [entry(hit, thumbnails[hit.image.id]) for hit in each])
        for heading, each in sections
    ]
    if marks is not None:
        for (_, listed), (_, found) in zip(entries, sections, strict=True):
            _mark(listed, [marks[hit.image.id] for hit in found])
    whole = plain(title) or "Pictures"
    replace_file(target, page(f"{whole} ({count_of(len(hits), 'picture')})", entries))
    ctx.say(f"Wrote {target}: {count_of(len(hits), 'picture')}.")
    return int(bool(missing))


def page(title: str, sections: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> bytes:
    """The page of sections, each a heading ("" for none) and its entries, as UTF-8."""
    return rendered(TEMPLATE, title=title, sections=sections)


def rendered(template: str, **values: Any) -> bytes:
    """A template with its values, which Jinja escapes, as UTF-8."""
    from jinja2 import Environment

    text = Environment(autoescape=True).from_string(template).render(**values)
    return text.encode("utf-8", "backslashreplace")


def entry(hit: Hit, thumbnail: Thumbnail | Skipped) -> dict[str, Any]:
    from imgsearch.records import Thumbnail

    path = hit.image.file.absolute
    folder, name = os.path.split(path)
    metadata = hit.image.metadata
    facts = [hit.reason] if hit.reason else []
    facts += [] if hit.score is None else [f"{hit.score:.3f}"]
    facts += [f"{metadata.width} x {metadata.height}"]
    facts += [metadata.taken_day] if metadata.taken_day else []
    facts += [count_of(len(hit.duplicates), "near-duplicate")] if hit.duplicates else []
    values = {
        "rank": hit.rank,
        "link": Path(path).as_uri(),
        "name": _shown(name),
        "folder": _shown(folder),
        "facts": ", ".join(facts),
    }
    if isinstance(thumbnail, Thumbnail):
        data = b64encode(thumbnail.data).decode()
        return values | {"data": data, "width": thumbnail.width, "height": thumbnail.height}
    return values | {"reason": thumbnail.reason}


def _mark(entries: Sequence[dict[str, Any]], marks: Sequence[str]) -> None:
    rank = 0
    for entry, mark in zip(entries, marks, strict=True):
        entry["first"], rank = entry["rank"] != rank, entry["rank"]
        entry["facts"] = f"{mark}: {entry['facts']}"


def _shown(name: str) -> str:
    r"""A name for display: control characters and bytes that are not UTF-8 appear as \x.."""
    return os.fsencode(plain(name)).decode("utf-8", "backslashreplace")


PAGE_MARK = b'name="generator" content="imgsearch"'
_NEW_PAGE = "Choose a new file: --html results.html"


def require_writable(target: str) -> None:
    """Refuse to replace any file except a page of an earlier call."""
    from imgsearch.sources.formats import is_picture_name

    if is_picture_name(target):
        raise ImgSearchError(f"{target} has the name of a picture, not of a page", _NEW_PAGE)
    require_ours(target, PAGE_MARK, "page", _NEW_PAGE)


def require_ours(target: str, mark: bytes, kind: str, hint: str) -> None:
    """Refuse to replace any file except one that starts with a mark of imgsearch."""
    if not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        raise ImgSearchError(
            f"the folder of {target} does not exist", "Create it, or choose another folder."
        )
    if not os.path.lexists(target):
        return
    start = b""
    if os.path.isfile(target):
        with open(target, "rb") as file:
            start = file.read(1024)
    if mark not in start:
        raise ImgSearchError(f"{target} already exists and is not a {kind} of imgsearch", hint)
