"""Folders of pictures to measure indexing with, made from `data/photos` or photos of your own.

python benchmarks/make_pictures.py OUT/large --side 4000 --count 80
python benchmarks/make_pictures.py OUT/small --side 1024 --count 320
python benchmarks/make_pictures.py OUT/mixed --side 4000 --count 80 --formats jpg,jpg,heic,png
"""

from __future__ import annotations

import argparse
import os
from itertools import cycle

import pillow_heif
from PIL import Image

PHOTOS = os.path.join(os.path.dirname(__file__), os.pardir, "data", "photos")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--photos", default=PHOTOS, help="a folder of JPEGs to start from")
    parser.add_argument(
        "--side", type=int, default=4000, help="longer side in pixels, of JPEG, HEIC"
    )
    parser.add_argument("--png-side", type=int, default=1600)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--formats", default="jpg", help="taken in turn: jpg, heic, png")
    given = parser.parse_args()
    pillow_heif.register_heif_opener()
    os.makedirs(given.folder, exist_ok=True)
    names = sorted(name for name in os.listdir(given.photos) if name.endswith(".jpg"))
    formats = cycle(given.formats.split(","))
    for number, name in zip(range(given.count), cycle(names), strict=False):
        tail = next(formats)
        side = given.png_side if tail == "png" else given.side
        with Image.open(os.path.join(given.photos, name)) as photo:
            factor = side / max(photo.size)
            size = (round(photo.width * factor), round(photo.height * factor))
            scaled = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        scaled.putpixel((0, 0), (number % 256, number // 256, 0))  # no two files are the same
        scaled.save(os.path.join(given.folder, f"{number:05d}.{tail}"), quality=88)


if __name__ == "__main__":
    main()
