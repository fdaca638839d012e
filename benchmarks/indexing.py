"""How fast indexing is, and what holds it: decode alone, encode alone, and end to end, in one run.

    python benchmarks/indexing.py FOLDER [--side 1024] [--copies 400]

Pictures of FOLDER are written as JPEGs of that longer side into a temporary folder, until there are
`--copies` of them, each with other bytes. Then: the decoder processes alone, the built-in model
alone on decoded pictures, and `imgsearch index` as a user would run it, start of the processes
included, loading of the model not. Prints pictures per second, and the ratios to the slower half
and to both halves one after the other: on a processor they share the cores.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageOps

from imgsearch.app import IndexRequest, Library
from imgsearch.records import Decoded
from imgsearch.settings import Settings
from imgsearch.sources.decode import DecodeSettings
from imgsearch.sources.pool import ProcessDecoder
from imgsearch.sources.walk import FilesystemSource


def write_pictures(source: Path, target: Path, side: int, copies: int) -> None:
    """JPEGs of one size, with bytes that all differ."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"no JPEG below {source}")
    for number, path in enumerate(itertools.islice(itertools.cycle(files), copies)):
        with Image.open(path) as image:
            rgb = ImageOps.exif_transpose(image).convert("RGB")
        scale = side / max(rgb.size)
        size = (round(rgb.width * scale), round(rgb.height * scale))
        rgb.resize(size).save(target / f"{number:05}.jpg", quality=80 + number % 15)


def seconds(work) -> tuple[float, object]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def measure(pictures: str, library: str) -> dict[str, float]:
    """Pictures per second of each part."""
    lib = Library(Settings(library=library))
    encoder = lib.encoder()
    files = list(FilesystemSource(pictures).scan())
    decoder = ProcessDecoder(
        DecodeSettings(encoder.input_size), workers=lib.settings.decoders, in_flight=64
    )
    decode_s, decoded = seconds(lambda: list(decoder.decode(files)))
    decoder.close()
    pixels = [each.pixels for each in decoded if isinstance(each, Decoded)]
    encoder.encode_images(pixels[:4])
    encode_s, _ = seconds(lambda: encoder.encode_images(pixels))
    whole_s, _ = seconds(lambda: lib.index(IndexRequest([pictures])))
    lib.close()
    times = {"decode": decode_s, "encode": encode_s, "index": whole_s}
    return {name: len(files) / spent for name, spent in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--copies", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place, "pictures")
        pictures.mkdir()
        write_pictures(options.folder, pictures, options.side, options.copies)
        rates = measure(str(pictures), os.path.join(place, "library"))
    for name, rate in rates.items():
        print(f"{name:<8}{rate:8.1f} pictures/s")
    slower = min(rates["decode"], rates["encode"])
    shared = 1 / (1 / rates["decode"] + 1 / rates["encode"])
    print(f"index / min(decode, encode)       = {rates['index'] / slower:.2f}")
    print(f"index / both on the same cores    = {rates['index'] / shared:.2f}")


if __name__ == "__main__":
    main()
