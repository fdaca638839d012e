"""The sample of a trial, and what a trial measures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from imgsearch.errors import EncoderError, QueryError
from imgsearch.evaluation.trial import GENERAL_QUERIES, fair, past_queries, sample, try_model
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord
from tests import tiny_models
from tests.conftest import full_only


def image(number: int, folder: str, year: int | None) -> ImageRecord:
    taken = datetime(year, 1, 1) if year else None
    metadata = ImageMetadata(1, 1, "JPEG", taken_at=taken)
    return ImageRecord(number, ImageFile("/root", f"{folder}/{number}.jpg", 1, 1), "", metadata)


def test_a_sample_takes_turns_among_folders_and_years():
    many = [image(number, "many", 2020) for number in range(1000)]
    few = [image(1000 + number, "few", None) for number in range(3)]
    years = [image(2000 + number, "years", 2000 + number % 5) for number in range(500)]
    found = [each.file.path.split("/")[0] for each in fair([*many, *few, *years], 33)]
    assert {folder: found.count(folder) for folder in ("many", "few", "years")} == {
        "many": 15,
        "few": 3,
        "years": 15,
    }
    taken = [each.metadata.taken_at.year for each in fair(years, 20)]
    assert {year: taken.count(year) for year in taken} == dict.fromkeys(range(2000, 2005), 4)


@pytest.mark.parametrize(("pictures", "count", "length"), [(0, 5, 0), (3, 5, 3), (9, 5, 5)])
def test_a_sample_has_no_picture_twice(pictures, count, length):
    images = [image(number, str(number % 2), None) for number in range(pictures)]
    found = fair(images, count)
    assert len({each.id for each in found}) == len(found) == length


@pytest.fixture
def library(demo, opener):
    with opener(demo.library)() as library:
        yield library


def test_a_sample_is_the_same_each_time(library):
    first = sample(library, 9)
    assert [each.id for each in first] == [each.id for each in sample(library, 9)]
    assert len({each.id for each in first}) == 9


def test_past_queries_are_those_of_the_last_search(copy_demo, opener, one_model):
    place = copy_demo()
    with opener(place.library)() as library:
        assert past_queries(library) == list(GENERAL_QUERIES)
        library.search("a polar bear", remember=True)
        assert past_queries(library) == ["a polar bear", *GENERAL_QUERIES[:3]]
        library.saved.add("fruit", "a pineapple")
        library.saved.add("bears", "a polar bear")
        assert past_queries(library) == ["a polar bear", "a pineapple", *GENERAL_QUERIES[:2]]
        for number in range(9):
            library.saved.add(f"number {number}", f"{number} birds")
        assert len(past_queries(library)) == 8


@full_only
def test_the_right_pictures_are_found_and_the_figures_fit(library, one_model, tmp_path: Path):
    folder = str(tiny_models.make_siglip(tmp_path / "siglip"))
    trial = try_model(library, folder, ["a polar bear", "a pineapple"], 200, 3)
    count = library.catalog.count()
    assert trial.images == count
    first, second = trial.sides
    assert (first.model, first.dimension) == ("builtin", 800)
    assert (second.model, second.dimension) == (folder, tiny_models.DIMENSION)
    assert first.hits[0][0].path.endswith("/polar_bear.jpg")
    (found,) = library.search("a polar bear", mode="semantic", limit=1)
    assert first.hits[0][0].score == pytest.approx(found.score, abs=2e-3)
    for side in trial.sides:
        assert side.encoded == count and side.seconds_per_image > 0
        assert side.library_seconds == pytest.approx(count * side.seconds_per_image)
        assert side.library_bytes == count * 4 * side.dimension
        for hits in side.hits:
            scores = [hit.score for hit in hits]
            assert len(hits) == 3 and scores == sorted(scores, reverse=True)
            assert [hit.rank for hit in hits] == [1, 2, 3]


def test_what_cannot_be_tried(library, one_model, tmp_path, opener):
    with pytest.raises(QueryError, match="builtin is the model that this library uses"):
        try_model(library, "builtin")
    with pytest.raises(EncoderError, match="not on this machine"):
        try_model(library, "siglip2-base")
    with opener(tmp_path / "empty")() as empty:
        empty.create()
        with pytest.raises(QueryError, match="no pictures yet"):
            try_model(empty, "siglip2-base")
