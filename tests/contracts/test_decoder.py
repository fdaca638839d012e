"""The contracts of Decoder and EncoderPool, for the implementations and the test doubles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.ports import Decoder, EncoderPool
from imgsearch.records import METADATA_VERSION, Decoded, Encoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources.decoder_pool import InlineDecoder, ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import normalize
from tests.cli.calls import picture
from tests.fakes import SPACE, MemoryFolder, MemoryPool

SETTINGS = DecodeSettings(InputSize(short=24))


@pytest.fixture(params=["inline", "processes"])
def decoder(request) -> Iterator[Decoder]:
    if request.param == "inline":
        decoder: Decoder = InlineDecoder(SETTINGS)
    else:
        decoder = ProcessDecoder(SETTINGS, workers=1, in_flight=4)
    yield decoder
    decoder.close()


@pytest.fixture
def files(tmp_path) -> list[ImageFile]:
    """Seven files: five good pictures, a broken one and a missing one."""
    names = [f"{n}.png" for n in range(7)]
    for seed, name in enumerate(names):
        picture(tmp_path / name, seed)
    (tmp_path / "2.png").write_text("broken")
    (tmp_path / "4.png").unlink()
    return [ImageFile(str(tmp_path), name, 0, 0) for name in names]


def test_one_result_per_file(decoder, files):
    results = {result.file.path: result for result in decoder.decode(files)}
    assert sorted(results) == [file.path for file in files]
    skipped = {path for path, each in results.items() if isinstance(each, Skipped)}
    assert skipped == {"2.png", "4.png"}
    assert results["4.png"].transient and not results["2.png"].transient
    for path in results.keys() - skipped:
        result = results[path]
        assert isinstance(result, Decoded)
        assert result.metadata == ImageMetadata(64, 48, "PNG", metadata_version=METADATA_VERSION)
        assert (result.pixels.dtype, result.pixels.shape) == (np.uint8, (24, 32, 3))
        assert result.file.size > 0 and result.file.mtime_ns > 0, "its state when it was read"
    assert len({each.content_hash for each in results.values() if isinstance(each, Decoded)}) == 5


def test_it_can_be_reused_and_closed_twice(decoder, files):
    for _ in range(2):
        assert len(list(decoder.decode(files[:2]))) == 2
    assert list(decoder.decode([])) == []
    decoder.close()
    decoder.close()


def test_files_are_read_as_needed(decoder, files):
    count = 0

    def endless() -> Iterator[ImageFile]:
        nonlocal count
        while True:
            count += 1
            yield files[0]

    results = decoder.decode(endless())
    for _ in range(3):
        assert isinstance(next(results), Decoded)
    assert count < 50
    results.close()


class Averages:
    """An encoder with obvious results: the first eight values of the pixels."""

    space = SPACE
    card = ModelCard("averages", "")
    input_size = InputSize(short=24)

    def encode_images(self, images):
        rows = [image.reshape(-1)[: SPACE.dimension].astype(np.float32) + 1 for image in images]
        return normalize(np.stack(rows))

    def encode_texts(self, texts, instruction=None):
        raise AssertionError("pools encode pictures")


@pytest.fixture(params=["local", "memory"])
def pool(request, files) -> Iterator[EncoderPool]:
    if request.param == "local":
        pool: EncoderPool = LocalPool(Averages, lambda size, at_once: InlineDecoder(SETTINGS), 2)
    else:
        folder = MemoryFolder(files[0].root)
        folder.files = {f"{n}.png": (f"content {n}", 1) for n in range(7)}
        folder.files |= {"2.png": ("broken", 1), "4.png": ("unreadable", 1)}
        pool = MemoryPool(folder)
    yield pool
    pool.close()


def by_path(results: Iterable[Encoded | Skipped]) -> dict[str, Encoded | Skipped]:
    return {result.file.path: result for result in results}


def test_a_pool_yields_one_result_per_file(pool, files):
    results = by_path(pool.encode_files(files))
    assert sorted(results) == [file.path for file in files]
    assert {path for path, each in results.items() if isinstance(each, Skipped)} == {
        "2.png",
        "4.png",
    }
    assert results["4.png"].transient and not results["2.png"].transient
    for each in results.values():
        if isinstance(each, Encoded):
            assert each.vector.dtype == np.float32
            assert np.linalg.norm(each.vector) == pytest.approx(1, abs=1e-5)


def test_a_broken_file_does_not_shift_the_vectors_of_others(pool, files):
    together = by_path(pool.encode_files(files))
    for file in files:
        [alone] = pool.encode_files([file])
        if isinstance(alone, Encoded):
            np.testing.assert_array_equal(alone.vector, together[file.path].vector)
        else:
            assert alone.reason == together[file.path].reason


def test_a_pool_without_files_loads_nothing():
    def load():
        raise AssertionError("loaded")

    assert (
        list(LocalPool(load, lambda size, at_once: InlineDecoder(SETTINGS), 2).encode_files([]))
        == []
    )
