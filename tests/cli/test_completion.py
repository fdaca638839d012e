"""What a shell completes with the tab key: click's protocol in a process, and bash itself."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.cli.reference import commands
from tests.cli.calls import Place, call, picture

METAVARS = (
    "DIR", "EXPR", "FILE", "FILE.png", "FILE.svg", "FORMAT", "IMAGE", "KIND", "MODEL|RUN", "PATH",
    "QUERIES...", "SHAPE", "WHAT", "[PATH]...", "[WORD]...",
)  # fmt: skip
"""Of parameters whose values are paths, names or a list."""


def completed(monkeypatch, *words: str) -> list[tuple[str, str]]:
    """Kind and value of each completion of the last word of a command line."""
    monkeypatch.setenv("_IMGSEARCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", shlex.join(["imgsearch", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    outcome = call()
    assert not outcome.err
    return [tuple(line.split(",", 1)) for line in outcome.text.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sea"], ["search"]),
        (["search", "--mode", "s"], ["semantic"]),
        (["search", "--format", "paths"], ["paths", "paths0"]),
        (["search", "--color", "a"], ["auto", "always"]),
        (["search", "--type", "JP"], ["jp2", "jpeg", "jpeg2000", "jpg"]),
        (["search", "--orientation", "p"], ["portrait"]),
        (["similar", "a.jpg", "--has", "g"], ["gps"]),
        (["search", "--where", "wi"], ["width"]),
        (["search", "--where", "width > 40 and not hei"], ["width > 40 and not height"]),
        (["search", "--where", "(wid"], ["(width"]),
        (["search", "--model", "sig"], ["siglip2-base", "siglip2-base-32", "siglip2-so400m"]),
        (["models", "download", "gme"], ["gme-qwen2-vl-2b", "gme-qwen2-vl-7b"]),
        (["eval", "q.jsonl", "--compare", "bui"], ["builtin"]),
        (["index", "--index", "i"], ["ivf"]),
        (["index", "--device", "c"], ["cpu", "cuda"]),
        (["models", "download", "nothing-like-it"], []),
    ],
)
def test_values(monkeypatch, words, expected):
    assert completed(monkeypatch, *words) == [("plain", each) for each in expected]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["index", "Pic"], "dir"),
        (["--library", "Pic"], "dir"),
        (["search", "--copy-to", "Pic"], "dir"),
        (["search", "--model", "./Pic"], "dir"),
        (["search", "--like", "Pic"], "file"),
        (["similar", "Pic"], "file"),
        (["search", "--in", "Pic"], "file"),
    ],
)
def test_paths_are_completed_by_the_shell(monkeypatch, words, kind):
    assert completed(monkeypatch, *words) == [(kind, words[-1])]


@pytest.fixture
def two_roots(tmp_path: Path) -> Place:
    """A library of two folders, one of them with a name that needs quotes."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    for folder in (place.photos, tmp_path / "two words"):
        picture(folder / "a.png", len(folder.name))
    place.index(place.photos, tmp_path / "two words")
    return place


def test_folders_of_the_library(monkeypatch, two_roots: Place):
    library, photos = str(two_roots.library), str(two_roots.photos)
    for words in (
        ["--library", library, "roots", "--forget", ""],
        ["roots", "--library", library, "--forget", photos[:-2]],
        ["search", "--library", library, "--in", "/"],
    ):
        assert completed(monkeypatch, *words) == [("plain", photos)]


def test_a_missing_or_damaged_library_completes_nothing(monkeypatch, tmp_path):
    assert completed(monkeypatch, "--library", str(tmp_path), "roots", "--forget", "") == []
    (tmp_path / "catalog.sqlite").write_bytes(b"no catalog" * 1000)
    assert completed(monkeypatch, "--library", str(tmp_path), "roots", "--forget", "") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="without bash")
def test_bash_completes(tmp_path):
    """The script that the docs name, as bash runs it."""
    program = tmp_path / "imgsearch"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m imgsearch "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(_IMGSEARCH_COMPLETE=bash_source imgsearch)"\n'
        "COMP_WORDS=(imgsearch search --type hei)\nCOMP_CWORD=3\n"
        "_imgsearch_completion imgsearch\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["heic", "heif"], done.stderr


def test_every_option_with_known_values_completes(monkeypatch, two_roots: Place):
    monkeypatch.setenv("IMGSEARCH_LIBRARY", str(two_roots.library))
    missing = [
        f"{name} {parameter.opts[0]}"
        for name, command, context in commands()
        for parameter in command.params
        if parameter.name != "root_path"  # a path of addresses, not of files
        if parameter.metavar in METAVARS or parameter.name == "model"
        if not parameter.shell_complete(context, "")
    ]
    assert missing == []
