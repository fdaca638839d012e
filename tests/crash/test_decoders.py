"""Decoder processes end with the process that started them."""

from __future__ import annotations

from pathlib import Path

import psutil

from imgsearch.records import ImageFile
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from tests.conftest import full_only
from tests.crash.album import Album


@full_only
def test_a_decoder_closed_halfway_leaves_no_processes(tmp_path: Path) -> None:
    """As after a failed commit: the other results are not requested, and no process restarts."""
    album = Album(tmp_path, 3)
    for _ in range(30):
        album.write(f"{album.roots[0]}/{_}.jpg")
    files = [ImageFile(album.roots[0], f"{n}.jpg", 1, 1) for n in range(30)] * 20
    for count in (1, 5, 40):
        decoder = ProcessDecoder(DecodeSettings(), workers=2, in_flight=64)
        results = decoder.decode(files)
        for _ in range(count):
            next(results)
        decoder.close()
        running = [child for child in psutil.Process().children() if _is_decoder(child)]
        assert running == []
        del results


def _is_decoder(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())
