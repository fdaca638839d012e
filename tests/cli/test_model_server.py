"""The command line with a model on a server: the same commands, and what happens if it is away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc")

from tests.cli.calls import Place, blocking, call, picture, process
from tests.encoders.kserve_peer import MODEL, SPACE, running

COUNT = 40
LIMIT_SECONDS = 5.0


@pytest.fixture(params=["grpc", "http"])
def server(request, tmp_path, monkeypatch):
    """A server, named in the configuration file."""
    (tmp_path / "peer").mkdir()
    with running(tmp_path / "peer") as peer:
        config = tmp_path / "config.toml"
        config.write_text(f'[models]\n{MODEL} = "{peer.urls[request.param]}?timeout=2"\n')
        monkeypatch.setenv("IMGSEARCH_CONFIG", str(config))
        yield peer


@pytest.fixture
def place(tmp_path) -> Place:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(COUNT):
        picture(photos / f"{number}.jpg", number)
    return Place(photos, tmp_path / "library")


def index(place: Place):
    return place.call(
        "index", place.photos, "--model", MODEL, "--workers", 1, "--batch-size", 4, "--json", "-q"
    )


def failure(result, reason: str) -> None:
    """It ended with a sentence that names the server, and a hint."""
    assert result.status == 1
    assert "triton" in result.err and "127.0.0.1" in result.err and reason in result.err
    assert "serve-model" in result.err or "timeout=" in result.err or "again" in result.err
    assert "Traceback" not in result.err


def test_a_run_ends_without_loss_when_the_server_dies_and_goes_on_later(server, place):
    server.become("dies later")
    failure(index(place), "cannot be used")
    done = place.call("status", "--json").json["images"]
    assert 0 < done < COUNT
    assert place.call("skipped", "--json").json == []
    start = time.monotonic()
    failure(index(place), "running")
    assert time.monotonic() - start < LIMIT_SECONDS
    server.become("well")
    server.start()
    report = index(place)
    assert report.status == 0, report.err
    assert report.json["added"] == COUNT - done
    assert place.call("status", "--json").json["images"] == COUNT
    again = index(place)
    assert (again.status, again.json["added"]) == (0, 0)
    found = place.call("search", "anything", "--model", MODEL, "--format", "json", "-n", 3)
    assert len(found.json) == 3, found.err


def test_searches_and_doctor_name_a_server_that_is_away_or_has_changed(server, place):
    assert index(place).status == 0
    healthy = place.call("doctor").text
    assert f"serves {SPACE}" in healthy and "model server" in healthy
    server.become("another space")
    failure(place.call("search", "anything"), "no longer")
    server.become("another model")
    failure(place.call("search", "anything"), "in place of builtin")
    checks = place.call("doctor", "--json")
    assert checks.status == 1
    (check,) = [each for each in checks.json if each["name"] == "model server"]
    assert check["verdict"] == "wrong" and "serve-model" in check["mend"]
    server.kill()
    start = time.monotonic()
    failure(place.call("search", "anything"), "cannot be used")
    assert time.monotonic() - start < LIMIT_SECONDS
    server.start()


def test_a_model_that_fails_on_every_picture_ends_the_run(server, place):
    """The model fails on each picture of a batch: none was encoded before, so it is the model."""
    server.become("a bad picture")
    result = index(place)
    assert result.status == 1 and "too odd" in result.err


def test_a_model_on_a_server_needs_no_download(server, place):
    result = place.call("models", "download", MODEL)
    assert result.status == 1 and "needs no download" in result.err and "triton" in result.err


def test_a_password_in_a_url_is_shown_nowhere(tmp_path, monkeypatch):
    config: Path = tmp_path / "config.toml"
    config.write_text('[models]\ngme-qwen2-vl-2b = "triton://me:hidden@127.0.0.1:1?timeout=1"\n')
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(config))
    for words in (("models",), ("models", "download", "gme-qwen2-vl-2b"), ("doctor",)):
        result = call("--library", tmp_path / "library", *words)
        assert "hidden" not in result.text + result.err


def test_a_model_may_be_named_by_its_hub_id(tmp_path, monkeypatch):
    config: Path = tmp_path / "config.toml"
    hub = "Alibaba-NLP/gme-Qwen2-VL-2B-Instruct"
    config.write_text(f'[models]\n"{hub}" = "triton://127.0.0.1:1"\n')
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(config))
    result = call("--library", tmp_path / "library", "models", "download", "gme-qwen2-vl-2b")
    assert result.status == 1 and "runs on triton://127.0.0.1:1" in result.err


def test_without_the_extra_its_command_is_shown(tmp_path, monkeypatch):
    config: Path = tmp_path / "config.toml"
    config.write_text('[models]\nbuiltin = "triton://127.0.0.1:1"\n')
    picture(tmp_path / "photos" / "a.jpg", 1)
    library = ("--library", tmp_path / "library")
    env = {"IMGSEARCH_CONFIG": str(config)}
    index = (*library, "index", tmp_path / "photos", "--model", "builtin")
    result = process(*index, prelude=blocking("tritonclient"), env=env)
    assert result.status == 1 and "pip install '.[triton]'" in result.err
    result = process(*library, "models", prelude=blocking("tritonclient"), env=env)
    assert result.status == 0, result.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('builtin = "tritn://host"', "there is no model server called tritn"),
        ('builtin = "triton://me:hidden@host"', "the URL of the model server is not valid"),
        ('bultin = "somewhere"', "unknown model: bultin"),
    ],
)
def test_a_line_of_the_settings_that_is_wrong_is_named(tmp_path, monkeypatch, line, reason):
    config: Path = tmp_path / "config.toml"
    config.write_text(f"[models]\n{line}\n")
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(config))
    picture(tmp_path / "photos" / "a.jpg", 1)
    result = call(
        "--library", tmp_path / "library", "index", tmp_path / "photos", "--model", "builtin"
    )
    assert result.status == 1 and reason in result.err and "hidden" not in result.err
