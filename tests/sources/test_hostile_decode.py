"""Whole folders of broken and odd files, scanned and decoded as in a real run."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, Skipped, Unvisited
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from tests.conftest import SHARED, full_only, needs_shared
from tests.hostile_files import IGNORE, INDEX, SKIP, make

SETTINGS = DecodeSettings(InputSize(short=224))
DATA = SHARED or Path("shared")


def run(files) -> dict[str, Decoded | Skipped]:
    """Decode in processes; one result per file."""
    batch = list(files)
    decoder = ProcessDecoder(SETTINGS, workers=2, timeout_s=60)
    try:
        results = list(decoder.decode(batch))
    finally:
        decoder.close()
    assert len(results) == len(batch)
    return {result.file.path: result for result in results}


def verdicts(results) -> dict[str, str]:
    return {path: INDEX if isinstance(r, Decoded) else SKIP for path, r in results.items()}


def scan_and_decode(root: Path) -> tuple[dict[str, Decoded | Skipped], list[Unvisited]]:
    items = list(FilesystemSource(str(root)).scan())
    results = run(f for f in items if isinstance(f, ImageFile))
    results |= {s.file.path: s for s in items if isinstance(s, Skipped)}
    return results, [u for u in items if isinstance(u, Unvisited)]


def assert_reasons_are_readable(results):
    for result in results.values():
        if isinstance(result, Skipped):
            assert result.reason and "0x" not in result.reason and "<" not in result.reason


def test_our_own_hostile_folder(tmp_path):
    expected = make(tmp_path / "hostile")
    results, unvisited = scan_and_decode(tmp_path / "hostile")
    actual = verdicts(results)
    definite = {path: v for path, v in expected.items() if v in (INDEX, SKIP)}
    assert {path: actual.get(path) for path in definite} == definite
    assert not set(actual) & {path for path, v in expected.items() if v == IGNORE}
    assert not unvisited
    assert_reasons_are_readable(results)
    assert len(results) == len([v for v in expected.values() if v != IGNORE])


def manifest() -> dict[str, str]:
    with open(DATA / "hostile" / "manifest.csv", newline="", encoding="utf-8") as file:
        return {row["file"]: row["expected"] for row in csv.DictReader(file)}


@full_only
@needs_shared
def test_every_file_of_the_manifest_has_the_expected_verdict():
    expected = manifest()
    root = str((DATA / "hostile").resolve())
    results = run(ImageFile(root, name, 0, 0) for name in expected)
    expected |= dict.fromkeys(("generated/half.jpg", "generated/half.png"), INDEX)  # in part
    definite = {name: verdict for name, verdict in expected.items() if verdict in (INDEX, SKIP)}
    actual = verdicts(results)
    assert {name: actual[name] for name in definite} == definite
    assert_reasons_are_readable(results)
    assert not [r.file.path for r in results.values() if "crashed" in getattr(r, "reason", "")]


@needs_shared
def test_a_scan_of_the_hostile_folder_lists_every_good_file():
    items = list(FilesystemSource(str((DATA / "hostile").resolve())).scan())
    paths = {f.path for f in items if isinstance(f, ImageFile)}
    assert {name for name, verdict in manifest().items() if verdict == INDEX} <= paths
    assert not any(isinstance(f, Unvisited) for f in items)


@needs_shared
def test_files_that_archives_cannot_hold(tmp_path):
    odd = tmp_path / "odd"
    subprocess.run([sys.executable, DATA / "hostile" / "make_odd_fs.py", odd], check=True)
    results, unvisited = scan_and_decode(odd)
    (odd / "locked_folder").chmod(0o700)
    assert os.fsdecode(b"latin1_caf\xe9.jpg") in results
    skipped = {path for path, result in results.items() if isinstance(result, Skipped)}
    readable = os.geteuid() == 0
    assert skipped == {"broken_link.jpg", "pipe.jpg"} | (
        set() if readable else {"no_permission.jpg"}
    )
    assert [u.path for u in unvisited] == ([] if readable else ["locked_folder"])
    assert not any(path.startswith("loop") for path in results)


@needs_shared
@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
def test_all_orientations_of_a_photo_look_alike(kind):
    root = str((DATA / "dev" / "orientation" / "images").resolve())
    pictures = []
    for number in range(9):
        result = decode_file(ImageFile(root, f"{kind}_{number}.jpg", 0, 0), SETTINGS)
        assert isinstance(result, Decoded)
        pictures.append(result.pixels.astype(int))
    assert {picture.shape for picture in pictures} == {pictures[0].shape}
    assert max(np.abs(picture - pictures[1]).mean() for picture in pictures) < 8


@needs_shared
def test_all_orientations_of_the_horse_look_alike():
    root = str((DATA / "hostile" / "generated").resolve())
    pictures = [
        decode_file(ImageFile(root, f"orientation_{n}.jpg", 0, 0), SETTINGS).pixels.astype(int)
        for n in range(1, 9)
    ]
    assert max(np.abs(picture - pictures[0]).mean() for picture in pictures) < 4


@needs_shared
@pytest.mark.parametrize(
    "name, size",
    [
        ("sideways_iphone7.heic", (3024, 4032)),
        ("IMG_2682.heic", (4032, 3024)),
        ("rot1mir0.avif", (640, 427)),
        ("g4_orientation_6.tif", (590, 88)),
    ],
)
def test_pictures_that_other_programs_show_sideways(name, size):
    root = str((DATA / "hostile" / "odd_formats").resolve())
    result = decode_file(ImageFile(root, name, 0, 0), SETTINGS)
    assert isinstance(result, Decoded)
    assert (result.metadata.width, result.metadata.height) == size
    assert (result.pixels.shape[1] > result.pixels.shape[0]) == (size[0] > size[1])
