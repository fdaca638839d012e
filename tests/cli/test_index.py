"""imgsearch index"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.records import RootRecord
from tests.cli.calls import NO_TORCH, Place, picture, process
from tests.conftest import full_only

COUNTS = ("added", "updated", "moved", "unchanged", "removed", "skipped")


def counts(report) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: report[name] for name in COUNTS if report[name]}


def test_the_report_has_exactly_these_keys(place):
    assert list(place.index()) == [
        "scanned",
        "added",
        "updated",
        "moved",
        "unchanged",
        "removed",
        "skipped",
        "seconds",
        "images_per_second",
        "library",
        "model",
        "interrupted",
        "dry_run",
        "memory",
        "texts",
        "measures",
        "verified",
        "differed",
        "exclude",
        "waiting",
    ]


def test_the_report(place):
    (place.photos / "broken.jpg").write_text("no picture")
    report = place.index()
    assert report["scanned"] == 5
    assert counts(report) == {"added": 4, "skipped": 1}
    assert report["seconds"] > 0
    assert report["images_per_second"] == pytest.approx(4 / report["seconds"], rel=0.05)
    assert report["library"] == str(place.library)
    assert report["model"] == "builtin"
    assert report["interrupted"] is report["dry_run"] is False
    assert report["memory"]["resident_peak"] > 20 << 20
    assert set(report["memory"]) == {"resident_peak", "device_allocated", "device_peak"}


def test_a_second_run_finds_all_unchanged(indexed):
    report = indexed.index()
    assert counts(report) == {"unchanged": 4}
    assert report["images_per_second"] == 0


def test_without_a_path_all_folders_are_updated(indexed, tmp_path):
    picture(tmp_path / "more" / "e.jpg", 9)
    indexed.index(tmp_path / "more")
    picture(indexed.photos / "f.jpg", 10)
    picture(tmp_path / "more" / "g.jpg", 11)
    assert counts(indexed.index("--workers", 1)) == {"added": 2, "unchanged": 5}


def test_the_printed_report(place):
    (place.photos / "broken.jpg").write_text("no picture")
    first = place.call("index", place.photos)
    assert first.status == 0
    assert first.text.startswith("Indexed 5 files in ")
    assert first.text.splitlines()[0].endswith("images/s: 4 added, 1 skipped.")
    assert first.text.endswith("reasons: imgsearch skipped\n")
    assert "'imgsearch models' has its limits" in first.err, "the first run names the model"
    assert "5/5" not in first.err, "progress is for terminals"
    second = place.call("index", place.photos)
    assert second.text.splitlines()[0].endswith(" s: 4 unchanged, 1 skipped.")
    assert "Model builtin" not in second.err
    assert "Memory:" not in second.err
    assert "MiB peak" in place.call("index", place.photos, "-v").err


def test_quiet_is_silent(place):
    for _ in range(2):
        outcome = place.call("index", place.photos, "-q")
        assert (outcome.status, outcome.out, outcome.err) == (0, b"", "")


def test_dry_run_creates_no_library(place):
    report = place.index(place.photos, "--dry-run")
    assert counts(report) == {"added": 4}
    assert report["dry_run"] is True
    assert not place.library.exists()
    outcome = place.call("index", place.photos, "--dry-run")
    assert outcome.text.startswith("Would index 4 files in ")


def test_dry_run_predicts_the_run(indexed):
    def state() -> dict[str, bytes]:
        catalog = indexed.library / "catalog.sqlite"
        return {"catalog": catalog.read_bytes(), "names": os.listdir(indexed.library)}

    picture(indexed.photos / "b.jpg", 77)
    picture(indexed.photos / "new.jpg", 78)
    (indexed.photos / "sub" / "c.png").unlink()
    (indexed.photos / "new.svg").write_text("<svg/>")
    before = state()
    predicted = counts(indexed.index(indexed.photos, "--dry-run"))
    assert predicted == {"added": 1, "updated": 1, "unchanged": 2, "removed": 1, "skipped": 1}
    assert state()["catalog"] == before["catalog"]
    assert counts(indexed.index()) == predicted


def test_dry_run_names_what_a_run_would_do(indexed):
    photos = indexed.photos
    (photos / "b.jpg").rename(photos / "moved.jpg")
    shutil.copy(photos / "a.jpg", photos / "copy.jpg")
    os.utime(photos / "a.jpg", ns=(1, 1))
    (photos / "sub" / "c.png").unlink()
    picture(photos / "sub" / "deep" / "d.jpg", 77, (80, 60))
    picture(photos / "new.jpg", 78)
    (photos / "new.svg").write_text("<svg/>")
    (photos / "broken.jpg").write_text("no picture")
    outcome = indexed.call("index", "--dry-run", "-v")
    assert outcome.text.splitlines()[:-1] == [
        f"added    {photos}/broken.jpg",
        f"added    {photos}/copy.jpg",
        f"added    {photos}/new.jpg",
        f"updated  {photos}/sub/deep/d.jpg",
        f"moved    {photos}/b.jpg -> {photos}/moved.jpg",
        f"removed  {photos}/sub/c.png",
        f"skipped  {photos}/new.svg",
    ]
    assert "3 files were not opened: what cannot be decoded will be skipped instead." in outcome.err
    predicted = indexed.index("--dry-run")
    assert predicted["names"]["removed"] == [f"{photos}/sub/c.png"]
    expected = counts(predicted)
    expected["added"] -= 1  # broken.jpg
    expected["skipped"] += 1
    assert counts(indexed.index()) == expected


@full_only
def test_dry_run_loads_no_model(place):
    outcome = process("--library", place.library, "index", place.photos, "--dry-run",
                      prelude=NO_TORCH)  # fmt: skip
    assert outcome.status == 0 and outcome.err.endswith("loaded []\n")


def test_excludes_are_remembered_and_can_be_discarded(place):
    assert counts(place.index(place.photos, "--exclude", "deep/", "--exclude", "b.*")) == {
        "added": 2
    }
    assert counts(place.index()) == {"unchanged": 2}
    [root] = place.call("roots", "--json").json
    assert root["exclude"] == ["deep/", "b.*"]
    assert counts(place.index(place.photos, "--exclude", "b.*")) == {"unchanged": 2}
    alone = ("--no-exclude", "--exclude", "b.*")
    assert counts(place.index(place.photos, *alone)) == {"added": 1, "unchanged": 2}
    assert counts(place.index(place.photos, "--no-exclude")) == {"added": 1, "unchanged": 3}
    assert counts(place.index(place.photos, "--exclude", "sub/")) == {"unchanged": 2, "removed": 2}
    assert place.listed() == ["a.jpg", "b.jpg"]


def test_excludes_add_up_and_the_run_lists_those_that_hold(place):
    place.index(place.photos, "--exclude", "sub/deep/", "--exclude", "#snapshot")
    outcome = place.call("index", place.photos, "--exclude", "a.*")
    line = f"Excluded from {place.photos}: sub/deep/ #snapshot a.*"
    assert [each for each in outcome.err.splitlines() if each.startswith(line)]
    report = place.index()
    assert report["exclude"] == {str(place.photos): ["sub/deep/", "#snapshot", "a.*"]}
    assert report["unchanged"] == 2
    assert "without sub/deep/ #snapshot a.*" in place.call("roots").text
    assert place.index("--no-exclude")["exclude"] == {}


def test_an_exclude_of_one_folder_holds_for_links_in_another(indexed):
    other = indexed.photos.parent / "other"
    other.mkdir()
    (other / "link.png").symlink_to(indexed.photos / "sub" / "c.png")
    (other / "sub").symlink_to(indexed.photos / "sub")
    picture(other / "own.jpg", 41)
    indexed.index(other)
    assert len(indexed.listed()) == 8
    preview = indexed.index(indexed.photos, other, "--exclude", "sub/", "--dry-run")
    assert counts(preview) == {"unchanged": 3, "removed": 5}
    assert counts(indexed.index(indexed.photos, "--exclude", "sub/"))["removed"] == 2
    assert counts(indexed.index(other)) == {"unchanged": 1, "removed": 3}
    assert "since the last" not in indexed.call("search", "a bird").err


def test_a_pattern_that_matches_nothing_is_reported(place):
    outcome = place.call("index", place.photos, "--exclude", "Sub/", "--exclude", "b.*")
    assert outcome.status == 0
    notes = [line for line in outcome.err.splitlines() if "Nothing in" in line]
    assert notes == [f"Nothing in {place.photos} matches the exclude pattern Sub/."]
    assert "Nothing in" not in place.call("index", place.photos).err
    again = place.call("index", "--dry-run", "--exclude", "x/").err
    assert "exclude pattern x/." in again


@pytest.mark.parametrize("pattern", ["", " ", "/etc/passwd", "../x", ".", "sub\\deep"])
def test_a_pattern_that_could_match_nothing_is_refused(place, pattern):
    outcome = place.call("index", place.photos, "--exclude", pattern)
    assert outcome.status == 1 and "exclude pattern" in outcome.err
    assert not place.library.exists()


def test_hidden_files_are_included_on_request(place):
    picture(place.photos / ".hidden.jpg", 5)
    assert counts(place.index()) == {"added": 4}
    assert counts(place.index(place.photos, "--hidden")) == {"added": 1, "unchanged": 4}
    assert counts(place.index()) == {"unchanged": 5}
    assert counts(place.index(place.photos, "--no-hidden")) == {"unchanged": 4, "removed": 1}


def test_a_moved_picture_is_found_under_its_new_name(indexed):
    (indexed.photos / "b.jpg").rename(indexed.photos / "sub" / "renamed.jpg")
    assert counts(indexed.index()) == {"moved": 1, "unchanged": 3}
    assert indexed.listed() == ["a.jpg", "sub/c.png", "sub/deep/d.jpg", "sub/renamed.jpg"]


def test_a_moved_folder(indexed):
    (indexed.photos / "sub").rename(indexed.photos / "other")
    assert counts(indexed.index()) == {"moved": 2, "unchanged": 2}


def test_a_copied_picture_is_found_twice(indexed):
    shutil.copy(indexed.photos / "b.jpg", indexed.photos / "copy.jpg")
    report = indexed.index()
    assert counts(report) == {"added": 1, "unchanged": 4}
    assert report["images_per_second"] == 0, "its vector exists already"
    assert "copy.jpg" in indexed.listed()


def test_a_touched_picture_is_unchanged(indexed):
    os.utime(indexed.photos / "b.jpg", ns=(1, 1))
    assert counts(indexed.index()) == {"unchanged": 4}


def test_a_changed_picture_is_encoded_again(indexed):
    picture(indexed.photos / "b.jpg", 55)
    assert counts(indexed.index()) == {"updated": 1, "unchanged": 3}
    [hit] = indexed.call("similar", indexed.photos / "b.jpg", "-n1", "--format", "json").json
    assert (os.path.basename(hit["path"]), hit["score"]) == ("b.jpg", pytest.approx(1, abs=1e-3))


def test_a_picture_that_becomes_broken_is_not_found(indexed):
    (indexed.photos / "b.jpg").write_text("no picture")
    assert counts(indexed.index()) == {"unchanged": 3, "skipped": 1}
    assert "b.jpg" not in indexed.listed()
    picture(indexed.photos / "b.jpg", 1)
    assert indexed.index()["skipped"] == 0
    assert "b.jpg" in indexed.listed()


def test_a_restored_picture_is_not_encoded_again(indexed, tmp_path):
    (indexed.photos / "b.jpg").rename(tmp_path / "b.jpg")
    assert counts(indexed.index()) == {"unchanged": 3, "removed": 1}
    assert "b.jpg" not in indexed.listed()
    (tmp_path / "b.jpg").rename(indexed.photos / "b.jpg")
    report = indexed.index()
    assert counts(report) == {"added": 1, "unchanged": 3}
    assert report["images_per_second"] == 0
    assert "b.jpg" in indexed.listed()


def test_a_missing_folder_loses_no_pictures(indexed, tmp_path):
    indexed.photos.rename(tmp_path / "away")
    outcome = indexed.call("index", indexed.photos)
    assert outcome.status == 1
    assert f"{indexed.photos}: is not there: is the disk mounted?" in outcome.err
    assert "Nothing indexed there was removed." in outcome.err
    assert indexed.call("status", "--json").json["images"] == 4
    hits = indexed.call("search", "--all", "red", "--format", "json")
    assert len(hits.paths) == 4, "a search needs only the library"
    (tmp_path / "away").rename(indexed.photos)
    assert counts(indexed.index()) == {"unchanged": 4}


def test_a_missing_folder_does_not_block_others(indexed, tmp_path):
    picture(tmp_path / "more" / "e.jpg", 9)
    indexed.index(tmp_path / "more")
    indexed.photos.rename(tmp_path / "away")
    picture(tmp_path / "more" / "f.jpg", 10)
    outcome = indexed.call("index", "--json")
    assert outcome.status == 0
    assert counts(outcome.json) == {"added": 1, "unchanged": 1}
    assert "is the disk mounted?" in outcome.err


def test_an_empty_folder_loses_pictures_only_with_prune(indexed):
    shutil.rmtree(indexed.photos)
    indexed.photos.mkdir()
    outcome = indexed.call("index", indexed.photos)
    assert outcome.status == 1
    assert "is empty: is the disk mounted?" in outcome.err
    assert "--prune" in outcome.err
    assert indexed.call("status", "--json").json["images"] == 4
    assert counts(indexed.index(indexed.photos, "--prune")) == {"removed": 4}
    assert indexed.call("status", "--json").json["images"] == 0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("photos/a.jpg", "is a file, not a folder"),
        ("nowhere", "does not exist"),
        ("", "is empty"),
    ],
)
def test_a_path_that_is_not_a_folder(place, tmp_path, path, words):
    outcome = place.call("index", tmp_path / path if path else "")
    assert outcome.status == 1
    assert words in outcome.err
    assert not place.library.exists()


def test_a_new_library_needs_a_path(place):
    outcome = place.call("index")
    assert outcome.status == 1
    assert "no folders yet" in outcome.err
    assert not place.library.exists()


def test_a_folder_inside_a_known_one_is_scanned_alone(indexed):
    picture(indexed.photos / "outside.jpg", 20)
    picture(indexed.photos / "sub" / "inside.jpg", 21)
    (indexed.photos / "b.jpg").unlink()
    (indexed.photos / "sub" / "c.png").unlink()
    report = indexed.index(indexed.photos / "sub")
    assert counts(report) == {"added": 1, "unchanged": 1, "removed": 1}
    assert [root["path"] for root in indexed.call("roots", "--json").json] == [str(indexed.photos)]


def test_a_folder_around_a_known_one_absorbs_it(place, tmp_path):
    place.index(place.photos / "sub")
    assert counts(place.index()) == {"added": 2, "unchanged": 2}
    assert [root["path"] for root in place.call("roots", "--json").json] == [str(place.photos)]


def test_two_paths_one_inside_the_other(place):
    report = place.index(place.photos / "sub", place.photos)
    assert report["scanned"] == report["added"] == 4
    assert len(place.call("roots", "--json").json) == 1


def test_two_names_of_one_folder_are_one_folder(indexed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(indexed.photos)
    assert counts(indexed.index(link)) == {"unchanged": 4}
    assert counts(indexed.index(f"{indexed.photos}/sub/..")) == {"unchanged": 4}
    assert len(indexed.call("roots", "--json").json) == 1


def test_a_library_among_the_pictures_is_refused(place):
    for library in (place.photos, place.photos / "library", place.photos / "sub" / "library"):
        outcome = Place(place.photos, library).call("index", place.photos)
        assert outcome.status == 1
        assert "nothing may be written" in outcome.err
    assert sorted(os.listdir(place.photos)) == ["a.jpg", "b.jpg", "sub"]


def test_a_folder_with_other_files_is_not_a_library(place, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    outcome = Place(place.photos, tmp_path / "full").call("index", place.photos)
    assert outcome.status == 1
    assert "is not an imgsearch library" in outcome.err
    assert os.listdir(tmp_path / "full") == ["thesis.txt"]


def test_an_unknown_model(place):
    outcome = place.call("index", place.photos, "--model", "nobody/nothing")
    assert outcome.status == 1
    assert "nobody/nothing is not on this machine" in outcome.err
    again = place.call("search", "--all", "dog")
    assert again.status == 1
    assert "no pictures yet" in again.err


@pytest.mark.parametrize(
    "options",
    [
        ("--batch-size", "-1"),
        ("--batch-size", "99999999999999999999"),
        ("--workers", "-1"),
        ("--threads", "0"),
        ("--precision", "int8"),
    ],
)
def test_options_out_of_range(place, options):
    outcome = place.call("index", place.photos, *options)
    assert outcome.status == 2
    assert "Invalid value" in outcome.err


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:x", "auto:1"])
def test_a_missing_device(place, device):
    outcome = place.call("index", place.photos, "--device", device)
    assert outcome.status == 1
    assert "device" in outcome.err


# --verify


def swap_bytes(path: Path) -> None:
    """Another valid picture of the same size and time: one byte of a comment differs."""
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


KILL_AT_FIRST_POSITION = """
import os, imgsearch.indexing.ingest
from imgsearch.indexing.verification import Verification
imgsearch.indexing.ingest.FILES_PER_POSITION = 2
save = Verification.save
def save_and_die(self, *place):
    save(self, *place)
    os.kill(os.getpid(), 9)
Verification.save = save_and_die
"""


def test_a_verification_that_was_killed_goes_on(indexed: Place):
    command = "index", "--verify", "--library", indexed.library
    assert process(*command, prelude=KILL_AT_FIRST_POSITION).status == -9
    swap_bytes(indexed.photos / "sub" / "deep" / "d.jpg")
    outcome = indexed.call("index", "--verify")
    assert "The verification that began on 20" in outcome.err
    assert "Verified 1 file" in outcome.text and "1 updated" in outcome.text
    report = indexed.index("--verify")
    assert (report["verified"], report["differed"], report["unchanged"]) == (4, 0, 4)


def test_a_verification_says_what_it_found(indexed: Place, monkeypatch):
    monkeypatch.setattr("imgsearch.sources.tree_walk.filesystem", lambda path: "vfat")
    indexed.index()
    swap_bytes(indexed.photos / "a.jpg")
    assert indexed.index()["unchanged"] == 4
    outcome = indexed.call("index", "--verify")
    assert outcome.status == 0
    assert "1 updated, 3 unchanged" in outcome.text
    assert "Verified 4 files: 1 had changed without a new size or time." in outcome.text
    outcome = indexed.call("index", "--verify", "--dry-run")
    assert outcome.status == 2 and "--dry-run cannot be used with" in outcome.err


def test_metadata_of_an_older_version_is_mentioned_until_it_is_read_again(indexed: Place):
    with sqlite3.connect(indexed.library / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE images SET metadata_version = 0 WHERE path != 'a.jpg'")
    note = "The metadata of 3 pictures was read by an older version"
    assert note in indexed.call("index").err and note in indexed.call("index").err
    assert note not in indexed.call("index", "--verify").err
    outcome = indexed.call("index")
    assert note not in outcome.err and "4 unchanged" in outcome.text


def test_a_folder_without_pictures_does_not_join_the_library(place, tmp_path):
    empty = tmp_path / "Pictuers"
    (empty / "sub").mkdir(parents=True)
    (tmp_path / "void").mkdir()
    (empty / "notes.txt").write_text("no picture")
    for option in ((), ("--dry-run",), ("--json", "-q")):
        outcome = place.call("index", empty, *option)
        assert outcome.status == 1
        assert f"there are no pictures in {empty}\n" in outcome.err
        assert "was removed" not in outcome.err and "is empty" not in outcome.err
    assert "there are no pictures in" in place.call("index", tmp_path / "void").err
    assert place.call("index", empty, tmp_path / "void").status == 1
    assert not place.library.exists()
    hidden = place.call("index", place.photos, "--exclude", "*")
    assert hidden.status == 1 and "besides what is excluded (*)" in hidden.err
    both = place.call("index", place.photos, empty, "--json")
    assert both.status == 0 and both.json["added"] == 4
    assert f"there are no pictures in {empty}. Check the name." in both.err
    assert [root["path"] for root in place.call("roots", "--json").json] == [str(place.photos)]
    picture(empty / "a.jpg", 40)
    assert place.index(empty)["added"] == 1


def test_a_folder_without_pictures_of_an_older_library(indexed, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with open_catalog(str(indexed.library)).writer() as writer:
        writer.put_root(RootRecord(str(empty), scanned_at=datetime(2026, 1, 1)))
    doctor = indexed.call("doctor").text
    assert f"{empty} has no pictures in the library" in doctor
    assert f"imgsearch roots --forget {empty}" in doctor
    outcome = indexed.call("index", "--json")
    assert outcome.status == 0 and counts(outcome.json) == {"unchanged": 4}
    assert f"there are no pictures in {empty}" in outcome.err
    assert f"roots --forget {empty}" in outcome.err and "was removed" not in outcome.err
    alone = indexed.call("index", empty)
    assert alone.status == 1 and "was removed" not in alone.err
    picture(empty / "a.jpg", 40)
    assert counts(indexed.call("index", "--json").json) == {"added": 1, "unchanged": 4}


def test_a_locked_folder_in_a_new_one_is_not_said_to_keep_pictures(place):
    (place.photos / "gone").symlink_to("/nowhere/disk")
    outcome = place.call("index", place.photos)
    assert "gone: a link that leads nowhere." in outcome.err and "removed" not in outcome.err
    assert "Nothing indexed there was removed." in place.call("index", place.photos).err


def test_new_pictures_are_measured_and_old_ones_on_request(indexed):
    found = indexed.call("search", "--where", "sharpness >= 0", "--format", "json")
    measured = {hit["path"]: (hit["sharpness"], hit["kind"]) for hit in found.json}
    assert (found.status, found.err, len(measured)) == (0, "", 4)
    with closing(sqlite3.connect(indexed.library / "catalog.sqlite")) as catalog:
        catalog.execute("DELETE FROM measures")  # as after the upgrade of an older library
        catalog.commit()
    refused = indexed.call("search", "--sort", "-sharpness", "--type", "jpeg")
    assert refused.status == 1 and "have not been measured" in refused.err
    assert "imgsearch index --measure" in refused.err
    part = indexed.call("index", "--measure", indexed.photos / "sub")
    assert part.status == 0 and "Measured 2 pictures." in part.text
    some = indexed.call("search", "--kind", "photo", "--format", "json")
    assert "2 pictures have not been measured" in some.err and len(some.json) == 2
    report = indexed.call("index", "--measure", "--json").json
    assert report["measures"] == {"measured": 2, "put_off": 0} and report["unchanged"] == 4
    again = indexed.call("search", "--where", "has measures", "--sort", "sharpness", "--format",
                         "json")  # fmt: skip
    assert {hit["path"]: (hit["sharpness"], hit["kind"]) for hit in again.json} == measured
    order = [hit["sharpness"] for hit in again.json]
    assert order == sorted(order) and "not been measured" not in again.err
    usage = indexed.call("index", "--measure", "--dry-run")
    assert usage.status == 2 and "--dry-run cannot be used with --measure" in usage.err
