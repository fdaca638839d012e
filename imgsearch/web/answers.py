"""What the API answers with, and how records become that. The OpenAPI document is made from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from imgsearch.records import Facets, Hit, ImageRecord

API = "/api/v1"


class Problem(BaseModel):
    """Why there is no answer, and how to mend it."""

    error: str = Field(examples=["there is no picture 7"])
    hint: str = Field(examples=["It may have left the library: search again."])


class PictureAnswer(BaseModel):
    """A picture of the library; `width` and `height` are those of the upright picture."""

    id: int
    name: str
    folder: str
    path: str
    width: int
    height: int
    taken_at: str | None = Field(description="ISO 8601, local time, without zone.")
    type: str
    thumb: str = Field(description="Where its small picture is.")


class HitAnswer(PictureAnswer):
    """A picture found."""

    rank: int
    score: float | None
    strength: float | None
    named: bool = Field(description="Its name or captions have the words of the query.")
    duplicates: int = Field(0, description="Pictures that are folded into it.")


class SearchAnswer(BaseModel):
    """A page of what was found."""

    hits: list[HitAnswer]
    total: int | None = Field(description="null where there are more than are ranked.")
    next: str | None = Field(description="The cursor of the page that follows.")
    no_match: bool = Field(description="Nothing matches well enough.")
    by_date: bool = Field(description="There was nothing to look for: a list by date.")
    revision: int = Field(description="Of the library when the search was made.")
    seconds: float
    note: str


class Position(BaseModel):
    """Degrees, WGS 84, north and east positive."""

    latitude: float
    longitude: float


class DetailsAnswer(PictureAnswer):
    """All that the catalog has about a picture."""

    size_bytes: int
    camera: str | None
    camera_make: str | None
    camera_model: str | None
    gps: Position | None
    title: str | None
    description: str | None
    keywords: list[str]
    orientation: int = Field(description="EXIF orientation as found in the file.")
    modified_ns: int
    content_hash: str
    original: str
    browser_shows: bool = Field(description="False where `original` needs `?as=jpeg` to be shown.")


class Year(BaseModel):
    """Pictures of a year, by month."""

    year: int
    months: list[int] = Field(min_length=12, max_length=12)


class Folder(BaseModel):
    """A folder with those in it; `count` takes them in."""

    path: str
    name: str
    count: int
    children: list[Folder]


class Named(BaseModel):
    """So many pictures of a kind."""

    name: str
    count: int


class FacetsAnswer(BaseModel):
    """How pictures are spread."""

    total: int
    years: list[Year]
    folders: list[Folder]
    cameras: list[Named]
    types: list[Named]
    dated: int
    located: int


class StatusAnswer(BaseModel):
    """What is in the library, and what goes on."""

    library: str
    images: int
    skipped: int
    bytes: int
    roots: int
    folders: list[dict[str, Any]]
    spaces: list[dict[str, Any]]
    last_run: dict[str, Any] | None
    model: str | None
    revision: int
    indexing: dict[str, Any] | None
    version: str
    locked: bool = Field(description="A token is asked for.")


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


def picture(record: ImageRecord) -> dict[str, Any]:
    """The fields of `PictureAnswer`."""
    path, metadata = record.file.absolute, record.metadata
    folder, name = os.path.split(path)
    return {
        "id": record.id,
        "name": shown(name),
        "folder": shown(folder),
        "path": shown(path),
        "width": metadata.width,
        "height": metadata.height,
        "taken_at": metadata.taken_at.isoformat() if metadata.taken_at else None,
        "type": metadata.format,
        "thumb": f"{API}/thumb/{record.id}?v={record.content_hash}",
    }


def hit(found: Hit, duplicates: int) -> HitAnswer:
    """A hit for a page."""
    return HitAnswer(
        **picture(found.image),
        rank=found.rank,
        score=None if found.score is None else round(found.score, 6),
        strength=None if found.strength is None else round(found.strength, 3),
        named=found.named,
        duplicates=duplicates,
    )


def details(record: ImageRecord) -> DetailsAnswer:
    """All about a picture."""
    data = record.metadata
    gps = None
    if data.latitude is not None and data.longitude is not None:
        gps = Position(latitude=data.latitude, longitude=data.longitude)
    return DetailsAnswer(
        **picture(record),
        size_bytes=record.file.size,
        camera=camera(data.camera_make, data.camera_model),
        camera_make=clean(data.camera_make),
        camera_model=clean(data.camera_model),
        gps=gps,
        title=clean(data.title),
        description=clean(data.description),
        keywords=[clean(each) or "" for each in data.keywords],
        orientation=data.orientation,
        modified_ns=record.file.mtime_ns,
        content_hash=record.content_hash,
        original=f"{API}/original/{record.id}",
        browser_shows=data.format in BROWSER_TYPES,
    )


def camera(make: str | None, model: str | None) -> str | None:
    """Make and model in one, without saying the make twice."""
    if make and model and not model.lower().startswith(make.lower()):
        return clean(f"{make} {model}")
    return clean(model or make)


def facets(found: Facets) -> FacetsAnswer:
    """The same as lists and a tree."""
    years = sorted({year for year, _ in found.months})
    cameras = [
        Named(name=camera(make, model) or "", count=count) for make, model, count in found.cameras
    ]
    return FacetsAnswer(
        total=found.total,
        years=[
            Year(year=year, months=[found.months.get((year, month), 0) for month in range(1, 13)])
            for year in years
        ],
        folders=tree(found.folders),
        cameras=cameras,
        types=[
            Named(name=name, count=count)
            for name, count in sorted(found.types.items(), key=lambda item: -item[1])
        ],
        dated=found.dated,
        located=found.located,
    )


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
    found = []
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
        found.append(Folder(path=shown(path) or os.sep, name=title, count=count, children=children))
    return found


def hits(found: Sequence[Hit], folded: dict[int, int]) -> list[HitAnswer]:
    """The hits of a page; `folded` tells how many are folded into one."""
    return [hit(each, folded.get(each.image.id, 0)) for each in found]
