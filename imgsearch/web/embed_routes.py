"""Routes that encode texts and pictures for other programs.

Three public shapes: OpenAI's embeddings, with pictures as Jina's and Infinity's servers take them,
and the `/predict` of Immich's machine-learning service. See ADR 47.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from starlette.responses import JSONResponse, PlainTextResponse, Response

from imgsearch.errors import QueryError
from imgsearch.searching.request import Term
from imgsearch.searching.terms import checked_text
from imgsearch.serving.embedding import MAX_TERMS_PER_JOB, Embedded
from imgsearch.serving.gallery import Gallery
from imgsearch.web.answers import API, EncodingFormat, vector
from imgsearch.web.guard import EMBED_PATHS, PREDICT_PATH
from imgsearch.web.problems import PROBLEMS, NoSuchModel, problem
from imgsearch.web.search_routes import decoded, while_connected

MAX_INPUTS = 64
"""Texts and pictures of one request."""
MAX_ENTRIES_CHARACTERS = 4000
ANY_MODEL = ("", "imgsearch")
"""Names for the model in use, beside its own."""
_OFF_HINT = "Start it with: imgsearch serve --embed"

InputText = Annotated[str, Field(min_length=1)]


class TextInput(BaseModel):
    """A text, as Jina's API takes it."""

    model_config = ConfigDict(extra="forbid")

    text: InputText


class ImageInput(BaseModel):
    """A picture, as Jina's API takes it; with a text, one input of both for models that can."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1, description="A data URI, or base64. Addresses are refused.")
    text: str = ""


def _kind(value: Any) -> str:
    if isinstance(value, TextInput | ImageInput):
        return "picture" if isinstance(value, ImageInput) else "object"
    return ("picture" if "image" in value else "object") if isinstance(value, dict) else "text"


Input = Annotated[
    Annotated[InputText, Tag("text")]
    | Annotated[TextInput, Tag("object")]
    | Annotated[ImageInput, Tag("picture")],
    Discriminator(_kind),
]
Inputs = Annotated[
    Annotated[InputText, Tag("text")]
    | Annotated[list[Input], Field(min_length=1, max_length=MAX_INPUTS), Tag("list")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "list"),
]
"""Discriminated here, so that an error names the kind that was sent."""


class EmbedParameters(BaseModel):
    """Texts and pictures to encode: OpenAI's parameters, and pictures in two public shapes."""

    model_config = ConfigDict(extra="forbid")

    input: Inputs = Field(
        description='Texts, or objects {"text": ...} and {"image": data URI}.',
        examples=[["a dog on the beach"]],
    )
    model: str = Field(
        "", max_length=500, description="The model of the library, or imgsearch for any."
    )
    encoding_format: EncodingFormat = Field(
        "float", description="base64: little-endian float32, as OpenAI sends them."
    )
    dimensions: int | None = Field(
        None, ge=1, le=65536, description="A shorter length, for models trained for it."
    )
    modality: Literal["text", "image"] = Field(
        "text", description="image: plain inputs are pictures (Infinity's parameter)."
    )
    user: str = Field("", max_length=1000, description="Of OpenAI's clients; has no effect.")

    def terms(self) -> list[Term]:
        """The inputs as terms; raises `QueryError` for one that cannot be read."""
        inputs = [self.input] if isinstance(self.input, str) else self.input
        return [self._term(each) for each in inputs]

    def _term(self, each: Input) -> Term:
        if isinstance(each, str):
            return text_term(each) if self.modality == "text" else picture_term(each)
        if isinstance(each, TextInput):
            return text_term(each.text)
        return picture_term(each.image, each.text)


class EmbeddingAnswer(BaseModel):
    """The vector of an input."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class UsageAnswer(BaseModel):
    """OpenAI's counts of tokens; tokens are not counted here."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingsAnswer(BaseModel):
    """Vectors of unit L2 norm, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingAnswer]
    model: str
    usage: UsageAnswer = Field(default_factory=UsageAnswer)
    space: str = Field(description="Names the space, for a search by one of the vectors.")


def routers(gallery: Gallery, on: bool) -> list[APIRouter]:
    """The routes over a library; without `on`, refusals that say how to switch them on."""
    return [_ours(gallery), _theirs(gallery)] if on else [_refusals()]


def _ours(gallery: Gallery) -> APIRouter:
    router = APIRouter(prefix=API, tags=["embeddings"], responses=PROBLEMS)

    @router.post("/embed")
    async def embed(parameters: EmbedParameters, client: Request) -> EmbeddingsAnswer:
        """Encode texts and pictures with the model of the library, in OpenAI's shape. Also at
        /v1/embeddings, so that `base_url` of OpenAI's clients is the address and /v1."""
        return await embeddings(gallery, parameters, client)

    return router


def _theirs(gallery: Gallery) -> APIRouter:
    """Paths that other programs have built in, outside our API and its document."""
    router = APIRouter(include_in_schema=False)

    @router.post("/v1/embeddings")
    async def openai_embeddings(parameters: EmbedParameters, client: Request) -> EmbeddingsAnswer:
        return await embeddings(gallery, parameters, client)

    @router.get("/v1/models")
    async def openai_models() -> dict[str, Any]:
        name = await asyncio.wrap_future(gallery.model())
        model = {"id": name, "object": "model", "created": 0, "owned_by": "imgsearch"}
        return {"object": "list", "data": [model]}

    @router.get("/ping")
    async def ping() -> Response:
        return PlainTextResponse("pong")

    @router.post(PREDICT_PATH)
    async def predict(client: Request) -> Response:
        return JSONResponse(await prediction(gallery, client))

    return router


def _refusals() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    async def refuse() -> Response:
        return problem(403, "this server does not encode for other programs", _OFF_HINT)

    for path in (*EMBED_PATHS, PREDICT_PATH):
        router.add_api_route(path, refuse, methods=["POST"])
    return router


async def embeddings(
    gallery: Gallery, parameters: EmbedParameters, client: Request
) -> EmbeddingsAnswer:
    """The vectors of the inputs of a request."""
    name = await asyncio.wrap_future(gallery.model())
    if parameters.model not in (*ANY_MODEL, name):
        raise NoSuchModel(parameters.model, name)
    terms = await asyncio.to_thread(parameters.terms)
    found = await vectors_of(gallery, terms, client)
    rows = found.cut(parameters.dimensions)
    return EmbeddingsAnswer(
        data=[
            EmbeddingAnswer(index=index, embedding=vector(row, parameters.encoding_format))
            for index, row in enumerate(rows)
        ],
        model=found.space.model,
        space=found.space.key,
    )


async def vectors_of(gallery: Gallery, terms: Sequence[Term], client: Request) -> Embedded:
    """The vectors of terms, a few at a time, so that searches come in between.

    Raises
    ------
    QueryError
        A picture cannot be decoded, or the model of the library has changed meanwhile.
    """
    parts: list[Embedded] = []
    for start in range(0, len(terms), MAX_TERMS_PER_JOB):
        batch = terms[start : start + MAX_TERMS_PER_JOB]
        ready = [await decoded(gallery, client, term) for term in batch]
        parts.append(await while_connected(client, gallery.embed(ready)))
    first = parts[0]
    if any(each.space != first.space for each in parts):
        raise QueryError(
            "the model of the library has changed meanwhile", "Send the request again."
        )
    rows = np.concatenate([each.vectors for each in parts])
    return Embedded(first.space, rows, first.dimensions)


async def prediction(gallery: Gallery, client: Request) -> dict[str, Any]:
    """The answer to a request of Immich's server: the vector is a text with a JSON array."""
    async with client.form(max_files=1, max_fields=4, max_part_size=64 << 10) as form:
        entries, text, image = form.get("entries"), form.get("text"), form.get("image")
        data = None if image is None or isinstance(image, str) else await image.read()
    kind = _requested(entries)
    if kind == "textual" and isinstance(text, str):
        found = await vectors_of(gallery, [text_term(text)], client)
        return {"clip": json.dumps(found.vectors[0].tolist())}
    if kind == "visual" and data is not None:
        picture = await while_connected(client, gallery.decode(data, ""))
        found = await while_connected(client, gallery.embed([Term(image=picture.pixels)]))
        size = {"imageHeight": picture.metadata.height, "imageWidth": picture.metadata.width}
        return {"clip": json.dumps(found.vectors[0].tolist())} | size
    raise QueryError(
        "the request has nothing to encode",
        "Send 'text' for textual, or a file 'image' for visual.",
    )


def _requested(entries: object) -> str:
    """What `entries` requests, "visual" or "textual". `modelName` and `options` name the model that
    the client expects; they have no effect."""
    try:
        if not isinstance(entries, str) or len(entries) > MAX_ENTRIES_CHARACTERS:
            raise ValueError
        tasks = json.loads(entries)
        ((task, kinds),) = tasks.items()
        ((kind, options),) = kinds.items()
        if task == "clip" and kind in ("visual", "textual") and isinstance(options, dict):
            return str(kind)
    except (ValueError, AttributeError, RecursionError):
        pass
    raise QueryError(
        "entries does not ask for one thing that this server can do",
        'Send {"clip": {"visual": {}}} or {"clip": {"textual": {}}}; it has no faces and no OCR.',
    )


def text_term(text: str) -> Term:
    """A text to encode; raises `QueryError` if it is empty, too long, or not valid Unicode."""
    if not text.strip():
        raise QueryError("an input is empty", "Send a text or a picture.")
    return Term(text=checked_text(text))


def picture_term(image: str, text: str = "") -> Term:
    """A picture to encode, from a data URI or base64; with a text, as one input of both."""
    head, comma, data = image.partition(",")
    if comma and not (head.startswith("data:") and head.endswith(";base64")):
        raise _no_picture()
    try:
        picture = base64.b64decode(data if comma else image, validate=True)
    except (binascii.Error, ValueError):
        raise _no_picture() from None
    if text.strip():
        return Term(text=checked_text(text), data=picture, fused=True)
    return Term(data=picture)


def _no_picture() -> QueryError:
    return QueryError(
        "an image is neither a data URI nor base64",
        "Send data:image/jpeg;base64,...; this server fetches nothing from other addresses.",
    )
