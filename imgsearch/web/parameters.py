"""What requests may say: names, kinds and bounds. The OpenAPI document is made from this."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from imgsearch.errors import QueryError
from imgsearch.serving.request import MOST_TERMS, Asked, Filters

MOST_PICTURES = 8
"""Example pictures of one search."""
MOST_TEXT = 2000
"""Characters of one text: of four bytes each they still fit into an address."""
LARGEST_ID = 2**63 - 1

Text = Annotated[str, Field(max_length=MOST_TEXT)]
Texts = Annotated[list[Text], Field(max_length=MOST_TERMS)]
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Ids = Annotated[list[Id], Field(max_length=MOST_TERMS)]


def _texts(told: str, *examples: list[str], name: str | None = None) -> Any:
    return Field(default_factory=list, alias=name, description=told, examples=list(examples))


class FilterParameters(BaseModel):
    """Which pictures may be found; the values are those of `imgsearch search`."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    inside: Texts = _texts("In this folder, or this very file.", ["/home/me/Pictures"], name="in")
    after: Texts = _texts("Taken then or later.", ["2023-05"])
    before: Texts = _texts("Taken before that began.", ["2024"])
    camera: Texts = _texts("Make and model have this text in them.", ["canon"])
    type: Texts = _texts("Formats, any of them.", ["heic", "raw"])
    min_size: Texts = _texts("At least so many pixels.", ["1920x1080"])
    orientation: Texts = _texts("landscape, portrait or square.", ["portrait"])
    near: Texts = _texts("LAT,LON[,KM]", ["48.86,2.35,5"])
    has: Texts = _texts("date, gps or camera.", ["gps"])
    name: Texts = _texts("The file name has this text in it, or matches it.", ["IMG_*"])
    where: Texts = _texts("An expression of `--where`.", ["width > 4000 and not has gps"])

    def filters(self) -> Filters:
        """The same as the rooms below know it."""
        return Filters(**{name: getattr(self, name) for name in FilterParameters.model_fields})


class SearchParameters(FilterParameters):
    """A search: what is looked for, what may be found, and how much of it to tell."""

    q: Text = Field("", description="Words to look for.", examples=["a dog on the beach"])
    plus: Texts = _texts("And this; may end with ^WEIGHT.", ["red car^0.5"], name="and")
    minus: Texts = _texts("But not this; may end with ^WEIGHT.", ["people"], name="not")
    like: Ids = Field(default_factory=list, description="Like these pictures.")
    unlike: Ids = Field(default_factory=list, description="Not like these pictures.")
    good: Ids = Field(default_factory=list, description="Pictures that were right.")
    bad: Ids = Field(default_factory=list, description="Pictures that were wrong.")
    mode: Annotated[str, Field(pattern="^(hybrid|semantic|text)$")] = Field(
        "hybrid", description="hybrid, semantic or text.", examples=["hybrid"]
    )
    min_strength: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Leave out weaker hits; by default what suits the query."
    )
    everything: bool = Field(False, alias="all", description="Weak hits, too.")
    unique: bool = Field(False, description="Fold near-identical pictures into one.")
    limit: int = Field(60, ge=1, le=500, description="Hits of one page.")
    cursor: str | None = Field(
        None, max_length=200, description="`next` of the page before; the rest as it was."
    )

    def asked(self, *like: int) -> Asked:
        """The search, with further examples."""
        return Asked(
            text=self.q,
            plus=self.plus,
            minus=self.minus,
            like=[*like, *self.like],
            unlike=self.unlike,
            good=self.good,
            bad=self.bad,
            filters=self.filters(),
            mode=self.mode,
            min_strength=0.0 if self.everything else self.min_strength,
            unique=self.unique,
        )


class IndexParameters(BaseModel):
    """What to index."""

    model_config = ConfigDict(extra="forbid")

    path: Text | None = Field(
        None, description="A folder of the library, or one in it; by default all of them."
    )


class SessionParameters(BaseModel):
    """How to come in."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=200)


class Upload:
    """A picture that came with a search."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data


async def posted(request: Request) -> tuple[SearchParameters, list[Upload]]:
    """The parameters and pictures of a search that was posted, as a form or as JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            found = await request.json()
            return SearchParameters.model_validate(found, strict=True), []
        if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return await _form(request)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        raise QueryError("the request is no JSON", "Send one object.") from None
    raise QueryError(
        "the request is neither a form nor JSON",
        "Send multipart/form-data with the field 'image', or application/json.",
    )


async def _form(request: Request) -> tuple[SearchParameters, list[Upload]]:
    values: dict[str, Any] = {}
    uploads: list[Upload] = []
    bounds: dict[str, Any] = {"max_files": MOST_PICTURES, "max_fields": 400}
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
    return SearchParameters.model_validate(values), uploads


LISTS = frozenset(
    each.alias or name
    for name, each in SearchParameters.model_fields.items()
    if each.default_factory is list
)
"""Names that may be given several times."""
