"""Compares indexing of a folder with its parts and with Pillow alone, in one run.

Reports the median of `--rounds` in pictures per second, and in CPU milliseconds per picture, which
other programs affect less, for:

- pillow: one process that only reads each file and opens, drafts, loads and reduces it;
- threads: our decoder in one thread per core;
- decode: our decoder processes, without their start;
- encode: the model alone, on decoded pictures;
- index: the whole pipeline (Ingestor, pool, catalog), with decoder processes already started.

The bounds: cores x pillow for decode; for index the slower of decode and encode, and, if both share
the cores, 1 / (1 / decode + 1 / encode). `imgsearch bench index` reports the rates of a user's run.

    python benchmarks/indexing_rates.py FOLDER                 # a cheap stand-in for a model
    python benchmarks/indexing_rates.py FOLDER --model builtin
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import psutil
from PIL import Image

from imgsearch.catalog import open_catalog
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.ingest import Ingestor
from imgsearch.library import Library
from imgsearch.model_card import InputSize
from imgsearch.ports import Decoder, Encoder
from imgsearch.records import Decoded, ImageFile, RootRecord
from imgsearch.settings import Settings
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

Cost = tuple[float, float]
BATCH_IMAGES = 32
SIDE_PIXELS = 224


class CheapEncoder:
    """Returns every 16th pixel of a corner: so cheap that decoding is the slower half."""

    input_size = InputSize(short=SIDE_PIXELS)
    space = EmbeddingSpace("cheap", "1", "none", 192)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        corners = [image[:128:16, :128:16].reshape(-1) for image in images]
        return normalize(np.stack([np.resize(c, 192) for c in corners]).astype(np.float32) + 1)


def pillow(files: Sequence[ImageFile], side: int) -> None:
    """The minimum work, in one thread."""
    pillow_heif.register_heif_opener()
    for file in files:
        with open(file.absolute, "rb") as opened:
            data = opened.read()
        with Image.open(io.BytesIO(data)) as image:
            factor = min(1.0, side / min(image.size))
            size = (round(image.width * factor), round(image.height * factor))
            image.draft("RGB", size)
            image.load()
            np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))


def in_threads(files: Sequence[ImageFile], settings: DecodeSettings, cores: int) -> None:
    """Run our decoder in threads."""
    with ThreadPoolExecutor(cores) as pool:
        for result in pool.map(lambda file: decode_file(file, settings), files):
            assert isinstance(result, Decoded), result


class StartedDecoder:
    """A decoder that is already started and outlives the run, so that its start is not timed."""

    def __init__(self, decoder: Decoder, warm: Sequence[ImageFile]) -> None:
        self._decoder = decoder
        for _ in self._decoder.decode(warm):
            pass

    def decode(self, files: Iterator[ImageFile]) -> Iterator[object]:
        return self._decoder.decode(files)

    def close(self) -> None:
        pass


def indexed(folder: str, encoder: Encoder, decoder: StartedDecoder) -> Cost:
    """Run the whole pipeline into a new catalog, from the scan to the last commit."""
    with tempfile.TemporaryDirectory(prefix=".imgsearch-rates-", dir=os.curdir) as place:
        catalog = open_catalog(os.path.join(place, "library"), create=True)
        root = RootRecord(os.path.abspath(folder))
        with catalog.writer() as writer:
            writer.put_root(root)
            writer.begin_run(encoder.space, "none", "auto")
            pool = LocalPool(lambda: encoder, lambda size, most: decoder, BATCH_IMAGES)
            ingestor = Ingestor(catalog, writer, pool, encoder.space, "none", BATCH_IMAGES, place)
            cost = timed(lambda: ingestor.run([(FilesystemSource(root.path), root)]))
        catalog.close()
    assert ingestor.report.encoded and not ingestor.report.skipped, ingestor.report
    return cost


def cpu_seconds() -> float:
    """CPU seconds of this process and of the decoder processes."""
    here = psutil.Process()
    times = [each.cpu_times() for each in (here, *here.children())]
    return sum(each.user + each.system for each in times)


def timed(run: Callable[[], object]) -> Cost:
    """Wall-clock and CPU seconds."""
    before, started = cpu_seconds(), time.perf_counter()
    run()
    return time.perf_counter() - started, cpu_seconds() - before


def median(rounds: int, count: int, measure: Callable[[], Cost]) -> Cost:
    """Pictures per wall-clock second, and CPU milliseconds per picture."""
    costs = [measure() for _ in range(rounds)]
    clock, processor = (statistics.median(each) for each in zip(*costs, strict=True))
    return count / clock, processor / count * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--model", help="default: a cheap stand-in")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    files = [f for f in FilesystemSource(args.folder).scan() if isinstance(f, ImageFile)]
    encoder: Encoder = CheapEncoder()
    if args.model:
        encoder = Library(Settings(library=os.devnull, model=args.model)).encoder()
    settings = DecodeSettings(input_size=encoder.input_size)
    processes = ProcessDecoder(settings, args.workers, in_flight=2 * BATCH_IMAGES)
    decoder = StartedDecoder(processes, files[: 2 * args.workers])
    pixels = [item.pixels for item in decoder.decode(iter(files)) if isinstance(item, Decoded)]
    encoder.encode_images(pixels[:4])

    def decode() -> None:
        for _ in decoder.decode(iter(files)):
            pass

    def encode() -> None:
        for at in range(0, len(pixels), BATCH_IMAGES):
            encoder.encode_images(pixels[at : at + BATCH_IMAGES])

    n, rounds = len(files), args.rounds
    one, one_ms = median(rounds, n, lambda: timed(lambda: pillow(files, SIDE_PIXELS)))
    threads, threads_ms = median(
        rounds, n, lambda: timed(lambda: in_threads(files, settings, args.workers))
    )
    (d, d_ms), (e, e_ms) = (
        median(rounds, n, lambda: timed(decode)),
        median(rounds, n, lambda: timed(encode)),
    )
    i, i_ms = median(rounds, n, lambda: indexed(args.folder, encoder, decoder))
    processes.close()
    both = 1 / (1 / d + 1 / e)
    print(f"{n} pictures, {args.workers} workers, {encoder.space.model}, {encoder.input_size}")
    print(f"{'':18} pillow x1  threads   decode   encode    index")
    print(f"{'pictures/s':18} {one:9.1f} {threads:8.1f} {d:8.1f} {e:8.1f} {i:8.1f}")
    print(
        f"{'processor, ms':18} {one_ms:9.2f} {threads_ms:8.2f} {d_ms:8.2f} {e_ms:8.2f} {i_ms:8.2f}"
    )
    print(
        f"decode / ({args.workers} x pillow)      {d / args.workers / one:.2f} by the clock,",
        end="",
    )
    print(f" {one_ms / d_ms:.2f} by the processor")
    print(f"index / the slower half    {i / min(d, e):.2f}")
    print(f"index / both, same cores   {i / both:.2f} by the clock,", end="")
    print(f" {(d_ms + e_ms) / i_ms:.2f} by the processor")


if __name__ == "__main__":
    main()
