"""Clusters of a library: made, kept up, and as a filter."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.catalog import Catalog
from imgsearch.curation.clusters import Clusters
from imgsearch.errors import EncoderError, QueryError
from imgsearch.filters.parser import parse
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync
from tests.curation.groups import DIMENSION, SPACE, WordEncoder, add, group
from tests.fakes import DECODER, OTHER, encoded, unit_rows, vector_of

NAMES = ("dogs", "cats", "boats", "hills", "cakes", "cars")


class Kept:
    """The clusters of a catalog, and the notes about them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.encoder, self.notes = catalog, WordEncoder(), []
        self.index = MemoryIndex("", catalog.uuid, SPACE)
        self.clusters = Clusters(catalog, self.index, lambda: self.encoder, self.notes.append)

    def report(self, **options):
        sync(self.catalog, self.index)
        self.clusters.bring_up(**options)
        return self.clusters.report(3)

    def by_name(self) -> dict[str, set[str]]:
        """Name of each innermost cluster -> its paths."""
        members = self.catalog.cluster_members(SPACE)
        stored = {each.id: each.name for each in self.catalog.clusters(SPACE)}
        return {stored[key]: self.paths(ids) for key, ids in members.items() if key}

    def paths(self, ids) -> set[str]:
        found = self.catalog.paths([int(each) for each in ids])
        return {path.removeprefix("/photos/") for path in found.values()}

    def passing(self, where: str) -> set[str]:
        return self.paths(self.catalog.select(parse(where)))


@pytest.fixture
def kept(catalog) -> Kept:
    for name in NAMES:
        add(catalog, group(name, 12))
    odd = {f"odd{n}.jpg": row for n, row in enumerate(unit_rows(3, 5, DIMENSION))}
    add(catalog, odd)
    return Kept(catalog)


def folder_of(paths: set[str]) -> str:
    (folder,) = {path.split("/")[0] for path in paths}
    return folder


def test_pictures_that_belong_together_are_in_one_broad_cluster(kept):
    report = kept.report()
    assert (report.pictures, report.waiting, report.outlier_count) == (75, 0, 3)
    assert {each.file.path for each in report.outliers} == {"odd0.jpg", "odd1.jpg", "odd2.jpg"}
    assert sorted(map(folder_of, kept.by_name().values())) == sorted(NAMES)
    broad = [each for each in report.clusters if each.cluster.parent is None]
    assert sum(each.cluster.count for each in broad) + report.outlier_count == 75
    for each in report.clusters:
        assert each.examples[0].id == each.cluster.medoid
        assert "array" not in repr(each.cluster)  # hundreds of numbers in a notebook


def test_a_filter_by_id_and_by_name(kept):
    report = kept.report()
    for each in report.clusters:
        by_id = kept.passing(f"cluster = {each.cluster.id}")
        assert by_id == kept.passing(f'cluster = "{each.cluster.name.upper()}"')
        assert len(by_id) == each.cluster.count
        assert not by_id & kept.passing(f"cluster != {each.cluster.id}")
    everything = kept.passing("cluster ~ '*'")
    assert everything == kept.passing("has cluster") and len(everything) == 72
    assert kept.passing("not has cluster") == {"odd0.jpg", "odd1.jpg", "odd2.jpg"}


@pytest.mark.parametrize("where", ["cluster = 999", "cluster = nothing", "not cluster = 999"])
def test_a_cluster_that_does_not_exist_is_an_error(kept, where):
    kept.report()
    with pytest.raises(QueryError, match="there is no cluster"):
        kept.passing(where)


def test_new_pictures_join_and_no_id_or_name_changes(kept):
    before, members = kept.report(), kept.by_name()
    add(kept.catalog, group("dogs", 5, start=50) | {"new.jpg": vector_of("strange", DIMENSION)})
    assert kept.catalog.unclustered() == 6
    after = kept.report()
    assert kept.catalog.unclustered() == after.waiting == 0
    names = [{each.cluster.id: each.cluster.name for each in r.clusters} for r in (before, after)]
    assert names[0] == names[1]
    for name, paths in kept.by_name().items():
        new = {f"dogs/{n}.jpg" for n in range(50, 55)}
        assert paths - members[name] == (new if folder_of(paths) == "dogs" else set())
    assert after.outlier_count == 4
    assert kept.encoder.calls == 1, "no model is needed to join"


def test_a_picture_that_changed_moves_and_one_that_is_gone_leaves(kept):
    kept.report()
    as_cat = group("cats", 1, start=99)["cats/99.jpg"]
    add(kept.catalog, {"dogs/0.jpg": as_cat}, mtime_ns=2)
    kept.report()
    (cats,) = (paths for paths in kept.by_name().values() if "cats/0.jpg" in paths)
    assert "dogs/0.jpg" in cats and len(cats) == 13
    left = kept.catalog.locate("/photos/cats/3.jpg").id
    with kept.catalog.writer() as writer:
        seen = kept.catalog.all_ids()
        writer.retire("/photos", "", seen[seen != left], np.empty(0, np.int64), [])
    report = kept.report()
    assert report.pictures == 74
    assert all("cats/3.jpg" not in paths for paths in kept.by_name().values())


def test_refit_of_an_unchanged_library_changes_nothing(kept):
    first = kept.report()
    again = kept.report(refit=True)
    assert [each.cluster.id for each in first.clusters] == [
        each.cluster.id for each in again.clusters
    ]
    assert [each.cluster.name for each in first.clusters] == [
        each.cluster.name for each in again.clusters
    ]


def test_clusters_of_a_grown_library_keep_ids_and_names(kept):
    before = {each.cluster.id: each.cluster.name for each in kept.report().clusters}
    members = kept.by_name()
    for name in (*NAMES, "boots", "towers"):
        add(kept.catalog, group(name, 12, start=20))
    kept.report()
    assert any("--refit" in note for note in kept.notes), "it has doubled"
    kept.report(refit=True)
    after = {each.id: each.name for each in kept.catalog.clusters(SPACE)}
    shared = before.keys() & after.keys()
    assert {key: before[key] for key in shared} == {key: after[key] for key in shared}
    for name, paths in kept.by_name().items():
        if name in members:
            assert folder_of(paths) == folder_of(members[name])
    folders = {folder_of(paths): name for name, paths in kept.by_name().items()}
    assert {"boots", "towers"} <= folders.keys()
    new = set(after) - set(before)
    assert all(key > max(before) for key in new), "an id is never used again"


def test_deleting_the_clusters_loses_nothing_else(kept):
    kept.report()
    pictures, head = kept.catalog.all_ids().tolist(), kept.catalog.head()
    kept.clusters.drop()
    assert kept.catalog.clusters(SPACE) == [] and kept.catalog.clustering(SPACE) is None
    assert (kept.catalog.all_ids().tolist(), kept.catalog.head()) == (pictures, head)
    assert kept.catalog.check() == []
    assert sorted(map(len, kept.by_name().values())) == []
    assert len(kept.report().clusters) >= 6


def test_a_model_that_cannot_be_loaded_costs_the_names_only(kept):
    class Broken:
        def encode_texts(self, texts, instruction=None):
            raise EncoderError("the weights are gone")

    kept.encoder = Broken()
    report = kept.report()
    assert all(each.cluster.name.startswith("unnamed") for each in report.clusters)
    assert any("the weights are gone" in note for note in kept.notes)
    kept.encoder = WordEncoder()
    named = kept.report(refit=True)
    assert not any(each.cluster.name.startswith("unnamed") for each in named.clusters)
    assert {each.cluster.id for each in named.clusters} == {
        each.cluster.id for each in report.clusters
    }


def test_one_picture_is_a_sentence_and_two_are_enough(catalog):
    add(catalog, {"a.jpg": vector_of("a", DIMENSION)})
    kept = Kept(catalog)
    with pytest.raises(QueryError, match="one picture"):
        kept.report()
    add(catalog, {"b.jpg": vector_of("b", DIMENSION)})
    report = kept.report()
    assert report.clusters == [] and report.outlier_count == 2
    add(catalog, {"c.jpg": vector_of("c", DIMENSION)})
    assert kept.report().outlier_count == 3, "and new ones join nothing"


def test_clusters_that_another_process_has_deleted_meanwhile_are_new_ones(kept, monkeypatch):
    first = kept.report()
    named = kept.clusters._named

    def delayed(trees):
        kept.clusters.drop()
        return named(trees)

    monkeypatch.setattr(kept.clusters, "_named", delayed)
    again = kept.report(refit=True)
    assert [each.cluster.count for each in again.clusters] == [
        each.cluster.count for each in first.clusters
    ]
    old = {each.cluster.id for each in first.clusters}
    assert not old & {each.cluster.id for each in again.clusters}
    assert kept.catalog.check() == []


def test_pictures_that_the_model_has_not_seen_are_counted(kept):
    report = kept.report()
    assert report.unindexed == 0
    item = encoded("unseen.jpg", "content")
    with kept.catalog.writer() as writer:
        writer.begin_run(OTHER, DECODER, "fp32")
        writer.commit([item])
    after = kept.report()
    assert (after.unindexed, after.pictures, after.waiting) == (1, report.pictures, 0)
    assert "unseen.jpg" not in kept.passing("has cluster")
