"""The document that describes a served model: exact for ours, and refused if it is not valid."""

from __future__ import annotations

import json

import pytest

from imgsearch.encoders import builtin
from imgsearch.encoders.embedding_gemma2.resize import LargestFit
from imgsearch.encoders.gme.resize import SquareSteps, VisualTokens
from imgsearch.encoders.model_protocol import describe, read_description, served_name
from imgsearch.encoders.preparation import FixedSize
from imgsearch.encoders.presets import EMBEDDING_GEMMA2, GME, QWEN3_VL, SENTENCE
from imgsearch.encoders.qwen3_vl.resize import OneResize
from imgsearch.model_card import InputSize
from imgsearch.vectors import EmbeddingSpace


class Model:
    """The attributes of an encoder that `describe` reads."""

    space = EmbeddingSpace("m", "r", "64-128 visual tokens", 16, "an instruction")
    card = GME[0]
    input_size = InputSize(area=99)


class OtherSteps:
    """A preparation of a plug-in."""


@pytest.mark.parametrize(
    "card", [*GME, *SENTENCE, *QWEN3_VL, EMBEDDING_GEMMA2, builtin.CARD], ids=lambda card: card.name
)
@pytest.mark.parametrize(
    "size",
    [
        InputSize(),
        InputSize(area=100),
        InputSize(short=32, preparation=FixedSize(32, 48, False, 1)),
        InputSize(long=64, preparation=SquareSteps(VisualTokens(4, 64))),
        InputSize(area=9000, preparation=OneResize(VisualTokens(4, 64))),
        InputSize(area=9000, preparation=LargestFit(280)),
    ],
)
def test_a_description_is_read_as_it_was_written(card, size):
    model = Model()
    model.card, model.input_size = card, size
    found = read_description(describe(model, 32))
    assert (found.space, found.input_size, found.batch) == (model.space, size, 32)
    assert list(found.card.dimensions) == list(card.dimensions)
    for name in ("name", "scripts", "instructions", "query_instruction", "needs", "parameters"):
        assert getattr(found.card, name) == getattr(card, name)


def test_steps_of_a_plug_in_are_left_to_the_server():
    model = Model()
    model.input_size = InputSize(short=32, preparation=OtherSteps())
    assert read_description(describe(model, 1)).input_size == InputSize(short=32)


def changed(*path, to):
    """A description with one value changed."""
    model = Model()
    model.input_size = InputSize(short=32, preparation=FixedSize(32, 48, False, 1))
    document = json.loads(describe(model, 32))
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b" " * (2 << 20),
        changed("version", to=2),
        changed("batch", to=True),
        changed("batch", to=10**6),
        changed("space", to=[]),
        changed("space", "dimension", to=0),
        changed("space", "dimension", to=10**9),
        changed("space", "dimension", to="16"),
        changed("space", "model", to=None),
        changed("card", "name", to="x" * 100_000),
        changed("card", "scripts", to=[1]),
        changed("card", "dimensions", to=["LATIN"]),
        changed("card", "instructions", to=1),
        changed("input_size", "short", to=-1),
        changed("input_size", "preparation", to={"kind": "os.system"}),
        changed("input_size", "preparation", "width", to=10**9),
        changed("input_size", "preparation", "filter", to=77),
        changed("input_size", "preparation", to={"kind": "SquareSteps", "tokens": []}),
        changed(
            "input_size",
            "preparation",
            to={"kind": "SquareSteps", "tokens": {"minimum": 9, "maximum": 4}},
        ),
    ],
)
def test_a_description_that_is_not_valid_is_refused(document):
    with pytest.raises(ValueError):
        read_description(document)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gme-qwen2-vl-2b", "gme-qwen2-vl-2b-text"),
        ("openai/clip.v1", "openai-clip-v1-text"),
        ("/home/ä b/model", "home-b-model-text"),
    ],
)
def test_a_name_on_a_server_has_only_allowed_characters(model, name):
    assert served_name(model, "text") == name


def test_a_long_name_is_cut_and_stays_distinct():
    long = "/home/somebody/" + "models/" * 40
    names = {served_name(long + each, "image") for each in ("a", "b", "x/a")}
    assert len(names) == 3 and {len(name) for name in names} == {40 + len("-image")}
