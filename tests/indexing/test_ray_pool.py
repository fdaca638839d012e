"""Encoding on a Ray cluster: the same library as from this machine, whatever happens to nodes."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.catalog import open_catalog
from imgsearch.catalog.sqlite_file import FILE
from tests.cli.calls import process
from tests.conftest import needs_server
from tests.crash.process import PLUGIN
from tests.encoders import kserve_peer
from tests.ray_cluster import ADDRESS, TRIAL, RayCluster

pytestmark = [pytest.mark.slow, needs_server]
INDEX = ("--model", "trial", "--json")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def node(cluster: RayCluster) -> int:
    """A node that is always there."""
    return cluster.add(TRIAL_FATAL="1", TRIAL_SECONDS="0.01")


def pictures(folder: Path, count: int, first: int = 0) -> Path:
    """A folder with pictures, one in a name that is not UTF-8, and a file that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(first)
    for number in range(first, first + count):
        pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 36)).save(folder / f"{number}.png")
    return folder


def indexed(library: Path) -> dict[str, np.ndarray]:
    """The vectors of a library by path; its ids are those of a first run."""
    with closing(open_catalog(str(library))) as catalog:
        ids = catalog.all_ids().tolist()
        assert sorted(ids) == list(range(1, len(ids) + 1))
        space = catalog.default_space()
        records = catalog.get(ids)
        return {each.file.path: catalog.vector(space, id) for id, each in records.items()}


def require_local_vectors(library: Path, photos: Path, folder: Path) -> None:
    """A library equals one that was encoded on this machine."""
    path = {"PYTHONPATH": f"{TRIAL}:{PLUGIN}"}
    report = process("--library", folder / "local", "index", photos, *INDEX, env=path)
    assert report.status == 0, report.err
    expected, actual = indexed(folder / "local"), indexed(library)
    assert expected.keys() == actual.keys()
    for name, vector in expected.items():
        np.testing.assert_allclose(actual[name], vector, atol=1e-5)


def count(library: Path) -> int:
    """Pictures in a library that is being made; opening it as usual could lock its maker out."""
    file = f"file:{library / FILE}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, uri=True)) as catalog:
        return int(catalog.execute("SELECT count(*) FROM images").fetchone()[0])
    return 0


def wait_for(library: Path, pictures: int, run: subprocess.Popen[bytes]) -> None:
    """Wait until a run has committed that many pictures."""
    deadline = time.monotonic() + 90
    while count(library) < pictures and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)


def test_a_node_that_is_killed_changes_nothing(cluster, node, tmp_path):
    photos, library = pictures(tmp_path / "photos", 600), tmp_path / "library"
    with open(bytes(photos) + b"/\xff.png", "wb") as file:
        file.write((photos / "7.png").read_bytes() + b"with other bytes behind it")
    (photos / "broken.png").write_bytes(b"not a picture")
    victim = cluster.add(TRIAL_SECONDS="0.01")
    run = cluster.start("--library", library, "index", photos, *INDEX, "-v", "--encoders", "ray")
    wait_for(library, 300, run)  # so both have pictures in hand
    cluster.kill(victim)
    report = cluster.end(run)
    assert report.status == 0, report.err
    assert report.json["skipped"] == 1 and report.json["added"] == 601, report.err
    assert "an actor has failed" in report.err and "602 pictures" not in report.err
    require_local_vectors(library, photos, tmp_path)
    again = cluster.call("--library", library, "index", *INDEX, "--encoders", ADDRESS)
    assert again.json["unchanged"] == 601 and again.json["images_per_second"] == 0, again.err


def test_a_picture_that_kills_its_process_is_skipped_alone(cluster, node, tmp_path):
    photos, library = pictures(tmp_path / "photos", 40), tmp_path / "library"
    Image.new("RGB", (48, 36), "red").save(photos / "fatal.png")
    report = cluster.call("--library", library, "index", photos, *INDEX, "--encoders", ADDRESS)
    assert report.status == 0, report.err
    assert (report.json["added"], report.json["skipped"]) == (40, 1), report.err
    skipped = cluster.call("--library", library, "skipped")
    assert "fatal.png" in skipped.text and "failed twice" in skipped.text


def test_a_node_without_the_folder_is_not_used_and_loses_no_picture(cluster, node, tmp_path):
    photos, library = pictures(tmp_path / "photos", 12), tmp_path / "library"
    first = cluster.call("--library", library, "index", photos, *INDEX)
    assert first.json["added"] == 12, first.err
    pictures(photos, 60, first=6)  # six of them are overwritten
    blind = cluster.add(hidden=str(photos))
    try:
        report = cluster.call("--library", library, "index", *INDEX, "--encoders", ADDRESS)
    finally:
        cluster.kill(blind)
    assert report.status == 0, report.err
    assert "is missing or different there" in report.err
    counts = {name: report.json[name] for name in ("added", "updated", "removed", "skipped")}
    assert counts == {"added": 54, "updated": 6, "removed": 0, "skipped": 0}, report.err
    require_local_vectors(library, photos, tmp_path)


def test_a_node_with_another_space_is_not_used(cluster, node, tmp_path):
    """There are enough pictures for both nodes to start before the end."""
    photos, library = pictures(tmp_path / "photos", 400), tmp_path / "library"
    other = cluster.add(TRIAL_REVISION="2")
    try:
        report = cluster.call("--library", library, "index", photos, *INDEX, "--encoders", "ray")
        doctor = cluster.call(
            "--library", library, "doctor", IMGSEARCH_MODEL="trial", IMGSEARCH_ENCODERS=ADDRESS
        )
    finally:
        cluster.kill(other)
    assert report.status == 0, report.err
    assert report.json["added"] == 400, report.err
    assert "has the revision 2; required 1" in report.err
    assert "has the revision 2; required 1" in doctor.text + doctor.err
    require_local_vectors(library, photos, tmp_path)


def test_a_cluster_that_cannot_encode_is_an_error_that_keeps_the_library(cluster, node, tmp_path):
    photos, library = pictures(tmp_path / "photos", 5), tmp_path / "library"
    report = cluster.call(
        "--library", library, "index", photos, *INDEX, "--encoders", ADDRESS + "?cpus=64"
    )
    assert report.status == 1 and "no machine of ray://127.0.0.1:10001" in report.err
    assert "Traceback" not in report.err
    assert cluster.call("--library", library, "index", photos, *INDEX).json["added"] == 5


def test_a_model_server_that_dies_ends_the_run_with_a_sentence(cluster, node, tmp_path):
    pytest.importorskip("tritonclient.grpc")
    photos, library = pictures(tmp_path / "photos", 60), tmp_path / "library"
    config = tmp_path / "config.toml"
    grpc, http = kserve_peer.free_port(), kserve_peer.free_port()
    url = f"triton+http://127.0.0.1:{http}"
    config.write_text(f'[models]\n{kserve_peer.MODEL} = "{url}"\n')
    index = ("--model", kserve_peer.MODEL, "--json", "--encoders", ADDRESS)
    (tmp_path / "mode").write_text("dies later")
    with cluster.program(kserve_peer.__name__, tmp_path / "mode", grpc, http):
        report = cluster.call(
            "--library", library, "index", photos, *index, IMGSEARCH_CONFIG=str(config)
        )
    assert report.status == 1 and "Traceback" not in report.err, report.err
    assert url in report.err and "no machine of" in report.err
    with closing(open_catalog(str(library))) as catalog:
        assert catalog.count() < 60 and catalog.skipped() == []


def test_a_head_that_dies_ends_the_run_and_keeps_what_is_committed(cluster, node, tmp_path):
    photos, library = pictures(tmp_path / "photos", 200), tmp_path / "library"
    short = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2"}
    with closing(RayCluster()) as dying:
        dying.add(TRIAL_SECONDS="0.05")
        index = ("--library", library, "index", photos, *INDEX, "--encoders", ADDRESS)
        run = dying.start(*index, **short)
        wait_for(library, 1, run)
        dying.kill_head()
        begun = time.monotonic()
        report = dying.end(run)
        assert time.monotonic() - begun < 60
    assert report.status == 1 and "Traceback" not in report.err, report.err
    assert f"the connection to {ADDRESS} is lost: " in report.err
    kept = count(library)
    assert 0 < kept < 200
    again = cluster.call("--library", library, "index", *INDEX, "--encoders", ADDRESS)
    assert again.status == 0, again.err
    assert (again.json["unchanged"], again.json["added"]) == (kept, 200 - kept), again.err
    require_local_vectors(library, photos, tmp_path)


def test_a_call_of_ray_without_an_answer_keeps_neither_the_run_nor_the_process(tmp_path):
    pytest.importorskip("ray")
    program = tmp_path / "silent.py"
    program.write_text(
        "import threading\n"
        "from imgsearch.indexing.ray_cluster import answer\n"
        "assert answer(lambda: 1) == 1\n"
        "try:\n"
        "    answer(threading.Event().wait, 0.1)\n"
        "except ConnectionError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "it does not answer within 0.1 s\n"), done.stderr


def test_a_cluster_that_is_down_or_silent_is_an_error_within_seconds():
    pytest.importorskip("ray")
    from imgsearch.errors import EncoderError
    from imgsearch.indexing.ray_pool import Place, connect

    with socket.socket() as silent:  # it accepts a connection, and answers nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port, max_seconds in ((9, 1.0), (silent.getsockname()[1], 5.0)):
            begun = time.monotonic()
            with pytest.raises(EncoderError, match=rf"ray://127.0.0.1:{port} cannot be used") as e:
                connect(Place.parse(f"ray://127.0.0.1:{port}"))
            assert "ray start --head" in e.value.hint
            assert time.monotonic() - begun < max_seconds
