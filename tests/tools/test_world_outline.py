"""The outline of the world that the page draws."""

from __future__ import annotations

import json
from pathlib import Path

from imgsearch.web.static_files import FOLDER
from tools.world_outline import outline

WORLD = Path(FOLDER) / "world.json"
MAX_BYTES = 60_000


def rings() -> list[list[tuple[float, float]]]:
    """Land as rings of longitude and latitude."""
    world = json.loads(WORLD.read_text())
    arcs = []
    for steps in world["arcs"]:
        x = y = 0
        points = []
        for dx, dy in zip(steps[::2], steps[1::2], strict=True):
            x, y = x + dx, y + dy
            points.append((x * world["unit"], y * world["unit"]))
        arcs.append(points)
    return [
        [point for n in ring for point in (arcs[n] if n >= 0 else arcs[~n][::-1])]
        for ring in world["land"]
    ]


def inside(x: float, y: float, ring: list[tuple[float, float]]) -> bool:
    found = False
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
            found = not found
    return found


def test_cities_are_on_land_and_oceans_are_not():
    assert WORLD.stat().st_size < MAX_BYTES
    land = rings()
    for latitude, longitude, expected in [
        (48.85, 2.35, True), (-23.5, -46.6, True), (55.7, 37.6, True), (39.9, 116.4, True),
        (-25, 134, True), (-1.3, 36.8, True), (40, -100, True), (72, -40, True),
        (30, -45, False), (0, 0, False), (-40, 90, False), (20, -160, False), (42, 51, False),
    ]:  # fmt: skip
        on_land = sum(inside(longitude, latitude, ring) for ring in land) % 2 == 1
        assert on_land is expected, (latitude, longitude)


def test_arcs_are_steps_in_units_and_lose_points_that_are_equal():
    topology = {
        "transform": {"scale": [0.01, 0.01], "translate": [-10, 20]},
        "arcs": [[[0, 0], [100, 0], [1, 1], [0, 100]], [[101, 101], [-101, -101]]],
        "objects": {"land": {"geometries": [{"type": "MultiPolygon", "arcs": [[[0, 1]]]}]}},
    }
    made = outline(topology)
    assert made["arcs"] == [[-200, 400, 20, 0, 0, 20], [-180, 420, -20, -20]]
    assert made["land"] == [[0, 1]]
