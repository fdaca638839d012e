"""Files of one shot: the RAW and the JPEG of a camera, the HEIC of a phone and its JPEG.

They lie in one folder and have the same name up to the extension. A RAW belongs to the JPEG or HEIC
of that name unless their dates contradict. A HEIC belongs to a JPEG only if both have the same
date, because the JPEG may be anything. TIFF, PNG and other files of the name may be works of their
own and stay apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations

from sqlalchemy import Connection, text

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import on_server, plain
from imgsearch.catalog.spellings import between
from imgsearch.records import DATE_CHARACTERS

RAW, HEIF = "RAW", "HEIF"
VIEWABLE_FORMATS = ("JPEG", HEIF, RAW)
"""Formats of the files of a shot, the most viewable first."""
MAX_SECONDS_APART = 5
"""Limit between the dates of two files of one shot: the clocks of their writers differ."""

# RTRIM takes all but dots from the end, which leaves the path up to its last dot. The paths between
# "stem." and "stem/" begin with "stem."; the index on (root_id, path) finds them.
_NEIGHBOURS = """
WITH stems AS (
  SELECT DISTINCT root_id, rtrim(path, replace(path, '.', '')) AS stem
  FROM images WHERE id IN ({ids}) AND instr(path, '.') > 0
),
files AS (
  SELECT stems.root_id, stem, id, format, taken_at, taken_precision,
    count(*) OVER (PARTITION BY stems.root_id, stem) AS count
  FROM stems CROSS JOIN images
    ON images.root_id = stems.root_id AND {between}
  WHERE +status = 'present' AND +format IN ('JPEG', 'HEIF', 'RAW')
    AND instr(substr(path, length(stem) + 1), '.') = 0
)
SELECT root_id, stem, id, format, taken_at, taken_precision FROM files WHERE count > 1
"""
_AFTER_STEM = "substr(stem, 1, length(stem) - 1) || '/'"
_ANY_SOURCE = """
SELECT EXISTS (SELECT 1 FROM images WHERE status = 'present' AND format IN ('RAW', 'HEIF'))
"""

Shots = Mapping[int, tuple[int, ...]]
"""Id of an image -> all ids of its shot, the most viewable format first."""
File = tuple[int, str, str | None, str | None]
"""Id, format, date and its precision."""


def shots(connection: Connection, ids: Sequence[int]) -> Shots:
    """The shots of these images that have other present files."""
    if not connection.execute(text(_ANY_SOURCE)).scalar_one():
        return {}
    groups: defaultdict[tuple[int, str], dict[int, File]] = defaultdict(dict)
    beginning = between("path", "stem", _AFTER_STEM, server=on_server(connection))
    for chunk in rows.chunks([int(each) for each in ids]):
        ids_of_chunk = ", ".join(map(str, chunk))
        query = plain(connection, _NEIGHBOURS.format(ids=ids_of_chunk, between=beginning))
        for root, stem, *file in connection.execute(query):
            groups[root, stem][file[0]] = (file[0], file[1], file[2], file[3])
    found: dict[int, tuple[int, ...]] = {}
    for files in groups.values():
        shot = _shot(
            sorted(files.values(), key=lambda each: (VIEWABLE_FORMATS.index(each[1]), each[0]))
        )
        found.update(dict.fromkeys(shot, shot))
    return found


def _shot(files: Sequence[File]) -> tuple[int, ...]:
    """Ids of the files that belong to another one, among files of one name."""
    together = {
        each[0]
        for first, second in combinations(files, 2)
        if _is_one_shot(first, second)
        for each in (first, second)
    }
    return tuple(each[0] for each in files if each[0] in together)


def _is_one_shot(viewable: File, source: File) -> bool:
    """True for a RAW or HEIC with a more viewable file, unless the dates say otherwise.

    Without dates a RAW belongs to the file of its name, and a HEIC does not.
    """
    _, form, taken, precision = viewable
    _, source_form, source_taken, source_precision = source
    if source_form not in (RAW, HEIF) or form == source_form:
        return False
    if taken is None or source_taken is None:
        return source_form == RAW
    known = min(DATE_CHARACTERS.get(each, 99) for each in (precision, source_precision))
    if known < 99:
        return taken[:known] == source_taken[:known]
    apart = datetime.fromisoformat(taken) - datetime.fromisoformat(source_taken)
    return abs(apart.total_seconds()) <= MAX_SECONDS_APART
