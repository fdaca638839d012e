"""A model of two parts: one for pictures, one for texts that was aligned to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel

from imgsearch import plugins
from imgsearch.encoders import generic, presets, published_models
from imgsearch.encoders.preparation import FixedSize
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, InputSize
from tests import tiny_models

NAME = "clip-vit-b-32-multilingual"
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Pictures and texts, as those files are published."""
    place = tmp_path_factory.mktemp("parts")
    clip = tiny_models.make_older_clip(place / "clip")
    return str(clip), str(tiny_models.make_multilingual_text(place / "text"))


def load(pictures: str, texts: str, **options):
    options = EncoderOptions("cpu", "fp32", 1, source=pictures, text_source=texts, **options)
    return plugins.encoder_module(NAME).load(NAME, options)


def test_each_part_does_its_side(folders):
    encoder = load(*folders)
    alone = generic.load(folders[0], EncoderOptions("cpu", "fp32", 1))
    assert np.array_equal(encoder.encode_images([PIXELS]), alone.encode_images([PIXELS]))
    texts = encoder.encode_texts(["ein Hund", "a dog"])
    assert texts.shape == (2, tiny_models.DIMENSION)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    assert not np.allclose(texts, alone.encode_texts(["ein Hund", "a dog"]), atol=0.1)
    size = tiny_models.SIZE
    steps = FixedSize(size, size, crops=True)
    assert encoder.input_size == InputSize(short=size, preparation=steps)
    assert encoder.card == presets.preset(NAME)


def test_the_space_names_the_revisions_of_both(folders):
    space = load(*folders).space
    assert space.model == NAME
    assert space.revision == published_models.revision(NAME, *folders)
    assert space.revision == "+".join(published_models.revision(folder) for folder in folders)


def test_parts_that_do_not_belong_together_are_refused(folders, tmp_path):
    longer = tiny_models.make_multilingual_text(tmp_path / "text", dimension=48)
    with pytest.raises(
        EncoderError, match="32 dimensions for pictures and 48 for texts"
    ) as refusal:
        load(folders[0], str(longer))
    assert f"{NAME}-text" in refusal.value.hint


def test_the_wrong_part_in_a_place_is_refused(folders):
    with pytest.raises(EncoderError, match="does not take image input"):
        load(folders[1], folders[0])


def test_a_part_that_is_not_here_is_named(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    with pytest.raises(EncoderError, match="multilingual-v1 is not on this machine"):
        load(folders[0], "")
    with pytest.raises(EncoderError, match=f"{NAME} is not on this machine") as told:
        published_models.revision(NAME)
    assert f"imgsearch models download {NAME}" in told.value.hint


def test_pictures_are_told_nothing_and_vectors_are_not_cut(folders):
    with pytest.raises(EncoderError, match="takes no instruction for pictures"):
        load(*folders, instruction="Look.")
    with pytest.raises(EncoderError, match="cut to 16"):
        load(*folders, dimension=16)


def test_its_part_for_pictures_is_no_other_name_for_it():
    card = presets.preset(NAME)
    assert presets.short_name(card.hub) == card.hub
    assert f"{NAME}-text" in presets.PLACES


def test_the_count_of_parameters_is_that_of_the_architectures():
    """CLIP, a DistilBERT with the multilingual vocabulary, and 768 to 512 without a bias."""
    with torch.device("meta"):
        texts = DistilBertModel(DistilBertConfig(vocab_size=119_547))
    counted = sum(p.numel() for p in texts.parameters()) + 768 * 512
    clip = presets.preset("clip-vit-b-32").parameters
    assert presets.preset(NAME).parameters == clip + counted
