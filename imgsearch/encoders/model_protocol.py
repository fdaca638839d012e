"""The contract of a model server and its clients: three KServe v2 models for each model of ours.

NAME-card returns a JSON document that describes the model and its space. NAME-text and NAME-image
return one row for each text or picture, with the key of its space, and "" or the reason why the
vector is missing. docs/internals.md lists the tensors. Pictures are sent as the decoder processes
prepare them, so the document says how, by the name of a class of ours and its numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from imgsearch.encoders.embedding_gemma2.resize import LargestFit
from imgsearch.encoders.gme.resize import SquareSteps, VisualTokens
from imgsearch.encoders.preparation import FixedSize
from imgsearch.encoders.qwen3_vl.resize import OneResize
from imgsearch.model_card import InputSize, ModelCard, Preparation
from imgsearch.ports import Encoder
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD, TEXT, IMAGE = "card", "text", "image"
"""The parts of a model, each a KServe v2 model."""
VERSION = 1
MAX_BATCH = 64
"""Texts or pictures in one request."""
MAX_NAME_LENGTH = 40
MAX_CARD_BYTES = 1 << 20
_MAX_TEXT, _MAX_NUMBER, _MAX_SIDE_PIXELS, _MAX_DIMENSION = 10_000, 10**15, 1 << 15, 65_536
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server runs; `batch` is the maximum number of inputs of a request."""

    space: EmbeddingSpace
    card: ModelCard
    input_size: InputSize
    batch: int


class Tensor(NamedTuple):
    """A tensor of a part, of shape (n, width); dtype is `bytes`, `np.int32` or `np.float32`."""

    name: str
    dtype: Any = bytes
    width: int = 1


def tensors(part: str, dimension: int) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of a part of a model whose vectors have `dimension` numbers."""
    if part == CARD:
        return [Tensor("ASK", np.int32)], [Tensor("CARD")]
    rows = [Tensor("VECTOR", np.float32, dimension), Tensor("SPACE"), Tensor("ERROR")]
    if part == TEXT:
        return [Tensor("TEXT"), Tensor("INSTRUCTION")], rows
    return [Tensor("PIXELS"), Tensor("SHAPE", np.int32, 2)], rows


def served_name(model: str, part: str) -> str:
    """The name of a part of a model on a server, which allows letters, digits, "-" and "_".

    It is part of paths of sockets, which have at most 107 bytes, so a long one is cut to its end.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", model).strip("-")
    if len(name) > MAX_NAME_LENGTH:
        digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = f"{digest}-{name[13 - MAX_NAME_LENGTH :]}"
    return f"{name}-{part}"


def column(items: Sequence[bytes]) -> NDArray[Any]:
    """A tensor of shape (n, 1) of byte strings."""
    rows = np.empty((len(items), 1), object)
    rows[:, 0] = items
    return rows


def describe(encoder: Encoder, batch: int) -> bytes:
    """The document that describes a model."""
    size = encoder.input_size
    document = {
        "version": VERSION,
        "batch": batch,
        "space": asdict(encoder.space),
        "card": asdict(encoder.card) | {"dimensions": list(encoder.card.dimensions)},
        "input_size": {
            "short": size.short,
            "long": size.long,
            "area": size.area,
            "preparation": _preparation_to_plain(size.preparation),
        },
    }
    return json.dumps(document).encode()


def read_description(document: bytes) -> ServedModel:
    """The model that a document of `describe` is about.

    Raises
    ------
    ValueError
        The document is not valid, or one of its numbers or texts is out of range.
    """
    if len(document) > MAX_CARD_BYTES:
        raise ValueError("the description of the model is too long")
    try:
        plain = json.loads(document)
    except RecursionError:
        raise ValueError("the description of the model is nested too deeply") from None
    _require(isinstance(plain, dict) and plain.get("version") == VERSION, "version")
    space = _record(EmbeddingSpace, plain.get("space"))
    _require(1 <= space.dimension <= _MAX_DIMENSION, "dimension")
    _require(_is_number(plain.get("batch"), MAX_BATCH), "batch")
    size = _input_size(plain.get("input_size"))
    return ServedModel(space, _record(ModelCard, plain.get("card")), size, plain["batch"])


def _preparation_to_plain(steps: Preparation | None) -> dict[str, Any] | None:
    """Steps as plain values; None for those of a plug-in, which the server then applies."""
    if isinstance(steps, FixedSize | SquareSteps | OneResize | LargestFit):
        return {"kind": type(steps).__name__, **asdict(steps)}
    return None


def _input_size(plain: Any) -> InputSize:
    _require(isinstance(plain, dict), "input_size")
    limits = {name: plain.get(name) for name in ("short", "long", "area")}
    for name, pixels in limits.items():
        _require(pixels is None or _is_number(pixels, _MAX_NUMBER), name)
    return InputSize(**limits, preparation=_preparation(plain.get("preparation")))


def _preparation(plain: Any) -> Preparation | None:
    if plain is None:
        return None
    _require(isinstance(plain, dict), "preparation")
    kind = plain.get("kind")
    if kind == FixedSize.__name__:
        width, height = plain.get("width"), plain.get("height")
        _require(_is_number(width, _MAX_SIDE_PIXELS), "width")
        _require(_is_number(height, _MAX_SIDE_PIXELS), "height")
        _require(type(plain.get("crops")) is bool, "crops")
        resampling = Image.Resampling(plain.get("filter"))
        return FixedSize(width, height, plain["crops"], int(resampling))
    if kind == LargestFit.__name__:
        _require(_is_number(plain.get("tokens"), _MAX_SIDE_PIXELS), "tokens")
        return LargestFit(plain["tokens"])
    _require(kind in (SquareSteps.__name__, OneResize.__name__), "preparation")
    tokens = _record(VisualTokens, plain.get("tokens"))
    _require(tokens.maximum <= _MAX_SIDE_PIXELS, "tokens")
    return OneResize(tokens) if kind == OneResize.__name__ else SquareSteps(tokens)


def _record(kind: type[T], plain: Any) -> T:
    """A dataclass of texts, numbers and lists of them, from a JSON object."""
    _require(isinstance(plain, Mapping), kind.__name__)
    values = {}
    for each in fields(kind):  # type: ignore[arg-type]
        value = plain.get(each.name, each.default)
        _require(value is not MISSING and _is_plain(value, str(each.type)), each.name)
        values[each.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _is_plain(value: Any, kind: str) -> bool:
    """Whether a value of a JSON document has the type of a field."""
    if kind == "str":
        return isinstance(value, str) and len(value) <= _MAX_TEXT
    if kind == "bool":
        return type(value) is bool
    if kind == "int":
        return type(value) is int and 0 <= value <= _MAX_NUMBER
    if not isinstance(value, list | tuple) or len(value) > _MAX_DIMENSION:
        return False
    return all(_is_plain(each, "str" if "str" in kind else "int") for each in value)


def _is_number(value: Any, maximum: int) -> bool:
    return type(value) is int and 1 <= value <= maximum


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise ValueError(f"the description of the model has no valid {name}")
