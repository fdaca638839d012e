"""Helpers to call imgsearch, and folders of small pictures for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import GPS

from imgsearch.cli import boundary
from tests.crash.process import PLUGIN, environment


@dataclass(frozen=True)
class Outcome:
    """The output and exit status of a call."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return os.fsdecode(self.out)

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def paths(self) -> list[str]:
        """The paths in the output of a search with --format json."""
        return [hit["path"] for hit in self.json]


def call(*arguments: object) -> Outcome:
    """Run a command in this process, like the console script."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(s, write_through=True) for s in (out, err))
    try:
        boundary.run([str(each) for each in arguments])
    except SystemExit as error:
        status = error.code
    finally:
        sys.stdout.flush()
        texts = out.getvalue(), os.fsdecode(err.getvalue())
        sys.stdout, sys.stderr = before
    assert isinstance(status, int)
    return Outcome(status, *texts)


def start(*arguments: object, prelude: str = "", **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a separate process.

    `prelude` is Python code that runs before imgsearch is imported; if it defines `at_end()`, that
    function is called before the process exits.
    """
    program = (
        f"import sys\n{prelude}\n"
        "from imgsearch.cli.boundary import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "finally:\n    globals().get('at_end', int)()\n"
    )
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings.pop("env", {})}
    command = [sys.executable, "-c", program, *(str(each) for each in arguments)]
    return subprocess.Popen(command, env=environment, **settings)


def process(*arguments: object, **options: Any) -> Outcome:
    """Run a command in a separate process."""
    child = start(*arguments, **options)
    out, err = child.communicate(timeout=300)
    return Outcome(child.returncode, out or b"", os.fsdecode(err or b""))


NO_TORCH = """
def at_end():
    heavy = {"torch", "transformers", "sentence_transformers"} & set(sys.modules)
    print("loaded", sorted(heavy), file=sys.stderr)
"""
"""Prelude: the last line on stderr is "loaded []" if no model library was imported."""


def blocking(module: str) -> str:
    """Prelude: importing `module` fails as if it were not installed."""
    return f"""
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Block())
"""


def picture(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    """A small picture of coloured blocks, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def position_tags(latitude: float, longitude: float) -> dict[int, Any]:
    """The tags of EXIF's GPS directory for a position in degrees."""
    return {
        GPS.GPSLatitudeRef: "N" if latitude >= 0 else "S",
        GPS.GPSLatitude: (abs(latitude), 0.0, 0.0),
        GPS.GPSLongitudeRef: "E" if longitude >= 0 else "W",
        GPS.GPSLongitude: (abs(longitude), 0.0, 0.0),
    }


def dangle(path: Path) -> None:
    """Replace a file by a link that leads nowhere: it is listed, and cannot be read."""
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


@dataclass(frozen=True)
class Place:
    """A folder of pictures and its library."""

    photos: Path
    library: Path

    def call(self, *arguments: object) -> Outcome:
        return call("--library", self.library, *arguments)

    def index(self, *arguments: object, status: int = 0) -> dict[str, Any]:
        """Index `photos`, or the given arguments; return the JSON report."""
        outcome = self.call("index", *(arguments or (self.photos,)), "--json", "-q")
        assert outcome.status == status, outcome.err
        report: dict[str, Any] = outcome.json
        return report

    def listed(self) -> list[str]:
        """Paths, relative to `photos`, of all pictures that a search can find."""
        options = ("--all", "-n", "1000", "--format", "json")
        outcome = self.call("similar", self.photos / "a.jpg", *options)
        assert outcome.status == 0, outcome.err
        return sorted(os.path.relpath(path, self.photos) for path in outcome.paths)


def eight_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Pictures that are not yet indexed, and the model "cheap" for processes, too."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    for number, name in enumerate("abcdefgh"):
        picture(folder / "photos" / f"{name}.jpg", number)
    return Place(folder / "photos", folder / "library")
