"""The stored links of a catalog that grows and shrinks."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import open_catalog
from imgsearch.curation import links as links_module
from imgsearch.curation.duplicate_groups import KeepOrder, groups_of, split
from imgsearch.curation.links import FOLDER, links
from imgsearch.indexing.index_files import IndexFiles
from imgsearch.searching.duplicates import vectors_of
from tests.conftest import examples
from tests.fakes import SPACE, MemoryFolder, ingest

MIN_SIMILARITY = 0.6
"""So low that pictures of unlike content are linked, in chains too."""


def found(catalog, notes=None, least: float = MIN_SIMILARITY):
    index = IndexFiles(catalog, "memory", lambda note: None).for_search(SPACE)
    note = (lambda text: None) if notes is None else notes.append
    return index, links(catalog, index, least, note)


def groups(catalog) -> list[tuple[str, ...]]:
    """The paths of each group, the best first."""
    index, stored = found(catalog)
    result = []
    for ids in split(stored.ids, stored.parts):
        images = [*catalog.get(ids.tolist()).values()]
        for each in groups_of(
            images, lambda i: vectors_of(index, i), MIN_SIMILARITY, "shots", KeepOrder()
        ):
            paths = [each.best.file.path, *(one.image.file.path for one in each.duplicates)]
            result.append(tuple(paths))
    return sorted(result)


def stored_file(catalog) -> str:
    folder = os.path.join(catalog.folder, FOLDER)
    (name,) = os.listdir(folder)
    return os.path.join(folder, name)


STATES = st.lists(
    st.dictionaries(st.integers(0, 15), st.integers(0, 9), max_size=16), min_size=2, max_size=4
)


@settings(max_examples=examples(30))
@given(STATES)
def test_groups_of_a_library_that_changes_are_those_from_scratch(states):
    with tempfile.TemporaryDirectory() as place:
        catalog = open_catalog(place, create=True)
        folder = MemoryFolder()
        for state in states:
            folder.files = {
                f"{n:02}.jpg": (f"content {content}", 1) for n, content in state.items()
            }
            ingest(catalog, folder)
            if not catalog.count():
                continue
            grown = groups(catalog)
            os.remove(stored_file(catalog))
            assert grown == groups(catalog)
            members = [path for group in grown for path in group]
            assert len(members) == len(set(members)), "no picture is in two groups"
        catalog.close()


@pytest.fixture
def folder(catalog) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"content {n // 2}", 1) for n in range(8)}
    ingest(catalog, folder)
    return folder


def test_only_new_pictures_are_compared(catalog, folder, monkeypatch):
    found(catalog, least=0.99)
    compared = []
    join = links_module.join_near
    monkeypatch.setattr(
        links_module, "join_near", lambda *a: (compared.append(len(a[1])), join(*a))
    )
    assert len(found(catalog, least=0.99)[1].ids) == 8
    assert compared == [], "nothing has changed"
    folder.files["new.jpg"] = ("content 0", 1)
    del folder.files["7.jpg"]
    ingest(catalog, folder)
    assert len(found(catalog, least=0.99)[1].ids) == 7
    assert compared == [1]


def test_on_doubt_from_scratch_with_a_note(catalog, folder):
    notes = []
    whole = found(catalog, notes)[1]
    assert notes == []
    path = stored_file(catalog)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"damage")
    again = found(catalog, notes)[1]
    assert again.parts.tolist() == whole.parts.tolist()
    found(catalog, notes, least=0.99)
    assert [note.rpartition(": ")[2] for note in notes] == [
        "the stored result is damaged.",
        "it was made with another threshold.",
    ]


def test_a_cut_file_is_damaged(catalog, folder):
    notes = []
    found(catalog)
    for size in (0, 5, 100):
        os.truncate(stored_file(catalog), size)
        found(catalog, notes)
    assert len(notes) == 3


def test_the_file_is_the_owners(catalog, folder):
    found(catalog)
    assert os.stat(stored_file(catalog)).st_mode & 0o777 == 0o600
