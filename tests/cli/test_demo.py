"""The output of `make demo`, and the results of the demo queries."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import Place
from tests.conftest import PHOTOS, ROOT, full_only

QUERIES = [
    json.loads(line)
    for line in (ROOT / "data" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
]
BEST = {
    "a bird": {"kingfisher.webp", "scarlet_macaw.jpg", "owl.jpg", "brown_hens.jpg"},
    "a cup of espresso": {"coffee_cup.jpg"},
    "a polar bear in the snow": {"polar_bear.jpg"},
    "a mountain landscape": {
        "mountain_trail.jpg",
        "green_valley.jpg",
        "sunset_hills.jpg",
        "forest_stream.jpg",
    },
    "a cat": {"tabby_cat_face.jpg", "kitten_with_wool.jpg"},
}


@pytest.fixture(scope="module")
def ranks(demo: Place) -> dict[str, int]:
    """Query -> rank of the first relevant picture."""
    first = {}
    for query in QUERIES:
        paths = demo.call("search", "--all", query["query"], "-n", 1000, "--format", "json").paths
        names = ["photos/" + os.path.basename(path) for path in paths]
        first[query["query"]] = min(names.index(name) for name in query["relevant"]) + 1
    return first


def test_queries_find_their_pictures(ranks):
    """Measured with revision 4 of the built-in model: R@1 39/49 = .796, R@5 47/49 = .959.

    The other two are at rank 8 and 16: the Chinese temple, and the coins, which were tenth with
    revision 3.
    """
    values = list(ranks.values())
    assert sum(rank == 1 for rank in values) >= 0.6 * len(values)
    assert sum(rank <= 5 for rank in values) >= 0.93 * len(values)
    assert max(values) <= 16


def test_demo_queries_find_their_pictures_first(ranks):
    demo = {query["query"]: ranks[query["query"]] for query in QUERIES if query["kind"] == "demo"}
    assert demo
    assert set(demo.values()) == {1}


@full_only
def test_each_photo_finds_itself(demo: Place):
    for photo in sorted(PHOTOS.iterdir()):
        [hit] = demo.call("similar", photo, "-n", 1, "--format", "json").json
        assert hit["path"] == str(photo)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> str:
    """Output of the script, run in a copy of the folder to keep this one clean."""
    copy = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "data", copy / "data")
    command = copy / "imgsearch"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m imgsearch "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "IMGSEARCH": str(command), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [_root_of_imgsearch(), environment.get("PYTHONPATH", "")])
    )
    done = subprocess.run(
        ["sh", "data/demo.sh"],
        cwd=copy,
        env=environment,
        capture_output=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (copy / "build" / "demo-library" / "catalog.sqlite").exists()
    return done.stdout.decode()


def _root_of_imgsearch() -> str:
    import imgsearch

    return str(Path(imgsearch.__file__).resolve().parents[1])


@full_only
def test_the_script_shows_commands_and_ranked_hits(output):
    parts = re.split(r"^\$ ", output, flags=re.MULTILINE)[1:]
    commands = [part.splitlines()[0] for part in parts]
    assert sum(" search " in command for command in commands) >= 4
    assert sum(" similar " in command for command in commands) >= 1
    assert "44 added" in parts[0] or f"{len(list(PHOTOS.iterdir()))} added" in parts[0]
    assert commands[-2].endswith(" clusters") and " map " in commands[-1]
    for command, part in zip(commands[1:-2], parts[1:-2], strict=True):
        hits = re.findall(
            r"^ +(\d+) +(?:\d+%|name) +(-?\d\.\d{3})  data/photos/(\S+)  \(\d+x\d+\)", part, re.M
        )
        assert [int(rank) for rank, _, _ in hits] == list(range(1, len(hits) + 1)), command
        scores = [float(score) for _, score, _ in hits]
        assert scores == sorted(scores, reverse=True)
        query = re.search(r" search (.+) -n \d+$", command)
        if query:
            assert hits[0][2] in BEST[query[1]], command
        else:
            assert hits[0][1] == "1.000"
            assert hits[1][2] == "kitten_with_wool.jpg", "another cat"


@full_only
def test_the_script_suggests_further_commands(output):
    end = output[output.index("Try next") :]
    assert "imgsearch --library build/demo-library search " in end
    assert "index ~/Pictures" in end


@full_only
def test_the_script_lists_the_clusters(output):
    listed = output[output.index(" clusters\n") : output.index("\nThe columns are")]
    rows = re.findall(r"^ +(\d+) +(\d+)  (.{24}) .*?data/photos/(\S+)$", listed, re.M)
    broad = [int(count) for _, count, name, _ in rows if not name.startswith("  ")]
    outliers = int(re.search(r"- +(\d+)  outliers", listed)[1])
    assert sum(broad) + outliers == len(list(PHOTOS.iterdir())) and len(broad) >= 4
    names = {name.strip(): example for _, _, name, example in rows}
    assert names["mountain"] in {"mountain_trail.jpg", "green_valley.jpg"}
