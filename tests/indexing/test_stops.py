"""What an interrupted run reports: how many files it has dealt with, of how many."""

from __future__ import annotations

import pytest

from imgsearch.cli.index import _summary
from tests.fakes import MemoryFolder, ingest


@pytest.mark.parametrize("calls", range(2, 12))
def test_files_done_and_waiting_add_up(catalog, calls):
    """Stopped at any moment: in the scan, while hashing, or while encoding."""
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(6)}
    ingest(catalog, folder)
    folder.files |= {f"moved {n}.jpg": (f"content {n}", 1) for n in range(3)}
    folder.files |= {f"new {n}.jpg": (f"a new content {n}", 1) for n in range(3)}
    stops = iter([False] * calls)
    report = ingest(catalog, folder, batch_size=1, stop=lambda: next(stops, True))
    assert report.interrupted
    counted = report.added + report.updated + report.moved + report.unchanged + report.skipped
    assert counted == report.scanned - report.waiting
    words = f"Indexed {counted} of {report.scanned} files"
    assert _summary(report, False).startswith(words)
    assert ("found so far" in _summary(report, False)) == report.scan_stopped


def test_a_complete_run_names_all_files_once(catalog):
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("a", 1)}
    report = ingest(catalog, folder)
    assert report.waiting == 0 and _summary(report, False).startswith("Indexed 1 file in")
