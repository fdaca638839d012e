"""A dry run agrees with the run that follows it."""

from __future__ import annotations

import tempfile
from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import open_catalog
from imgsearch.records import IngestReport, Unvisited
from tests.conftest import examples
from tests.fakes import MemoryFolder, held, ingest, rehearsed

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
NAMES = ("a.jpg", "b.jpg", "c.jpg", "sub/a.jpg", "sub/d.jpg")
CONTENTS = ("red", "blue", "green", "a longer one")

places = st.tuples(st.integers(0, 1), st.sampled_from(NAMES))
changes = st.one_of(
    st.tuples(st.just("put"), places, st.sampled_from(CONTENTS), st.integers(1, 3)),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("copy"), places, places),
    st.tuples(st.just("swap"), places, places),
    st.tuples(st.just("remove"), places),
    st.tuples(st.just("unmount"), st.integers(0, 1)),
)


def change(folders: list[MemoryFolder], what: str, *values) -> None:
    if what == "unmount":
        folders[values[0]].unvisited = [Unvisited("", "is not mounted")]
        return
    (root, name), *rest = values
    files = folders[root].files
    if what == "put":
        files[name] = (rest[0], rest[1])
    elif what == "remove" or name not in files:
        files.pop(name, None)
    else:
        target, place = folders[rest[0][0]].files, rest[0][1]
        before, after = files.pop(name), target.get(place)
        target[place] = before
        if what == "copy" or (what == "swap" and after):
            files[name] = before if what == "copy" else after


def counts(report: IngestReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in COUNTS}


@settings(max_examples=examples(30), deadline=None)
@given(rounds=st.lists(st.lists(changes, min_size=1, max_size=6), min_size=1, max_size=3))
def test_a_dry_run_agrees_with_the_run_that_follows(rounds):
    folders = [MemoryFolder("/photos"), MemoryFolder("/more")]
    with tempfile.TemporaryDirectory() as folder, closing(open_catalog(folder, True)) as catalog:
        for each in rounds:
            for values in each:
                change(folders, *values)
            before, head = set(held(catalog)), catalog.head()
            predicted = rehearsed(catalog, *folders)
            assert catalog.head() == head, "nothing is written"
            report = ingest(catalog, *folders)
            assert counts(predicted) == counts(report)
            after, names = set(held(catalog)), predicted.names
            new = {name.split(" -> ")[-1] for name in names["moved"]} | set(names["added"])
            assert after - before <= new
            assert len(names["added"]) == report.added
            assert len(names["moved"]) == report.moved
            assert len(names["updated"]) == report.updated
            assert len(names["removed"]) == report.removed
            for folder_ in folders:
                folder_.unvisited = []
