"""Measures how fast pictures reach a model: indexing without the network and the catalog."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from itertools import cycle, islice
from typing import Any

import psutil
import torch

from imgsearch.bench.meter import describe_machine
from imgsearch.bench.random_models import random_of
from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.encoders.devices import choose_device
from imgsearch.encoders.two_towers import TwoTowerEncoder
from imgsearch.errors import EncoderError, SourceError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.indexer import decoder_pool
from imgsearch.library import Library
from imgsearch.model_card import InputSize
from imgsearch.ports import Decoder, Encoder
from imgsearch.records import Encoded, ImageFile
from imgsearch.settings import Settings
from imgsearch.sources.bare_decode import decode_bare, write_test_pictures
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Pixels


@dataclass(frozen=True, slots=True)
class FeedWork:
    """Options of a measurement of the feed.

    Attributes
    ----------
    folder : str
        Pictures to read; "" for test pictures in a temporary folder.
    megapixels, form
        Size and format ("JPEG", "PNG" or "HEIF") of test pictures.
    images : int
        Pictures in each round.
    rounds : int
        Rounds of each kind, which alternate.
    """

    folder: str = ""
    megapixels: float = 12.0
    form: str = "JPEG"
    images: int = 64
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class FeedReport:
    """Medians over the rounds.

    Attributes
    ----------
    per_s : float
        Pictures that reach the device of the model per second, in batches of the model's input.
    floor_per_s : float
        Pictures per second that the same number of processes decode and prepare, if they keep the
        result.
    share : float
        `per_s` over `floor_per_s`.
    main_ms : float
        CPU milliseconds of this process for each picture, over all of its threads.
    decoder_ms, floor_ms : float
        CPU milliseconds of the decoder processes for each picture, and of those of the floor.
    pixel_bytes : float
        Bytes of pixels for each picture that cross from process to process.
    """

    model: str
    pictures: str
    date: str
    machine: dict[str, Any]
    workers: int
    images: int
    skipped: int
    per_s: float
    floor_per_s: float
    share: float
    main_ms: float
    decoder_ms: float
    floor_ms: float
    pixel_bytes: float

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds of a round: by the clock, of this process, and of those that it has started."""

    clock: float
    main: float
    decoders: float


@dataclass(slots=True)
class _Feed:
    """Totals of the batches that reached the network, and the costs of each round."""

    images: int = 0
    pixel_bytes: int = 0
    rounds: list[_Cost] = field(default_factory=list)


def measure_feed(library: Library, work: FeedWork, random_weights: bool = False) -> FeedReport:
    """Measure how fast pictures reach the model of the settings.

    Raises
    ------
    EncoderError
        The model is not on this machine, or is a plug-in that makes its own batches.
    SourceError
        No file of the folder can be decoded.
    """
    settings = library.settings
    feed = _Feed()
    whole = random_of(settings, library.model) if random_weights else library.encoder()
    encoder = _without_network(whole, feed)
    with tempfile.TemporaryDirectory(prefix="imgsearch-bench-") as place:
        files = _files(work, place)
        floor = _measure(settings, encoder, list(islice(cycle(files), work.images)), work, feed)
    if not feed.images:
        raise SourceError("no file can be decoded", "Name a folder of photos.")
    per_s = work.images / _median("clock", feed.rounds)
    floor_per_s = work.images / _median("clock", floor)
    rounds = len(feed.rounds) + 1  # with the one that is not timed
    return FeedReport(
        encoder.space.model,
        work.folder or f"{work.form} test pictures of {work.megapixels:g} megapixels",
        date.today().isoformat(),
        describe_machine(choose_device(settings.device)),
        settings.decoders,
        images=work.images,
        skipped=work.images - feed.images // rounds,
        per_s=per_s,
        floor_per_s=floor_per_s,
        share=per_s / floor_per_s,
        main_ms=1e3 * _median("main", feed.rounds) / work.images,
        decoder_ms=1e3 * _median("decoders", feed.rounds) / work.images,
        floor_ms=1e3 * _median("decoders", floor) / work.images,
        pixel_bytes=feed.pixel_bytes / feed.images,
    )


def _without_network(encoder: Encoder, feed: _Feed) -> BatchedEncoder:
    """A copy whose batches are assembled and copied to the device as usual, and dropped there.

    The encoder itself is not changed, because others may use it.
    """
    pictures = encoder.pictures if isinstance(encoder, TwoTowerEncoder) else encoder
    if not isinstance(pictures, BatchedEncoder):
        raise EncoderError(
            f"{encoder.space.model} is a plug-in that makes its own batches",
            "Measure it with 'imgsearch bench index FOLDER'.",
        )
    assemble, dimension = pictures.image_features, pictures.space.dimension

    def counted(images: Sequence[Pixels]) -> dict[str, Any]:
        feed.images += len(images)
        feed.pixel_bytes += sum(image.nbytes for image in images)
        return {**assemble(images), "count": len(images)}

    bare = copy.copy(pictures)
    vars(bare)["image_features"] = counted
    vars(bare)["rows"] = lambda features: torch.ones(features["count"], dimension)
    return bare


def _files(work: FeedWork, place: str) -> list[ImageFile]:
    if not work.folder:
        write_test_pictures(place, work.megapixels, work.form)
    files = [f for f in FilesystemSource(work.folder or place).scan() if isinstance(f, ImageFile)]
    if not files:
        raise SourceError(f"there are no pictures in {work.folder}", "Name a folder of photos.")
    return files


def _measure(
    settings: Settings, encoder: Encoder, files: list[ImageFile], work: FeedWork, feed: _Feed
) -> list[_Cost]:
    """The costs of the rounds of the floor; those of the feed go into `feed`.

    The first round of each is not timed: it starts the processes.
    """
    bare = _bare_decoder(settings, encoder.input_size)
    decoder = partial(decoder_pool, settings, measured=True)
    pool = LocalPool(lambda: encoder, decoder, settings.batch_size or 32)
    floor: list[_Cost] = []
    try:
        for number in range(work.rounds + 1):
            cost = _cost(lambda: [e for e in pool.encode_files(files) if type(e) is Encoded])
            bare_cost = _cost(lambda: list(bare.decode(files)))
            if number:
                feed.rounds.append(cost)
                floor.append(bare_cost)
    finally:
        pool.close()
        bare.close()
    return floor


def _bare_decoder(settings: Settings, size: InputSize) -> Decoder:
    options = DecodeSettings(max_pixels=settings.max_pixels, input_size=size)
    return ProcessDecoder(options, workers=settings.decoders, decode_one=decode_bare)


def _cost(work: Callable[[], object]) -> _Cost:
    before, started, main = _of_children(), time.perf_counter(), time.process_time()
    work()
    clock, main = time.perf_counter() - started, time.process_time() - main
    return _Cost(clock, main, _of_children() - before)


def _of_children() -> float:
    """CPU seconds of the decoder processes so far."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return float(sum(each.user + each.system for each in times))


def _median(part: str, rounds: Sequence[_Cost]) -> float:
    return float(statistics.median(getattr(each, part) for each in rounds))
