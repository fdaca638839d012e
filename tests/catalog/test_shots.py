"""Which files are of one shot, in a real catalog."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from imgsearch.catalog import Catalog
from imgsearch.records import RootRecord
from tests.fakes import DECODER, SPACE, encoded

NOON = datetime(2024, 5, 1, 12)


def put(
    catalog: Catalog, *images: tuple[str, str, datetime | None], precision: str = "second"
) -> None:
    """Images of these paths, formats and dates; the precision is that of dates of JPEGs."""
    records = [encoded(path, path[-99:]) for path, _, _ in images]
    with catalog.writer() as writer:
        writer.put_root(RootRecord(records[0].file.root))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit(
            [
                replace(
                    each,
                    metadata=replace(
                        each.metadata,
                        format=form,
                        taken_at=taken,
                        taken_precision=precision if form == "JPEG" else "second",
                    ),
                )
                for each, (_, form, taken) in zip(records, images, strict=True)
            ]
        )
        writer.end_run("done", {})


def groups(catalog: Catalog) -> set[tuple[str, ...]]:
    """The shots by path, most viewable first."""
    found = catalog.shots(catalog.all_ids().tolist())
    assert all(key in ids for key, ids in found.items())
    assert all(catalog.shots([key]) == dict.fromkeys(ids, ids) for key, ids in found.items())
    records = catalog.get(list(found))
    return {tuple(records[each].file.path for each in ids) for ids in found.values()}


def test_raw_and_jpeg_of_one_name_in_one_folder(catalog):
    put(
        catalog,
        ("a/IMG_1.CR2", "RAW", NOON),
        ("a/IMG_1.JPG", "JPEG", NOON + timedelta(seconds=2)),
        ("b/IMG_1.JPG", "JPEG", NOON),
        ("a/IMG_10.JPG", "JPEG", NOON),
        ("a/IMG_1.crop.jpg", "JPEG", NOON),
        ("a/IMG_1/x.jpg", "JPEG", NOON),
        ("2024.05/no dot", "RAW", NOON),
        ("x.y/IMG 2.dng", "RAW", None),
        ("x.y/IMG 2.heic", "HEIF", None),
        ("x.y/IMG 2.jpg", "JPEG", None),
        ("%_[a]'.nef", "RAW", NOON),
        ("%_[a]'.jpeg", "JPEG", NOON),
    )
    assert groups(catalog) == {
        ("a/IMG_1.JPG", "a/IMG_1.CR2"),
        ("x.y/IMG 2.jpg", "x.y/IMG 2.heic", "x.y/IMG 2.dng"),
        ("%_[a]'.jpeg", "%_[a]'.nef"),
    }


@pytest.mark.parametrize(
    "first, second, taken, together",
    [
        (("IMG.NEF", "RAW"), ("IMG.JPG", "JPEG"), NOON + timedelta(days=1), False),
        (("IMG.NEF", "RAW"), ("IMG.JPG", "JPEG"), None, True),
        (("IMG.NEF", "RAW"), ("IMG.DNG", "RAW"), NOON, False),
        (("IMG.NEF", "RAW"), ("IMG.TIF", "TIFF"), NOON, False),
        (("IMG.HEIC", "HEIF"), ("IMG.JPG", "JPEG"), NOON, True),
        (("IMG.HEIC", "HEIF"), ("IMG.JPG", "JPEG"), None, False),
        (("IMG.HEIC", "HEIF"), ("IMG.JPG", "JPEG"), NOON + timedelta(minutes=1), False),
        (("IMG.HEIC", "HEIF"), ("IMG.PNG", "PNG"), NOON, False),
        (("IMG.JPG", "JPEG"), ("IMG.jpeg", "JPEG"), NOON, False),
    ],
)
def test_formats_and_dates_decide(catalog, first, second, taken, together):
    put(catalog, (*first, NOON), (*second, taken))
    assert bool(groups(catalog)) is together


@pytest.mark.parametrize(
    "taken, precision, together",
    [
        (datetime(2024, 5, 1), "day", True),
        (datetime(2024, 5, 1), "month", True),
        (datetime(2024, 1, 1), "year", True),
        (datetime(2024, 5, 2), "day", False),
        (datetime(2024, 6, 1), "month", False),
        (datetime(2024, 5, 1), "second", False),
    ],
)
def test_a_date_that_is_known_in_part_is_compared_as_far_as_it_is(
    catalog, taken, precision, together
):
    put(catalog, ("IMG.NEF", "RAW", NOON), ("IMG.JPG", "JPEG", taken), precision=precision)
    assert bool(groups(catalog)) is together


def test_a_file_that_is_gone_leaves_its_shot(catalog):
    put(catalog, ("IMG.NEF", "RAW", NOON), ("IMG.JPG", "JPEG", NOON))
    [root] = catalog.roots()
    with catalog.writer() as writer:
        writer.forget_root(root.path)
    assert groups(catalog) == set()
