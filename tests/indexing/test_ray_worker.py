"""The checks of a node: its files, its versions, and the settings that reach it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from imgsearch.encoders.registry import Registry
from imgsearch.encoders.triton import REQUESTS_AHEAD
from imgsearch.indexing.ray_worker import (
    Encodings,
    Job,
    Refusal,
    Worker,
    obstacle,
    portable,
    signature,
)
from imgsearch.records import Encoded, ImageFile
from imgsearch.settings import LOCAL, Settings
from imgsearch.sources.guarded_files import digest_file, is_here
from imgsearch.spaces import Spaces
from tests.indexing.real_files import picture


@pytest.fixture
def file(tmp_path) -> ImageFile:
    (tmp_path / "a.jpg").write_bytes(b"content")
    return ImageFile(str(tmp_path), "a.jpg", 7, 1)


def job(**changes) -> Job:
    settings = Settings(model="builtin")
    return replace(Job(settings, None, signature(settings)), **changes)


def test_a_file_is_here_if_it_has_its_size(file, tmp_path):
    assert is_here(file)
    assert not is_here(replace(file, size=8))
    assert not is_here(replace(file, path="b.jpg"))
    assert not is_here(replace(file, path="\0"))
    os.mkfifo(tmp_path / "pipe")
    assert not is_here(replace(file, path="pipe"))


def test_a_node_with_the_same_files_and_versions_is_used(file):
    assert obstacle(job(), {file.root: digest_file(file)}) is None


def test_a_witness_of_the_same_size_with_other_bytes_is_an_obstacle(file, tmp_path):
    known = digest_file(file)
    (tmp_path / "a.jpg").write_bytes(b"CONTENT")
    refusal = obstacle(job(), {file.root: known})
    assert refusal == Refusal(f"{tmp_path}/a.jpg is missing or different there", str(tmp_path))
    (tmp_path / "a.jpg").unlink()
    assert obstacle(job(), {file.root: known}) == refusal


def test_other_decoders_are_an_obstacle():
    refusal = obstacle(job(signature="Pillow 1.0"), {})
    assert refusal is not None and "required Pillow 1.0" in refusal.reason
    assert refusal.root == ""


def test_another_or_a_missing_model_is_an_obstacle():
    settings = Settings(model="builtin")
    space = Spaces(settings, Registry(settings), None).encoder().space
    assert obstacle(job(space=space), {}) is None
    refusal = obstacle(job(space=replace(space, revision="0")), {})
    assert refusal is not None and "required 0" in refusal.reason
    missing = obstacle(job(space=replace(space, model="gme-qwen2-vl-2b")), {})
    assert missing is not None and "gme-qwen2-vl-2b" in missing.reason


def test_a_model_server_that_is_away_is_a_refusal_and_no_skipped_picture(tmp_path):
    """A refusal is a text, which arrives: the error would be Ray's, with a traceback."""
    pytest.importorskip("tritonclient.grpc")
    from tests.encoders import kserve_peer

    found = ImageFile(str(tmp_path), "a.png", 0, 1)
    picture(tmp_path / "a.png", 1)
    files = [replace(found, size=(tmp_path / "a.png").stat().st_size)]
    with kserve_peer.running(tmp_path) as peer:
        settings = Settings(models=((kserve_peer.MODEL, peer.urls["http"]),), workers=1)
        worker = Worker(Job(settings, kserve_peer.SPACE, signature(settings)))
        try:
            assert worker.start({}) == kserve_peer.BATCH * REQUESTS_AHEAD
            encodings = worker.encode(files, {})
            assert isinstance(encodings, Encodings)
            assert [type(each) for each in encodings.results] == [Encoded]
            assert peer.process is not None
            peer.process.kill()
            peer.process.wait()
            refusal = worker.encode(files, {})
        finally:
            assert worker._pool is not None
            worker._pool.close()
        for each in (refusal, Worker(worker._job).start({})):
            assert isinstance(each, Refusal)
            assert peer.urls["http"] in each.reason and "Traceback" not in each.reason


def test_passwords_and_places_do_not_reach_a_node():
    settings = Settings(
        library="/library",
        catalog="postgresql://me:secret@host/db",
        index="postgresql://me:secret@host/db",
        encoders="ray://head:10001",
        device="cuda:1",
        threads=2,
        max_pixels=1000,
    )
    sent = portable(settings, 4.0)
    assert "secret" not in f"{sent.catalog}{sent.index}"
    assert (sent.library, sent.encoders, sent.device) == ("", LOCAL, "cuda")
    assert (sent.workers, sent.threads, sent.max_pixels) == (4, 2, 1000)
