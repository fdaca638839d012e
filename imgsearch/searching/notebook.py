"""Results for a notebook: HTML with small pictures in it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imgsearch.errors import ImgSearchError
from imgsearch.records import Skipped, Thumbnail
from imgsearch.searching.hits import Hit

Thumbnails = Callable[[Sequence[Hit], int], Mapping[int, Thumbnail | Skipped]]
MAX_SHOWN_HITS = 24
SIDE_PIXELS = 160
MAX_TEXT_CHARACTERS = 200
_UNPRINTABLE = dict.fromkeys((*range(32), *range(127, 160)), "�")

# Jinja escapes every value. Nothing in it is a script, and nothing is fetched.
_TEMPLATE = """\
<div>
{%- for note in notes %}<p>{{ note }}</p>{% endfor %}
<div style="display: flex; flex-wrap: wrap; gap: 12px">
{%- for hit in hits %}
<figure style="margin: 0; width: 160px; overflow-wrap: anywhere">
{%- if hit.data %}<img src="data:image/jpeg;base64,{{ hit.data }}" alt="{{ hit.name }}"
 width="{{ hit.width }}" height="{{ hit.height }}">
{%- else %}<em>{{ hit.reason }}</em>{% endif %}
<figcaption title="{{ hit.path }}">{{ hit.rank }}. {{ hit.name }}<br>{{ hit.facts }}</figcaption>
</figure>
{%- endfor %}
</div>
{%- if more %}<p>and {{ more }} more</p>{% endif %}
</div>
"""


def page(hits: Sequence[Hit], notes: Sequence[str], thumbnails: Thumbnails | None) -> str:
    """The first hits as HTML, with the pictures that `thumbnails` returns."""
    from jinja2 import Environment

    shown = hits[:MAX_SHOWN_HITS]
    small = _small(shown, thumbnails)
    return (
        Environment(autoescape=True)
        .from_string(_TEMPLATE)
        .render(
            hits=[_entry(hit, small.get(hit.image.id)) for hit in shown],
            notes=[_text(note) for note in notes],
            more=len(hits) - len(shown),
        )
    )


def _small(hits: Sequence[Hit], thumbnails: Thumbnails | None) -> Mapping[int, Thumbnail | Skipped]:
    if thumbnails is None or not hits:
        return {}
    try:
        return thumbnails(hits, SIDE_PIXELS)
    except (ImgSearchError, OSError):  # a result is shown without its pictures then
        return {}


def _entry(hit: Hit, thumbnail: Thumbnail | Skipped | None) -> dict[str, Any]:
    facts = [hit.reason] if hit.reason else []
    facts += [] if hit.score is None else [f"{hit.score:.3f}"]
    values: dict[str, Any] = {
        "rank": hit.rank,
        "name": _text(os.path.basename(hit.path)),
        "path": _text(hit.path),
        "facts": ", ".join(facts),
    }
    if isinstance(thumbnail, Thumbnail):
        data = b64encode(thumbnail.data).decode()
        return values | {"data": data, "width": thumbnail.width, "height": thumbnail.height}
    return values | {"reason": _text(thumbnail.reason) if thumbnail else "no picture"}


def _text(text: str) -> str:
    r"""A text for display: bytes that are not UTF-8 appear as \x.."""
    known = os.fsencode(text).decode("utf-8", "backslashreplace").translate(_UNPRINTABLE)
    return known if len(known) <= MAX_TEXT_CHARACTERS else f"{known[: MAX_TEXT_CHARACTERS - 1]}…"
