"""The chosen space, and what distinguishes two spaces of one model."""

from __future__ import annotations

import dataclasses

import pytest

from imgsearch.encoders.capabilities import choose_dimension, describe_dimensions
from imgsearch.errors import EncoderError, QueryError, SpaceMismatch
from imgsearch.model_card import ModelCard
from imgsearch.spaces import choose, distinguished, require_searchable, same_weights
from imgsearch.vectors import EmbeddingSpace, SpaceOptions

LONG = EmbeddingSpace("model", "1", "whole", 64, "Look.")
SHORT = dataclasses.replace(LONG, dimension=16)
INSTRUCTED = dataclasses.replace(LONG, instruction="Read.")
NEWER = dataclasses.replace(LONG, revision="2")
OTHER = EmbeddingSpace("other", "1", "whole", 64)


def test_the_instruction_is_part_of_a_space():
    assert len({space.key for space in (LONG, SHORT, INSTRUCTED, NEWER, OTHER)}) == 5
    assert "'Read.'" in str(INSTRUCTED)
    with pytest.raises(SpaceMismatch):
        LONG.require(INSTRUCTED)


def test_a_space_without_one_has_the_key_that_it_always_had():
    assert EmbeddingSpace("toy", "1", "none", 8).key == "9daa7896ce11"


@pytest.mark.parametrize(
    ("asked", "fitting"),
    [
        (SpaceOptions(), [LONG, SHORT, INSTRUCTED]),
        (SpaceOptions(dimension=16), [SHORT]),
        (SpaceOptions("Read."), [INSTRUCTED]),
        (SpaceOptions("Look.", 64), [LONG]),
        (SpaceOptions("Read.", 16), []),
    ],
)
def test_what_was_not_asked_for_fits_anything(asked, fitting):
    assert asked.fitting([LONG, SHORT, INSTRUCTED, OTHER], "model") == fitting


def test_what_was_not_asked_for_is_taken_over():
    assert SpaceOptions("Read.").completed(SHORT) == SpaceOptions("Read.", 16)
    assert SpaceOptions(dimension=32).completed(INSTRUCTED) == SpaceOptions("Read.", 32)
    assert SpaceOptions().completed(LONG, full=64) == SpaceOptions("Look.", 0), (
        "nobody chose the full length"
    )
    assert SpaceOptions().completed(SHORT, full=64) == SpaceOptions("Look.", 16)


def test_visual_tokens_are_an_option_of_one_model():
    few, many = (
        dataclasses.replace(LONG, preprocessing=f"bicubic to {each} visual tokens from full size")
        for each in ("51-256", "256-1280")
    )
    assert (few.visual_tokens, many.visual_tokens, LONG.visual_tokens) == (256, 1280, 0)
    assert SpaceOptions(visual_tokens=256).fitting([few, many, LONG], "model") == [few]
    assert SpaceOptions().completed(few).visual_tokens == 256
    assert same_weights(few, many) and not same_weights(few, LONG)
    assert choose([few, many], few) == few
    assert distinguished(few, many) == "model (256 visual tokens)"
    assert str(SpaceOptions(visual_tokens=256)) == "256 visual tokens"


def test_the_default_is_meant_unless_its_weights_have_been_replaced():
    assert choose([LONG, SHORT], LONG) == LONG
    assert choose([LONG, SHORT], OTHER) == SHORT
    assert choose([LONG, NEWER], LONG) == NEWER
    assert choose([LONG], None) == LONG


def test_a_search_that_no_space_serves_is_told_what_there_is():
    require_searchable([LONG, OTHER], "model", SpaceOptions("Look."))
    with pytest.raises(QueryError, match="no pictures yet"):
        require_searchable([], "model", SpaceOptions())
    with pytest.raises(QueryError, match="indexed with third, only with model, other"):
        require_searchable([LONG, OTHER], "third", SpaceOptions())
    with pytest.raises(
        SpaceMismatch, match=r"document instruction 'Read\.' and vectors of 9"
    ) as told:
        require_searchable([LONG, OTHER], "model", SpaceOptions("Read.", 9))
    assert str(LONG) in str(told.value) and str(OTHER) not in str(told.value)
    assert "document_instruction" in told.value.hint


def test_spaces_of_one_model_are_distinguished():
    assert distinguished(LONG, OTHER) == "model"
    assert distinguished(LONG, NEWER) == "model"
    assert distinguished(SHORT, INSTRUCTED) == "model (16 numbers, instruction 'Look.')"


MATRYOSHKA = ModelCard("nested", "A model.", dimensions=range(64, 2049))
LISTED = ModelCard("listed", "A model.", dimensions=(128, 256, 4096))
PLAIN = ModelCard("plain", "A model.")


@pytest.mark.parametrize(
    ("card", "asked", "length"),
    [(MATRYOSHKA, 64, 64), (MATRYOSHKA, 0, 2048), (LISTED, 256, 256), (PLAIN, 2048, 2048)],
)
def test_a_length_that_the_model_was_trained_for(card, asked, length):
    assert choose_dimension(card, asked, 2048) == length


@pytest.mark.parametrize(
    ("card", "asked", "words", "hint"),
    [
        (MATRYOSHKA, 63, "has no vectors of 63", "Choose 64 to 2048."),
        (MATRYOSHKA, 2049, "has no vectors of 2049", "Choose 64 to 2048."),
        (LISTED, 129, "has no vectors of 129", "Choose 128, 256, 2048."),
        (LISTED, 4096, "has no vectors of 4096", "Choose 128, 256, 2048."),
        (PLAIN, 64, "not known to be trained for vectors that are cut to 64", "matryoshka_dims"),
    ],
)
def test_another_length_is_refused(card, asked, words, hint):
    with pytest.raises(EncoderError, match=words) as refused:
        choose_dimension(card, asked, 2048)
    assert hint in refused.value.hint


def test_lengths_in_words():
    assert describe_dimensions(range(64, 2049)) == "64 to 2048"
    assert describe_dimensions((128, 256)) == "128, 256"
