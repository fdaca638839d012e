"""Pictures of earlier versions are measured once, and those that cannot be read wait."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from imgsearch.filters.parser import parse
from imgsearch.indexing.measure_run import MeasureIngestor
from imgsearch.records import Encoded, ImageFile, Progress, RootRecord
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import InlineDecoder
from imgsearch.sources.decoders import MEASURED_SIZE, DecodeSettings
from tests.fakes import DECODER, SPACE, vector_of

SETTINGS = DecodeSettings(MEASURED_SIZE, measured=True)


@pytest.fixture
def old(catalog, tmp_path):
    """Six pictures in the catalog, two of them equal, that are not measured."""
    root = tmp_path / "photos"
    root.mkdir()
    items = []
    for number in range(6):
        path = root / f"{number}.png"
        noise = np.random.default_rng(min(number, 4)).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(noise).save(path)
        decoded = decode_file(ImageFile(str(root), path.name, 0, 0), DecodeSettings())
        items.append(
            Encoded(decoded.file, decoded.content_hash, decoded.metadata, vector_of(path.name))
        )
    with catalog.writer() as writer:
        writer.put_root(RootRecord(str(root)))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit(items)
    return root


def run(catalog, root, stop=lambda: False, settings=SETTINGS):
    seen: list[Progress] = []
    with catalog.writer() as writer:
        ingestor = MeasureIngestor(catalog, writer, InlineDecoder(settings), seen.append, stop)
        return ingestor.run([(str(root), "")]), seen


def test_all_are_measured_equal_ones_once(catalog, old):
    report, seen = run(catalog, old)
    assert (report.measured, report.put_off) == (5, 0)
    assert len(catalog.select(parse("has measures"))) == 6
    assert seen[-1] == Progress("measure", 5, 5)
    assert run(catalog, old) == (type(report)(), []), "there is nothing left to do"


def test_files_that_are_gone_changed_or_broken_wait(catalog, old):
    (old / "0.png").write_bytes(b"broken")
    os.remove(old / "1.png")
    Image.new("RGB", (40, 30), "red").save(old / "2.png")
    report, _ = run(catalog, old)
    assert (report.measured, report.put_off) == (2, 3)
    assert catalog.unmeasured_count() == 3


def test_a_stopped_run_keeps_what_it_has_measured(catalog, old):
    calls = iter([False] * 5)
    report, _ = run(catalog, old, stop=lambda: next(calls, True))
    assert 0 < report.measured < 5
    assert catalog.unmeasured_count([(str(old), "")]) == 5 - report.measured
    rest, _ = run(catalog, old)
    assert rest.measured == 5 - report.measured and catalog.unmeasured_count() == 0
