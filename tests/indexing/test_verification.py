"""A verification hashes every file once, however often it is stopped or killed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog
from imgsearch.indexing import ingest
from imgsearch.indexing.verification import FILE, Verification
from imgsearch.records import METADATA_VERSION, Progress
from imgsearch.sources import tree_walk
from tests.indexing.real_files import Photos, picture

COUNT = 12


@pytest.fixture
def photos(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    """Pictures on a disk where size and time are all that there is to go by."""
    monkeypatch.setattr(tree_walk, "filesystem", lambda path: "vfat")
    monkeypatch.setattr(ingest, "FILES_PER_POSITION", 3)
    photos = Photos(catalog, tmp_path / "photos")
    for seed in range(COUNT):
        picture(photos.roots[0] / f"{seed % 3}" / f"{seed:02}.bmp", seed)
    assert photos.index().added == COUNT
    return photos


def change(path: Path) -> None:
    """Another picture under the same size and time."""
    before = path.stat()
    picture(path, 77)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_only_a_verification_sees_what_size_and_time_hide(photos: Photos) -> None:
    changed = photos.roots[0] / "1" / "04.bmp"
    vectors = photos.vectors()
    change(changed)
    assert photos.index().unchanged == COUNT and photos.vectors() == vectors
    report = photos.index(verify=True)
    assert (report.verified, report.differed, report.updated) == (COUNT, 1, 1)
    assert (report.unchanged, photos.encoded) == (COUNT - 1, ["1/04.bmp"])
    after = photos.vectors()
    assert {path for path in after if after[path] != vectors[path]} == {str(changed)}
    assert len(photos.hashed) == COUNT
    assert photos.index(verify=True).differed == 0


def test_the_progress_of_a_verification_is_reported(photos: Photos) -> None:
    seen: list[Progress] = []
    photos.index(verify=True, on_progress=seen.append)
    steps = [(each.done, each.total) for each in seen if each.stage == "verify"]
    assert steps == [(done, COUNT) for done in range(3, COUNT + 1, 3)]
    seen.clear()
    photos.index(on_progress=seen.append)
    assert "verify" not in {each.stage for each in seen}


def test_new_changed_and_missing_files_are_handled_as_ever(photos: Photos) -> None:
    root = photos.roots[0]
    picture(root / "new.bmp", 50)
    (root / "0" / "00.bmp").unlink()
    (root / "0" / "03.bmp").rename(root / "moved.bmp")
    report = photos.index(verify=True)
    assert (report.added, report.removed, report.moved) == (1, 1, 1)
    assert (report.unchanged, report.verified) == (COUNT - 2, COUNT - 2)


@pytest.mark.parametrize("after", [4, 7, 11])
def test_a_stopped_verification_goes_on_where_it_was(photos: Photos, after: int) -> None:
    change(photos.roots[0] / "0" / "00.bmp")
    change(photos.roots[0] / "2" / "11.bmp")
    hashed: list[int] = []

    def commits() -> None:
        hashed.append(1)

    first = photos.index(verify=True, stop=lambda: len(hashed) > after, after_commit=commits,
                         batch_size=1)  # fmt: skip
    assert first.interrupted and 0 < first.verified < COUNT
    position = json.loads((Path(photos.catalog.folder) / FILE).read_text())
    assert position["library"] == photos.catalog.uuid
    second = photos.index(verify=True)
    assert COUNT <= first.verified + second.verified <= COUNT + 3
    assert first.differed + second.differed == 2
    assert not (Path(photos.catalog.folder) / FILE).exists()
    assert photos.index(verify=True).verified == COUNT


def test_a_killed_verification_loses_no_finding(photos: Photos) -> None:
    """The model fails in the first run: what differs must be found by the next one."""
    changed = photos.roots[0] / "1" / "04.bmp"
    change(changed)

    class Killed(Exception):
        pass

    def kill(progress: object) -> None:
        if getattr(progress, "stage", "") == "encode":
            raise Killed

    with pytest.raises(Killed):
        photos.index(verify=True, on_progress=kill)
    report = photos.index(verify=True)
    assert (report.differed, report.updated, photos.encoded) == (1, 1, ["1/04.bmp"])
    assert "0/00.bmp" not in photos.hashed


def test_metadata_of_an_older_reader_is_read_again(photos: Photos) -> None:
    revision = photos.catalog.head()
    with photos.catalog._engine.begin() as connection:
        connection.execute(text("UPDATE images SET metadata_version = 0, width = 1"))
    assert photos.index().outdated == COUNT and not photos.described
    report = photos.index(verify=True)
    assert (report.verified, report.differed, report.outdated) == (COUNT, 0, 0)
    assert len(photos.described) == COUNT and not photos.encoded and not photos.hashed
    assert photos.catalog.head() == revision
    with photos.catalog._engine.begin() as connection:
        query = text("SELECT DISTINCT metadata_version, width FROM images")
        assert connection.execute(query).all() == [(METADATA_VERSION, 16)]
    assert photos.index().outdated == 0


def test_files_behind_links_are_verified_after_the_tree(photos: Photos, tmp_path: Path) -> None:
    for seed in (60, 61):
        picture(tmp_path / "elsewhere" / f"{seed}.bmp", seed)
    (photos.roots[0] / "0_link").symlink_to(tmp_path / "elsewhere")
    photos.index()
    change(tmp_path / "elsewhere" / "61.bmp")
    committed: list[int] = []
    first = photos.index(verify=True, batch_size=1, after_commit=lambda: committed.append(1),
                         stop=lambda: len(committed) >= COUNT + 1)  # fmt: skip
    assert first.interrupted and first.verified == COUNT + 1
    second = photos.index(verify=True)
    assert second.differed == 1 and second.verified >= 2


def test_a_position_of_another_library_or_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    def resumed(uuid: str = "one") -> str:
        return Verification(str(tmp_path), uuid).resumed

    assert not resumed()
    Verification(str(tmp_path), "one").save("/photos", "a/b.jpg")
    assert resumed() and not resumed("two")
    later = Verification(str(tmp_path), "one")
    assert later.pending("/photos", ["a/a.jpg", "a/b.jpg", "a/c.jpg"]) == {"a/c.jpg"}
    assert later.pending("/other", ["a/a.jpg"]) == {"a/a.jpg"}
    for damaged in ("", "[]", "{}", '{"library": "one", "started": 1, "done": 7}', "\0"):
        (tmp_path / FILE).write_text(damaged)
        assert not resumed()


def test_a_full_or_missing_folder_costs_only_the_position(photos: Photos) -> None:
    position = Path(photos.catalog.folder) / FILE
    position.mkdir()
    assert photos.index(verify=True).verified == COUNT
    shutil.rmtree(position)
