"""Measuring models, and random weights of true architectures."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from transformers import CLIPModel, SiglipModel

from imgsearch.bench import random_models
from imgsearch.bench.measurement import Measurement, Work, sample_pictures, sample_texts
from imgsearch.bench.meter import Resident, meter_of
from imgsearch.bench.search_bench import recall_at
from imgsearch.encoders import presets
from imgsearch.errors import EncoderError
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.model_card import EncoderOptions, InputSize
from imgsearch.vectors import RANDOM
from tests.conftest import full_only
from tests.fakes import SPACE, batch, unit_rows

CPU = torch.device("cpu")
SMALL = random_models._layers(64, 96, 2, 2)
WORK = Work(("fp32", "bf16"), ("text",), (1, 4), image_size=32, seconds=0, repeats=2)


class Toy:
    """An encoder of texts that fails on batches of more than `most`."""

    space, input_size = SPACE, InputSize()

    def __init__(self, most: int, seed: int = 0) -> None:
        self.most, self.seed, self.calls = most, seed, 0

    def encode_texts(self, texts, instruction=None):
        self.calls += 1
        if len(texts) > self.most:
            raise RuntimeError("out of memory\nand more lines")
        return unit_rows(len(texts), self.seed)

    encode_images = encode_texts


# Measurements


def test_a_precision_that_cannot_be_had_is_a_row_that_says_so():
    def load(precision):
        if precision == "bf16":
            raise EncoderError("no bf16 here", "hint")
        return Toy(8)

    rows = Measurement(load, CPU, WORK).run()
    assert [(r.batch, r.precision, r.note) for r in rows] == [
        (1, "fp32", ""), (1, "bf16", "no bf16 here"), (4, "fp32", ""), (4, "bf16", "no bf16 here"),
    ]  # fmt: skip
    assert rows[0].speedup == 1.0
    assert (rows[1].latency_ms, rows[1].speedup, rows[1].cosine) == (None, None, None)


def test_a_model_that_cannot_be_had_at_all_is_an_error():
    def load(precision):
        raise EncoderError(f"no {precision}")

    with pytest.raises(EncoderError, match="no fp32"):
        Measurement(load, CPU, WORK).run()


@pytest.mark.parametrize("interleave", [False, True])
def test_a_batch_that_fails_costs_no_other(interleave):
    work = Work(("bf16", "fp32"), ("text",), (1, 4), seconds=0, repeats=2, interleave=interleave)
    seen = []
    rows = Measurement(lambda p: Toy(8 if p == "fp32" else 2), CPU, work, seen.append).run()
    assert [(r.batch, r.precision, r.note) for r in rows] == [
        (1, "bf16", ""), (1, "fp32", ""),
        (4, "bf16", "RuntimeError: out of memory"), (4, "fp32", ""),
    ]  # fmt: skip
    assert sorted(map(id, seen)) == sorted(map(id, rows))


def test_speed_and_agreement_are_those_against_float32():
    toys = {"fp32": Toy(8), "bf16": Toy(8, seed=1)}
    rows = Measurement(toys.__getitem__, CPU, WORK).run()
    expected = (unit_rows(4, 0) * unit_rows(4, 1)).sum(1).min()
    assert rows[3].cosine == pytest.approx(expected, abs=1e-6)
    assert rows[3].speedup == rows[2].latency_ms / rows[3].latency_ms
    assert [row.runs for row in rows] == [2] * 4
    assert toys["fp32"].calls == 2 * (2 + 1 + 2), "warm-up, memory, and what is timed"


def test_a_batch_that_was_halved_says_so():
    toy = Toy(8)
    toy.batch_size = 2
    rows = Measurement(lambda p: toy, CPU, WORK).run()
    assert [row.note for row in rows if row.batch == 1] == ["", ""]
    assert rows[2].note == "memory was too small: in batches of 2"


def test_samples_are_the_same_each_time_and_all_differ():
    texts = sample_texts(64)
    assert texts == sample_texts(64)
    assert len(set(texts)) == 64
    assert len({len(text) for text in texts}) == 1
    pictures = sample_pictures(3, 20)
    assert [p.shape for p in pictures] == [(20, 20, 3)] * 3
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[2], sample_pictures(3, 20)[2])


@full_only
def test_the_peak_of_a_processor_is_seen():
    def work():
        block = np.ones(100_000_000, np.uint8)
        until = time.monotonic() + 1  # a busy machine samples the memory late
        while time.monotonic() < until:
            block += 1

    meter = meter_of(CPU)
    before = meter.allocated()
    assert meter.peak_of(work) > before + 80e6
    with Resident() as memory:
        pass
    assert memory.peak < before + 80e6


# Random weights


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        (
            "clip-vit-b-32",
            CLIPModel,
            lambda: random_models.clip_config(
                random_models._CLIP_TEXT, random_models._CLIP_VISION, 512
            ),
        ),
        (
            "siglip2-base",
            SiglipModel,
            lambda: random_models.siglip_config(
                random_models._BASE,
                {**random_models._BASE, "image_size": 256, "patch_size": 16},
                768,
            ),
        ),
        (
            "siglip2-base-32",
            SiglipModel,
            lambda: random_models.siglip_config(
                random_models._BASE,
                {**random_models._BASE, "image_size": 256, "patch_size": 32},
                768,
            ),
        ),
        (
            "siglip2-so400m",
            SiglipModel,
            lambda: random_models.siglip_config(
                random_models._SO400M,
                {**random_models._SO400M, "image_size": 384, "patch_size": 14},
                1152,
            ),
        ),
    ],
)
def test_the_true_number_of_parameters(name, kind, config):
    with torch.device("meta"):
        model = kind(config())
    assert sum(p.numel() for p in model.parameters()) == presets.preset(name).parameters


def clip(options):
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    return random_models._clip(options, "clip-vit-b-32", SMALL, vision, 48)


def siglip(options):
    return random_models._siglip(options, "siglip2-base", SMALL, 32, 8)


def siglip_32(options):
    return random_models._siglip(options, "siglip2-base-32", SMALL, 64, 32)


@full_only
@pytest.mark.parametrize(("make", "dimension"), [(clip, 48), (siglip, 64), (siglip_32, 64)])
def test_an_encoder_of_random_weights(make, dimension):
    whole = make(EncoderOptions(device="cpu", precision="fp32"))
    half = make(EncoderOptions(device="cpu", precision="bf16"))
    assert whole.space.revision == half.space.revision == RANDOM
    assert whole.space.dimension == dimension
    assert whole.card.summary.startswith("random weights")
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}
    texts, pictures = sample_texts(3), sample_pictures(3, 40)
    for name, inputs in (("encode_texts", texts), ("encode_images", pictures)):
        vectors = getattr(whole, name)(inputs)
        assert vectors.shape == (3, dimension)
        assert (vectors * getattr(half, name)(inputs)).sum(1).min() > 0.99, "the same weights"
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_every_architecture_is_a_preset_or_a_cut_of_one():
    names = set(random_models.ARCHITECTURES) - {"gme-cut", "gme-tiny", "qwen3-vl-tiny"}
    assert names == set(presets.NAMES) - {"clip-vit-b-32-multilingual"}


# Recall


def test_recall():
    vectors = unit_rows(40)
    ids = np.arange(100, 140)[::-1].copy()
    index = MemoryIndex("", "", SPACE)
    index.apply(batch(ids.tolist(), vectors))
    chunks = [(ids[:7], vectors[:7]), (ids[:0], vectors[:0]), (ids[7:], vectors[7:])]
    queries = unit_rows(5, seed=1)
    assert recall_at(index, queries, chunks) == 1.0
    half = MemoryIndex("", "", SPACE)
    half.apply(batch(ids[::2].tolist(), vectors[::2]))
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert recall_at(half, queries, chunks) == pytest.approx((exact % 2 == 0).mean())
    few = MemoryIndex("", "", SPACE)
    few.apply(batch(ids[:3].tolist(), vectors[:3]))
    assert recall_at(few, queries, [(ids[:3], vectors[:3])]) == 1.0
