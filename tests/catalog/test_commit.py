"""What becomes of the metadata of files that are moved and copied."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from imgsearch.catalog import Catalog
from imgsearch.records import FILE_NAME, ImageMetadata, Known, RootRecord
from tests.fakes import DECODER, SPACE, encoded

DAY = datetime(2019, 5, 4)


def dates(catalog: Catalog) -> dict[str, tuple[object, ...]]:
    records = catalog.get(catalog.all_ids().tolist()).values()
    return {
        each.file.path: (each.metadata.taken_at, each.metadata.taken_precision,
                         each.metadata.taken_source)
        for each in records
    }  # fmt: skip


@pytest.mark.parametrize(
    "first, copy",
    [
        ((DAY, "day", FILE_NAME), (None, None, None)),
        ((None, None, None), (DAY, "day", FILE_NAME)),
        ((datetime(2001, 1, 1), "second", "exif"), (datetime(2001, 1, 1), "second", "exif")),
        ((datetime(2001, 1, 1), "second", None), (datetime(2001, 1, 1), "second", None)),
    ],
)
def test_a_copy_has_the_date_of_its_own_name(catalog, first, copy):
    taken_at, precision, source = first
    about = ImageMetadata(
        4, 3, "JPEG", taken_at=taken_at, taken_precision=precision, taken_source=source
    )
    named = () if copy[2] is None and source == FILE_NAME else (DAY, "day")
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        image = replace(encoded("a.jpg", "content"), metadata=about)
        known = Known(encoded("b.jpg", "content").file, image.content_hash, None, *named)
        writer.commit([image, known])
    assert dates(catalog) == {"a.jpg": first, "b.jpg": copy}
