"""The map of a catalog that grows and shrinks."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import Catalog
from imgsearch.curation import map as map_module
from imgsearch.curation.clusters import Clusters
from imgsearch.curation.map import FOLDER, KeptMap, PictureMap, kept_map, picture_map
from imgsearch.errors import QueryError
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync
from tests.conftest import examples
from tests.curation.groups import DIMENSION, SPACE, WordEncoder, add, group
from tests.fakes import unit_rows

NAMES = ("dogs", "cats", "boats", "hills", "cakes", "cars")


class Mapped:
    """The map of a catalog, and the notes about it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.notes = catalog, []
        self.index = MemoryIndex("", catalog.uuid, SPACE)

    def kept(self, **options) -> KeptMap:
        return kept_map(self.catalog, self.index, self.notes.append, **options)

    def map(self, ids=None) -> PictureMap:
        kept = self.kept()
        ids = self.catalog.all_ids() if ids is None else ids
        return picture_map(self.catalog, SPACE, kept, np.asarray(ids, np.int64))

    def cluster(self) -> None:
        sync(self.catalog, self.index)
        Clusters(self.catalog, self.index, WordEncoder, self.notes.append).bring_up()

    def file(self) -> str:
        folder = os.path.join(self.catalog.folder, FOLDER)
        (name,) = os.listdir(folder)
        return os.path.join(folder, name)


@pytest.fixture
def mapped(catalog) -> Mapped:
    for name in NAMES:
        add(catalog, group(name, 12))
    return Mapped(catalog)


def places(kept: KeptMap) -> dict[int, tuple[float, float]]:
    return {key: tuple(each) for key, each in zip(kept.ids.tolist(), kept.positions, strict=True)}


def test_every_picture_with_a_vector_is_on_the_map(mapped):
    kept = mapped.kept()
    assert kept.ids.tolist() == mapped.catalog.all_ids().tolist()
    assert kept.made_of == len(kept.ids) and kept.landmarks.all()


def test_the_stored_map_is_used_and_the_same_as_one_made_again(mapped):
    first = mapped.kept()
    stamp = os.stat(mapped.file()).st_mtime_ns
    assert places(mapped.kept()) == places(first)
    assert os.stat(mapped.file()).st_mtime_ns == stamp
    assert os.stat(mapped.file()).st_mode & 0o777 == 0o600
    assert places(mapped.kept(refit=True)) == places(first)
    assert mapped.notes == []


def test_new_pictures_move_no_others_and_lie_among_those_like_them(mapped):
    before = places(mapped.kept())
    add(mapped.catalog, group("dogs", 5, start=50))
    kept = mapped.kept()
    after = places(kept)
    assert {key: after[key] for key in before} == before
    new = sorted(set(after) - set(before))
    assert len(new) == 5 and not kept.landmarks[-5:].any()
    for each in new:
        order = sorted(before, key=lambda key: np.hypot(*np.subtract(after[each], after[key])))
        found = mapped.catalog.paths(order[:3]).values()
        assert all("/dogs/" in path for path in found)


def test_a_picture_that_has_changed_moves_and_no_other(mapped):
    before = places(mapped.kept())
    changed = {"dogs/0.jpg": group("cats", 1, start=70)["cats/70.jpg"]}
    add(mapped.catalog, changed, mtime_ns=2)
    paths = {path: key for key, path in mapped.catalog.paths(list(before)).items()}
    moved = paths["/photos/dogs/0.jpg"]
    after = places(mapped.kept())
    assert set(after) == set(before)
    assert [key for key in before if after[key] != before[key]] == [moved]


def test_a_large_library_is_laid_out_by_landmarks(mapped, monkeypatch):
    monkeypatch.setattr(map_module, "MAX_LANDMARKS", 30)
    kept = mapped.kept()
    assert kept.landmarks.sum() == 30 and len(kept.ids) == 72
    assert places(mapped.kept(refit=True)) == places(kept)
    other = mapped.kept(refit=True, seed=1)
    assert (other.landmarks != kept.landmarks).any()


def test_on_doubt_it_is_made_again_with_a_note(mapped):
    first = places(mapped.kept())
    with open(mapped.file(), "r+b") as file:
        file.seek(40)
        file.write(b"damage")
    assert places(mapped.kept()) == first
    os.truncate(mapped.file(), 7)
    assert places(mapped.kept()) == first
    assert [note.rpartition(": ")[2] for note in mapped.notes] == [
        "the stored result is damaged."
    ] * 2


def test_a_note_when_the_library_has_doubled(mapped):
    mapped.kept()
    for name in NAMES:
        add(mapped.catalog, group(name, 12, start=20))
    mapped.kept()
    assert "of 72 pictures, and has 144 now" in mapped.notes[0]
    assert mapped.kept(refit=True).made_of == 144


def test_a_folder_that_cannot_be_written_to_has_a_map_all_the_same(mapped):
    with open(os.path.join(mapped.catalog.folder, FOLDER), "w"):
        pass  # a file where the folder would be
    assert len(mapped.kept().ids) == 72


@pytest.mark.parametrize("count", (0, 1))
def test_fewer_than_two_pictures_are_refused(catalog, count):
    add(catalog, {f"{n}.jpg": row for n, row in enumerate(unit_rows(count, 5, DIMENSION))})
    with pytest.raises(QueryError, match="two pictures"):
        Mapped(catalog).kept()


def test_equal_pictures_share_a_place(catalog):
    row = unit_rows(1, 5, DIMENSION)[0]
    add(catalog, {f"{n}.jpg": row for n in range(9)})
    mapped = Mapped(catalog)
    mapped.cluster()
    found = mapped.map()
    assert not found.positions.any()
    assert [(each.count, each.outline) for each in found.regions] == [(9, ())]


def test_regions_are_where_their_pictures_are(mapped):
    add(mapped.catalog, {"odd.jpg": unit_rows(1, 5, DIMENSION)[0]})
    mapped.cluster()
    found = mapped.map()
    members = mapped.catalog.cluster_members(SPACE)
    assert set(found.clusters.tolist()) == set(members)
    innermost = {each.id: each for each in found.regions if each.id in members}
    assert set(innermost) == set(members) - {0}
    for key, region in innermost.items():
        inside = found.positions[found.clusters == key]
        assert region.count == len(inside)
        assert (region.x, region.y) == pytest.approx(tuple(np.median(inside, axis=0)))
        own = found.inside(region.outline)
        labels = found.clusters[np.isin(found.ids, own)]
        assert (labels == key).mean() > 0.9, "an outline holds its own pictures"
        assert len(own) >= 0.25 * region.count, "corners may count as outside"


def random_map(count: int) -> PictureMap:
    positions = np.random.default_rng(0).uniform(-1, 1, (count, 2)).astype(np.float32)
    return PictureMap("toy", "1", np.arange(count), positions, np.zeros(count, np.int64), (), 0)


COORDINATES = st.floats(-1.5, 1.5).map(lambda value: round(value, 3))
CORNERS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9)


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=3))
def test_the_inside_of_a_triangle(corners):
    """A point is inside where it lies on the same side of all edges."""
    whole = random_map(200)
    x, y = whole.positions.astype(np.float64).T
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    sides = np.stack([(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for (x1, y1), (x2, y2) in edges])
    sure = (np.abs(sides) > 1e-6).all(axis=0)
    expected = (sides > 0).all(axis=0) | (sides < 0).all(axis=0)
    found = np.isin(whole.ids, whole.inside(corners))
    assert (found == expected)[sure].all()


@settings(max_examples=examples(60))
@given(CORNERS, st.integers(1, 8))
def test_a_polygon_and_what_is_cut_off_it_share_the_pictures(corners, cut):
    """Even and odd: the symmetric difference of two polygons with a common edge is the whole."""
    whole = random_map(200)
    cut = min(cut, len(corners) - 2)
    one, other = corners[: cut + 2], [*corners[cut + 1 :], corners[0]]
    parts = [set(whole.inside(each).tolist()) for each in (one, other)]
    assert parts[0] ^ parts[1] == set(whole.inside(corners).tolist())


def test_a_filtered_map_is_a_part_of_the_map(mapped):
    whole = mapped.map()
    some = mapped.map(mapped.catalog.all_ids()[::3])
    positions = dict(zip(whole.ids.tolist(), whole.positions.tolist(), strict=True))
    for key, place in zip(some.ids.tolist(), some.positions.tolist(), strict=True):
        assert positions[key] == place
    assert some.state == whole.state and len(some.ids) == 24
