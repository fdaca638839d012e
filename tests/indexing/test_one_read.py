"""Indexing opens, reads and decodes each file only once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgsearch.catalog import Catalog
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.ingest import Ingestor
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, RootRecord, Skipped
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Embeddings, Pixels, normalize
from tests.conftest import full_only
from tests.fakes import DECODER, SPACE
from tests.hostile_files import saved

_open_paths: list[str] = []
_hooks: list[Any] = []


def _watch_opens() -> None:
    """Record all files that this process opens; an audit hook cannot be removed."""
    if not _hooks:
        _hooks.append(lambda event, args: event == "open" and _open_paths.append(str(args[0])))
        sys.addaudithook(_hooks[0])
    _open_paths.clear()


def _bytes_read() -> int:
    with open("/proc/self/io", encoding="ascii") as file:
        return int(file.readline().split()[1])


def counting_decode(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Decode, and write the numbers of opens, bytes and decodes to a report."""
    decodes: list[str] = []
    get_decoder = Image._getdecoder

    def counting_decoder(mode: str, name: str, *rest: Any) -> Any:
        decodes.append(name)
        return get_decoder(mode, name, *rest)

    decode_file(file, settings)  # the first call loads modules
    _watch_opens()
    Image._getdecoder = counting_decoder
    before = _bytes_read()
    try:
        result = decode_file(file, settings)
    finally:
        Image._getdecoder = get_decoder
    read = _bytes_read() - before
    opens = _open_paths.count(file.absolute)
    report = Path(file.root).parent / "reports" / f"{file.path}.txt"
    report.write_text(f"{opens} {read} {len(decodes)}")
    return result


class Sums:
    """An `Encoder` with vectors of 8 numbers."""

    input_size = InputSize(short=50)
    space = SPACE

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        return normalize(np.stack([np.resize(i.reshape(-1), 8) for i in images]) + np.float32(1))


@full_only
@pytest.mark.skipif(sys.platform != "linux", reason="counts bytes with /proc/self/io")
def test_each_file_is_opened_read_and_decoded_once(tmp_path: Path, catalog: Catalog) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    reports = tmp_path / "reports"
    reports.mkdir()
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.tif", "TIFF"), ("d.webp", "WEBP")):
        noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
        (photos / name).write_bytes(saved(Image.fromarray(noise), kind))
    root = RootRecord(str(photos))

    def decoder(size: InputSize, most: int) -> ProcessDecoder:
        return ProcessDecoder(
            DecodeSettings(size, measured=True), workers=1, decode_one=counting_decode
        )

    with catalog.writer() as writer:
        writer.put_root(root)
        writer.begin_run(SPACE, DECODER, "fp32")
        pool = LocalPool(Sums, decoder, 2)  # type: ignore[arg-type]
        ingestor = Ingestor(catalog, writer, pool, SPACE, DECODER, 2, catalog.folder)
        _watch_opens()
        try:
            report = ingestor.run([(FilesystemSource(root.path), root)])
        finally:
            pool.close()
    assert report.added == 4
    assert not [name for name in _open_paths if name.startswith(root.path + os.sep)]
    counts = {p.stem: list(map(int, p.read_text().split())) for p in reports.iterdir()}
    for photo in photos.iterdir():
        opens, read, decodes = counts[photo.name]
        size = photo.stat().st_size
        assert opens == 1, photo
        assert size <= read < size + 4096, (photo, read, size)
        if photo.suffix != ".webp":  # does not use the counting_decode function
            assert decodes == 1, photo
