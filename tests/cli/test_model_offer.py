"""imgsearch models recommend, and its offer at the first index on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import constants

from imgsearch.cli import boundary
from imgsearch.encoders import presets
from tests import tiny_models
from tests.cli.calls import Place, call
from tests.conftest import ROOT, full_only
from tests.tiny_hub import Repository, serve

TIMEOUT_SECONDS = 120
QUESTION = b"instead of builtin? [y/N]"


@pytest.fixture(autouse=True)
def _offered_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, an empty cache of models, and a network that may be used."""
    monkeypatch.setenv("IMGSEARCH_DEVICE", "cpu")
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def recommended() -> str:
    """The model that this machine gets for a few pictures."""
    model: str = call("models", "recommend", "--device", "cpu", "--format", "json").json["model"]
    if model == "builtin":
        pytest.skip("this machine has too little memory for another model")
    return model


@pytest.fixture
def repository(recommended: str, tmp_path: Path) -> Repository:
    """The published weights of that model: a tiny one of its kind."""
    return Repository(presets.hub_id(recommended), tiny_models.make_siglip(tmp_path / "siglip"))


def on_terminal(answer: bytes, *arguments: object) -> tuple[int, bytes]:
    """Exit status and output of a call whose streams are a terminal, on which this was typed."""
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    output: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(ours, output))
    reader.start()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(os.dup(theirs), mode, 0), write_through=True)
        for mode in ("rb", "wb", "wb")
    )
    try:
        boundary.run([str(each) for each in arguments])
    except SystemExit as error:
        status = error.code
    finally:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
        sys.stdin, sys.stdout, sys.stderr = before
        os.close(theirs)
        reader.join()
        os.close(ours)
    assert isinstance(status, int)
    return status, b"".join(output)


def _read_all(terminal: int, output: list[bytes]) -> None:
    with suppress(OSError):  # the other side is closed
        while chunk := os.read(terminal, 1 << 16):
            output.append(chunk)


def process_on_terminal(
    answer: bytes, *arguments: object, command: Sequence[str] = (sys.executable, "-m", "imgsearch")
) -> tuple[int, bytes]:
    """The same for a process of its own, which reads its environment and uses the network."""
    ours, theirs = pty.openpty()
    command = [*command, *map(str, arguments)]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer)
    output: list[bytes] = []
    _read_all(ours, output)
    os.close(ours)
    return child.wait(TIMEOUT_SECONDS), b"".join(output)


def models_of(place: Place) -> list[str]:
    return [space["model"] for space in place.call("status", "--json").json["spaces"]]


def test_the_recommendation_is_one_line_and_the_reason():
    text = call("models", "recommend", "--languages", "de", "--pictures", "1")
    found = call("models", "recommend", "--languages", "de", "--pictures", "1", "--format", "json")
    values = found.json
    assert text.text == f"{values['model']} {values['reason']}.\n"
    assert values["languages"] == ["de"] and values["pictures"] == 1
    assert values["hardware"]["gpu"] == ""
    assert values["here"] is (values["model"] == "builtin")


def test_the_size_is_that_of_the_library(place):
    place.index()
    found = place.call("models", "recommend", "--format", "json").json
    assert found["pictures"] == 4
    large = place.call("models", "recommend", "--pictures", 10**7, "--format", "json").json
    assert large["model"] in ("builtin", "siglip2-base-32")


def test_the_next_step_is_named(recommended, place, tmp_path, monkeypatch):
    absent = place.call("models", "recommend")
    assert f"imgsearch models download {recommended}\n" in absent.err
    folder = tiny_models.make_siglip(tmp_path / "siglip")
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text(f'[models]\n{recommended} = "{folder}"\n')
    assert f"imgsearch models try {recommended}\n" in place.call("models", "recommend").err
    place.index(place.photos, "--model", recommended)
    assert place.call("models", "recommend").err == "This library uses it.\n"
    assert place.call("models", "recommend", "-q").err == ""


@pytest.mark.parametrize("codes", ["german", "en,,de", "", "en;de"])
def test_codes_that_are_none_are_refused(codes):
    refused = call("models", "recommend", "--languages", codes)
    assert refused.status == 2
    assert "codes such as en,de,pt-BR" in refused.err


@full_only
@pytest.mark.slow
def test_a_yes_downloads_the_model_and_the_library_uses_it(
    recommended, repository, place, monkeypatch
):
    with serve(repository) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        status, output = process_on_terminal(
            b"y\n", "--library", place.library, "index", place.photos
        )
    assert status == 0, output
    assert f"Recommended for you: {recommended}, which ".encode() in output
    assert QUESTION in output and b"4 added" in output
    assert models_of(place) == [recommended]


def test_a_no_leaves_the_builtin_model_and_nothing_is_asked_again(repository, place, tmp_path):
    status, output = on_terminal(b"\n", "--library", place.library, "index", place.photos)
    assert status == 0 and QUESTION in output
    assert b"imgsearch models recommend" in output
    assert models_of(place) == ["builtin"] and not repository.requests
    for library in (place.library, tmp_path / "another"):
        status, output = on_terminal(b"y\n", "--library", library, "index", place.photos)
        assert status == 0 and QUESTION not in output


@full_only
@pytest.mark.slow
def test_a_failed_download_leaves_the_builtin_model_and_says_so(recommended, place):
    status, output = process_on_terminal(b"y\n", "--library", place.library, "index", place.photos)
    assert status == 0
    text = b" ".join(output.split())
    assert f"{recommended} could not be fetched from http://127.0.0.1:9".encode() in text
    assert b"Continuing with builtin." in text and b"4 added" in text
    assert models_of(place) == ["builtin"]


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["-q"], {}),
        (["--json"], {}),
        (["--dry-run"], {}),
        ([], {"IMGSEARCH_MODEL": "builtin"}),
    ],
)
def test_these_are_not_asked(options, environment, place, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    arguments = ("--library", place.library, "index", place.photos, *options)
    status, output = on_terminal(b"y\n", *arguments)
    assert status == 0 and b"[y/N]" not in output


@full_only
def test_offline_only_a_model_that_is_here_is_offered(place, recommended, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    index = ("--library", place.library, "index", place.photos)
    status, output = on_terminal(b"y\n", *index)
    assert status == 0 and b"[y/N]" not in output
    assert models_of(place) == ["builtin"]
    folder = tiny_models.make_siglip(tmp_path / "siglip")
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text(f'[models]\n{recommended} = "{folder}"\n')
    another = Place(place.photos, tmp_path / "another")
    status, output = on_terminal(b"y\n", "--library", another.library, "index", place.photos)
    assert status == 0 and b"Use it instead of builtin? [y/N]" in output
    assert models_of(another) == [recommended]


def test_without_a_terminal_nothing_is_asked(place, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = place.call("index", place.photos)
    assert done.status == 0 and "instead of" not in done.err + done.text


def test_a_folder_that_cannot_be_indexed_is_reported_first(place, tmp_path):
    status, output = on_terminal(b"y\n", "--library", place.library, "index", tmp_path / "nowhere")
    assert status == 1 and b"[y/N]" not in output
    status, output = on_terminal(b"\n", "--library", place.library, "index", place.photos)
    assert status == 0 and QUESTION in output, "the offer is still open"


def test_the_demo_asks_nothing(tmp_path):
    program = tmp_path / "imgsearch"
    program.write_text("#!/bin/sh\nif [ -t 0 ]; then echo could-ask; else echo silent; fi\n")
    program.chmod(0o755)
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data" / "demo.sh", tmp_path / "data")
    status, output = process_on_terminal(
        b"", command=["env", f"IMGSEARCH={program}", "sh", str(tmp_path / "data" / "demo.sh")]
    )
    assert status == 0 and b"silent" in output and b"could-ask" not in output


def test_json_is_one_object():
    assert json.loads(call("models", "recommend", "--format", "json").text)
