"""Tests that need a separate process: signals, pipes, imports, missing packages."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from imgsearch import __version__
from tests.cli.calls import NO_TORCH, Place, blocking, picture, process, start
from tests.conftest import PHOTOS, full_only


def test_commands_that_need_no_model_load_none(demo: Place):
    """An unchanged library is scanned again, and indexed pictures compared, without torch."""
    for arguments in (
        ("index", PHOTOS, "-q"),
        ("index", "--dry-run", "-q"),
        ("similar", PHOTOS / "koala.jpg", "--not", PHOTOS / "owl.jpg", "--format", "paths0"),
        ("skipped",),
    ):
        outcome = process("--library", demo.library, *arguments, prelude=NO_TORCH)
        assert (outcome.status, outcome.err) == (0, "loaded []\n"), arguments


def test_python_m(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "--version"], stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode() == f"imgsearch, version {__version__}\n"


def test_a_reader_that_closes_the_pipe(tmp_path):
    """Like `imgsearch skipped | head -1`, with more output than fits in a pipe."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    for number in range(600):
        (place.photos / ("x" * 200)).mkdir(parents=True, exist_ok=True)
        (place.photos / ("x" * 200) / f"{number}.svg").write_text("<svg/>")
    place.index()
    read, write = os.pipe()
    running = start("--library", place.library, "skipped", stdout=write)
    os.close(write)
    assert os.read(read, 100)
    os.close(read)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, b"")


@full_only
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout(demo: Place):
    with open("/dev/full", "wb") as full:
        outcome = process("--library", demo.library, "similar", PHOTOS / "owl.jpg", stdout=full)
    assert outcome.status == 1
    assert outcome.err.startswith("imgsearch: ")
    assert "No space left on device" in outcome.err
    assert "Traceback" not in outcome.err


@full_only
def test_names_that_are_not_utf8_keep_their_bytes_in_any_locale(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    name = os.fsdecode(b"caf\xe9 \xe5\x86\x99.jpg")
    picture(tmp_path / "a.jpg", 1).rename(picture(place.photos / "b.jpg", 2).parent / name)
    place.index()
    for locale in ("C", "C.UTF-8", "POSIX"):
        outcome = process(
            "--library", place.library, "similar", place.photos / name, "--format", "paths0",
            env={"LC_ALL": locale},
        )  # fmt: skip
        assert outcome.status == 0, outcome.err
        assert os.fsencode(place.photos / name) == outcome.out.split(b"\0")[0]


@full_only
def test_without_faiss_an_error_names_the_command(demo: Place, tmp_path):
    picture(tmp_path / "photos" / "a.jpg", 1)
    for arguments in (
        ("--library", tmp_path / "new", "index", tmp_path / "photos"),
        ("--library", demo.library, "similar", PHOTOS / "owl.jpg"),
    ):
        outcome = process(*arguments, prelude=blocking("faiss") + NO_TORCH)
        assert outcome.status == 1
        assert outcome.err.startswith("imgsearch: FAISS cannot be loaded: No module named 'faiss'")
        assert "pip install '.[cpu]'" in outcome.err
        assert outcome.err.endswith("loaded []\n"), "the error comes before heavy imports"
    assert not (tmp_path / "new").exists()


@full_only
def test_doctor_without_faiss(demo: Place):
    outcome = process("--library", demo.library, "doctor", prelude=blocking("faiss"))
    assert outcome.status == 1
    assert "wrong FAISS" in outcome.text
    assert "-> In your clone of imgsearch, run: pip install '.[cpu]'" in outcome.text
    assert "ok    catalog" in outcome.text


@full_only
def test_doctor_without_torch(demo: Place):
    outcome = process("--library", demo.library, "doctor", "--json", prelude=blocking("torch"))
    assert outcome.status == 1
    wrong = {check["name"]: check for check in outcome.json if check["verdict"] == "wrong"}
    assert "torch" in wrong
    assert "pip install" in wrong["torch"]["mend"]


def committed(place: Place) -> int:
    try:
        with sqlite3.connect(f"file:{place.library}/catalog.sqlite?mode=ro", uri=True) as catalog:
            return catalog.execute("SELECT count(*) FROM embeddings").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@full_only
def test_an_interrupted_run_keeps_its_work(tmp_path, number):
    """The signal goes to the whole group, like Ctrl-C in a terminal."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    total = 150
    for seed in range(total):
        picture(place.photos / f"{seed}.jpg", seed, (320, 240))
    running = start(
        "--library", place.library, "index", place.photos, "--batch-size", 2, "--workers", 1,
        "--json", start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while committed(place) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    report = json.loads(out)
    assert report["interrupted"] is True
    assert 2 <= report["added"] < total
    assert report["added"] == committed(place)
    assert report["waiting"] == report["scanned"] - report["added"] == total - report["added"]
    assert b"finished work is kept" in err
    assert b"Traceback" not in err
    status = place.call("status", "--json").json
    assert (status["images"], status["last_run"]["outcome"]) == (report["added"], "interrupted")
    assert place.call("similar", place.photos / "0.jpg").status == 0
    if number == signal.SIGINT:
        again = place.index()
        assert again["unchanged"] == report["added"]
        assert again["added"] == total - report["added"]
        assert place.call("doctor").status == 0
