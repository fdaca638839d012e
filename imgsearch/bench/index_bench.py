"""Measures the rates of decoding, encoding and indexing in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from imgsearch.bench.meter import Resident, describe_machine, meter_of
from imgsearch.encoders.devices import choose_device
from imgsearch.errors import SourceError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.ports import Encoder
from imgsearch.records import ImageFile, IngestReport, Skipped
from imgsearch.settings import Settings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Pixels

MAX_KEPT_BYTES = 1 << 30
"""Size of the decoded pictures that are kept to measure the model alone."""
_WARM_UP_IMAGES = 4


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Rates in pictures per second.

    Attributes
    ----------
    images, skipped : int
        Pictures of the folder, and files in it that cannot be decoded.
    decode_per_s : float
        The decoder processes alone, including their start.
    encode_per_s : float
        The model alone, on `encoded` pictures that were decoded before.
    index_per_s : float
        Indexing into a new library, including the start of the processes but not the loading of
        the model.
    efficiency : float
        `index_per_s` over the slower of the two other rates; 1 is perfect overlap.
    of_shared_cores : float or None
        On a processor, where decoding and encoding share the cores: `index_per_s` over
        1 / (1 / decode + 1 / encode), the maximum if each of them uses all cores.
    peak_bytes, peak_with_decoders_bytes : int
        Peak resident memory during indexing, without and with the decoder processes.
    device_peak_bytes : int or None
        Peak memory of tensors on the GPU during indexing; None without a GPU.
    """

    model: str
    folder: str
    date: str
    machine: dict[str, Any]
    images: int
    skipped: int
    encoded: int
    decode_per_s: float
    encode_per_s: float
    index_per_s: float
    efficiency: float
    of_shared_cores: float | None
    peak_bytes: int
    peak_with_decoders_bytes: int
    device_peak_bytes: int | None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_indexing(
    settings: Settings, folder: str, say: Callable[[str], None] = lambda note: None
) -> IndexReport:
    """Measure decoding, encoding and indexing of a folder; leaves the user's library alone.

    Raises
    ------
    SourceError
        The folder does not exist or has no pictures.
    EncoderError
        The model cannot be loaded.
    """
    model = Library(settings).model
    with tempfile.TemporaryDirectory(prefix=".imgsearch-bench-") as place:
        library = Library(replace(settings, library=place, model=model))
        try:
            return _measure(library, folder, say)
        finally:
            library.close()


def _measure(library: Library, folder: str, say: Callable[[str], None]) -> IndexReport:
    files = [f for f in FilesystemSource(folder).scan() if isinstance(f, ImageFile)]
    if not files:
        raise SourceError(f"there are no pictures in {folder}", "Name a folder with hundreds.")
    encoder = library.encoder()
    say(f"Decoding {len(files)} files.")
    decode_s, pixels, decoded = _decode(library, encoder, files)
    if not decoded:
        raise SourceError(f"no file in {folder} can be decoded", "Name a folder of photos.")
    say(f"Encoding {len(pixels)} decoded pictures.")
    count = len(pixels)
    encode_s = _encode(encoder, pixels)
    pixels.clear()  # or they would count towards the memory of indexing
    say("Indexing.")
    device = choose_device(library.settings.device)
    reports: list[IngestReport] = []
    meter = meter_of(device) if device.type != "cpu" else None
    with Resident(children=True) as memory:
        run = partial(_index, library, folder, reports)
        peak = meter.peak_of(run) if meter else run()
    rates = decoded / decode_s, count / encode_s, reports[0].encoded / reports[0].seconds
    shared = 1 / (1 / rates[0] + 1 / rates[1])
    return IndexReport(
        encoder.space.model,
        folder,
        date.today().isoformat(),
        describe_machine(device),
        images=decoded,
        skipped=len(files) - decoded,
        encoded=count,
        decode_per_s=rates[0],
        encode_per_s=rates[1],
        index_per_s=rates[2],
        efficiency=rates[2] / min(rates[:2]),
        of_shared_cores=rates[2] / shared if device.type == "cpu" else None,
        peak_bytes=memory.peak,
        peak_with_decoders_bytes=memory.with_children,
        device_peak_bytes=peak,
    )


def _index(library: Library, folder: str, reports: list[IngestReport]) -> None:
    reports.append(library.index(IndexRequest([folder])))


def _decode(
    library: Library, encoder: Encoder, files: list[ImageFile]
) -> tuple[float, list[Pixels], int]:
    """Seconds, up to `MAX_KEPT_BYTES` of pictures, and the number of decoded files."""
    decoder = library.decoder(encoder.input_size)
    pixels: list[Pixels] = []
    decoded = kept_bytes = 0
    started = time.perf_counter()
    try:
        for item in decoder.decode(files):
            if isinstance(item, Skipped):
                continue
            decoded += 1
            if kept_bytes < MAX_KEPT_BYTES:
                pixels.append(item.pixels)
                kept_bytes += item.pixels.nbytes
        return time.perf_counter() - started, pixels, decoded
    finally:
        decoder.close()


def _encode(encoder: Encoder, pixels: list[Pixels]) -> float:
    """Seconds to encode all pictures, after an untimed warm-up."""
    encoder.encode_images(pixels[:_WARM_UP_IMAGES])
    started = time.perf_counter()
    encoder.encode_images(pixels)
    return time.perf_counter() - started
