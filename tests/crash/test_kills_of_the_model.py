"""Kills of the whole program, with the built-in model and photos of several formats."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from imgsearch.catalog import open_catalog
from imgsearch.errors import LibraryMissing
from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.indexing.index_files import sync, verify
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.term_vectors import with_pixels
from imgsearch.settings import Settings
from imgsearch.sources.decoders import DecodeSettings
from tests.conftest import PHOTOS, full_only
from tests.crash import SEED, SLOW_KILLS
from tests.crash.album import digest
from tests.crash.process import Exit, drive

pytestmark = [
    pytest.mark.slow,
    full_only,
    pytest.mark.timeout(300 + 60 * SLOW_KILLS),
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]


def index(library: Path, photos: Path, after: float | None = None, facts: int = 1) -> Exit:
    """Index with the built-in model; `after` and `facts` as for `drive`."""
    arguments = ["--library", str(library), "--batch-size", "2", "--quiet", str(photos)]
    exit = drive(["index", *arguments], after, facts)
    assert exit.killed or exit.status == 0, exit.stdout
    return exit


def present(library: Path) -> dict[str, str]:
    """Paths and content hashes in the library; fails unless the index equals the catalog."""
    try:
        catalog = open_catalog(str(library))
    except LibraryMissing:
        return {}
    try:
        assert catalog.check() == []
        for record in catalog.spaces():
            index = FaissIndex(str(library / "index"), catalog.uuid, record.space)
            assert index.doubt == "" and sync(catalog, index) == ""
            assert verify(catalog, index) == []
        records = catalog.get(catalog.all_ids().tolist()).values()
        return {record.file.absolute: record.content_hash for record in records}
    finally:
        catalog.close()


def change(photos: Path, sources: list[Path], chance: random.Random) -> None:
    """Add new photos, and move, delete or replace some."""
    for source in chance.sample(sources, 4):
        shutil.copy(source, photos / f"{chance.randrange(10**6)}{source.suffix}")
    ours = sorted(photos.iterdir())
    os.replace(chance.choice(ours), photos / f"moved {chance.randrange(10**6)}.jpg")
    chance.choice(sorted(photos.iterdir())).unlink()
    one, other = chance.sample(sorted(photos.iterdir()), 2)
    shutil.copy(one, other)


def test_no_kill_loses_or_confuses_a_photo(tmp_path: Path) -> None:
    print(f"IMGSEARCH_KILL_SEED={SEED}, {SLOW_KILLS} kills")
    chance = random.Random(SEED)
    sources = sorted(path for path in PHOTOS.iterdir() if path.stat().st_size < 200_000)
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    for source in sources[:12]:
        shutil.copy(source, photos / source.name)
    span = index(tmp_path / "calibration", photos).seconds
    killed = growing = 0
    while killed < SLOW_KILLS:
        before = present(library)
        if chance.random() < 0.5:
            exit = index(library, photos, chance.uniform(0, 1) * span)
        else:
            exit = index(library, photos, chance.uniform(0, 0.3), facts=chance.randrange(2, 6))
        killed += exit.killed
        now = present(library)
        there = {str(path): digest(str(path)) for path in photos.iterdir()}
        assert exit.committed.items() <= now.items()
        assert {p: h for p, h in before.items() if there.get(p) == h}.items() <= now.items()
        growing += exit.killed and now != before
        if not exit.killed or chance.random() < 0.4:
            change(photos, sources, chance)
    assert not index(library, photos).killed
    assert present(library) == {str(path): digest(str(path)) for path in photos.iterdir()}
    check_by_encoding_again(library)
    print(f"{killed} kills, {growing} of them after something new was committed")


def check_by_encoding_again(folder: Path) -> None:
    """Encode every photo again: it must find exactly itself and its copies with score 1."""
    library = Library(Settings(library=str(folder), threads=1))
    hashes = present(folder)
    try:
        for path, content_hash in hashes.items():
            decode = DecodeSettings(library.encoder().input_size)
            term = with_pixels(Term(path=path), decode)
            vector = library.encoder().encode_images([term.image])[0]
            record = library.catalog.locate(path)
            assert record is not None
            stored = library.catalog.vector(library.spaces.indexed() or pytest.fail(), record.id)
            assert stored is not None and float(np.dot(stored, vector)) > 0.999, path
            hits = library.search(SearchRequest([Term(path=path)], limit=1000, min_strength=0.0))
            first = {h.image.file.absolute for h in hits if h.score > 0.9995}
            assert first == {p for p, each in hashes.items() if each == content_hash}
    finally:
        library.close()
