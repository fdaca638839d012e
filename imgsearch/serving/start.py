"""Contents of the start page, from a few cheap reads of the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from imgsearch.errors import ImgSearchError, LibraryMissing
from imgsearch.filters.tree import Filter
from imgsearch.library import Library
from imgsearch.records import Cluster, ImageRecord, Period, PlaceCount, years_of
from imgsearch.searching.saved_searches import SavedSearch
from imgsearch.vectors import members

MAX_RECENT_IMAGES = 24
MAX_IMAGES_OF_A_DAY = 24
MAX_IMAGES_OF_A_DAY_PER_YEAR = 6
MAX_START_CLUSTERS = 24
MAX_START_PLACES = 24
MAX_DRAWN_OF_A_DAY = 10_000
"""Pictures of a day from which some are drawn."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Clusters, largest first, with covers.

    Attributes
    ----------
    model : str
        The model whose vectors were grouped; "" if nothing is indexed.
    made : bool
        Clusters were made.
    clusters : sequence of Cluster
    covers : dict of id to ImageRecord
        The medoids that are present.
    waiting : int
        Pictures that are in no cluster yet.
    """

    model: str = ""
    made: bool = False
    clusters: Sequence[Cluster] = ()
    covers: dict[int, ImageRecord] = field(default_factory=dict)
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """Contents of the start page.

    Attributes
    ----------
    recent, on_this_day : sequence of ImageRecord
        Added last; taken on this day of earlier years, the latest year first.
    years, months : sequence of Period
        Newest first.
    places : sequence of PlaceCount
        The cities with the most pictures.
    covers : dict of id to ImageRecord
        Of the periods and places.
    tiles : Tiles
        The largest clusters on the broad level.
    saved : sequence of SavedSearch
    """

    recent: Sequence[ImageRecord] = ()
    on_this_day: Sequence[ImageRecord] = ()
    years: Sequence[Period] = ()
    months: Sequence[Period] = ()
    places: Sequence[PlaceCount] = ()
    covers: dict[int, ImageRecord] = field(default_factory=dict)
    tiles: Tiles = field(default_factory=Tiles)
    saved: Sequence[SavedSearch] = ()


def start(library: Library, day: str) -> Start:
    """Contents of the start page; empty without a library.

    Parameters
    ----------
    day : str
        Month and day, such as "11-29".
    """
    try:
        catalog = library.catalog
    except LibraryMissing:
        return Start()
    with catalog.snapshot():
        months = catalog.months()
        years = years_of(months)
        anniversaries = _on_this_day(
            library, day, years, MAX_IMAGES_OF_A_DAY_PER_YEAR, MAX_IMAGES_OF_A_DAY
        )
        recent = catalog.latest_added(MAX_RECENT_IMAGES)
        places = catalog.place_counts("city", None, MAX_START_PLACES)
        covers = catalog.get([*(each.cover for each in months), *(each.cover for each in places)])
        return Start(
            _records(library, recent),
            _records(library, anniversaries),
            years,
            [each for each in months if each.month is not None],
            places,
            covers,
            cluster_tiles(library, MAX_START_CLUSTERS),
            list(library.saved),
        )


def images_of_day(library: Library, day: str, limit: int) -> list[ImageRecord]:
    """Pictures taken on a day ("11-29") of earlier years, the latest year first; none without a
    library."""
    try:
        with library.catalog.snapshot():
            years = years_of(library.catalog.months())
            return _records(library, _on_this_day(library, day, years, limit, limit))
    except LibraryMissing:
        return []


def random_images(
    library: Library, where: Filter | None, day: str, count: int
) -> list[ImageRecord]:
    """Pictures that pass a filter, drawn at random, each once; none without a library.

    Parameters
    ----------
    day : str
        Only those taken on this day of earlier years, such as "11-29"; "" for all.
    """
    try:
        with library.catalog.snapshot():
            ids = library.catalog.select(where)
            if day:
                years = years_of(library.catalog.months())
                of_day = _on_this_day(library, day, years, MAX_DRAWN_OF_A_DAY, MAX_DRAWN_OF_A_DAY)
                ids = members(ids, np.array(sorted(of_day), np.int64))
            drawn = np.random.default_rng().choice(ids, min(count, len(ids)), replace=False)
            return _records(library, drawn.tolist())
    except LibraryMissing:
        return []


def _on_this_day(
    library: Library, day: str, years: Sequence[Period], each_year: int, limit: int
) -> list[int]:
    earlier = [each.year for each in years if each.year < datetime.now().year]
    return library.catalog.on_this_day(day, earlier, each_year, limit)


@dataclass(frozen=True, slots=True)
class Timeline:
    """How pictures are spread over time.

    Attributes
    ----------
    months : sequence of (year, month, count)
        Newest first; pictures of which only the year is known are in its January.
    undated : int
    """

    months: Sequence[tuple[int, int, int]] = ()
    undated: int = 0


def timeline(library: Library, where: Filter | None) -> Timeline:
    """How the pictures that pass a filter are spread over months; empty without a library."""
    try:
        catalog = library.catalog
    except LibraryMissing:
        return Timeline()
    counts: Counter[tuple[int, int]] = Counter()
    with catalog.snapshot():
        for (year, month), count in catalog.month_counts(where).items():
            counts[year, month or 1] += count
        undated = (
            catalog.undated_count() if where is None else catalog.count(where) - counts.total()
        )
    return Timeline([(*key, counts[key]) for key in sorted(counts, reverse=True)], undated)


def recent_images(library: Library, limit: int) -> list[ImageRecord]:
    """The pictures that came into the library last, the last one first; none without a library."""
    try:
        return _records(library, library.catalog.latest_added(limit))
    except LibraryMissing:
        return []


def _records(library: Library, ids: Sequence[int]) -> list[ImageRecord]:
    found = library.catalog.get(ids)
    return [found[each] for each in ids if each in found]


def cluster_tiles(library: Library, max_broad: int | None = None) -> Tiles:
    """The clusters of the model in use, with their covers.

    Parameters
    ----------
    max_broad : int or None
        Maximum number of broad clusters; None for all of both levels.
    """
    try:
        catalog, space = library.catalog, library.spaces.searchable()
    except ImgSearchError:  # nothing is indexed with the model in use
        return Tiles()
    with catalog.snapshot():
        found = [each for each in catalog.clusters(space) if each.count]
        if max_broad is not None:
            found = [each for each in found if each.parent is None][:max_broad]
        covers = catalog.get([each.medoid for each in found])
        made = catalog.clustering(space) is not None
        return Tiles(space.model, made, found, covers, catalog.unclustered() if made else 0)
