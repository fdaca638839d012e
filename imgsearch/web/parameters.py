"""Parameters of requests: names, types and bounds. The OpenAPI document is made from it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from starlette.requests import Request

from imgsearch.curation.duplicates import DuplicateRequest
from imgsearch.errors import QueryError
from imgsearch.filters.options import FILTERS, MAX_VALUES, filter_from
from imgsearch.filters.tree import Filter
from imgsearch.searching.request import SearchRequest, Sort, Term, read_strength
from imgsearch.searching.terms import LIKE_WEIGHT, build_terms
from imgsearch.serving.embedding import vector_term
from imgsearch.serving.thumbnail_cache import SIDES
from imgsearch.serving.world_map import MAX_ZOOM
from imgsearch.vectors import Embeddings
from imgsearch.web.answers import API
from imgsearch.web.guard import BATCH_SEARCHES

MAX_EXAMPLES = 8
"""Example pictures of one search."""
MAX_TEXT_CHARACTERS = 2000
"""Of one text: of four bytes each they still fit into a URL."""
MAX_ID = 2**63 - 1
DAY_PATTERN = r"^(today|(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))$"
MAX_CORNERS = 64
"""Corners of a region of the map."""
MAX_VECTOR_ITEMS = 1 << 16
"""Numbers, or characters, of a vector that a client sends."""
MAX_BATCH_HITS = 1000
"""Hits on the pages of a request with several searches."""
MAX_FLOAT = float(np.finfo(np.float32).max)
_CORNER = re.compile(r"-?[0-9](\.[0-9]{1,6})?,-?[0-9](\.[0-9]{1,6})?")

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Name = Annotated[
    str, Field(max_length=200, description="Up to 100 characters.", examples=["beaches"])
]
Texts = Annotated[list[Text], Field(max_length=MAX_VALUES)]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Ids = Annotated[list[Id], Field(max_length=MAX_VALUES)]
Strength = Annotated[
    float,
    BeforeValidator(lambda value: None if value is None else read_strength(value)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$"},
            ]
        }
    ),
]


def _texts(description: str, *examples: list[str], name: str | None = None) -> Any:
    return Field(default_factory=list, alias=name, description=description, examples=list(examples))


class Upload:
    """A picture that came with a search."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data


if TYPE_CHECKING:
    _FilterFields = BaseModel
else:
    _FilterFields = create_model(
        "FilterFields",
        **{option.name: (Texts, _texts(option.help, [option.example])) for option in FILTERS},
    )


class FilterParameters(_FilterFields):
    """Filters, with the values of `imgsearch search`."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    def where_filter(self) -> Filter | None:
        """The filter; raises `QueryError` for a value that makes no sense."""
        return filter_from({option.name: getattr(self, option.name) for option in FILTERS})


class RegionParameters(FilterParameters):
    """Filters, and a region of the map."""

    region: Text = Field(
        "",
        description="Only pictures inside this polygon of the map (`GET /map`): three to"
        f" {MAX_CORNERS} corners as x,y from -1 to 1, separated by semicolons.",
        examples=["-1,-1;0,-1;0,0.5"],
    )

    def corners(self) -> list[tuple[float, float]]:
        """The corners of the region; raises `QueryError` for a text of another form."""
        corners = self.region.split(";")
        if not 3 <= len(corners) <= MAX_CORNERS or not all(map(_CORNER.fullmatch, corners)):
            raise QueryError(
                f"the region is not a polygon of three to {MAX_CORNERS} corners",
                "Write x,y;x,y;x,y with numbers from -1 to 1.",
            )
        return [(float(x), float(y)) for x, y in (each.split(",") for each in corners)]


class SearchParameters(RegionParameters):
    """Terms, filters and number of results of a search."""

    q: Text = Field("", description="Words to look for.", examples=["a dog on the beach"])
    saved: Text = Field(
        "",
        description="Start from the saved search of this name; the other parameters narrow it.",
        examples=["beaches"],
    )
    plus: Texts = _texts("Add a text; may end with ^WEIGHT.", ["red car^0.5"], name="and")
    minus: Texts = _texts("Exclude a text; may end with ^WEIGHT.", ["people"], name="not")
    like: Ids = Field(default_factory=list, description="Add these pictures.")
    unlike: Ids = Field(default_factory=list, description="Exclude pictures like these.")
    good: Ids = Field(default_factory=list, description="Pictures that were right.")
    bad: Ids = Field(default_factory=list, description="Pictures that were wrong.")
    mode: Literal["hybrid", "semantic", "text"] = Field(
        "hybrid", description="hybrid, semantic or text.", examples=["hybrid"]
    )
    min_strength: Strength | None = Field(
        None,
        description="Leave out weaker hits: 30%, 30 or 0.3. The default depends on the query.",
        examples=[0.3],
    )
    max_false_matches: Strength | None = Field(
        None,
        description="Share of the queries without a match that may be answered: 10% or 0.1.",
        examples=[0.1],
    )
    everything: bool = Field(False, alias="all", description="Include weak hits.")
    unique: bool = Field(False, description="Fold near-identical pictures into one.")
    apart: bool = Field(False, description="List the RAW and the JPEG of one shot as two pictures.")
    sort: Sort = Field(
        "",
        description="Order of all hits above the cut-off: date has the oldest first, -date the"
        " newest. The default is the best first, or the newest without a query.",
        examples=["-date"],
    )
    limit: int = Field(60, ge=1, le=500, description="Maximum number of hits per page.")
    cursor: str | None = Field(
        None,
        max_length=200,
        description="`next` of the page before; the other parameters as they were.",
    )

    def request(self, uploads: Sequence[Upload] = (), like: Sequence[int] = ()) -> SearchRequest:
        """The search, with further example pictures.

        Raises
        ------
        QueryError
            A text, a weight or a filter that makes no sense.
        """
        images = [Term(data=upload.data, name=upload.name) for upload in uploads]
        like = [*like, *self.like]
        return SearchRequest(
            build_terms(self.q, self.plus, self.minus, images, like, self.unlike),
            self.limit,
            self.mode,
            self.where_filter(),
            good=[Term(image_id=each) for each in self.good],
            bad=[Term(image_id=each) for each in self.bad],
            min_strength=0.0 if self.everything else self.min_strength,
            max_false_matches=self.max_false_matches,
            unique=self.unique,
            apart=self.apart,
            sort=self.sort,
        )


class PostedParameters(SearchParameters):
    """Parameters of a search that is posted, which may hold a vector."""

    vector: list[float] | str = Field(
        "",
        description="Search by a vector of unit norm, such as `POST /embed` and"
        " `GET /images/{id}/vector` return: numbers, or base64 of little-endian float32.",
    )
    vector_of: Literal["picture", "text"] = Field(
        "picture", description="What the vector was made of. Scores of texts are lower."
    )
    space: str = Field(
        "", max_length=64, description="`space` of the answer with the vector; required with one."
    )

    def request(self, uploads: Sequence[Upload] = (), like: Sequence[int] = ()) -> SearchRequest:
        """The search, with further example pictures and the vector; raises `QueryError`."""
        request = super().request(uploads, like)
        if not self.vector:
            return request
        if not self.space:
            raise QueryError(
                "the space of the vector is missing",
                "Send `space` from the answer with the vector.",
            )
        weight = LIKE_WEIGHT if any(term.text for term in request.terms) else 1.0
        term = vector_term(self._numbers(), self.vector_of == "text", weight)
        return replace(request, terms=[*request.terms, term])

    def _numbers(self) -> Embeddings:
        if len(self.vector) > MAX_VECTOR_ITEMS:
            raise QueryError("the vector is too long", "Send one of the space.")
        if not isinstance(self.vector, str):
            return np.array(self.vector, np.float64).clip(-MAX_FLOAT, MAX_FLOAT).astype(np.float32)
        try:
            return np.frombuffer(base64.b64decode(self.vector, validate=True), "<f4")
        except ValueError:
            raise QueryError(
                "the vector is not base64 of little-endian float32", "Send numbers instead."
            ) from None


BODY = ConfigDict(extra="forbid", strict=True)
"""For JSON objects: values have the types of the schema, so that 0 is not taken for false."""


class BatchSearch(PostedParameters):
    """One of several searches."""

    model_config = BODY


class BatchParameters(BaseModel):
    """Several searches."""

    model_config = BODY

    searches: list[BatchSearch] = Field(
        min_length=1,
        max_length=BATCH_SEARCHES,
        description=f"Their `limit` may add up to {MAX_BATCH_HITS}.",
    )


class SearchToSave(SearchParameters):
    """Words, examples and filters of a search."""

    model_config = BODY


class SavedParameters(BaseModel):
    """A search to save; `limit` and `cursor` of it have no effect."""

    model_config = BODY

    name: Name
    search: SearchToSave
    replace: bool = Field(False, description="Replace the saved search of that name.")


class RenameParameters(BaseModel):
    """The new name of a saved search."""

    model_config = BODY

    name: Name


class DrawParameters(RegionParameters):
    """Filters of pictures that are drawn at random."""

    day: str = Field(
        "",
        pattern=rf"^$|{DAY_PATTERN}",
        description="Only pictures taken on this day of earlier years: 11-29, or today.",
    )


class RandomParameters(DrawParameters):
    """Filters and number of pictures that are drawn at random."""

    count: int = Field(1, ge=1, le=100, description="Maximum number of pictures.")


class FrameParameters(DrawParameters):
    """Filters and size of a picture for a photo frame."""

    size: int = Field(
        1024, ge=1, le=4096, description="Longer side: 256, 384, 512, 768, 1024, or 4096 for more."
    )

    def target(self, prefix: str, image_id: int) -> str:
        """Path of a picture in a size that fits."""
        if self.size > SIDES[-1]:
            return f"{prefix}{API}/original/{image_id}?as=jpeg"
        return f"{prefix}{API}/thumb/{image_id}?size={self.size}"


class PlacesParameters(RegionParameters):
    """Filters and zoom of the map of the world."""

    zoom: int = Field(
        0, ge=0, le=MAX_ZOOM, description="Of web maps: 0 has the world in one tile, 1 in four."
    )


class DuplicateParameters(RegionParameters):
    """Options of a search for duplicates."""

    level: Literal["exact", "copies", "shots"] = Field(
        "copies", description="Same bytes; also saved again or resized; also near-identical shots."
    )
    prefer: Texts = _texts("Keep pictures with such paths; * and ? are wildcards.", ["*/Photos/*"])
    limit: int = Field(20, ge=1, le=100, description="Maximum number of groups per page.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")

    def request(self, where: Filter | None) -> DuplicateRequest:
        """The request for pictures that pass a filter."""
        return DuplicateRequest(where, self.level, tuple(self.prefer))


class IndexParameters(BaseModel):
    """Folders and options of a run of the indexer."""

    model_config = BODY

    path: Text | None = Field(
        None, description="A folder of the library, or one in it; by default all of them."
    )
    exclude: list[Text] = Field(
        [],
        max_length=MAX_VALUES,
        description="Patterns to exclude, in this run and later ones, added to earlier ones.",
    )
    no_exclude: bool = Field(False, description="Discard the patterns of earlier runs first.")
    ocr: Literal["auto", "on", "off"] | None = Field(
        None,
        description="Read text in pictures, in this run and later ones: in all of them, or where"
        " text is seen at a glance; by default as the library remembers.",
    )


class RootParameters(BaseModel):
    """A folder to add to the library."""

    model_config = BODY

    path: Text = Field(description="An absolute path, as `GET /folders` lists it.")
    exclude: list[Text] = Field(
        [], max_length=MAX_VALUES, description="Patterns of what to leave out of it."
    )
    hidden: bool | None = Field(
        None, description="Include hidden files; by default as it was, or not."
    )


class ModelParameters(BaseModel):
    """A model to download or to switch to."""

    model_config = BODY

    model: Text = Field(description="Its name, as `GET /models` lists it.")


class SkippedParameters(BaseModel):
    """Which files to list."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["skipped", "partial", "texts"] = Field(
        "skipped",
        description="Files that could not be indexed; pictures that were indexed in part; pictures"
        " whose text could not be read.",
    )
    start: int = Field(0, ge=0, le=MAX_ID, description="Files to pass over.")
    limit: int = Field(100, ge=1, le=500, description="Maximum number of files.")


class SessionParameters(BaseModel):
    """The token of the server."""

    model_config = BODY

    token: str = Field(max_length=200)


async def posted(request: Request) -> tuple[PostedParameters, list[Upload]]:
    """The parameters and pictures of a search that was posted, as a form or as JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            payload = await request.json()
            return PostedParameters.model_validate(payload, strict=True), []
        if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return await _form(request)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        raise QueryError("the request is not valid JSON", "Send one object.") from None
    raise QueryError(
        "the request is neither a form nor JSON",
        "Send multipart/form-data with the field 'image', or application/json.",
    )


async def _form(request: Request) -> tuple[PostedParameters, list[Upload]]:
    values: dict[str, Any] = {}
    uploads: list[Upload] = []
    bounds: dict[str, Any] = {"max_files": MAX_EXAMPLES, "max_fields": 400}
    async with request.form(**bounds, max_part_size=64 << 10) as form:
        for name, value in form.multi_items():
            if not isinstance(value, str):
                if name != "image":
                    raise QueryError(f"there is no file field {name[:40]!r}", "Call it 'image'.")
                uploads.append(Upload(value.filename or "", await value.read()))
            elif name in LISTS:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
    return PostedParameters.model_validate(values), uploads


LISTS = frozenset(
    each.alias or name
    for name, each in SearchParameters.model_fields.items()
    if each.default_factory is list
)
"""Names that may occur several times."""
