"""Groups of duplicates over the whole library, each with the picture to keep.

The groups are those of `searching.duplicates.leaders_of`, as in `search --unique`, with the
pictures of the library in the order in which they are worth keeping (`KeepOrder`). So each picture
of a group is near-identical to the one that is kept, not only to another copy of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from imgsearch.curation.near_pairs import Parts
from imgsearch.errors import QueryError
from imgsearch.records import FILE_NAME, ImageMetadata, ImageRecord
from imgsearch.searching.duplicates import leaders_of
from imgsearch.vectors import Embeddings, Ids

EXACT, COPY, SHOT = "exact", "copy", "shot"
LEVELS = {"exact": (EXACT,), "copies": (EXACT, COPY), "shots": (EXACT, COPY, SHOT)}
"""Name of a level -> the kinds of duplicates that it has, each level with those before it."""

RAW = "RAW"
FORMATS = (RAW, "TIFF", "PNG", "HEIF", "JPEG", "AVIF", "WEBP", "GIF")
"""The order of formats to keep: RAW, lossless, lossy. All others come last."""
SHARPNESS_STEP = 0.05
"""Differences of sharpness below it come from saving and scaling, and do not count."""
_EPOCH = datetime(1, 1, 1)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A picture that another one makes unnecessary.

    Attributes
    ----------
    image : ImageRecord
    kind : {"exact", "copy", "shot"}
        The same bytes; saved again or resized; another exposure of the same scene.
    score : float or None
        The inner product with the picture to keep, -1 to 1; None if the model has not seen both.
    """

    image: ImageRecord
    kind: str
    score: float | None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """A picture to keep, and its duplicates in the order in which they are worth keeping."""

    best: ImageRecord
    duplicates: tuple[Duplicate, ...]

    @property
    def size(self) -> int:
        """Bytes that the duplicates take."""
        return sum(each.image.file.size for each in self.duplicates)


class KeepOrder:
    """The order in which pictures are worth keeping.

    1. A path that matches an earlier one of the preferred patterns.
    2. More pixels.
    3. The format, as in `FORMATS`.
    4. More metadata: date, camera, position, title, keywords and so on.
    5. The sharper picture, by more than `SHARPNESS_STEP`, if all of them have been measured.
    6. The larger file.
    7. The shorter path, then the first in order.

    Parameters
    ----------
    prefer : sequence of str
        Glob patterns for absolute paths; "*" also matches "/".

    Raises
    ------
    QueryError
        A pattern is empty.
    """

    def __init__(self, prefer: Sequence[str] = ()) -> None:
        if "" in prefer:
            raise QueryError("a preferred path is empty", "Give a pattern, such as '*/Photos/*'.")
        self._prefer = [os.path.expanduser(each) for each in prefer]

    def sorted(self, images: Sequence[ImageRecord]) -> list[ImageRecord]:
        """The pictures, the one to keep first."""
        sharp = all(image.measures for image in images)
        return sorted(images, key=lambda image: self._key(image, sharp))

    def _key(self, image: ImageRecord, sharp: bool) -> tuple[object, ...]:
        metadata, path = image.metadata, image.file.absolute
        return (
            self._preference(path),
            -metadata.width * metadata.height,
            FORMATS.index(metadata.format) if metadata.format in FORMATS else len(FORMATS),
            -richness(metadata),
            -_sharpness(image) if sharp else 0,
            -image.file.size,
            len(path),
            path,
        )

    def _preference(self, path: str) -> int:
        matching = (n for n, glob in enumerate(self._prefer) if fnmatchcase(path, glob))
        return next(matching, len(self._prefer))


def _sharpness(image: ImageRecord) -> int:
    return 0 if image.measures is None else round(image.measures.sharpness / SHARPNESS_STEP)


def richness(metadata: ImageMetadata) -> int:
    """The number of facts that a picture states about itself."""
    own_date = metadata.taken_at is not None and metadata.taken_source != FILE_NAME
    facts = (
        own_date, metadata.utc_offset_minutes is not None, metadata.camera_make,
        metadata.camera_model, metadata.latitude is not None, metadata.title, metadata.description,
        metadata.city, metadata.state, metadata.country, metadata.rating is not None,
    )  # fmt: skip
    return sum(map(bool, facts)) + len(metadata.keywords) + len(metadata.people)


def with_equal_bytes(ids: Ids, parts: Ids, equal: Ids, hashes: Ids) -> tuple[Ids, Ids]:
    """The parts of linked pictures, joined with those of pictures whose bytes are equal.

    Parameters
    ----------
    ids, parts : ndarrays of shape (n,), int64
        As in `Links`.
    equal, hashes : ndarrays of shape (m,), int64
        Pictures that share their bytes with others, and a number for the bytes.
    """
    every = np.union1d(ids, equal)
    joined = Parts(every)
    for members, labels in ((ids, parts), (equal, hashes)):
        places = np.searchsorted(every, members)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        joined.join(places, places[first][inverse])
    return joined.linked()


def split(ids: Ids, parts: Ids) -> Iterator[Ids]:
    """The ids of each part, by its lowest id."""
    order = np.argsort(parts, kind="stable")
    cuts = np.flatnonzero(np.diff(parts[order])) + 1
    return iter(np.split(ids[order], cuts)) if len(ids) else iter(())


def groups_of(
    images: Sequence[ImageRecord],
    vectors: Callable[[Ids], Embeddings],
    least: float,
    level: str,
    order: KeepOrder,
) -> Iterator[DuplicateGroup]:
    """The groups among connected pictures.

    RAW files are compared only with each other: a RAW and its development are two works.

    Parameters
    ----------
    vectors : callable
        Vectors for ids, shape (n, dimension), float32; zero for a picture without one.
    least : float
        The inner product from which two pictures are near-identical.
    level : str
        Of `LEVELS`.
    """
    for raw in (False, True):
        kind = [each for each in images if (each.metadata.format == RAW) == raw]
        yield from _groups(order.sorted(kind), vectors, least, level)


def _groups(
    images: Sequence[ImageRecord],
    vectors: Callable[[Ids], Embeddings],
    least: float,
    level: str,
) -> Iterator[DuplicateGroup]:
    if len(images) < 2:
        return
    if level == "exact":
        rows = np.zeros((len(images), 1), np.float32)
    else:
        rows = vectors(np.array([each.id for each in images], np.int64))
    times = np.array([_exposure(each.metadata) for each in images], np.int64)
    hashes = [each.content_hash for each in images]
    leaders = leaders_of(rows, hashes, least, None if level == "shots" else times)
    members: dict[int, list[int]] = {}
    for place in np.flatnonzero(leaders != np.arange(len(images))).tolist():
        members.setdefault(int(leaders[place]), []).append(place)
    for best, places in sorted(members.items()):
        found = (_duplicate(images, rows, times, best, place) for place in places)
        yield DuplicateGroup(images[best], tuple(found))


def _duplicate(
    images: Sequence[ImageRecord],
    rows: Embeddings,
    times: NDArray[np.int64],
    best: int,
    place: int,
) -> Duplicate:
    image, kept = images[place], images[best]
    seen = rows[best].any() and rows[place].any()
    score = float(rows[best] @ rows[place]) if seen else None
    if image.content_hash == kept.content_hash:
        return Duplicate(image, EXACT, score)
    two_exposures = times[best] and times[place] and times[best] != times[place]
    return Duplicate(image, SHOT if two_exposures else COPY, score)


def _exposure(metadata: ImageMetadata) -> int:
    """Microseconds of the exposure, as the file states it to the second; 0 if it does not."""
    taken = metadata.taken_at
    if taken is None or metadata.taken_precision != "second" or metadata.taken_source == FILE_NAME:
        return 0
    return int((taken.replace(tzinfo=None) - _EPOCH).total_seconds() * 1e6) + 1


def group_to_plain(
    group: DuplicateGroup, plain: Callable[[ImageRecord], Mapping[str, object]]
) -> dict[str, object]:
    """A group as plain values for JSON; `plain` makes those of a picture, `kind` among them."""
    duplicates = [
        {"match": each.kind, "score": each.score, **plain(each.image)} for each in group.duplicates
    ]
    return {"keep": plain(group.best), "duplicates": duplicates}
