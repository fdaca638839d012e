"""Files with random faults: each is indexed, or skipped with a reason; no crash, and no hang.

The files are those of the other tests, in every container, with metadata in it. The quick form
always makes the same faults, the full form others each time; a failure names the seed.
"""

from __future__ import annotations

import json
import random
import secrets
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from tests.cli.calls import process
from tests.conftest import full_only
from tests.crash.process import environment
from tests.hostile_files import INDEX, contents, dng
from tests.sources import test_containers
from tests.sources.metadata_files import packet

FILES_OF_QUICK_FORM, FILES_OF_FULL_FORM = 160, 2000
SEED_OF_QUICK_FORM = 14
MAX_FAULTS = 8
SIDECAR_SHARE = 0.2
MAX_HANG_SECONDS = 20.0
EDGES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1")
"""Numbers that lengths, counts and offsets are most often checked wrongly for."""
EXTENSIONS = {
    "AVIF": "avif", "GIF": "gif", "HEIC": "heic", "JPEG 2000": "jp2", "MPO": "mpo", "PNG": "png",
    "PSD": "psd", "TIFF": "tif", "WebP": "webp",
}  # fmt: skip
"""Of the kinds in `test_containers`; the others are JPEG."""
TAKEOUT = {
    "title": "a.jpg",
    "description": "a farm",
    "photoTakenTime": {"timestamp": "1157000000"},
    "geoData": {"latitude": 53.4, "longitude": 7.2},
    "people": [{"name": "Ann"}],
}

Fault = Callable[[random.Random, bytearray, bytes], None]


def flip_bits(chance: random.Random, data: bytearray, other: bytes) -> None:
    for _ in range(chance.randint(1, 16)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(chance: random.Random, data: bytearray, other: bytes) -> None:
    at = chance.randrange(len(data))
    data[at : at + chance.randint(1, 64)] = chance.randbytes(chance.randint(1, 64))


def write_edge(chance: random.Random, data: bytearray, other: bytes) -> None:
    value = chance.choice(EDGES)[-chance.choice((1, 2, 4)) :]
    at = chance.randrange(len(data))
    data[at : at + len(value)] = value


def write_edge_near_start(chance: random.Random, data: bytearray, other: bytes) -> None:
    """Most lengths and offsets are in the head of a file."""
    at = chance.randrange(min(len(data), 256))
    data[at : at + 4] = chance.choice(EDGES)


def remove(chance: random.Random, data: bytearray, other: bytes) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, 200)]


def repeat(chance: random.Random, data: bytearray, other: bytes) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randint(1, 200)] * chance.randint(1, 50)


def cut(chance: random.Random, data: bytearray, other: bytes) -> None:
    del data[chance.randint(1, len(data)) :]


def splice(chance: random.Random, data: bytearray, other: bytes) -> None:
    """The end of another file, perhaps of another container."""
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def point_elsewhere(chance: random.Random, data: bytearray, other: bytes) -> None:
    """An offset or length that leads into the file, back to its start or around in a circle."""
    at = chance.randrange(len(data))
    order = chance.choice("<>")
    data[at : at + 4] = struct.pack(f"{order}I", chance.randrange(len(data)))


FAULTS: tuple[Fault, ...] = (
    flip_bits, overwrite, write_edge, write_edge_near_start, remove, repeat, cut, splice,
    point_elsewhere,
)  # fmt: skip


def mutated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, MAX_FAULTS)):
        if changed:
            chance.choice(FAULTS)(chance, changed, other)
    return bytes(changed)


def originals() -> list[tuple[str, bytes]]:
    """Extension and bytes of one sound file of each kind."""
    sound = [
        (name.rpartition(".")[2].lower(), data)
        for name, (verdict, data) in contents().items()
        if verdict == INDEX and name.isascii()
    ]
    with_metadata = [
        (EXTENSIONS.get(kind.partition(" ")[0], EXTENSIONS.get(kind, "jpg")), make())
        for kind, make in test_containers.FILES.items()
    ]
    return [*sound, *with_metadata, ("dng", dng())]


def write(folder: Path, count: int, seed: int) -> None:
    """Make `count` files, and mutated sidecars of some of them."""
    chance = random.Random(seed)
    files = originals()
    sidecars = [
        ("xmp", packet(attributes="xmp:Rating='4'")),
        ("json", json.dumps(TAKEOUT).encode()),
    ]
    folder.mkdir()
    for number in range(count):
        extension, data = files[number % len(files)]
        path = folder / f"{number:05}.{extension}"
        path.write_bytes(mutated(chance, data, chance.choice(files)[1]))
        if chance.random() < SIDECAR_SHARE:
            kind, text = chance.choice(sidecars)
            path.with_name(f"{path.name}.{kind}").write_bytes(mutated(chance, text, data))


def decoded(folder: Path) -> Iterator[Decoded | Skipped]:
    items = list(FilesystemSource(str(folder)).scan())
    yield from (item for item in items if isinstance(item, Skipped))
    decoder = ProcessDecoder(DecodeSettings(), workers=2, timeout_s=MAX_HANG_SECONDS)
    try:
        yield from decoder.decode(item for item in items if isinstance(item, ImageFile))
    finally:
        decoder.close()


def require_reason(reason: str, context: str) -> None:
    """A sentence for a person, about the file: not a traceback, a crash or a hang."""
    assert 10 < len(reason) < 200 and reason[0] not in "<[(", context
    assert not any(sign in reason for sign in ("0x", "Error", "Traceback")), context
    assert not any(sign in reason for sign in ("crashed", "killed", "longer than")), context


@pytest.mark.slow
def test_a_mutated_file_is_decoded_or_skipped_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "photos", FILES_OF_QUICK_FORM, SEED_OF_QUICK_FORM)
    results = list(decoded(tmp_path / "photos"))
    assert len(results) == FILES_OF_QUICK_FORM
    skipped = [each for each in results if isinstance(each, Skipped)]
    assert 20 < len(skipped) < FILES_OF_QUICK_FORM - 20, "faults of both degrees"
    for each in skipped:
        require_reason(each.reason, f"{each.file.path}: {each.reason}")


@pytest.mark.slow
@full_only
def test_an_index_run_over_mutated_files_accounts_for_each(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    write(tmp_path / "photos", FILES_OF_FULL_FORM, seed)
    library = tmp_path / "library"
    index = ("--library", library, "index", tmp_path / "photos", "--model", "cheap", "--json", "-q")
    first = process(*index, env=environment())
    assert first.status == 0, (seed, first.err)
    skipped = process("--library", library, "skipped", "--json", env=environment()).json
    report = first.json
    assert report["added"] + report["skipped"] == report["scanned"] == FILES_OF_FULL_FORM, seed
    assert len(skipped) == report["skipped"] and report["added"] > FILES_OF_FULL_FORM / 10, seed
    for each in skipped:
        require_reason(each["reason"], f"seed {seed}: {each['path']}: {each['reason']}")
    again = process(*index, env=environment()).json
    assert again["unchanged"] == report["added"] and again["skipped"] == report["skipped"], seed
