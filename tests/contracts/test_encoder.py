"""The contract of Encoder, for the built-in model and tiny models of real architectures."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

from imgsearch.encoders import builtin, generic, published_models
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions
from imgsearch.ports import BatchEncoder, Encoder
from tests import tiny_models
from tests.conftest import ROOT, full_only

TEXTS = ["a red car", "a photo of a dog on a beach", "", "sunset " * 200]
PROVED = ["embedding_gemma2", "qwen3_vl"]
"""Models of tests/golden."""
SHAPES = [(64, 48), (40, 90), (300, 300), (1, 1), (1, 20000), (20000, 1)]


@pytest.fixture(scope="module", params=["builtin", "clip", "siglip", "two towers", *PROVED])
def load(request, tmp_path_factory):
    """A function that loads the encoder with some options."""
    if request.param == "builtin":
        return lambda **options: builtin.load("builtin", EncoderOptions(**options))
    if request.param == "two towers":
        place = tmp_path_factory.mktemp("parts")
        pictures = str(tiny_models.make_older_clip(place / "clip"))
        texts = str(tiny_models.make_multilingual_text(place / "texts"))
        parts = {"source": pictures, "text_source": texts}
        name = "clip-vit-b-32-multilingual"
        return lambda **options: published_models.load(name, EncoderOptions(**parts, **options))
    if request.param in PROVED:
        proved = str(ROOT / "tests" / "golden" / request.param / "model")
        return lambda **options: published_models.load(proved, EncoderOptions(**options))
    make = getattr(tiny_models, f"make_{request.param}")
    folder = str(make(tmp_path_factory.mktemp("models") / request.param))
    return lambda **options: generic.load(folder, EncoderOptions(**options))


@pytest.fixture(scope="module")
def encoder(load) -> Encoder:
    return load(device="cpu", precision="fp32", threads=1, batch_size=4)


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def assert_embeddings(rows, count, dimension):
    assert isinstance(rows, np.ndarray)
    assert rows.shape == (count, dimension)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_each_text_yields_a_unit_row(encoder):
    assert_embeddings(encoder.encode_texts(TEXTS), len(TEXTS), encoder.space.dimension)


def test_each_picture_of_any_shape_yields_a_unit_row(encoder, pictures):
    assert_embeddings(encoder.encode_images(pictures), len(pictures), encoder.space.dimension)


def test_no_input_yields_no_rows(encoder):
    for rows in (encoder.encode_texts([]), encoder.encode_images([])):
        assert_embeddings(rows, 0, encoder.space.dimension)


@full_only
def test_rows_are_in_the_order_of_the_inputs(encoder, pictures):
    forward = encoder.encode_images(pictures)
    assert np.allclose(encoder.encode_images(pictures[::-1])[::-1], forward, atol=1e-4)
    forward = encoder.encode_texts(TEXTS)
    assert np.allclose(encoder.encode_texts(TEXTS[::-1])[::-1], forward, atol=1e-4)


@full_only
def test_a_row_does_not_depend_on_its_batch(encoder, pictures):
    alone = np.concatenate([encoder.encode_images([picture]) for picture in pictures])
    assert ((alone * encoder.encode_images(pictures)).sum(1) > 0.999).all()
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert ((alone * encoder.encode_texts(TEXTS)).sum(1) > 0.999).all()


def test_the_same_input_yields_the_same_row(encoder, pictures):
    assert np.array_equal(encoder.encode_images(pictures), encoder.encode_images(pictures))
    assert np.array_equal(encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def test_different_inputs_yield_different_rows(encoder, pictures):
    rows = np.concatenate([encoder.encode_images(pictures[:3]), encoder.encode_texts(TEXTS[:3])])
    assert (rows @ rows.T)[np.triu_indices(len(rows), 1)].max() < 0.99999


def test_pictures_may_be_read_only_and_not_contiguous(encoder, pictures):
    picture = pictures[0].copy()
    expected = encoder.encode_images([picture])
    picture.flags.writeable = False
    assert np.array_equal(encoder.encode_images([picture]), expected)
    strided = np.ascontiguousarray(picture.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert np.array_equal(encoder.encode_images([strided]), expected)


@full_only
@pytest.mark.parametrize("precision", ["bf16", "fp16", "autocast"])
def test_half_precision_yields_nearly_the_same_unit_rows(load, encoder, pictures, precision):
    try:
        half = load(device="cpu", precision=precision)
    except EncoderError as error:
        assert precision == "fp16" and "cannot be computed in float16" in str(error)
        return
    rows = half.encode_images(pictures[:3])
    assert_embeddings(rows, 3, encoder.space.dimension)
    assert ((rows * encoder.encode_images(pictures[:3])).sum(1) > 0.98).all()
    rows = half.encode_texts(TEXTS[:2])
    assert_embeddings(rows, 2, encoder.space.dimension)
    assert ((rows * encoder.encode_texts(TEXTS[:2])).sum(1) > 0.98).all()
    assert half.space == encoder.space


@full_only
def test_its_own_batches_contain_each_picture_once(encoder, pictures):
    assert isinstance(encoder, BatchEncoder)
    assert encoder.window >= encoder.batch_size == 4
    batches = list(encoder.encode_in_batches(pictures))
    assert sorted(place for places, _ in batches for place in places) == list(range(len(pictures)))
    assert max(len(places) for places, _ in batches) <= 4
    rows = encoder.encode_images(pictures)
    for places, vectors in batches:
        assert_embeddings(vectors, len(places), encoder.space.dimension)
        assert np.array_equal(vectors, rows[list(places)])


def test_the_batch_size_follows_from_memory_by_default(load):
    assert 1 <= load(device="cpu").batch_size <= 32


def test_it_describes_itself(encoder):
    assert encoder.space.model and encoder.space.revision and encoder.space.preprocessing
    assert encoder.card.name == encoder.space.model
    assert encoder.card.summary
    assert 0 < encoder.input_size.scale(4000, 3000) < 1
