"""How a model is run: precision by what the device is made for, batches by what memory there is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

os.environ["HF_HUB_OFFLINE"] = "1"

from imgsearch.encoders import generic, memory
from imgsearch.encoders.devices import autocasting, choose_dtype, choose_weights_dtype
from imgsearch.encoders.generic import SentenceEncoder
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace
from tests import tiny_models
from tests.conftest import full_only

CPU = torch.device("cpu")
WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.make_clip(tmp_path_factory.mktemp("made") / "clip"))


class SmallDevice(torch.nn.Module):
    """A last layer that takes a limited number of inputs, and fails as a GPU would."""

    def __init__(self, most):
        super().__init__()
        self.most = most
        self.seen = []

    def forward(self, features):
        count = len(features["sentence_embedding"])
        self.seen.append(count)
        if count > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return features


def with_layer(folder, layer, batch_size=8, alike=True):
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.append(layer)
    space = EmbeddingSpace("tiny", "1", "", tiny_models.DIMENSION)
    size = InputSize(short=32) if alike else InputSize(long=2048)
    card = ModelCard("tiny", "")
    return SentenceEncoder(model, space, card, size, batch_size, alike=alike)


def pictures(count, sides=(40, 60)):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*sides, 3), dtype=np.uint8) for _ in range(count)]


class TestPrecision:
    def test_auto_is_bf16_where_the_processor_has_instructions_for_it(self):
        cpuinfo = Path("/proc/cpuinfo")
        if not cpuinfo.exists():
            pytest.skip("this system does not list what its processor can do")
        flags = set(cpuinfo.read_text().split())
        made_for_it = bool(flags & {"avx512_bf16", "amx_bf16"})
        expected = torch.bfloat16 if made_for_it else torch.float32
        assert choose_dtype("auto", CPU) is expected

    @pytest.mark.parametrize(
        ("amx", "avx512", "dtype"),
        [
            (False, False, torch.float32),
            (True, False, torch.bfloat16),
            (False, True, torch.bfloat16),
        ],
    )
    def test_auto_on_processors(self, monkeypatch, amx, avx512, dtype):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
        assert choose_dtype("auto", CPU) is dtype

    def test_a_pytorch_that_does_not_tell_computes_in_fp32(self, monkeypatch):
        monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
        monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
        assert choose_dtype("auto", CPU) is torch.float32

    @pytest.mark.parametrize(
        ("capability", "dtype"),
        [
            ((7, 5), torch.float16),
            ((8, 0), torch.bfloat16),
            ((8, 9), torch.bfloat16),
            ((10, 0), torch.bfloat16),
        ],
    )
    def test_auto_and_autocast_on_gpus(self, monkeypatch, capability, dtype):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        gpu = torch.device("cuda", 0)
        assert choose_dtype("auto", gpu) is dtype
        assert choose_weights_dtype("autocast", gpu) == (torch.float32, dtype)

    def test_auto_on_other_devices_is_fp32(self):
        assert choose_dtype("auto", torch.device("mps")) is torch.float32

    def test_named_precisions(self):
        assert choose_weights_dtype("fp16", CPU) == (torch.float16, None)
        assert choose_weights_dtype("autocast", CPU) == (torch.float32, torch.bfloat16)
        for name in ("fp64", ""):
            with pytest.raises(EncoderError, match="unknown precision"):
                choose_weights_dtype(name, CPU)

    def test_autocasting_changes_products_and_nothing_else(self):
        square = torch.ones(4, 4)
        with autocasting(CPU, torch.bfloat16):
            assert (square @ square).dtype is torch.bfloat16
        with autocasting(CPU, None):
            assert (square @ square).dtype is torch.float32

    def test_autocast_keeps_the_weights_and_is_not_fp32(self, folder):
        exact = generic.load(folder, EncoderOptions(device="cpu", precision="fp32"))
        cast = generic.load(folder, EncoderOptions(device="cpu", precision="autocast"))
        assert {each.dtype for each in cast._model.parameters()} == {torch.float32}
        assert not np.array_equal(cast.encode_images(pictures(2)), exact.encode_images(pictures(2)))


class TestTooLittleMemory:
    @pytest.mark.parametrize("most", [1, 3, 8])
    def test_batches_are_halved_and_nothing_is_lost(self, folder, most):
        whole, small = with_layer(folder, SmallDevice(99)), SmallDevice(most)
        encoder = with_layer(folder, small)
        images, words = pictures(21), [f"a dog {'and a cat ' * (n % 5)}" for n in range(21)]
        assert np.allclose(encoder.encode_images(images), whole.encode_images(images), atol=1e-5)
        assert encoder.batch_size <= most
        del small.seen[:]
        assert np.allclose(encoder.encode_texts(words), whole.encode_texts(words), atol=1e-5)
        assert max(small.seen) <= most, "what did not fit was not remembered"

    def test_batches_side_by_side_that_do_not_fit_are_computed_in_turn(self, folder, two_threads):
        class Crowded(torch.nn.Module):
            """Fails while two compute at a time."""

            meeting = threading.Barrier(2)

            def forward(self, features):
                if threading.current_thread() is not threading.main_thread():
                    self.meeting.wait(WAIT_SECONDS)
                    raise MemoryError
                self.meeting.abort()
                return features

        options = EncoderOptions(device="cpu", precision="fp32")
        encoder, whole = (generic.load(folder, options) for _ in range(2))
        encoder.model.append(Crowded())
        images = pictures(21)
        assert np.allclose(encoder.encode_images(images), whole.encode_images(images), atol=1e-5)
        assert encoder.batch_size == whole.batch_size

    def test_a_single_input_that_does_not_fit(self, folder):
        encoder = with_layer(folder, SmallDevice(0))
        with pytest.raises(EncoderError, match="too little memory") as caught:
            encoder.encode_images(pictures(5))
        assert caught.value.hint

    def test_what_was_done_before_is_handed_out(self, folder):
        """The first batch holds the largest pictures; a later one fails for good."""

        class Fails(SmallDevice):
            def forward(self, features):
                self.most = 0 if len(self.seen) else 4
                return super().forward(features)

        batches = with_layer(folder, Fails(4), batch_size=4).encode_in_batches(pictures(9))
        places, rows = next(batches)
        assert len(places) == len(rows) == 4
        with pytest.raises(EncoderError, match="too little memory"):
            next(batches)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (torch.OutOfMemoryError("on a GPU"), True),
            (MemoryError(), True),
            (np._core._exceptions._ArrayMemoryError((9,), np.dtype("f4")), True),
            (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
            (RuntimeError("shapes do not match"), False),
            (KeyError("input_ids"), False),
        ],
    )
    def test_which_errors_say_so(self, error, expected):
        assert memory.is_out_of_memory(error) is expected
        try:
            try:
                raise error
            except Exception:
                raise ValueError("activate padding, maybe")  # noqa: B904 - as transformers does
        except ValueError as outer:
            assert memory.is_out_of_memory(outer) is expected

    def test_other_failures_are_not_taken_for_it(self, folder):
        class Broken(torch.nn.Module):
            def forward(self, features):
                raise RuntimeError("shapes do not match")

        with pytest.raises(RuntimeError, match="shapes"):
            with_layer(folder, Broken()).encode_texts(["a", "b"])

    @full_only
    @pytest.mark.skipif(sys.platform != "linux", reason="no other kernel bounds address space")
    def test_where_memory_really_runs_out(self, folder):
        """The process may grow by less than a batch takes."""
        command = [sys.executable, "-c", LITTLE_ROOM, folder]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
            "PYTHONPATH": str(Path(generic.__file__).parents[2]),
        }
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        before, after, cosine = run.stdout.split()
        assert int(after) < int(before)
        assert float(cosine) > 0.9999


LITTLE_ROOM = """
import resource, sys
import numpy as np, psutil
from imgsearch.encoders import generic
from imgsearch.model_card import EncoderOptions

BATCH = 1024
options = EncoderOptions(device="cpu", precision="fp32", threads=1, batch_size=BATCH)
encoder = generic.load(sys.argv[1], options)
texts = [f"{n} dogs on a red beach by the blue sea at sunset" for n in range(BATCH)]
encoder.batch_size = 64
expected = encoder.encode_texts(texts)
encoder.batch_size = BATCH
room = psutil.Process().memory_info().vms + (16 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
found = encoder.encode_texts(texts)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(BATCH, encoder.batch_size, (found * expected).sum(1).min())
"""


class TestBatches:
    def test_pictures_of_one_size_fill_batches_whatever_they_were(self, folder):
        layer = SmallDevice(99)
        encoder = with_layer(folder, layer)
        assert encoder.window == 8
        encoder.encode_images(pictures(6, (20, 300)) + pictures(10))
        assert layer.seen == [8, 8]

    def test_pictures_of_their_own_sizes_meet_their_like(self, folder):
        layer = SmallDevice(99)
        encoder = with_layer(folder, layer, alike=False)
        assert encoder.window > 8
        mixed = [each for n in range(6) for each in (*pictures(1, (20, 30)), *pictures(1))]
        batches = [places for places, _ in encoder.encode_in_batches(mixed)]
        assert sorted(map(sorted, batches)) == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]

    def test_long_texts_go_together(self, folder):
        layer = SmallDevice(99)
        words = ["dog " * (1 + n % 3) for n in range(9)]
        with_layer(folder, layer, batch_size=3).encode_texts(words)
        assert layer.seen == [3, 3, 3]

    def test_the_batch_fits_into_what_is_free(self, monkeypatch):
        free = SimpleNamespace(available=4 << 30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
        assert memory.fitting_batch(CPU, 1 << 20) == memory.MAX_CPU_BATCH
        assert memory.fitting_batch(CPU, 128 << 20) == 8
        assert memory.fitting_batch(CPU, 64 << 30) == 1

    def test_the_batch_fits_into_what_is_free_on_a_gpu(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 << 30, 8 << 30))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5 << 30)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4 << 30)
        gpu = torch.device("cuda", 0)
        assert memory.fitting_batch(gpu, 128 << 20) == 16
        assert memory.fitting_batch(gpu, 1 << 20) == memory.MAX_GPU_BATCH

    def test_larger_pictures_take_more(self):
        config = SimpleNamespace(
            vision_config=SimpleNamespace(hidden_size=768, intermediate_size=3072, patch_size=32)
        )
        small, large = (memory.image_bytes(config, side, 4) for side in (224, 448))
        assert 3 < large / small < 4.2
        assert memory.image_bytes(config, 224, 2) < small
        assert memory.image_bytes(None, 224, 4) > 0


@full_only
def test_memory_used_is_that_of_this_process():
    used = memory.memory_used()
    resident = psutil.Process().memory_info().rss
    assert 0.5 * resident < used["resident_peak"] < 64 * resident
    block = np.ones(used["resident_peak"] // 8 + (32 << 20) // 8)
    assert memory.memory_used()["resident_peak"] >= used["resident_peak"] + (16 << 20)
    del block
    if not torch.cuda.is_available():
        assert used["device_allocated"] is None and used["device_peak"] is None


def test_a_picture_may_be_a_line(folder):
    """One row of pixels, as wide as a page: it is cropped before it takes gigabytes."""
    encoder = generic.load(folder, EncoderOptions(device="cpu"))
    line = np.asarray(Image.new("RGB", (20000, 1)))
    assert encoder.encode_images([line]).shape == (1, tiny_models.DIMENSION)
