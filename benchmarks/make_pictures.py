"""Creates folders of pictures for measuring indexing, from `data/photos` or your own photos.

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
    parser.add_argument("--photos", default=PHOTOS, help="source folder of JPEGs")
    parser.add_argument(
        "--side", type=int, default=4000, help="longer side of JPEG and HEIC, in pixels"
    )
    parser.add_argument("--png-side", type=int, default=1600)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--formats", default="jpg", help="used in turn: jpg, heic, png")
    args = parser.parse_args()
    pillow_heif.register_heif_opener()
    os.makedirs(args.folder, exist_ok=True)
    names = sorted(name for name in os.listdir(args.photos) if name.endswith(".jpg"))
    formats = cycle(args.formats.split(","))
    for number, name in zip(range(args.count), cycle(names), strict=False):
        tail = next(formats)
        side = args.png_side if tail == "png" else args.side
        with Image.open(os.path.join(args.photos, name)) as photo:
            factor = side / max(photo.size)
            size = (round(photo.width * factor), round(photo.height * factor))
            scaled = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        scaled.putpixel((0, 0), (number % 256, number // 256, 0))  # make all files different
        scaled.save(os.path.join(args.folder, f"{number:05d}.{tail}"), quality=88)


if __name__ == "__main__":
    main()
