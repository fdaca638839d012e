"""Counts of pictures by what they can be filtered by."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from imgsearch.records import ImageMetadata, RootRecord
from tests.fakes import DECODER, SPACE, encoded


def test_partial_dates_are_counted_where_they_are_known(catalog):
    july, year = datetime(1965, 7, 1), datetime(1965, 1, 1)
    dates = [(july, "second"), (july, "month"), (year, "year"), (year, "month"), (None, None)]
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        for number, (start, precision) in enumerate(dates):
            about = ImageMetadata(4, 3, "JPEG", taken_at=start, taken_precision=precision)
            writer.commit([replace(encoded(f"{number}.jpg", str(number)), metadata=about)])
    counts = catalog.facets(None)
    assert counts.months == {(1965, 7): 2, (1965, 1): 1, (1965, 0): 1}
    assert (counts.dated, counts.total) == (4, 5)
