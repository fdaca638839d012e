"""A re-scan skips exactly the files that match the catalog."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog, unchanged_files
from imgsearch.ports import Unchanged, nothing_known
from imgsearch.records import Encoded, FileRun, ImageFile, Known, RootRecord, Skipped
from imgsearch.sources.folder_source import FilesystemSource
from tests.conftest import full_only
from tests.fakes import DECODER, OTHER, SPACE, MemoryFolder, MemoryPool, encoded, held, ingest

NAMES = (
    "a.jpg",
    "a/b.jpg",
    "a/b/c.jpg",
    "a b.jpg",
    "a!.jpg",
    "a0.jpg",
    "\u00e9/\u00e9.jpg",
    "\U0001f600.jpg",
    "\uffee.jpg",
    "z/y/x.jpg",
)
NO_UTF8 = ("z\udcff.jpg", "\udce9/b.jpg")


@pytest.fixture(params=[1, 3, unchanged_files.PAGE_ROWS])
def page(request, monkeypatch) -> None:
    monkeypatch.setattr(unchanged_files, "PAGE_ROWS", request.param)


def content_of(path: str) -> str:
    return ascii(f"content of {path}")


def unchanged(catalog: Catalog, root: str, scope: str = "") -> Any:
    return catalog.unchanged(SPACE, root, scope, lambda count: None)


def library(catalog: Catalog, *paths: str) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {path: (content_of(path), 1) for path in paths}
    ingest(catalog, folder)
    return folder


def size(path: str) -> int:
    return 1000 + len(content_of(path))


def run(paths: list[str]) -> FileRun:
    return FileRun.of(*(ImageFile("/photos", path, size(path), 1) for path in paths))


def test_a_walk_over_a_real_tree_recognises_every_unchanged_file(
    catalog, tmp_path: Path, page
) -> None:
    root = tmp_path / "photos"
    for name in NAMES + NO_UTF8:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"12345")
    source = FilesystemSource(str(root))
    files = {file.path: file for file in source.scan() if isinstance(file, ImageFile)}
    assert set(files) == set(NAMES + NO_UTF8)
    folder = MemoryFolder(str(root))
    with catalog.writer() as writer:
        writer.put_root(RootRecord(str(root)))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([encoded_as(file) for file in files.values()])
    known = unchanged(catalog, folder.root)
    assert {file.path for file in source.scan(known)} == set(NO_UTF8)
    assert len(known.ids) == len(set(known.ids.tolist())) == len(NAMES)


def encoded_as(file: ImageFile) -> Encoded:
    return replace(encoded("any", ascii(file.path)), file=file)


def test_files_out_of_order_may_be_missed_but_never_wrongly_accepted(catalog, page) -> None:
    library(catalog, *NAMES)
    known = unchanged(catalog, "/photos")
    for path in sorted(NAMES, reverse=True):
        known(run([path]))
    assert len(known.ids) == 1
    known = unchanged(catalog, "/photos")
    for path in sorted(NAMES):
        file = ImageFile("/photos", path, size(path), 1)
        assert known(FileRun.of(replace(file, size=file.size + 1)))
        assert known(FileRun.of(replace(file, mtime_ns=2)))
        assert known(FileRun.of(replace(file, path=path + "x")))
        assert known(FileRun.of(replace(file, ctime_ns=1)))
        assert known(FileRun.of(replace(file, inode=1)))
        assert known(FileRun.of(replace(file, sidecar_stamp=1)))
    assert not len(known.ids)


@full_only
def test_a_scope_starts_at_its_first_path(catalog, page) -> None:
    library(catalog, *NAMES)
    known = unchanged(catalog, "/photos", "a")
    paths = ["a/b.jpg", "a/b/c.jpg"]
    assert not known(run(paths))
    assert len(known.ids) == 2


def test_files_of_other_roots_spaces_and_states_count_as_changed(catalog) -> None:
    folder = library(catalog, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    one = run(["a.jpg"])
    assert catalog.unchanged(OTHER, "/photos", "", lambda n: None)(one)
    assert unchanged(catalog, "/elsewhere")(one)
    del folder.files["b.jpg"]  # gone
    ingest(catalog, folder)
    with catalog.writer() as writer:  # skipped although its bytes are the same
        writer.begin_run(SPACE, DECODER, "fp32")
        file = ImageFile("/photos", "c.jpg", size("c.jpg"), 1)
        writer.commit([Skipped(file, "the model fails", transient=True)])
    known = unchanged(catalog, "/photos")
    paths = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert list(known(run(paths))) == [1, 2]


def test_a_rescan_reports_progress_and_can_be_stopped(catalog, monkeypatch) -> None:
    monkeypatch.setattr(unchanged_files, "PAGE_ROWS", 2)
    folder = library(catalog, *sorted(NAMES))
    progress: list[int] = []
    report = ingest(
        catalog,
        folder,
        on_progress=lambda p: progress.append(p.done),
        stop=lambda: len(progress) > 2,
    )
    assert progress == sorted(progress) and report.interrupted
    assert 0 < report.scanned == report.unchanged < len(NAMES)
    assert report.removed == 0 and len(held(catalog)) == len(NAMES)


class Forgetful(MemoryFolder):
    """A source that ignores `unchanged` and returns every file."""

    def scan(self, unchanged: Unchanged = nothing_known) -> Any:
        return super().scan()


def test_skipping_unchanged_files_gives_the_same_result_as_a_full_scan(catalog) -> None:
    folder, slow = library(catalog, *NAMES, *NO_UTF8), Forgetful()
    slow.files = folder.files
    quick_report = ingest(catalog, folder, pool=MemoryPool(folder))
    slow_report = ingest(catalog, slow, pool=MemoryPool(slow))
    quick_report.seconds = slow_report.seconds = 0.0
    assert quick_report == slow_report
    assert quick_report.unchanged == len(NAMES) + len(NO_UTF8)


def test_each_hard_link_is_a_picture(catalog, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (root / "0.jpg").write_bytes(b"the same bytes")
    for number in range(1, 5):
        os.link(root / "0.jpg", root / f"{number}.jpg")
    paths = [file.path for file in FilesystemSource(str(root)).scan()]
    assert paths == [f"{number}.jpg" for number in range(5)]
    folder = library(catalog, *paths)
    folder.files = dict.fromkeys(paths, ("one content", 1))
    assert ingest(catalog, folder).updated == 5
    assert ingest(catalog, folder).unchanged == 5
    del folder.files["3.jpg"]
    assert ingest(catalog, folder).removed == 1
    folder.files["5.jpg"] = ("one content", 1)
    report = ingest(catalog, folder)
    assert (report.moved + report.added, report.encoded, len(held(catalog))) == (1, 0, 5)


def test_an_id_is_never_reused(catalog) -> None:
    folder = library(catalog, "a.jpg", "b.jpg")
    highest = int(catalog.all_ids().max())
    del folder.files["b.jpg"]
    ingest(catalog, folder)
    with catalog.writer() as writer:
        writer.purge(0, timedelta(days=-1))
    folder.files["c.jpg"] = ("new", 1)
    ingest(catalog, folder)
    assert int(catalog.all_ids().max()) == highest + 1
    with catalog._read() as connection:
        assert connection.execute(text("SELECT count(*) FROM images")).scalar() == 2


def test_copies_of_a_new_picture_within_one_batch(catalog) -> None:
    """Pending rows are visible to later items of the batch."""
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        new = encoded("a.jpg", "content")
        copies = [Known(encoded(f"{n}.jpg", "content").file, new.content_hash) for n in range(3)]
        result = writer.commit([new, *copies])
    assert result.added == 4 and not result.unresolved
    assert len(held(catalog)) == 4
