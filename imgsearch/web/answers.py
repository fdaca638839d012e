"""The answers of the API, and how records become answers. The OpenAPI document is made from it."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from imgsearch.filters.query_text import QueryText
from imgsearch.records import (
    Facets,
    ImageRecord,
    Period,
    PlaceCount,
    PositionCell,
    RootRecord,
    Skipped,
    camera_name,
    root_to_plain,
)
from imgsearch.searching.hits import (
    Hit,
    hit_to_plain,
    measures_to_plain,
    record_to_plain,
)
from imgsearch.searching.saved_searches import SavedSearch
from imgsearch.serving.duplicate_lists import DuplicatePage
from imgsearch.serving.embedding import StoredVectors
from imgsearch.serving.models import ModelList
from imgsearch.serving.places import Listing
from imgsearch.serving.start import Start, Tiles, Timeline
from imgsearch.serving.suggestions import Suggestion
from imgsearch.serving.world_map import WorldMap
from imgsearch.vectors import Embeddings

API = "/api/v1"
MAX_SHOWN_DUPLICATES = 200
"""Duplicates of one group in an answer."""
BOX_DECIMALS = 5


class Problem(BaseModel):
    """Why there is no answer, and how to fix that: a problem of RFC 9457 with a hint."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no picture 7"])
    error: str = Field(description="The same as `detail`.", examples=["there is no picture 7"])
    hint: str = Field(
        description="How to fix it.", examples=["It may have left the library: search again."]
    )


class PictureAnswer(BaseModel):
    """A picture of the library; `width` and `height` are those of the upright picture."""

    id: int
    name: str
    folder: str
    path: str
    width: int
    height: int
    taken_at: str | None = Field(description="ISO 8601, local time, without zone.")
    taken: str | None = Field(description="The same as far as it is known, such as 1965-07.")
    type: str
    thumb: str = Field(description="Path of its small picture.")


class Part(BaseModel):
    """Another file of the same shot: its RAW or JPEG, or the video of a Live or Motion Photo."""

    id: int | None = Field(description="null for a video, which is not in the library.")
    name: str
    type: str = Field(description="Of a video its extension.")
    original: str = Field(description="Path of the file.")


class HitAnswer(PictureAnswer):
    """A picture found."""

    rank: int
    score: float | None
    strength: float | None
    named: bool = Field(description="Its name or captions have the words of the query.")
    duplicates: int = Field(0, description="Pictures that are folded into it.")
    matched: list[str] = Field(
        description="Why it was found: name, text (captions, text in the picture), meaning."
    )
    parts: list[Part] = Field(description="The other files of the shot that are pictures.")


class SearchAnswer(BaseModel):
    """A page of hits."""

    hits: list[HitAnswer]
    total: int | None = Field(description="null if more pictures match than are ranked.")
    next: str | None = Field(description="The cursor of the page that follows.")
    no_match: bool = Field(description="Nothing matches well enough.")
    by_date: bool = Field(
        description="The request had no terms: a list, by date unless `sort` is given."
    )
    revision: int = Field(description="Of the library when the search was made.")
    seconds: float
    note: str


class BatchAnswer(BaseModel):
    """A page of hits of each search, in their order."""

    answers: list[SearchAnswer]


class VectorAnswer(BaseModel):
    """The vector of a picture: float32, unit L2 norm."""

    id: int
    vector: list[float] | str


class PictureVectorAnswer(VectorAnswer):
    """The vector of a picture with its space, as a search by vector needs them."""

    model: str
    space: str = Field(description="Vectors of other spaces cannot be compared with it.")


class VectorsAnswer(BaseModel):
    """Vectors of pictures, in the order of the ids."""

    model: str
    space: str
    vectors: list[VectorAnswer]
    missing: list[int] = Field(description="Ids without a vector in the space.")


class ThumbAnswer(BaseModel):
    """A small picture."""

    id: int
    data: str = Field(description="WebP, upright, in base64.")


class MissingThumb(BaseModel):
    """A picture that cannot be shown."""

    id: int
    reason: str


class ThumbsAnswer(BaseModel):
    """Small pictures, in the order of the ids."""

    thumbs: list[ThumbAnswer]
    missing: list[MissingThumb]


class Position(BaseModel):
    """Degrees, WGS 84, north and east positive."""

    latitude: float
    longitude: float


class DetailsAnswer(PictureAnswer):
    """Everything in the catalog about a picture."""

    size_bytes: int
    camera: str | None
    camera_make: str | None
    camera_model: str | None
    gps: Position | None
    title: str | None
    description: str | None
    keywords: list[str]
    people: list[str]
    city: str | None
    state: str | None
    country: str | None
    country_code: str | None = Field(description="ISO 3166-1 alpha-2, of the position.")
    gazetteer_fields: list[str] = Field(
        description="Those of city, state and country that come from the position, not the file."
    )
    rating: int | None = Field(description="-1 (rejected) to 5 stars; null if it is not rated.")
    taken_precision: str | None = Field(description="year, month, day or second.")
    taken_source: str | None = Field(description="Where the date comes from, such as exif.")
    utc_offset_minutes: int | None = Field(description="Local time minus UTC.")
    note: str | None = Field(description="What is wrong with the file, if it was read in part.")
    sharpness: float | None = Field(description="0 to 1; null if it has not been measured.")
    brightness: float | None = Field(description="0 (black) to 1 (white).")
    shadows: float | None = Field(description="Share of black pixels.")
    highlights: float | None = Field(description="Share of white pixels.")
    contrast: float | None = Field(description="RMS contrast, 0 to 0.5.")
    colourfulness: float | None = Field(description="From 0 for grey to about 110.")
    kind: str | None = Field(description="A guess: photo, screenshot or document.")
    orientation: int = Field(description="EXIF orientation as found in the file.")
    modified_ns: int
    content_hash: str
    original: str
    parts: list[Part] = Field(description="The other files of the shot, and its video.")
    browser_shows: bool = Field(description="False where `original` needs `?as=jpeg` to be shown.")


class Year(BaseModel):
    """Pictures of a year, by month."""

    year: int
    months: list[int] = Field(min_length=12, max_length=12)
    without_month: int = Field(0, description="Pictures of which only the year is known.")


class Folder(BaseModel):
    """A folder with its subfolders; `count` includes theirs."""

    path: str
    name: str
    count: int
    children: list[Folder]


class Named(BaseModel):
    """Number of pictures of a kind."""

    name: str
    count: int


class FacetsAnswer(BaseModel):
    """Counts of pictures by date, folder, camera, format and place."""

    total: int
    years: list[Year]
    folders: list[Folder]
    cameras: list[Named]
    types: list[Named]
    countries: list[Named]
    cities: list[Named]
    dated: int
    located: int


class FaultAnswer(BaseModel):
    """A filter in a text that makes no sense."""

    text: str
    error: str
    hint: str = Field(description="How to fix it.")


class QueryAnswer(BaseModel):
    """What a text asks for, as parameters of a search."""

    q: str = Field(description="The words; quoted texts keep their quotes.")
    excluded: list[str] = Field(alias="not", description="Words and phrases to exclude.")
    filters: dict[str, list[str]] = Field(description="Values of filters by name.")
    faults: list[FaultAnswer]


class SuggestionAnswer(BaseModel):
    """A way to complete a text."""

    kind: str = Field(description="filter, saved, or the filter that takes the value.")
    value: str
    text: str = Field(
        description="The whole text with it. Of a saved search: the text before its name."
    )
    count: int | None = Field(description="Pictures that have the value, if that is known.")


class SuggestionsAnswer(BaseModel):
    """Ways to complete a text, the best first."""

    suggestions: list[SuggestionAnswer]


class SavedAnswer(BaseModel):
    """A saved search; `GET /search?saved=NAME` runs it."""

    id: int
    name: str
    text: str = Field(description="What it searches for, in one line.")
    missing: list[str] = Field(description="Its example pictures that are gone.")
    saved_at: str = Field(description="ISO 8601, local time, without zone.")


class SavedListAnswer(BaseModel):
    """The saved searches by name."""

    saved: list[SavedAnswer]


class PeriodAnswer(BaseModel):
    """A year or month with pictures."""

    year: int
    month: int | None = Field(description="From 1; null for a whole year.")
    count: int
    thumb: str | None = Field(description="Path of the small picture of its newest picture.")


class PlaceAnswer(BaseModel):
    """A city with pictures; `GET /search?place=NAME` lists them."""

    name: str
    count: int
    thumb: str | None = Field(description="Path of the small picture of the one added last.")


class PositionsAnswer(BaseModel):
    """Pictures that were taken close to each other."""

    latitude: float = Field(description="Of the mean position, in degrees.")
    longitude: float
    count: int
    box: str = Field(description="The value of the filter `box` for them.", examples=["1,2,3,4"])
    cover: PictureAnswer = Field(description="The one added last.")
    place: str | None = Field(description="City, state or country of the cover.")


class PlacesAnswer(BaseModel):
    """The pictures on the map of the world."""

    total: int = Field(description="Pictures that pass the filters.")
    located: int = Field(description="Those with a position.")
    clusters: list[PositionsAnswer] = Field(description="The largest first.")


class ClusterAnswer(BaseModel):
    """A group of pictures by what they show; `GET /search?cluster=ID` lists them."""

    id: int
    parent: int | None = Field(description="The broad cluster that it is a part of.")
    name: str
    count: int
    thumb: str | None = Field(description="Path of the small picture of its most typical picture.")


class ClustersAnswer(BaseModel):
    """The clusters, largest first."""

    made: bool = Field(description="False before 'imgsearch clusters' has made them.")
    model: str
    clusters: list[ClusterAnswer]
    waiting: int = Field(description="Pictures that are in no cluster yet.")


class StartAnswer(BaseModel):
    """Contents of the start page."""

    recent: list[PictureAnswer] = Field(description="Added last.")
    on_this_day: list[PictureAnswer] = Field(description="Taken on this day of earlier years.")
    years: list[PeriodAnswer]
    months: list[PeriodAnswer]
    places: list[PlaceAnswer] = Field(description="The cities with the most pictures.")
    clusters: ClustersAnswer
    saved: list[SavedAnswer]


class MonthAnswer(BaseModel):
    """A month with pictures."""

    year: int
    month: int = Field(description="From 1. Pictures of which only the year is known count as 1.")
    count: int


class TimelineAnswer(BaseModel):
    """How pictures are spread over months, the newest first."""

    months: list[MonthAnswer]
    undated: int = Field(description="Pictures without a date, which lists by date have last.")


class CopyAnswer(PictureAnswer):
    """A picture of a group of duplicates."""

    size_bytes: int
    match: str = Field(
        description="keep; exact (the same bytes), copy (saved again or resized) or shot"
        " (another exposure of the scene)."
    )
    score: float | None = Field(description="Inner product with the picture to keep.")


class DuplicateGroupAnswer(BaseModel):
    """A picture to keep and what it makes unnecessary, the best first."""

    keep: CopyAnswer
    duplicates: list[CopyAnswer] = Field(description="The first 200 of them.")
    count: int = Field(description="Number of duplicates.")
    size_bytes: int = Field(description="Bytes that the duplicates take.")


class DuplicatesAnswer(BaseModel):
    """A page of groups of duplicates. Nothing is ever deleted or moved."""

    groups: list[DuplicateGroupAnswer]
    next: str | None
    notes: list[str]


class RootAnswer(BaseModel):
    """A folder of the library."""

    path: str
    images: int
    exclude: list[str] = Field(description="Patterns of what is left out.")
    hidden: bool = Field(description="Hidden files are included.")
    there: bool = Field(description="False if its disk is not mounted, or the folder is gone.")
    scanned_at: str | None = Field(description="ISO 8601, of the last complete scan.")


class RootsAnswer(BaseModel):
    """The folders of the library, by path."""

    roots: list[RootAnswer]


class ForgottenAnswer(BaseModel):
    """A folder that has left the library."""

    path: str
    images: int = Field(description="Its pictures, none of which was touched.")


class ModelAnswer(BaseModel):
    """A model."""

    name: str
    summary: str
    languages: str = Field(description='Of queries; "" if unknown.')
    licence: str
    bytes: int = Field(description="Of its weights in bf16; 0 if unknown.")
    here: bool = Field(description="It can be used now.")
    obstacle: str = Field(description='Why it cannot be used; "" if it can.')
    hubs: list[str] = Field(description="What a download fetches; empty if it cannot.")
    in_use: bool = Field(description="Searches and new pictures use it.")
    images: int = Field(description="Pictures of the library that have its vectors.")


class ModelsAnswer(BaseModel):
    """The models, smallest first, then those of the library that have no short name."""

    models: list[ModelAnswer]
    images: int = Field(description="Pictures of the library.")
    setting: str = Field(
        description="The model that the server's settings name, which overrides the library's;"
        ' "" for none.'
    )
    running: dict[str, Any] | None = Field(
        description="The switch or download that is going on, with `model`, `done` and `total`."
    )


class ForgottenModelAnswer(BaseModel):
    """A model whose vectors were deleted."""

    model: str
    vectors: int


class FoldersAnswer(BaseModel):
    """The folders in a folder."""

    path: str = Field(description='"" for a list of several places.')
    parent: str | None = Field(description="Path to ask for the folder above; null at the top.")
    folders: list[Subfolder]
    pictures: int = Field(description="Pictures in the folder itself.")
    complete: bool = Field(description="False for a folder with too many entries to list.")


class Subfolder(BaseModel):
    """A folder that can be listed or added."""

    name: str
    path: str


class SkippedFile(BaseModel):
    """A file that could not be indexed, or only in part."""

    path: str
    reason: str
    transient: bool = Field(description="The next run tries again.")


class SkippedAnswer(BaseModel):
    """Files by path."""

    total: int
    files: list[SkippedFile]


class RecentAnswer(BaseModel):
    """Pictures, in the order that the request defines."""

    pictures: list[PictureAnswer]


class StatusAnswer(BaseModel):
    """The contents of the library, and what the server is doing."""

    library: str
    images: int
    skipped: int
    bytes: int
    roots: int
    folders: list[dict[str, Any]]
    spaces: list[dict[str, Any]]
    texts: dict[str, Any] = Field(description="Counts of pictures read, passed over, and so on.")
    ocr: str = Field(description='Which pictures are read: "auto", "on" or "off".')
    last_run: dict[str, Any] | None
    model: str | None
    revision: int
    indexing: dict[str, Any] | None
    version: str
    locked: bool = Field(description="The server requires a token.")
    located: bool = Field(description="Pictures have positions, for `GET /places`.")


class HealthAnswer(BaseModel):
    """The server is up."""

    status: str = "ok"


BROWSER_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
"""Formats that browsers show, by Pillow's name, and their media types."""


def shown(text: str) -> str:
    """A name as JSON can carry it: bytes that are not UTF-8 as backslash escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def clean(text: str | None) -> str | None:
    """A text of a file's metadata as JSON can carry it."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


EncodingFormat = Literal["float", "base64"]
"""How vectors are written: numbers, or base64 of little-endian float32."""


def vector(row: Embeddings, form: EncodingFormat) -> list[float] | str:
    """A vector of shape (dimension,), float32."""
    if form == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    numbers: list[float] = row.tolist()
    return numbers


def vectors(found: StoredVectors, ids: Sequence[int], form: EncodingFormat) -> VectorsAnswer:
    """Vectors of pictures, each once."""
    unique = list(dict.fromkeys(ids))
    return VectorsAnswer(
        model=found.space.model,
        space=found.space.key,
        vectors=[
            VectorAnswer(id=each, vector=vector(found.rows[each], form))
            for each in unique
            if each in found.rows
        ],
        missing=[each for each in unique if each not in found.rows],
    )


def picture(record: ImageRecord, prefix: str) -> dict[str, Any]:
    """The fields of `PictureAnswer`, from those of `record_to_plain`.

    Parameters
    ----------
    prefix : str
        The path below which a proxy serves us, for the paths in the answer; "" for none.
    """
    return _picture(record_to_plain(record), prefix)


def _picture(plain: dict[str, Any], prefix: str) -> dict[str, Any]:
    folder, name = os.path.split(plain["path"])
    return {
        "id": plain["id"],
        "name": shown(name),
        "folder": shown(folder),
        "path": shown(plain["path"]),
        "width": plain["width"],
        "height": plain["height"],
        "taken_at": plain["taken_at"],
        "taken": plain["taken"],
        "type": plain["format"],
        "thumb": _thumb(plain["id"], plain["content_hash"], prefix),
    }


def _thumb(image_id: int, content_hash: str, prefix: str) -> str:
    return f"{prefix}{API}/thumb/{image_id}?v={content_hash}"


def hit(match: Hit, duplicates: int, prefix: str) -> HitAnswer:
    """A hit for a page; `duplicates` pictures are folded into it."""
    plain = hit_to_plain(match)
    return HitAnswer(
        **_picture(plain, prefix),
        rank=plain["rank"],
        score=plain["score"],
        strength=plain["strength"],
        named=plain["named"],
        duplicates=duplicates,
        matched=plain["matched"],
        parts=[part(each, prefix) for each in match.parts],
    )


def query(found: QueryText) -> QueryAnswer:
    """What a text asks for."""
    filters: dict[str, list[str]] = {}
    for name, value in found.filters:
        filters.setdefault(name, []).append(shown(value))
    faults = [
        FaultAnswer(text=each.text, error=each.error, hint=each.hint) for each in found.faults
    ]
    values = {"q": found.words, "not": found.excluded, "filters": filters, "faults": faults}
    return QueryAnswer.model_validate(values)


def suggestions(found: Sequence[Suggestion]) -> SuggestionsAnswer:
    """Ways to complete a text."""
    return SuggestionsAnswer(
        suggestions=[
            SuggestionAnswer(
                kind=each.kind,
                value=shown(clean(each.value) or ""),
                text=shown(clean(each.text) or ""),
                count=each.count,
            )
            for each in found
        ]
    )


def saved(search: SavedSearch) -> SavedAnswer:
    """A saved search."""
    return SavedAnswer(
        id=search.id,
        name=search.name,
        text=clean(search.text) or "",
        missing=[shown(each) for each in search.missing],
        saved_at=search.saved_at.isoformat(timespec="seconds"),
    )


def start(begin: Start, prefix: str) -> StartAnswer:
    """Contents of the start page."""
    return StartAnswer(
        recent=[PictureAnswer(**picture(each, prefix)) for each in begin.recent],
        on_this_day=[PictureAnswer(**picture(each, prefix)) for each in begin.on_this_day],
        years=[_period(each, begin.covers, prefix) for each in begin.years],
        months=[_period(each, begin.covers, prefix) for each in begin.months],
        places=[
            PlaceAnswer(
                name=clean(each.name) or "",
                count=each.count,
                thumb=_cover(begin.covers.get(each.cover), prefix),
            )
            for each in begin.places
        ],
        clusters=clusters(begin.tiles, prefix),
        saved=[saved(each) for each in begin.saved],
    )


def timeline(found: Timeline) -> TimelineAnswer:
    """How pictures are spread over months."""
    return TimelineAnswer(
        months=[MonthAnswer(year=year, month=month, count=n) for year, month, n in found.months],
        undated=found.undated,
    )


def places(found: WorldMap, prefix: str) -> PlacesAnswer:
    """Clusters of pictures on the map of the world."""
    return PlacesAnswer(
        total=found.total,
        located=found.located,
        clusters=[
            _positions(each, found.covers[each.cover], prefix)
            for each in found.clusters
            if each.cover in found.covers
        ],
    )


def _positions(cell: PositionCell, cover: ImageRecord, prefix: str) -> PositionsAnswer:
    named = cover.metadata.city or cover.metadata.state or cover.metadata.country
    return PositionsAnswer(
        latitude=cell.latitude,
        longitude=cell.longitude,
        count=cell.count,
        box=box_text(cell),
        cover=PictureAnswer(**picture(cover, prefix)),
        place=clean(named),
    )


def box_text(cell: PositionCell) -> str:
    """The value of the filter `box` for a cell, rounded outwards to units of 1 m."""
    unit = 10**BOX_DECIMALS
    south, west = (math.floor(each * unit - 0.5) / unit for each in (cell.south, cell.west))
    north, east = (math.ceil(each * unit + 0.5) / unit for each in (cell.north, cell.east))
    edges = max(-90, south), max(-180, west), min(90, north), min(180, east)
    return ",".join(f"{each:.{BOX_DECIMALS}f}" for each in edges)


def clusters(tiles: Tiles, prefix: str) -> ClustersAnswer:
    """Clusters with their covers."""
    return ClustersAnswer(
        made=tiles.made,
        model=tiles.model,
        clusters=[
            ClusterAnswer(
                id=each.id,
                parent=each.parent,
                name=each.name,
                count=each.count,
                thumb=_cover(tiles.covers.get(each.medoid), prefix),
            )
            for each in tiles.clusters
        ],
        waiting=tiles.waiting,
    )


def _period(period: Period, covers: Mapping[int, ImageRecord], prefix: str) -> PeriodAnswer:
    thumb = _cover(covers.get(period.cover), prefix)
    return PeriodAnswer(year=period.year, month=period.month, count=period.count, thumb=thumb)


def _cover(record: ImageRecord | None, prefix: str) -> str | None:
    return None if record is None else _thumb(record.id, record.content_hash, prefix)


def duplicates(page: DuplicatePage, prefix: str) -> DuplicatesAnswer:
    """A page of groups of duplicates."""
    return DuplicatesAnswer(
        groups=[
            DuplicateGroupAnswer(
                keep=_copy(group.best, "keep", None, prefix),
                duplicates=[
                    _copy(each.image, each.kind, each.score, prefix)
                    for each in group.duplicates[:MAX_SHOWN_DUPLICATES]
                ],
                count=len(group.duplicates),
                size_bytes=group.size,
            )
            for group in page.groups
        ],
        next=page.cursor,
        notes=page.notes,
    )


def _copy(record: ImageRecord, match: str, score: float | None, prefix: str) -> CopyAnswer:
    return CopyAnswer(
        **picture(record, prefix), size_bytes=record.file.size, match=match, score=score
    )


def roots(records: Sequence[RootRecord]) -> RootsAnswer:
    """The folders of a library; looks whether they are there."""
    plain = [root_to_plain(each) for each in records]
    return RootsAnswer(
        roots=[
            RootAnswer(
                **each | {"path": shown(each["path"]), "exclude": list(map(shown, each["exclude"]))}
            )
            for each in plain
        ]
    )


def models(found: ModelList, running: dict[str, Any] | None) -> ModelsAnswer:
    """The models that a client may name."""
    return ModelsAnswer(
        models=[
            ModelAnswer(
                name=shown(each.name),
                summary=each.card.summary,
                languages=each.card.languages,
                licence=each.card.licence,
                bytes=each.card.bf16_bytes,
                here=not each.obstacle,
                obstacle=shown(each.obstacle),
                hubs=list(each.hubs),
                in_use=each.name == found.in_use,
                images=each.images,
            )
            for each in found.models
        ],
        images=found.images,
        setting=shown(found.setting),
        running=running,
    )


def folders(listing: Listing) -> FoldersAnswer:
    """The folders in a folder."""
    return FoldersAnswer(
        path=listing.path,
        parent=listing.parent,
        folders=[
            Subfolder(name=each, path=os.path.join(listing.path, each)) for each in listing.folders
        ],
        pictures=listing.pictures,
        complete=listing.complete,
    )


def skipped(files: Sequence[Skipped], start: int, limit: int) -> SkippedAnswer:
    """A page of files that were skipped."""
    return SkippedAnswer(
        total=len(files),
        files=[
            SkippedFile(
                path=shown(each.file.absolute),
                reason=clean(each.reason) or "",
                transient=each.transient,
            )
            for each in files[start : start + limit]
        ],
    )


def recent(records: Sequence[ImageRecord], prefix: str) -> RecentAnswer:
    """Pictures in their order."""
    return RecentAnswer(pictures=[PictureAnswer(**picture(each, prefix)) for each in records])


def part(record: ImageRecord, prefix: str) -> Part:
    """Another picture file of the same shot."""
    return Part(
        id=record.id,
        name=shown(os.path.basename(record.file.path)),
        type=record.metadata.format,
        original=f"{prefix}{API}/original/{record.id}",
    )


def video(record: ImageRecord, name: str, prefix: str) -> Part:
    """The video of a Live Photo or Motion Photo."""
    return Part(
        id=None,
        name=shown(name),
        type=os.path.splitext(name)[1].removeprefix(".").upper(),
        original=f"{prefix}{API}/original/{record.id}?as=video",
    )


def details(
    record: ImageRecord, prefix: str, parts: Sequence[ImageRecord], video_name: str | None
) -> DetailsAnswer:
    """Everything in the catalog about a picture, and the other files of its shot."""
    plain = record_to_plain(record)
    position = plain["latitude"], plain["longitude"]
    return DetailsAnswer(
        **picture(record, prefix),
        size_bytes=plain["size"],
        camera=clean(plain["camera"]),
        camera_make=clean(plain["camera_make"]),
        camera_model=clean(plain["camera_model"]),
        gps=None if None in position else Position(latitude=position[0], longitude=position[1]),
        title=clean(plain["title"]),
        description=clean(plain["description"]),
        keywords=[clean(each) or "" for each in plain["keywords"]],
        people=[clean(each) or "" for each in plain["people"]],
        city=clean(plain["city"]),
        state=clean(plain["state"]),
        country=clean(plain["country"]),
        country_code=plain["country_code"],
        gazetteer_fields=plain["gazetteer_fields"],
        rating=plain["rating"],
        taken_precision=plain["taken_precision"],
        taken_source=plain["taken_source"],
        utc_offset_minutes=plain["utc_offset_minutes"],
        note=clean(plain["note"]),
        **measures_to_plain(record.measures),
        orientation=plain["orientation"],
        modified_ns=plain["mtime_ns"],
        content_hash=plain["content_hash"],
        original=f"{prefix}{API}/original/{record.id}",
        parts=[
            *(part(each, prefix) for each in parts),
            *([video(record, video_name, prefix)] if video_name else []),
        ],
        browser_shows=plain["format"] in BROWSER_TYPES,
    )


def facets(counts: Facets) -> FacetsAnswer:
    """Facets as lists and a tree."""
    years = sorted({year for year, _ in counts.months})
    cameras = [
        Named(name=clean(camera_name(make, model)) or "", count=count)
        for make, model, count in counts.cameras
    ]
    return FacetsAnswer(
        total=counts.total,
        years=[
            Year(
                year=year,
                months=[counts.months.get((year, month), 0) for month in range(1, 13)],
                without_month=counts.months.get((year, 0), 0),
            )
            for year in years
        ],
        folders=tree(counts.folders),
        cameras=cameras,
        countries=[_named(each) for each in counts.countries],
        cities=[_named(each) for each in counts.cities],
        types=[
            Named(name=name, count=count)
            for name, count in sorted(counts.types.items(), key=lambda item: -item[1])
        ],
        dated=counts.dated,
        located=counts.located,
    )


def _named(place: PlaceCount) -> Named:
    return Named(name=clean(place.name) or "", count=place.count)


def tree(counts: dict[str, int]) -> list[Folder]:
    """Folders in folders; a chain of folders that hold nothing but the next is one."""
    nodes: dict[str, dict[str, Any]] = {}
    for path, count in counts.items():
        parts = path.split(os.sep)
        level = nodes
        for part in parts:
            node = level.setdefault(part, {"own": 0, "below": {}})
            level = node["below"]
        node["own"] += count
    return _folders(nodes, "")


def _folders(nodes: dict[str, dict[str, Any]], above: str) -> list[Folder]:
    folders = []
    for part in sorted(nodes):
        node, path = nodes[part], f"{above}{part}"
        name = path
        while not node["own"] and len(node["below"]) == 1:
            ((part, node),) = node["below"].items()  # noqa: PLW2901
            path = f"{path}{os.sep}{part}"
            name = path if not above else path[len(above) :]
        children = _folders(node["below"], path + os.sep)
        count = node["own"] + sum(child.count for child in children)
        title = shown(name) or os.sep
        folders.append(
            Folder(path=shown(path) or os.sep, name=title, count=count, children=children)
        )
    return folders
