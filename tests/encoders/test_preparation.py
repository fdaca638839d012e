"""The steps from a picture to a network's input: those of the stock processors, in the decoder."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from imgsearch.encoders import generic
from imgsearch.encoders.gme.resize import SquareSteps, VisualTokens, resize
from imgsearch.encoders.preparation import fixed_size
from imgsearch.model_card import EncoderOptions, InputSize
from imgsearch.records import ImageFile
from imgsearch.sources.decode import decode_bytes, decode_file
from imgsearch.sources.decoders import DecodeSettings
from tests import tiny_models
from tests.hostile_files import saved

SIZES = [(64, 48), (48, 64), (32, 32), (33, 517), (1280, 721), (1, 1), (31, 32), (400, 13)]
SQUARE = {"height": 48, "width": 48}
PROCESSORS = {
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size=SQUARE),
    "lanczos": CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size=SQUARE, resample=1),
    "siglip": SiglipImageProcessorPil(size=SQUARE),
    "oblong": SiglipImageProcessorPil(size={"height": 40, "width": 56}),
    "bilinear": ViTImageProcessorPil(size=SQUARE),
}
OTHERS = {
    "crops less than it resizes to": CLIPImageProcessorPil(size={"shortest_edge": 64}),
    "is not cropped": CLIPImageProcessorPil(size={"shortest_edge": 48}, do_center_crop=False),
    "is not resized": CLIPImageProcessorPil(do_resize=False),
    "is padded": SiglipImageProcessorPil(size=SQUARE, do_pad=True),
    "crops after squashing": SiglipImageProcessorPil(
        size={"height": 64, "width": 64}, do_center_crop=True, crop_size=SQUARE
    ),
}
GME = [VisualTokens.up_to(maximum) for maximum in (0, 256, 512, 1600)]


def noise(width: int, height: int) -> np.ndarray:
    random = np.random.default_rng(width * 10_000 + height)
    small = random.integers(0, 256, (max(1, height // 3), max(1, width // 3), 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_the_stock_processor(name, size):
    processor = PROCESSORS[name]
    steps = fixed_size(processor)
    picture = Image.fromarray(noise(*size))
    stock = processor(images=[picture], return_tensors="np", do_rescale=False, do_normalize=False)
    found = steps.apply(picture)
    assert found.size == steps.final_size(*size)
    assert np.array_equal(np.asarray(found).transpose(2, 0, 1), stock["pixel_values"][0])
    assert steps.apply(found) is found


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_device_scales_pixels_as_the_stock_processor_does(name):
    pixels = np.stack([noise(48, 48), noise(49, 48)[:, :48]])
    stock = PROCESSORS[name](images=list(pixels), return_tensors="pt", do_resize=False)
    found = generic.PixelScale.of(PROCESSORS[name])(torch.from_numpy(pixels))
    assert found.dtype == torch.float32 and found.is_contiguous()
    torch.testing.assert_close(found, stock["pixel_values"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_other_steps_are_left_to_the_processor(name):
    assert fixed_size(OTHERS[name]) is None


@pytest.fixture(scope="module", params=["clip", "siglip"])
def encoder(request, tmp_path_factory):
    make = getattr(tiny_models, f"make_{request.param}")
    folder = str(make(tmp_path_factory.mktemp("models") / request.param))
    return generic.load(folder, EncoderOptions(device="cpu", precision="fp32", threads=1))


def test_vectors_are_those_of_sentence_transformers(encoder):
    pictures = [noise(*size) for size in SIZES if max(size) <= 32 * min(size)]
    stock = encoder.model.encode([Image.fromarray(each) for each in pictures])
    stock /= np.linalg.norm(stock, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_images(pictures), stock, atol=1e-6)


def test_no_image_processor_runs_in_this_process(encoder, monkeypatch):
    before = encoder.encode_images([noise(64, 48)])

    def refuse(*args, **kwargs):
        raise AssertionError("the picture was prepared again")

    monkeypatch.setattr(type(generic.image_processor(encoder.model)), "__call__", refuse)
    settings = DecodeSettings(encoder.input_size)
    pixels, _ = decode_bytes(saved(Image.fromarray(noise(64, 48)), "PNG"), settings)
    assert pixels.shape == (32, 32, 3)
    assert encoder.encode_images([noise(64, 48)]) == pytest.approx(before, abs=1e-6)
    assert encoder._prepared(pixels) is pixels


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_decoder_applies_the_steps_to_the_upright_picture(encoder, form, orientation, tmp_path):
    """Also to long pictures, which are cropped to their middle before."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for size in ((300, 200), (90, 400), (2000, 20)):
        path = tmp_path / f"{size}.{form}"
        Image.fromarray(noise(*size)).save(path, form, exif=exif, **LOSSLESS.get(form, {}))
        file = ImageFile(str(tmp_path), path.name, 0, 0)
        size_alone = InputSize(short=encoder.input_size.short)
        upright = decode_file(file, DecodeSettings(size_alone))
        prepared = decode_file(file, DecodeSettings(encoder.input_size))
        expected = encoder.input_size.preparation.apply(Image.fromarray(upright.pixels))
        assert np.array_equal(prepared.pixels, np.asarray(expected))
        assert (prepared.metadata, prepared.content_hash) == (
            upright.metadata,
            upright.content_hash,
        )


LOSSLESS = {"WEBP": {"lossless": True}}


@pytest.mark.parametrize("tokens", GME, ids=str)
@pytest.mark.parametrize("size", [(640, 480), (333, 517), (20, 20), (1, 900), (900, 620)])
def test_gme_takes_both_resizes_of_a_picture_in_a_file(tokens, size):
    picture = noise(*size)
    steps = SquareSteps(tokens)
    settings = DecodeSettings(InputSize(preparation=steps))
    pixels, metadata = decode_bytes(saved(Image.fromarray(picture), "PNG"), settings)
    assert (metadata.width, metadata.height) == size
    assert pixels.shape[1::-1] == steps.final_size(*size)
    if all(each < 2 * final for each, final in zip(size, steps.final_size(*size), strict=True)):
        assert np.array_equal(pixels, resize(picture, tokens))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_gme_takes_one_resize_of_a_much_larger_picture(form):
    """The size is that of both resizes, and the pixels are close to theirs."""
    tokens = VisualTokens(4, 64)
    picture = noise(1600, 1100)
    data = saved(Image.fromarray(picture), form)
    settings = DecodeSettings(InputSize(preparation=SquareSteps(tokens)))
    pixels, metadata = decode_bytes(data, settings)
    both = resize(decode_bytes(data, DecodeSettings())[0], tokens)
    assert pixels.shape == both.shape
    assert (metadata.width, metadata.height) == (1600, 1100)
    assert np.abs(pixels.astype(int) - both).mean() < 3


@pytest.mark.parametrize("tokens", GME, ids=str)
def test_gme_prepares_a_prepared_picture_only_once(tokens):
    steps = SquareSteps(tokens)
    sides = sorted({*range(1, 200, 7), *range(200, 2000, 83), 28, 56, 4000, 6000, 12_000})
    for width in sides:
        for height in (each for each in sides if width / 100 <= each <= width * 100):
            final = steps.final_size(width, height)
            assert steps.final_size(*final) == final
            assert steps.decoded_size(height, width) == steps.decoded_size(width, height)[::-1]
