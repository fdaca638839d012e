"""The picture to keep of duplicates, and the kinds of duplicates."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from imgsearch.curation.duplicate_groups import KeepOrder, groups_of, richness
from imgsearch.errors import QueryError
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord, Measures

MIN_SIMILARITY = 0.9
NOON = datetime(2024, 5, 1, 12)


def image(
    number: int, path: str = "", content: str = "", size: int = 10, **metadata
) -> ImageRecord:
    values = {"width": 40, "height": 30, "format": "JPEG"} | metadata
    file = ImageFile("/photos", path or f"{number}.jpg", size, 1)
    return ImageRecord(number, file, content or f"content {number}", ImageMetadata(**values))


def shot(number: int, second: int, **metadata) -> ImageRecord:
    taken = NOON.replace(second=second)
    exif = {"taken_at": taken, "taken_precision": "second", "taken_source": "exif"}
    return image(number, **(exif | metadata))


def groups(images, angles, level="copies", prefer=()):
    """(best, [(id, kind), ...]) of pictures whose vectors have these angles in degrees."""
    radians = np.radians(angles)
    units = np.stack([np.cos(radians), np.sin(radians)], 1)
    rows = dict(zip([each.id for each in images], units, strict=True))
    found = groups_of(
        images,
        lambda ids: np.stack([rows[int(each)] for each in ids]).astype(np.float32),
        MIN_SIMILARITY,
        level,
        KeepOrder(prefer),
    )
    return [(each.best.id, [(one.image.id, one.kind) for one in each.duplicates]) for each in found]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (image(2, width=41), image(1, format="TIFF")),
        (image(2, format="PNG"), image(1, camera_make="Canon")),
        (image(2, format="JPEG"), image(1, format="WEBP", size=99)),
        (image(2, camera_make="Canon"), image(1, size=11)),
        (image(2, keywords=("a", "b")), image(1, title="a")),
        (image(2, size=11), image(1)),
        (image(2, "a.jpg"), image(1, "a (1).jpg")),
        (image(2, "a.jpg"), image(1, "b.jpg")),
    ],
)
def test_the_order(better, worse):
    assert KeepOrder().sorted([worse, better]) == [better, worse]
    assert KeepOrder(["*/nothing/*"]).sorted([worse, better]) == [better, worse]


def test_a_preferred_path_comes_first():
    large, first, second = image(1, width=400), image(2, "b/x.jpg"), image(3, "a/x.jpg")
    order = KeepOrder(["*/b/*", "/photos/a/*"])
    assert order.sorted([large, second, first]) == [first, second, large]
    with pytest.raises(QueryError, match="empty"):
        KeepOrder([""])


def test_a_date_from_a_name_is_not_metadata():
    named = image(1, taken_at=NOON, taken_source="file name").metadata
    assert richness(named) == 0
    assert richness(replace(named, taken_source="exif")) == 1


def test_each_duplicate_is_near_the_best_and_not_only_near_another():
    chain = [image(1), image(2, width=400), image(3)]
    assert groups(chain, [0, 20, 40]) == [(2, [(1, "copy"), (3, "copy")])]
    chain = [image(1, width=400), image(2), image(3)]
    assert groups(chain, [0, 20, 40]) == [(1, [(2, "copy")])]


def test_the_same_bytes_are_exact_copies_whatever_the_level():
    same = [image(1, content="x"), image(2, "a/longer name.jpg", content="x"), image(3)]
    expected = [(1, [(2, "exact")])]
    assert groups(same, [0, 0, 10], "exact") == expected
    assert groups(same, [0, 0, 90]) == groups(same, [0, 0, 90], "shots") == expected


def test_two_exposures_are_shots_and_not_copies():
    burst = [shot(1, 0), shot(2, 1), image(3, size=5)]
    assert groups(burst, [0, 5, 3]) == [(1, [(3, "copy")])]
    assert groups(burst, [0, 5, 3], "shots") == [(1, [(2, "shot"), (3, "copy")])]
    resaved = [shot(1, 0), shot(2, 0, width=20)]
    assert groups(resaved, [0, 5]) == [(1, [(2, "copy")])]


@pytest.mark.parametrize(
    "known", [{"taken_precision": "day"}, {"taken_source": "file name"}, {"taken_at": None}]
)
def test_only_a_time_that_the_file_states_tells_exposures_apart(known):
    assert groups([shot(1, 0), shot(2, 1, **known)], [0, 5]) == [(1, [(2, "copy")])]


def test_a_raw_and_its_development_are_two_works():
    raws = [image(1, format="RAW"), image(2), image(3, format="RAW", size=5)]
    assert groups(raws, [0, 0, 0]) == [(1, [(3, "copy")])]


def sharp(number: int, sharpness: float | None, **values) -> ImageRecord:
    measures = sharpness and Measures(sharpness, 0.5, 0.0, 0.0, 0.2, 30.0, "photo")
    return replace(image(number, **values), measures=measures or None)


@pytest.mark.parametrize(
    ("images", "best"),
    [
        ([sharp(1, 0.3, size=99), sharp(2, 0.7)], 2),
        ([sharp(1, 0.9), sharp(2, 0.1, title="a")], 2),
        ([sharp(1, 0.51), sharp(2, 0.49, size=99)], 2),
        ([sharp(1, 0.9), sharp(2, None, size=99)], 2),
    ],
    ids=["before the size", "after metadata", "not by a little", "only where all are measured"],
)
def test_of_pictures_that_are_alike_otherwise_the_sharper_one_is_kept(images, best):
    assert KeepOrder().sorted(images)[0].id == best
