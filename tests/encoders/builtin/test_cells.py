"""How the built-in model lays pictures into cells, and what it concludes from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from imgsearch.encoders.builtin import CELL_PIXELS, CELLS, INPUT_SIZE, cells, evidence

SHAPES = [
    (1000, 1000),
    (1500, 1000),
    (1000, 1500),
    (4000, 3000),
    (1920, 1080),
    (1080, 2400),
    (3200, 100),
    (1, 32),
]


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_every_shape_gets_about_as_many_cells_and_keeps_its_shape(width, height):
    rows, columns = cells.cells_of(width, height)
    assert CELLS * 0.85 <= rows * columns <= CELLS * 1.15
    longer, shorter = max(rows, columns), min(rows, columns)
    assert abs(longer - shorter * max(width / height, height / width)) <= 0.5
    assert (rows > columns) == (height > width)
    assert cells.cells_of(height, width) == (columns, rows)


@pytest.mark.parametrize(("width", "height"), SHAPES[:6])
def test_decoding_leaves_about_as_many_pixels_as_the_cells_have(width, height):
    """Nothing is thrown away that the network could see, and hardly anything is scaled twice."""
    rows, columns = cells.cells_of(width, height)
    decoded = INPUT_SIZE.scale(width, height) ** 2 * width * height
    assert decoded == pytest.approx(rows * columns * CELL_PIXELS**2, rel=0.15)


def test_pictures_of_one_shape_come_together_and_none_is_lost():
    images = [
        Image.new("RGB", size, (i, i, i)) for i, size in enumerate([(9, 6), (6, 9), (18, 12)])
    ]
    laid = cells.lay_out(images)
    assert laid["pixels"].dtype == torch.uint8
    groups = cells.by_shape(**laid)
    assert [numbers for numbers, _ in groups.values()] == [[0, 2], [1]]
    for (rows, columns), (numbers, pixels) in groups.items():
        cell_shape = cells.cells_of(*images[numbers[0]].size)
        assert (rows, columns) == tuple(CELL_PIXELS * n for n in cell_shape)
        assert pixels.shape == (len(numbers), rows, columns, 3)
        for number, each in zip(numbers, pixels, strict=True):
            assert (each == number).all()


def test_a_picture_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(
        0, 256, (11 * CELL_PIXELS, 11 * CELL_PIXELS, 3), np.uint8
    )
    laid = cells.lay_out([Image.fromarray(pixels)])
    assert np.array_equal(laid["pixels"].numpy().reshape(pixels.shape), pixels)


def test_regions_are_means_of_every_square_of_cells():
    maps = torch.arange(30.0).reshape(1, 1, 5, 6)
    regions = evidence.regions_of(maps)
    assert regions.shape == (1, 6, 1)
    assert regions[0, 0, 0] == maps[0, 0, :4, :4].mean()
    assert regions[0, -1, 0] == maps[0, 0, 1:, 2:].mean()


def test_a_narrow_picture_has_regions_as_high_as_itself():
    assert evidence.regions_of(torch.ones(1, 5, 2, 60)).shape == (1, 57, 5)


def test_a_thing_in_one_region_is_seen_though_the_whole_shows_another():
    whole = torch.tensor([[9.0, 0.0, 0.0]])
    elsewhere, there = [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]
    regions = torch.tensor([[there] + [elsewhere] * 15])
    seen, without = (evidence.evidence(whole, r)[0] for r in (regions, regions[:, 1:]))
    # A root mean square: a quarter for one region in sixteen, where the mean gives a sixteenth.
    assert seen[1] == pytest.approx(0.5 / 4, abs=0.01)
    assert without[1] < 0.001
    assert (seen <= 1).all()
