"""A model behind a KServe v2 server, and what a client does about a server at fault.

The server here is a small one that can be at fault; `test_triton_server.py` has the real one.
"""

from __future__ import annotations

import os
import re
import signal
import time

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc")

from imgsearch.encoders import triton
from imgsearch.encoders.triton_connection import parse
from imgsearch.errors import EncoderError, ModelServerError
from imgsearch.model_card import EncoderOptions
from tests.conftest import full_only
from tests.encoders.kserve_peer import MODEL, SPACE, running, vector

LIMIT_SECONDS = 5.0
BROKEN = ("wrong shape", "too few", "not numbers", "not unit", "no vectors", "half a tensor")
BROKEN += ("half a text", "half an answer")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("peer")) as peer:
        yield peer


@pytest.fixture(params=["grpc", "http"])
def transport(request, server):
    server.become("well")
    return request.param


@pytest.fixture
def url(server, transport):
    return server.urls[transport]


def load(url: str, name: str = MODEL, **options: object) -> triton.TritonEncoder:
    return triton.load(name, EncoderOptions(source=url, **options))


def refusal(work, kind: type[EncoderError] = ModelServerError) -> EncoderError:
    """The error of `work`, which comes in time, names the address and has a hint."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        work()
    assert time.monotonic() - start < LIMIT_SECONDS
    assert "triton" in str(caught.value) and "127.0.0.1" in str(caught.value)
    assert caught.value.hint or kind is EncoderError
    return caught.value


def test_texts_and_pictures_arrive_in_order(url):
    encoder = load(url)
    assert encoder.space == SPACE
    texts = [f"text {number}" for number in range(100)]
    assert np.array_equal(
        encoder.encode_texts(texts), np.stack([vector(each.encode()) for each in texts])
    )
    images = [np.full((64, 64, 3), number, np.uint8) for number in range(70)]
    expected = np.stack([vector(each.tobytes()) for each in images])
    assert np.array_equal(encoder.encode_images(images), expected)
    seen = [place for places, _ in encoder.encode_in_batches(images) for place in places]
    assert seen == list(range(70))
    assert encoder.encode_texts([]).shape == encoder.encode_images([]).shape == (0, 8)
    assert triton.revision(MODEL, url) == SPACE.revision


def test_requests_stay_below_the_limit_of_grpc():
    sizes = [3_000_000, 2_000_000, 1_000_000, 5_000_000, 10, 10]
    parts = triton._parts(sizes, 32)
    assert [list(part) for part in parts] == [[0], [1, 2], [3], [4, 5]]
    assert triton._parts([1] * 5, 2) == [range(0, 2), range(2, 4), range(4, 5)]
    assert triton.MAX_REQUEST_BYTES < 4 << 20


@pytest.mark.parametrize("mode", BROKEN)
def test_an_answer_that_is_not_valid_is_refused(server, url, mode):
    encoder = load(url)
    server.become(mode)
    for encode in (
        lambda: encoder.encode_texts(["a", "b"]),
        lambda: encoder.encode_images([np.zeros((64, 64, 3), np.uint8)] * 2),
    ):
        assert re.search(r"not valid|middle of an answer", str(refusal(encode)))


@pytest.mark.parametrize("mode", ["not JSON", "a drip"])
def test_an_http_answer_that_never_becomes_valid_is_refused(server, mode):
    server.become("well")
    encoder = load(server.urls["http"] + "?timeout=1")
    server.become(mode)
    refusal(lambda: encoder.encode_texts(["a"]))


@pytest.mark.parametrize("mode", ["no card", "half an answer"])
def test_a_description_that_is_not_valid_is_refused(server, url, mode):
    server.become(mode)
    refusal(lambda: load(url))


def test_another_model_is_refused(server, url):
    server.become("another model")
    error = refusal(lambda: load(url))
    assert "serves somebody-else in place of builtin" in str(error)
    assert "serve-model builtin" in error.hint


def test_other_options_of_the_space_are_refused(url):
    error = refusal(lambda: load(url, dimension=4), EncoderError)
    assert "vectors of 4 numbers" in str(error)


def test_another_space_after_a_restart_is_refused(server, url):
    encoder = load(url)
    encoder.encode_texts(["a"])
    server.kill()
    refusal(lambda: encoder.encode_texts(["a"]))
    server.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            assert np.array_equal(encoder.encode_texts(["a"])[0], vector(b"a"))
            break
        except ModelServerError:
            time.sleep(0.1)
    server.become("another space")
    assert "no longer" in str(refusal(lambda: encoder.encode_texts(["a"])))


def test_a_server_that_is_down_is_named(url, server):
    server.kill()
    try:
        assert "running" in refusal(lambda: load(url)).hint
        refusal(lambda: triton.revision(MODEL, url))
    finally:
        server.start()


@pytest.mark.parametrize("options", ["?timeout=1", pytest.param("", marks=full_only)])
@pytest.mark.parametrize("input_", ["card", "texts", "pictures"])
def test_a_server_that_hangs_is_given_up(server, url, input_, options):
    """As a process that is stopped: connections are accepted, and nothing is answered."""
    url += options
    encoder = load(url)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        if input_ == "card":
            refusal(lambda: load(url))
        elif input_ == "texts":
            refusal(lambda: encoder.encode_texts(["a"]))
        else:
            refusal(lambda: encoder.encode_images([np.zeros((64, 64, 3), np.uint8)]))
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_texts_that_are_not_answered_in_time_are_given_up(server, url):
    encoder = load(url + "?timeout=1")
    server.become("hung model")
    assert "?timeout=" in refusal(lambda: encoder.encode_texts(["a"])).hint


def test_a_model_that_fails_is_no_fault_of_the_server(server, url):
    """So the pool divides the batch, and skips the picture that is at fault."""
    encoder = load(url)
    for mode, reason in (("fails", "out of order"), ("a bad picture", "too odd")):
        server.become(mode)
        error = refusal(lambda: encoder.encode_texts(["a"]), EncoderError)
        assert reason in str(error) and not isinstance(error, ModelServerError)


@pytest.mark.parametrize(
    "url",
    [
        "triton://",
        "triton://me:word@host:8001",
        "triton://me@host",
        "triton://host:99999",
        "triton://host/path",
        "triton://host?timeout=0",
        "triton://host?timeout=nan",
        "triton://host?secure=perhaps",
        "triton://host?token=abc",
    ],
)
def test_a_url_that_is_not_valid_is_refused_without_its_secrets(url):
    with pytest.raises(ModelServerError, match="not valid") as caught:
        parse(url)
    assert "word" not in f"{caught.value} {caught.value.hint}"


def test_a_token_comes_from_the_environment_and_does_not_travel_in_the_clear(monkeypatch):
    assert parse("triton://[::1]").netloc == "[::1]:8001"
    assert parse("triton+http://host?secure=true").secure
    monkeypatch.setenv("TRITON_TOKEN", "secret-word")
    assert parse("triton://localhost:1").headers == {"authorization": "Bearer secret-word"}
    assert parse("triton://host?secure=true").headers
    with pytest.raises(ModelServerError, match="without encryption") as caught:
        parse("triton://host:8001")
    assert "secret-word" not in f"{caught.value} {caught.value.hint} {parse('triton://[::1]').text}"
