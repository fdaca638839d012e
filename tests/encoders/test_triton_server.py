"""A model served by the real Triton gives the vectors of the local one, to many clients."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc")
os.environ["HF_HUB_OFFLINE"] = "1"

from safetensors.numpy import load_file, save_file

from imgsearch.encoders import builtin, published_models, triton
from imgsearch.encoders.model_protocol import TEXT, served_name
from imgsearch.encoders.triton_server import ServedParts
from imgsearch.errors import EncoderError, ModelServerError
from imgsearch.model_card import EncoderOptions
from tests.conftest import ROOT, full_only, needs_server
from tests.encoders.kserve_peer import free_port
from tests.triton_server import TritonServer

GME = str(ROOT / "tests" / "golden" / "gme" / "model")
"""A tiny gme, which takes instructions."""
TEXTS = ["a dog on a beach", "", "Sonnenuntergang am Meer", "猫", "sunset " * 200]
SHAPES = [(64, 48), (40, 90), (300, 300), (1, 1), (20, 2000)]
random = np.random.default_rng(0)
PICTURES = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]
LOCAL = EncoderOptions(device="cpu", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def local():
    return published_models.load(GME, LOCAL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = TritonServer(tmp_path_factory.mktemp("triton"), GME, "--threads", "1")
    yield server
    assert server.stop() == 0


def far(server: TritonServer, transport: str = "grpc") -> triton.TritonEncoder:
    return triton.load(server.model, EncoderOptions(source=server.urls[transport]))


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_vectors_are_those_of_the_local_model(server, local, transport):
    encoder = far(server, transport)
    assert (encoder.space, encoder.input_size) == (local.space, local.input_size)
    assert encoder.card.query_instruction == local.card.query_instruction
    for instruction in (None, "Find a photo of this:"):
        np.testing.assert_allclose(
            encoder.encode_texts(TEXTS, instruction),
            local.encode_texts(TEXTS, instruction),
            atol=1e-5,
        )
    rows = encoder.encode_images(PICTURES)
    np.testing.assert_allclose(rows, local.encode_images(PICTURES), atol=1e-5)
    assert not np.allclose(encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS, "Other:"))


@needs_server
def test_clients_with_different_instructions_share_a_batch(server, local):
    encoder = far(server)
    asked = [None, "One:", "Another:", "One:"] * 6
    with ThreadPoolExecutor(len(asked)) as threads:
        found = list(threads.map(lambda each: encoder.encode_texts(["a dog"], each), asked))
    for instruction, rows in zip(asked, found, strict=True):
        np.testing.assert_allclose(rows, local.encode_texts(["a dog"], instruction), atol=1e-5)


@needs_server
def test_an_input_that_cannot_be_encoded_disturbs_no_other(server, local):
    encoder = far(server)
    with ThreadPoolExecutor(2) as threads:
        bad = threads.submit(encoder.encode_texts, ["a dog"], "long " * 40_000)
        good = threads.submit(encoder.encode_texts, ["a dog"])
        np.testing.assert_allclose(good.result(), local.encode_texts(["a dog"]), atol=1e-5)
        if bad.exception():
            assert isinstance(bad.exception(), EncoderError)
            assert not isinstance(bad.exception(), ModelServerError)


@needs_server
def test_another_model_and_a_port_in_use_are_refused(server, tmp_path):
    with pytest.raises(ModelServerError, match=r"unknown model|not found") as caught:
        triton.load("builtin", EncoderOptions(source=server.urls["grpc"]))
    assert "serve-model" in caught.value.hint
    from tests.cli.calls import process

    ports = ("--grpc-port", server.grpc_port, "--http-port", free_port())
    result = process("--library", tmp_path, "serve-model", "builtin", *ports)
    assert result.status == 1 and f"port {server.grpc_port}" in result.err
    assert "Traceback" not in result.err


@needs_server
def test_clients_cannot_load_models_of_their_own(server):
    """They could bring code: Triton's Python backend runs it."""
    import tritonclient.grpc as client
    from tritonclient.utils import InferenceServerException

    admin = client.InferenceServerClient(server.urls["grpc"].partition("://")[2])
    name = served_name(GME, TEXT)
    for call in (
        lambda: admin.load_model(name),
        lambda: admin.unload_model(name),
        lambda: admin.register_system_shared_memory("x", "/x", 8),
        admin.get_log_settings,
    ):
        with pytest.raises(InferenceServerException, match="protocol is restricted"):
            call()
    assert far(server).encode_texts(["a"]).shape == (1, far(server).space.dimension)


@needs_server
def test_the_health_check_of_the_image_reaches_the_server(server):
    text = (ROOT / "deploy" / "Dockerfile.model").read_text()
    code = re.search(r'HEALTHCHECK.*?"(import .*?)"]', text, re.DOTALL)[1]
    assert code.count(":8000/") == 1

    def status(port: int, model: str) -> int:
        probe = [sys.executable, "-c", code.replace(":8000/", f":{port}/")]
        environment = {**os.environ, "MODEL": model}
        return subprocess.run(probe, env=environment, capture_output=True, check=False).returncode

    assert status(server.http_port, server.model) == 0
    assert status(server.http_port, "builtin") != 0, "the server is ready, the model is not there"
    assert status(free_port(), server.model) != 0


@full_only
@pytest.mark.slow
def test_a_model_that_changed_while_the_server_was_away_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(GME, folder)
    server = TritonServer(tmp_path, str(folder))
    encoder = far(server)
    assert encoder.encode_texts(["a"]).shape == (1, encoder.space.dimension)
    server.stop(signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(ModelServerError, match=r"127\.0\.0\.1"):
        encoder.encode_texts(["a"])
    assert time.monotonic() - start < 5
    weights = next(folder.glob("*.safetensors"))
    tensors = load_file(weights)
    save_file({name: 1.5 * array for name, array in tensors.items()}, weights, {"format": "pt"})
    server.start()
    with pytest.raises(ModelServerError, match="no longer"):
        encoder.encode_texts(["a"])
    server.stop()


def test_one_bad_input_of_a_batch_gets_a_reason_in_place_of_a_vector():
    parts = ServedParts(builtin.load("builtin", LOCAL))
    good = np.zeros((32, 32, 3), np.uint8).tobytes()
    answer = parts.images([good, b"abc", good, good], [(32, 32), (1, 2), (-1, 5), (1 << 30, 9)])
    assert [bool(reason) for reason in answer["ERROR"][:, 0]] == [False, True, True, True]
    assert np.linalg.norm(answer["VECTOR"], axis=1) == pytest.approx([1, 0, 0, 0])
    assert answer["SPACE"].shape == (4, 1)


class Picky:
    """An encoder that fails on some texts, and counts its calls."""

    space, card, input_size = builtin.SPACE, builtin.CARD, builtin.INPUT_SIZE

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str | None]] = []

    def encode_texts(self, texts, instruction=None):
        self.calls.append((list(texts), instruction))
        if "bad" in texts:
            raise ValueError("a bad word")
        return np.stack([np.eye(800, dtype=np.float32)[len(text)] for text in texts])


def test_texts_of_a_batch_are_grouped_by_their_instruction():
    encoder = Picky()
    parts = ServedParts(encoder)
    answer = parts.texts([b"a", b"bb", b"ccc", b"dddd"], [b"x", b"", b"x", b""])
    assert encoder.calls == [(["a", "ccc"], "x"), (["bb", "dddd"], None)]
    assert answer["VECTOR"].argmax(axis=1).tolist() == [1, 2, 3, 4]
    answer = parts.texts([b"a", b"bad"], [b"", b""])
    assert answer["ERROR"][:, 0].tolist() == [b"", b"a bad word"]
    assert answer["VECTOR"][0].argmax() == 1
