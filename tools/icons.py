"""Draws the icons of the page for home screens: `python -m tools.icons`.

The tiles are those of favicon.svg. The maskable icon has them in the middle, which the masks of all
platforms leave visible, on a ground that fills it.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parents[1] / "imgsearch" / "web" / "static" / "icons"
TILES = (
    ((2, 3, 18, 15), "#4c63d2"),
    ((20, 3, 30, 15), "#f2a93b"),
    ((2, 17, 11, 29), "#e2635c"),
    ((13, 17, 30, 29), "#3d9a7c"),
)
GROUND = "#fbfbfa"
OVERSAMPLING = 4


def icon(side: int, scale: float = 1.0, ground: str | None = None) -> Image.Image:
    """The tiles on a square, scaled around its centre."""
    large = side * OVERSAMPLING
    image = Image.new("RGBA", (large, large), ground or (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    unit, edge = large * scale / 32, large * (1 - scale) / 2
    for corners, colour in TILES:
        box = [edge + unit * each for each in corners]
        draw.rounded_rectangle(box, 3 * unit, fill=colour)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    icon(192).save(FOLDER / "icon-192.png", optimize=True)
    icon(512).save(FOLDER / "icon-512.png", optimize=True)
    icon(180, 0.8, GROUND).save(FOLDER / "touch-180.png", optimize=True)
    icon(512, 0.7, GROUND).save(FOLDER / "maskable-512.png", optimize=True)


if __name__ == "__main__":
    main()
