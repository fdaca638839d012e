"""What a score means beside the scores of what does not belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import (
    ABSENT,
    BEST,
    IMAGE,
    MAX_GROWTH_RATIO,
    MIN_IMAGES,
    TEXT,
    image_reference,
    outdated,
    text_reference,
)
from imgsearch.records import Reference
from imgsearch.searching.strength import footing, query_scale
from imgsearch.vectors import combine, normalize
from tests.fakes import unit_rows

REFERENCES = {
    TEXT: Reference(TEXT, 0.1, 0.05, 100),
    IMAGE: Reference(IMAGE, 0.4, 0.2, 100),
    BEST: Reference(BEST, 0.2, 0.05, 100),
    ABSENT: Reference(ABSENT, -0.5, 2.0, 100),
}


def test_the_reference_texts_are_many_and_different():
    assert len(set(TEXTS)) == len(TEXTS) >= 200


def test_a_text_reference_is_the_middle_and_the_upper_spread_of_all_scores():
    texts, pictures = unit_rows(200, 1, 64), unit_rows(300, 2, 64)
    found = text_reference(texts, pictures, 12345)
    scores = (texts @ pictures.T).ravel()
    assert found.location == pytest.approx(np.median(scores), abs=1e-6)
    assert found.scale == pytest.approx(scores.std(), rel=0.02)  # these scores are normal
    assert (found.modality, found.pictures) == (TEXT, 12345)


def test_a_few_true_matches_do_not_move_it():
    texts, pictures = unit_rows(200, 1, 64), unit_rows(300, 2, 64)
    plain = text_reference(texts, pictures, 300)
    pictures[:200] = texts  # every text shows once
    with_matches = text_reference(texts, pictures, 300)
    assert with_matches.location == pytest.approx(plain.location, abs=0.1 * plain.scale)
    assert with_matches.scale == pytest.approx(plain.scale, rel=0.05)


def test_an_image_reference_compares_different_pictures_only():
    found = image_reference(unit_rows(100, 3, 64), 100)
    assert abs(found.location) < 0.05, "a picture compared with itself would score 1"
    assert found.scale == pytest.approx(1 / 8, rel=0.1)


def test_a_picture_finds_itself_where_all_are_alike():
    pictures = normalize(np.ones((1, 64)) + 0.3 * unit_rows(30, 4, 64))
    reference = image_reference(pictures, 30)
    scale = query_scale({IMAGE: reference}, [IMAGE], [1.0], [1.0])
    assert scale.strength(1.0) >= 0.89


@pytest.mark.parametrize("pictures", [np.empty((0, 4)), unit_rows(1, 0, 4)])
def test_too_few_pictures_say_nothing(pictures):
    assert image_reference(pictures, len(pictures)) is None


def test_pictures_that_are_all_the_same_say_nothing():
    assert image_reference(np.repeat(unit_rows(1, 0, 4), 9, axis=0), 9) is None


@pytest.mark.parametrize(
    ("count", "expected"), [(100, False), (80, False), (125, False), (79, True), (126, True)]
)
def test_references_age_with_the_library(count, expected):
    assert MAX_GROWTH_RATIO == 1.25
    assert outdated(REFERENCES, count) is expected


def test_missing_references_are_outdated():
    assert outdated({}, MIN_IMAGES)
    assert not outdated({}, MIN_IMAGES - 1), "too few to say anything"
    assert outdated(REFERENCES, MIN_IMAGES - 1), "to be forgotten"


@given(score=st.floats(-1, 1), more=st.floats(1e-3, 1))
def test_a_higher_score_is_never_weaker(score, more):
    scale = query_scale(REFERENCES, [TEXT], [1.0], [1.0])
    assert 0 <= scale.strength(score) <= scale.strength(score + more) <= 1


@given(weights=st.lists(st.floats(0.01, 1e200), min_size=1, max_size=1))
def test_the_weight_of_a_single_term_means_nothing(weights):
    one = query_scale(REFERENCES, [TEXT], [1.0], [1.0])
    assert query_scale(REFERENCES, [TEXT], weights, [1.0]) == one


def test_without_references_there_is_no_strength():
    assert query_scale({}, [TEXT], [1.0], [1.0]) is None
    assert query_scale({TEXT: REFERENCES[TEXT]}, [TEXT, IMAGE], [1.0, 1.0], [1.0, 1.0]) is None
    assert footing({}, [TEXT, IMAGE]) == [1.0, 1.0]


def test_a_composed_query_ranks_by_the_sum_of_z():
    pictures, terms = unit_rows(50, 5, 16), unit_rows(2, 6, 16)
    modalities, weights = [TEXT, IMAGE], np.array([1.0, 0.7])
    factors = footing(REFERENCES, modalities)
    query = combine(list(terms), list(weights * factors))
    z = [
        weight * (pictures @ term - REFERENCES[modality].location) / REFERENCES[modality].scale
        for weight, term, modality in zip(weights, terms, modalities, strict=True)
    ]
    assert np.argsort(pictures @ query[0]).tolist() == np.argsort(sum(z)).tolist()


def test_the_scale_of_a_composed_query_is_that_of_its_terms_added_up():
    """Drawn from the very distribution that the references describe."""
    rng = np.random.default_rng(0)
    terms = normalize(rng.standard_normal((2, 2000)))
    weights = [20.0, -5.0]
    query = combine(list(terms), weights)[0]
    scale = query_scale(REFERENCES, [TEXT, IMAGE], weights, (terms @ query).tolist())
    drawn = rng.normal(0.1, 0.05, 100_000) * 20 - rng.normal(0.4, 0.2, 100_000) * 5
    norm = np.linalg.norm(weights[0] * terms[0] + weights[1] * terms[1])
    assert scale.location == pytest.approx(drawn.mean() / norm, abs=0.01)
    assert scale.scale == pytest.approx(drawn.std() / norm, rel=0.02)
