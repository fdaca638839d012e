"""Hits in the formats that people and scripts read."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from imgsearch.cli.terminal import columns, cut, plain, visible
from imgsearch.records import MEASURES
from imgsearch.searching.hits import Hit, hit_to_plain

Paint = Callable[[Hit, str, str, str], str]
"""Makes a line of a table from a hit and its uncoloured start, path and end."""

FIELDS = (
    "rank",
    "score",
    "strength",
    "named",
    "path",
    "width",
    "height",
    "format",
    "size",
    "taken_at",
    "camera_make",
    "camera_model",
    "latitude",
    "longitude",
    "id",
    "taken",
    "taken_source",
    "utc_offset_minutes",
    "rating",
    "people",
    "city",
    "state",
    "country",
    "note",
    "matched",
    "parts",
    *MEASURES,
)
"""Of a record; that of a folded hit ends with `duplicates`."""

_TEXTS = ("camera_make", "camera_model", "people", "city", "state", "country", "note")
"""Fields copied from files, which may contain anything."""
_MIN_PATH_COLUMNS = 16  # columns of a path, however narrow the terminal is


def render(hits: Sequence[Hit], form: str) -> None:
    """Print hits on stdout in one of `FORMATS`.

    A terminal gets no control characters but those of the format; pipes get the true bytes.
    """
    text = FORMATS[form](hits)
    if sys.stdout.isatty():
        text = plain(text, keep="\n\r\t\0")
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()


def record(hit: Hit) -> dict[str, Any]:
    """A hit as one flat record, of `hit_to_plain`, with the paths of `parts` and `duplicates`."""
    plain_values = hit_to_plain(hit)
    values = {name: plain_values[name] for name in FIELDS}
    values["parts"] = [each.file.absolute for each in hit.parts]
    if hit.duplicates is not None:
        values["duplicates"] = [each.file.absolute for each in hit.duplicates]
    return values


def render_table(hits: Sequence[Hit], paint: Paint | None, reasons: bool) -> None:
    """Print a table on stdout.

    Parameters
    ----------
    paint : Paint or None
        Makes the lines; None for lines without colours and links.
    reasons : bool
        Add why each picture was found.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(_table(hits, paint, reasons)))
    sys.stdout.buffer.flush()


def _table(hits: Sequence[Hit], paint: Paint | None = None, reasons: bool = False) -> str:
    width = terminal_width()
    return "".join(table_line(hit, width, paint, reasons) + "\n" for hit in hits)


def terminal_width() -> int | None:
    """Columns of the terminal; None if stdout is not one, so that nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_line(
    hit: Hit, width: int | None = None, paint: Paint | None = None, reasons: bool = False
) -> str:
    """A hit for people: a path too long for `width` is cut in the middle."""
    metadata = hit.image.metadata
    score = "" if hit.score is None else f"{hit.score:.3f}"
    reason = f"{hit.reason:>4}  " if hit.reason else ""
    start = f"{hit.rank:>3}  {reason}{score:>6}  "
    end = f"  ({metadata.width}x{metadata.height})"
    end += f"  {metadata.taken_day}" if metadata.taken_day else ""
    end += "".join(f"  +{plain(_extension(each.file.path))}" for each in hit.parts)
    end += f"  +{len(hit.duplicates)} like it" if hit.duplicates else ""
    end += f"  [{hit.why}]" if reasons and hit.why else ""
    path = plain(nearest_name(hit.image.file.absolute))
    if width is not None:
        path = cut(path, max(_MIN_PATH_COLUMNS, width - columns(start + end)))
    return paint(hit, start, path, end) if paint else start + path + end


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].removeprefix(".").upper()


def nearest_name(path: str) -> str:
    """The path relative to the working folder if that is shorter."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working folder is gone, or on another drive
        return path
    return relative if len(relative) < len(path) else path


def _json(hits: Sequence[Hit]) -> str:
    return json.dumps([record(hit) for hit in hits], indent=2) + "\n"


def _jsonl(hits: Sequence[Hit]) -> str:
    return "".join(json.dumps(record(hit)) + "\n" for hit in hits)


def _csv(hits: Sequence[Hit]) -> str:
    """Hits as CSV (RFC 4180), with the numbers of parts and, if folded, of duplicates."""
    import csv

    folded = any(hit.duplicates is not None for hit in hits)
    out = io.StringIO()
    writer = csv.DictWriter(
        out, (*FIELDS, "duplicates") if folded else FIELDS, lineterminator="\r\n"
    )
    writer.writeheader()
    writer.writerows(_cells(record(hit)) for hit in hits)
    return out.getvalue()


def _cells(values: dict[str, Any]) -> dict[str, Any]:
    """A text escaped for a spreadsheet, which would run a camera called "=cmd()"."""
    values["matched"] = " ".join(values["matched"])
    values["parts"] = len(values["parts"])
    if "duplicates" in values:
        values["duplicates"] = len(values["duplicates"])
    values["people"] = "; ".join(values["people"])
    values["named"] = "true" if values["named"] else "false"
    for name in _TEXTS:
        if (values[name] or "").startswith(("=", "+", "-", "@", "\t", "\r")):
            values[name] = "'" + values[name]
    if not sys.stdout.isatty():
        return values
    return {
        name: plain(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _tsv(hits: Sequence[Hit]) -> str:
    def score(hit: Hit) -> str:
        return "" if hit.score is None else f"{hit.score:.6f}"

    return "".join(f"{score(hit)}\t{_escaped(hit.image.file.absolute)}\n" for hit in hits)


def _escaped(path: str) -> str:
    r"""Tab, newline, carriage return and backslash as \t, \n, \r and \\: one line, two fields."""
    codes = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
    return re.sub(r"[\\\t\n\r]", lambda match: codes[match[0]], path)


def _paths(hits: Sequence[Hit], end: str) -> str:
    return "".join(visible(hit.image.file.absolute) + end for hit in hits)


FORMATS: dict[str, Callable[[Sequence[Hit]], str]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "tsv": _tsv,
    "paths": lambda hits: _paths(hits, "\n"),
    "paths0": lambda hits: _paths(hits, "\0"),
}
