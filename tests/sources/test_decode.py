"""Decoding one file to one RGB picture."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgsearch.errors import QueryError
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources import heif, raw
from imgsearch.sources.decode import decode_bytes, decode_file, decode_path
from imgsearch.sources.decoders import DecodeSettings, decoder_signature, decoders
from imgsearch.sources.guarded_files import Unusable
from tests.conftest import full_only
from tests.hostile_files import (
    INDEX,
    contents,
    dng,
    heic_without_rotation_box,
    oriented,
    saved,
    scene,
)
from tests.sources.test_containers import psd

FULL = DecodeSettings()
FILES = contents()
UPRIGHT = np.asarray(scene())


def pixels(data: bytes, settings: DecodeSettings = FULL, name: str = "") -> np.ndarray:
    return decode_bytes(data, settings, name)[0]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def reason(data: bytes, settings: DecodeSettings = FULL) -> str:
    with pytest.raises(Unusable) as caught:
        decode_bytes(data, settings)
    return caught.value.reason


@pytest.mark.parametrize("name", [name for name, (verdict, _) in FILES.items() if verdict == INDEX])
def test_a_good_file_becomes_rgb(name):
    result = pixels(FILES[name][1])
    assert result.dtype == np.uint8 and result.flags.c_contiguous
    assert result.ndim == 3 and result.shape[2] == 3


@pytest.mark.parametrize(
    "name, words",
    [
        ("empty.jpg", "the file is empty"),
        ("text.jpg", "not a picture: it is a text file"),
        ("page.jpeg", "not a picture: it is a web page"),
        ("document.jpg", "not a picture: it is a PDF document"),
        ("zeros.jpg", "not a picture: it contains only zeros"),
        ("noise.jpg", "not a picture: its content is of an unknown kind"),
        ("postscript.jpg", "PostScript"),
        ("drawing.svg", "SVG"),
        ("new.jxl", "JPEG XL"),
        ("header_only.jpg", "the JPEG file is damaged or cut off"),
        ("half.jpg", "the JPEG file is cut off: its end is missing"),
        ("eighth.png", "the PNG file is cut off: its end is missing"),
        ("half.heic", "the HEIC file is"),
        ("half.avif", "the AVIF file is"),
        ("bomb.png", "too many pixels: 1600 megapixels, the limit is 250 megapixels"),
        ("claims_65000x65000.jpg", "too many pixels: 4225 megapixels"),
        ("twelve_bit.jpg", "12-bit JPEG is not supported"),
    ],
)
def test_a_bad_file_yields_a_reason_in_words(name, words):
    assert words in reason(FILES[name][1])


def test_reasons_contain_no_object_addresses():
    for _, data in FILES.values():
        try:
            decode_bytes(data, FULL)
        except Unusable as error:
            assert "0x" not in error.reason and "<" not in error.reason


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(format, orientation):
    result, metadata = decode_bytes(oriented(orientation, format), FULL)
    assert difference(result, UPRIGHT) < 6
    assert (metadata.width, metadata.height, metadata.orientation) == (160, 100, orientation)


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_and_scaling_combine(format, orientation):
    small = DecodeSettings(InputSize(short=50))
    result, metadata = decode_bytes(oriented(orientation, format), small)
    assert difference(result, np.asarray(scene().resize((80, 50), Image.Resampling.BICUBIC))) < 8
    assert (metadata.width, metadata.height) == (160, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_with_only_an_exif_orientation_is_rotated_once(orientation):
    data = heic_without_rotation_box(orientation)
    assert not heif.states_turn(data)
    result, metadata = decode_bytes(data, FULL)
    assert difference(result, UPRIGHT) < 6
    assert (metadata.width, metadata.height, metadata.orientation) == (160, 100, orientation)


def test_a_heic_that_states_its_rotation_is_not_rotated_again():
    assert heif.states_turn(oriented(6, "HEIF"))


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_broken_container_counts_as_stating_its_rotation(cut):
    whole = heic_without_rotation_box(6)
    assert heif.states_turn(whole[:cut]) in (True, False)
    assert heif.states_turn(whole[:cut] + bytes(40) + whole[cut:]) in (True, False)


def test_an_invalid_orientation_is_ignored():
    result, metadata = decode_bytes(FILES["orientation_42.jpg"][1], FULL)
    assert difference(result, UPRIGHT) < 6 and metadata.orientation == 1


@pytest.mark.parametrize("name", ["animated.gif", "animated.png", "animated.webp", "pages.tiff"])
def test_the_first_frame_is_used(name):
    assert difference(pixels(FILES[name][1]), UPRIGHT) < 12


@pytest.mark.parametrize("name", ["grey16.png", "grey12in16.tif", "float.tif", "int32.tif"])
def test_a_gradient_of_any_depth_stays_a_gradient(name):
    row = pixels(FILES[name][1])[50, :, 0].astype(int)
    assert row[0] <= 2 and row[-1] >= 253
    assert np.abs(row - np.linspace(0, 255, 160)).max() < 3


def test_the_depth_of_a_file_full_of_nan():
    nothing = np.full((20, 30), np.nan, np.float32)
    assert not pixels(saved(Image.fromarray(nothing), "TIFF")).any()


@pytest.mark.parametrize("name", ["cmyk.jpg", "cmyk.tif"])
def test_cmyk_is_not_inverted(name):
    assert difference(pixels(FILES[name][1]), UPRIGHT) < 8


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_on_white_and_hidden_colours_do_not_bleed(format):
    hidden = np.zeros((100, 100, 4), np.uint8)
    hidden[:, :50] = (255, 0, 0, 0)  # invisible red
    hidden[:, 50:] = (0, 0, 255, 255)
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    data = saved(Image.fromarray(hidden), format, **options)
    result = pixels(data, DecodeSettings(InputSize(short=25)))
    assert (result[:, :10] == 255).all()
    assert (result[:, -10:] == (0, 0, 255)).all()
    assert (result[:, :, 2] > 250).all()  # no red fringe replaces the blue


def test_a_transparent_palette_and_colour_key_become_white():
    key = saved(Image.new("RGB", (9, 9), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    paper = Image.new("RGB", (9, 9), (1, 2, 3)).quantize(4)
    palette = saved(paper, "PNG", transparency=paper.getpixel((0, 0)))
    assert (pixels(key) == 255).all() and (pixels(palette) == 255).all()


def test_a_profile_of_another_space_is_converted_to_srgb():
    lab = ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(
        scene(), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    assert difference(pixels(saved(picture, "TIFF")), UPRIGHT) < 4


@pytest.mark.parametrize("profile", [b"", b"rubbish", bytes(200)])
def test_a_broken_profile_is_ignored(profile):
    assert difference(pixels(saved(scene(), "PNG", icc_profile=profile)), UPRIGHT) == 0


@pytest.mark.parametrize(
    "size, short, long, expected",
    [
        ((4000, 3000), 260, None, (347, 260)),
        ((3000, 4000), 260, None, (260, 347)),
        ((4000, 3000), None, 448, (448, 336)),
        ((300, 200), 260, None, (300, 200)),
        ((20000, 1), None, 448, (448, 1)),
        ((20000, 1), 260, None, (20000, 1)),
        ((5, 20000), None, 100, (1, 100)),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_scaling_goes_exactly_as_far_as_the_model_allows(size, short, long, expected, format):
    data = saved(Image.new("RGB", size, (9, 99, 199)), format)
    result, metadata = decode_bytes(data, DecodeSettings(InputSize(short, long)))
    assert result.shape[1::-1] == expected
    assert (metadata.width, metadata.height) == size
    assert np.abs(result.astype(int) - (9, 99, 199)).max() < 4


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1200, 800), (300, 200)), ((800, 1200), (200, 300)), ((300, 100), (300, 100))],
)
def test_a_model_may_limit_the_area_of_any_shape(size, expected):
    data = saved(Image.new("RGB", size), "JPEG")
    result = pixels(data, DecodeSettings(InputSize(area=60_000)))
    assert result.shape[1::-1] == expected


def test_decoding_is_deterministic_and_restores_the_limit_of_pillow():
    before = Image.MAX_IMAGE_PIXELS
    data = saved(scene(1600, 1000), "JPEG")
    small = DecodeSettings(InputSize(short=64))
    assert (pixels(data, small) == pixels(data, small)).all()
    assert before == Image.MAX_IMAGE_PIXELS


@full_only
def test_pictures_above_the_default_limit_of_pillow_give_no_warning(recwarn):
    data = saved(Image.new("1", (13500, 13500)), "PNG")  # 182 megapixels
    assert pixels(data, DecodeSettings(InputSize(short=32))).shape == (32, 32, 3)
    assert not recwarn.list


def test_the_pixel_limit_is_exact():
    data = saved(Image.new("L", (100, 50)), "PNG")
    assert pixels(data, DecodeSettings(max_pixels=5000)).shape == (50, 100, 3)
    assert "too many pixels" in reason(data, DecodeSettings(max_pixels=4999))


def test_a_large_picture_hidden_in_an_icon_is_refused():
    inner = saved(Image.new("RGB", (600, 600)), "PNG")
    entry = (
        b"\x10\x10\0\0\1\0\x20\0" + len(inner).to_bytes(4, "little") + (22).to_bytes(4, "little")
    )
    icon = b"\0\0\1\0\1\0" + entry + inner
    assert "too many pixels" in reason(icon, DecodeSettings(max_pixels=1000))


def test_the_result_describes_the_file_that_was_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES["plain.jpg"][1])
    os.utime(path, ns=(5, 7_000_000_001))
    result = decode_file(ImageFile(str(tmp_path), "a.jpg", 1, 2), FULL)
    assert isinstance(result, Decoded)
    assert (result.file.size, result.file.mtime_ns) == (path.stat().st_size, 7_000_000_001)
    assert len(result.content_hash) == 32


@pytest.mark.parametrize(
    "name, words, transient",
    [
        ("missing.jpg", "is not there any more", True),
        ("pipe.jpg", "not a regular file", False),
        ("folder.jpg", "a folder, not a file", False),
        ("nul\0.jpg", "the path is not valid", False),
        ("big.jpg", "the file is too large", False),
    ],
)
def test_an_unreadable_file_yields_a_value(tmp_path, name, words, transient):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "big.jpg").write_bytes(bytes(2 << 20))
    settings = DecodeSettings(max_bytes=1 << 20)
    result = decode_file(ImageFile(str(tmp_path), name, 0, 0), settings)
    assert isinstance(result, Skipped)
    assert words in result.reason and result.transient is transient


def test_a_query_picture_is_decoded(tmp_path):
    path = tmp_path / "q.png"
    path.write_bytes(FILES["plain.png"][1])
    assert difference(decode_path(str(path), FULL).pixels, UPRIGHT) == 0


@pytest.mark.parametrize(
    "name, words",
    [("no.jpg", "no such file"), (".", "a folder"), ("text.jpg", "it is a text")],
)
def test_a_query_file_that_is_not_a_picture_yields_a_reason(tmp_path, name, words):
    (tmp_path / "text.jpg").write_bytes(b"hello hello\n")
    with pytest.raises(QueryError, match=words) as caught:
        decode_path(str(tmp_path / name), FULL)
    assert caught.value.hint


def test_raw_is_recognised_by_content_unless_it_looks_like_tiff():
    assert raw.is_raw(dng(), "a.DNG") and not raw.is_raw(dng(), "a.tif")
    assert raw.is_raw(b"FUJIFILMCCD-RAW 0201", "a.jpg")
    assert not raw.is_raw(FILES["plain.jpg"][1], "a.dng")


def test_raw_is_developed_and_rotated():
    pytest.importorskip("rawpy", reason="the raw extra is not installed")
    result, metadata = decode_bytes(dng(), FULL, "a.dng")
    assert (metadata.width, metadata.height, metadata.format) == (48, 64, "RAW")
    assert (metadata.orientation, metadata.camera_make) == (6, "Maker")
    assert result.shape[0] > result.shape[1]
    # The sensor brightens downwards; rotated clockwise, the picture brightens to the left.
    assert result[:, :10].mean() > result[:, -10:].mean() + 20


def test_broken_raw_is_skipped():
    pytest.importorskip("rawpy", reason="the raw extra is not installed")
    for data in (dng()[:300], b"FUJIFILMCCD-RAW 0201" + bytes(500)):
        with pytest.raises(Unusable):
            decode_bytes(data, FULL, "a.dng")


def test_raw_without_the_extra_is_a_transient_failure(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(Unusable, match="raw extra") as caught:
        decode_bytes(dng(), FULL, "a.dng")
    assert caught.value.transient


def test_the_signature_names_decoders_and_limits():
    signature = decoder_signature(DecodeSettings(max_pixels=12_000_000))
    assert "pillow " in signature and "rawpy " in signature and "limit 12 MP" in signature
    assert {decoder.name for decoder in decoders()} >= {"pillow", "pillow-heif", "rawpy"}


def test_random_damage_raises_nothing_but_unusable():
    rng = np.random.default_rng(7)
    for name in ("plain.jpg", "plain.png", "plain.tiff", "plain.webp", "plain.gif", "plain.bmp"):
        for _ in range(12):
            data = bytearray(FILES[name][1])
            for at in rng.integers(0, len(data), 12):
                data[at] = rng.integers(256)
            try:
                decode_bytes(bytes(data), DecodeSettings(max_pixels=10**7))
            except Unusable as error:
                assert error.reason


@pytest.mark.parametrize("depth", [16, 32])
def test_a_deep_photoshop_file_is_a_kind_without_support(depth):
    with pytest.raises(Unusable, match=f"a {depth}-bit Photoshop file is not supported"):
        decode_bytes(psd(depth=depth), DecodeSettings())
    with pytest.raises(Unusable, match="damaged or cut off"):
        decode_bytes(psd(depth=depth)[:22], DecodeSettings())
