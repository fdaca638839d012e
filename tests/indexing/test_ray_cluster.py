"""Addresses of clusters, and the actors that a machine has room for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imgsearch.errors import EncoderError

NO_RAY = """
import sys
sys.modules["ray"] = None
from imgsearch import plugins
from imgsearch.errors import MissingExtra
try:
    plugins.encoder_pool("ray://host:10001")
except MissingExtra as error:
    print(error, error.hint)
"""


def test_without_ray_the_command_to_install_it_is_named():
    done = subprocess.run(
        [sys.executable, "-c", NO_RAY], capture_output=True, text=True, check=True
    )
    assert "pip install '.[ray]'" in done.stdout, done.stderr


@pytest.fixture
def ray_cluster():
    pytest.importorskip("ray")
    from imgsearch.indexing import ray_cluster

    return ray_cluster


@pytest.mark.parametrize(
    ("where", "address", "cpus", "gpus"),
    [
        ("ray", "auto", 0, 0),
        ("ray?cpus=2", "auto", 2, 0),
        ("ray://head:10001", "ray://head:10001", 0, 0),
        ("ray://head", "ray://head:10001", 0, 0),
        ("ray://head:1/?gpus=0.5&cpus=4", "ray://head:1", 4, 0.5),
        ("ray://[::1]:10001", "ray://[::1]:10001", 0, 0),
    ],
)
def test_an_address_is_read(ray_cluster, where, address, cpus, gpus):
    assert ray_cluster.Place.parse(where) == ray_cluster.Place(address, cpus, gpus)


@pytest.mark.parametrize(
    "where",
    ["ray://", "ray:/head", "ray://me:secret@head:10001", "ray://head:port", "ray://head?cpu=1",
     "ray://head?cpus=many", "ray://head?cpus=-1", "ray://head?gpus=nan", "ray://head/path"],
)  # fmt: skip
def test_an_address_that_is_not_valid_is_refused_without_its_text(ray_cluster, where):
    with pytest.raises(EncoderError) as error:
        ray_cluster.Place.parse(where)
    assert "ray://host:10001" in error.value.hint and "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("resources", "where", "device", "actors", "cpus", "gpus"),
    [
        ({"CPU": 8}, "ray", "auto", 1, 8, 0),
        ({"CPU": 8}, "ray?cpus=3", "auto", 2, 3, 0),
        ({"CPU": 32, "GPU": 4}, "ray", "auto", 4, 8, 1),
        ({"CPU": 32, "GPU": 4}, "ray", "cpu", 1, 32, 0),
        ({"CPU": 32, "GPU": 1}, "ray?gpus=0.5&cpus=4", "cuda", 2, 4, 0.5),
        ({"CPU": 2, "GPU": 4}, "ray", "auto", 2, 1, 1),
        ({"CPU": 8}, "ray?gpus=1", "auto", 0, 8, 1),
        ({"CPU": 8}, "ray", "cuda", 0, 8, 1),
        ({}, "ray", "auto", 0, 1, 0),
    ],
)
def test_actors_fill_a_machine(ray_cluster, resources, where, device, actors, cpus, gpus):
    row = {"Resources": resources, "NodeID": "0123456789", "NodeManagerHostname": "host"}
    node = ray_cluster.Node.of(row, ray_cluster.Place.parse(where), device)
    assert (node.actors, node.cpus, node.gpus) == (actors, cpus, gpus)
    assert node.name == "host (012345)"


def test_without_a_cluster_the_way_to_one_is_named(ray_cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(EncoderError, match="the Ray cluster of this machine cannot be used") as e:
        ray_cluster.connect(ray_cluster.Place.parse("ray"))
    assert "ray start --address" in e.value.hint
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    with pytest.raises(EncoderError, match="refused"):
        ray_cluster.connect(ray_cluster.Place.parse("ray"))
    monkeypatch.setenv("RAY_ADDRESS", "no port")
    with pytest.raises(EncoderError, match="cannot be used"):
        ray_cluster.connect(ray_cluster.Place.parse("ray"))


def test_another_version_of_ray_or_python_is_named(ray_cluster):
    error = RuntimeError("Version mismatch: The cluster was started with:\n Ray: 2.1 Python: 3.9")
    found = ray_cluster._unreachable(ray_cluster.Place.parse("ray://head"), error)
    assert "Ray: 2.1" in str(found) and "constraints.txt" in found.hint
