"""Writes the outline of the world for the page: `python -m tools.world_outline FILE`.

The argument is `countries-110m.json` of the npm package world-atlas (`npm pack world-atlas`): the
countries of Natural Earth at 1:110 million, as TopoJSON. The result has coordinates in units of
`UNIT_DEGREES`, each but the first of an arc as the difference from the one before:

    {"unit": 0.05, "arcs": [[longitude, latitude, step, step, ...], ...], "land": [[0, -2], ...]}

An arc is a coast or a border. `land` has rings of arcs, by number; `~n` is arc n backwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "imgsearch" / "web" / "static" / "world.json"
UNIT_DEGREES = 0.05
"""Finer than the data: 1 mm on a map of 1:110 million is a degree."""


def outline(topology: Any) -> dict[str, Any]:
    """The outline from a topology with the objects `countries` and `land`."""
    scale, translate = topology["transform"]["scale"], topology["transform"]["translate"]
    (land,) = topology["objects"]["land"]["geometries"]
    arcs = [list(_steps(_points(arc, scale, translate))) for arc in topology["arcs"]]
    rings = [ring for polygon in land["arcs"] for ring in polygon]
    return {"unit": UNIT_DEGREES, "arcs": arcs, "land": rings}


def _points(
    arc: Sequence[Sequence[int]], scale: Sequence[float], translate: Sequence[float]
) -> list[tuple[int, int]]:
    """The points of an arc in units, without those that are equal to the one before."""
    points: list[tuple[int, int]] = []
    x = y = 0
    for dx, dy in arc:
        x, y = x + dx, y + dy
        degrees = x * scale[0] + translate[0], y * scale[1] + translate[1]
        point = round(degrees[0] / UNIT_DEGREES), round(degrees[1] / UNIT_DEGREES)
        if not points or point != points[-1]:
            points.append(point)
    return points


def _steps(points: Sequence[tuple[int, int]]) -> Iterator[int]:
    before = 0, 0
    for x, y in points:
        yield x - before[0]
        yield y - before[1]
        before = x, y


def main(source: str) -> None:
    """Write the file."""
    found = outline(json.loads(Path(source).read_text(encoding="utf-8")))
    TARGET.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
