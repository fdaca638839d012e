"""Measures the rates of decoding, encoding and indexing in one run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from imgsearch.bench.meter import Busy, Resident, describe_machine, meter_of
from imgsearch.bench.random_models import random_of
from imgsearch.encoders.devices import choose_device
from imgsearch.errors import SourceError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.indexer import MAX_COMMIT_IMAGES, decoder_pool
from imgsearch.indexing.ingest import Ingestor
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.ports import Encoder
from imgsearch.records import ImageFile, IngestReport, RootRecord, Skipped
from imgsearch.settings import Settings
from imgsearch.sources.bare_decode import write_test_pictures
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Pixels

MAX_KEPT_BYTES = 1 << 30
"""Size of the decoded pictures that are kept to measure the model alone."""
_WARM_UP_IMAGES = 4
_NO_DECODER = "none"


@dataclass(frozen=True, slots=True)
class IndexWork:
    """Options of a measurement of indexing.

    Attributes
    ----------
    folder : str
        Pictures to index; "" for JPEGs made in a temporary folder.
    megapixels, images
        Size and number of the pictures that are made.
    random_weights : bool
        Measure the model's architecture with random weights. These vectors may not join a library,
        so what is measured ends with the catalog, without an index file.
    """

    folder: str = ""
    megapixels: float = 12.0
    images: int = 64
    random_weights: bool = False


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
    gpu_busy : float or None
        Share of the time of indexing in which the GPU ran a kernel; None without a CUDA GPU or
        without the package nvidia-ml-py.
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
    gpu_busy: float | None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_indexing(
    settings: Settings, work: IndexWork, say: Callable[[str], None] = lambda note: None
) -> IndexReport:
    """Measure decoding, encoding and indexing of pictures; leaves the user's library alone.

    Raises
    ------
    SourceError
        The folder does not exist or has no pictures.
    EncoderError
        The model cannot be loaded.
    """
    model = Library(settings).model
    with tempfile.TemporaryDirectory(prefix=".imgsearch-bench-") as place:
        library = Library(replace(settings, library=os.path.join(place, "library"), model=model))
        try:
            if work.folder:
                return _measure(library, work.folder, work, say)
            folder = os.path.join(place, "pictures")
            os.mkdir(folder)
            say(f"Making {work.images} JPEGs of {work.megapixels:g} megapixels.")
            _make_pictures(folder, work)
            return _measure(library, folder, work, say)
        finally:
            library.close()


def _make_pictures(folder: str, work: IndexWork) -> None:
    """Write JPEGs of which no two have the same bytes: a copy would not be decoded."""
    makers = write_test_pictures(folder, work.megapixels, "JPEG")[: work.images]
    for number in range(len(makers), work.images):
        target = os.path.join(folder, f"{number}.jpg")
        shutil.copyfile(makers[number % len(makers)], target)
        with open(target, "ab") as file:  # after the end of the picture, which decoders ignore
            file.write(number.to_bytes(8, "big"))
    for path in makers[work.images :]:
        os.remove(path)


def _measure(
    library: Library, folder: str, work: IndexWork, say: Callable[[str], None]
) -> IndexReport:
    files = [f for f in FilesystemSource(folder).scan() if isinstance(f, ImageFile)]
    if not files:
        raise SourceError(f"there are no pictures in {folder}", "Name a folder with hundreds.")
    settings = library.settings
    encoder = random_of(settings, library.model) if work.random_weights else library.encoder()
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
    with Resident(children=True) as memory, Busy(device) as busy:
        run = partial(_index, library, folder, reports)
        if work.random_weights:
            run = partial(_ingest, library, folder, encoder, reports)
        peak = meter.peak_of(run) if meter else run()
    rates = decoded / decode_s, count / encode_s, reports[0].encoded / reports[0].seconds
    shared = 1 / (1 / rates[0] + 1 / rates[1])
    return IndexReport(
        encoder.space.model,
        work.folder or f"JPEG test pictures of {work.megapixels:g} megapixels",
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
        gpu_busy=busy.share,
    )


def _index(library: Library, folder: str, reports: list[IngestReport]) -> None:
    reports.append(library.index(IndexRequest([folder])))


def _ingest(library: Library, folder: str, encoder: Encoder, reports: list[IngestReport]) -> None:
    """Index up to the catalog with an encoder whose vectors may not join a library."""
    settings, catalog = library.settings, library.create()
    root = RootRecord(os.path.realpath(folder))
    batch = settings.batch_size or MAX_COMMIT_IMAGES
    pool = LocalPool(lambda: encoder, partial(decoder_pool, settings, measured=True), batch)
    with catalog.writer() as writer, closing(pool):
        writer.put_root(root)
        writer.begin_run(encoder.space, _NO_DECODER, settings.precision)
        size = min(batch, MAX_COMMIT_IMAGES)
        run = Ingestor(catalog, writer, pool, encoder.space, _NO_DECODER, size, catalog.folder)
        reports.append(run.run([(FilesystemSource(root.path), root)]))


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
