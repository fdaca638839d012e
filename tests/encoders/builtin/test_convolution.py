"""The fused convolution of oneDNN against PyTorch's own operators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imgsearch.encoders.builtin import convolution
from imgsearch.encoders.builtin.convolution import Convolution
from imgsearch.encoders.devices import multiplies_bf16

SIZES = ((9, 14), (8, 14), (14, 9), (1, 3))  # of one layer, for pictures of several shapes


@pytest.fixture
def uncached():
    """Lets a test decide again whether fused convolutions can be used."""
    convolution._agrees.cache_clear()
    yield
    convolution._agrees.cache_clear()


def made(dtype, *shape, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Convolution(*shape, **options).to(dtype).requires_grad_(False)
        pixels = [torch.randn(2, shape[0], *size, dtype=dtype) * 4 for size in SIZES]
    return layer, [x.contiguous(memory_format=torch.channels_last) for x in pixels]


@pytest.mark.parametrize(
    ("shape", "act"),
    [
        ((3, 32, 3, 2, 1), "relu6"),
        ((32, 32, 3, 1, 1, 32), "relu"),
        ((48, 48, 5, 2, 2, 48), "relu6"),
        ((96, 24, 1), ""),
        ((352, 1280, 1), "relu6"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_fused_and_plain_convolutions_agree_for_pictures_of_any_size(dtype, shape, act):
    layer, pixels = made(dtype, *shape, act=act)
    if not convolution.can_fuse(pixels[0]):
        pytest.skip("this PyTorch or processor has no fused convolution of that dtype")
    close = {"rtol": 2**-7, "atol": 0.02} if dtype == torch.bfloat16 else {}
    before = torch.get_num_threads()
    try:
        with torch.inference_mode():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for x in (*pixels, *pixels):
                    torch.testing.assert_close(layer(x), layer.plain(x), **close)
    finally:
        torch.set_num_threads(before)


def test_one_copy_of_the_weights_is_kept_for_sizes_of_one_layout():
    layer, pixels = made(torch.float32, 32, 32, 3, 1, 1, 32)
    with torch.inference_mode():
        for x in pixels:
            layer(x)
    assert len(layer._layouts) <= 1


def test_fused_convolutions_are_used_where_pytorch_has_them():
    """Else this machine would have measured the plain ones."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch was built without oneDNN")
    assert convolution._agrees(torch.float32)
    if multiplies_bf16(torch.device("cpu")):
        assert convolution._agrees(torch.bfloat16)
    assert not convolution._agrees(torch.float16)


def test_a_pytorch_without_the_internal_operators_computes_with_public_ones(monkeypatch, uncached):
    layer, (x, *_) = made(torch.float32, 16, 16, 3, 1, 1, act="relu6")
    expected = nn.functional.conv2d(x, layer.weight, layer.bias, padding=1).clamp(0, 6)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert torch.equal(layer(x), expected)
    assert not layer._layouts


def test_operators_that_compute_something_else_are_not_used(monkeypatch, uncached):
    layer, (x, *_) = made(torch.float32, 16, 16, 3, 1, 1, act="relu6")
    monkeypatch.setitem(convolution._FUSED, "relu6", ("relu", [], ""))
    assert not convolution.can_fuse(x)
    assert float(layer(x).max()) <= 6


def test_weights_that_change_their_dtype_or_are_cast_by_autocast_are_not_mixed_up():
    layer, (x, *_) = made(torch.float32, 16, 16, 3, 1, 1, act="relu6")
    with torch.inference_mode():
        expected = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        half = layer.to(torch.bfloat16)(x.to(torch.bfloat16))
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), expected, rtol=2**-7, atol=0.05)
