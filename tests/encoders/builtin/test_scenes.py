"""Light, ground and composition: what the rules see in pictures, and the words for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from imgsearch.encoders.builtin import scenes
from imgsearch.encoders.builtin.blocks.halves import SentenceOutput, VisionOutput
from imgsearch.encoders.builtin.blocks.sights import DIMENSIONS, SightPictures, SightTexts
from tests.conftest import ROOT

SCENES = ROOT / "tests" / "data" / "scenes" / "images"


def picture(name):
    with Image.open(SCENES / f"{name}.jpg") as image:
        return image.convert("RGB")


def seen(image):
    sure = scenes.of_picture(image)
    return {name for name, x in zip(scenes.SIGHTS, sure, strict=True) if x > 0.5}


def asked(text):
    return {name for name, x in zip(scenes.SIGHTS, scenes.of_text(text), strict=True) if x}


@pytest.mark.parametrize(
    ("name", "sights"),
    [
        ("moon", {"monochrome"}),
        ("photographer_bw", {"monochrome"}),
        ("alpine_old_photo", {"sepia"}),
        ("hay_field", {"blue sky"}),
        ("playing_field", {"green", "grass"}),
        ("beach", {"sand"}),
    ],
)
def test_what_is_seen(name, sights):
    assert sights <= seen(picture(name))


@pytest.mark.parametrize("name", ["kitchen", "playground", "street_mural", "brick_wall_steps"])
def test_an_ordinary_picture_by_day_has_no_light_of_its_own(name):
    light = {"monochrome", "sepia", "night", "lights", "sunset", "snow"}
    assert not seen(picture(name)) & light


def plain(rgb):
    return Image.new("RGB", (90, 60), rgb)


def test_plain_pictures():
    assert seen(plain((255, 255, 255))) == {"monochrome", "white background"}
    assert seen(plain((3, 3, 6))) == {"monochrome", "night", "black background"}


def test_a_sunset_is_a_warm_sky_above_dark_ground_and_not_the_other_way_up():
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:40] = (230, 120, 40)
    pixels[40:] = (25, 15, 20)
    assert "sunset" in seen(Image.fromarray(pixels))
    assert "sunset" not in seen(Image.fromarray(pixels[::-1].copy()))


def test_lights_need_a_night_around_them():
    pixels = np.full((64, 64, 3), 8, np.uint8)
    pixels[40:44, ::4] = (255, 240, 180)
    assert {"night", "lights"} <= seen(Image.fromarray(pixels))
    assert "lights" not in seen(plain((255, 240, 180)))


@pytest.mark.parametrize(
    ("text", "sights"),
    [
        ("a black and white photo of a bridge", {"monochrome"}),
        ("a fountain, black and white", {"monochrome"}),
        ("a black and white cow", set()),
        ("an old photograph", {"sepia"}),
        ("an old man", set()),
        ("the city at night", {"night", "lights"}),
        ("a knight", set()),
        ("Sunset over the beach", {"sunset", "sand"}),
        ("a meadow under a blue sky", {"grass", "blue sky"}),
        ("bananas on white", {"white background"}),
        ("a rider on a white horse", set()),
        ("a dog on a black background", {"black background"}),
        ("a watch in the dark", {"night"}),
        ("a dark jacket", set()),
    ],
)
def test_words_for_sights(text, sights):
    assert asked(text) == sights


def test_rows_of_pictures_have_unit_norm_whatever_is_seen():
    half = SightPictures({}, torch.float32)
    images = [plain((0, 0, 0)), plain((120, 90, 60)), picture("beach")]
    rows = half(VisionOutput(*[torch.empty(0)] * 5, {"sights": half.prepare(images)}))
    assert rows.shape == (3, DIMENSIONS)
    assert torch.allclose(rows.norm(dim=1), torch.ones(3))


def test_words_find_their_sight_and_nothing_is_found_by_none():
    pictures, texts = SightPictures({}, torch.float32), SightTexts({}, torch.float32)
    images = [picture("moon"), picture("hay_field"), picture("kitchen")]
    seen_rows = pictures(VisionOutput(*[torch.empty(0)] * 5, {"sights": pictures.prepare(images)}))
    queries = ["a black and white photo", "a clear sky", "a dog"]
    said_rows = texts(SentenceOutput(torch.empty(0), {"sights": texts.prepare(queries)}))
    likeness = said_rows @ seen_rows.T
    assert likeness[:2].argmax(1).tolist() == [0, 1]
    assert not likeness[2].any()
    assert likeness[:, 2].abs().max() < 0.1
