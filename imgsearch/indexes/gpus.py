"""The GPUs that FAISS can use, and the choice of those that hold an index.

Imports neither NumPy nor FAISS before a GPU is in question, for `imgsearch status`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from imgsearch.errors import ImgSearchError

AUTO_QUERIES = 16
"""Queries of a process after which the kind `auto` copies an index to GPUs: a process that asks one
question would wait longer for the copy than for the processor."""
MAX_SHARE = 0.5
"""Share of the free memory that an index may take; the model's batches need the rest."""
SCRATCH_BYTES = 512 << 20
"""Memory on each GPU for FAISS's intermediate results."""
_PADDING_RATIO = 1.25
"""Bytes on a GPU over those in the file: FAISS pads each list, and lists are allocated singly."""
_ID_BYTES = 8
_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")
"""Files that exist if Linux, or Linux inside Windows, has a driver for NVIDIA GPUs."""


class NoGpu(Exception):
    """Why no GPU searches an index, in words."""


def count() -> int:
    """Number of GPUs that FAISS can use: 0 for its build without GPU support."""
    from imgsearch.indexes.threads import import_faiss

    faiss = import_faiss()
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def chosen(header: Mapping[str, Any]) -> list[int]:
    """The GPUs for the index with a header, by number; raises `NoGpu` if it does not fit."""
    if not count():
        from imgsearch.indexes.threads import import_faiss

        built = hasattr(import_faiss(), "StandardGpuResources")
        raise NoGpu("FAISS finds no GPU" if built else "this build of FAISS has no GPU support")
    return fitting(needed_bytes(header), free_bytes())


def free_bytes() -> dict[int, int]:
    """Free memory of each GPU by its number; raises `NoGpu` if it cannot be found."""
    from imgsearch.indexes.torch_index import free_device_bytes

    free = free_device_bytes()
    if not free:
        raise NoGpu("PyTorch, which reports the free memory, finds no GPU")
    return {number: free[number] for number in range(min(count(), len(free)))}


def needed_bytes(header: Mapping[str, Any]) -> int:
    """Approximate bytes of an index on GPUs: float16, but float32 for lists of float32."""
    width = 4 if header["trained"] and header["dtype"] == "<f4" else 2
    vectors = header["count"] * (width * header["dimension"] + _ID_BYTES)
    centroids = 4 * header["dimension"] * header["lists"] if header["trained"] else 0
    return int(_PADDING_RATIO * vectors) + centroids


def fitting(size: int, free: Mapping[int, int]) -> list[int]:
    """The fewest GPUs that hold `size` bytes in equal shards; raises `NoGpu` if all are too small.

    Parameters
    ----------
    free : mapping of int to int
        Free bytes by the number of the GPU.
    """
    by_room = sorted(free, key=lambda number: (-free[number], number))
    for shards, smallest in enumerate(by_room, 1):
        if size / shards + SCRATCH_BYTES <= MAX_SHARE * free[smallest]:
            return sorted(by_room[:shards])
    room = " and ".join(f"{free[number] / 1e9:.1f}" for number in sorted(free))
    raise NoGpu(f"it needs {size / 1e9:.1f} GB, and half of the free {room} GB is too small")


def named(numbers: list[int]) -> str:
    """GPUs in words: "GPU 0", "GPUs 0 and 1"."""
    return f"GPU{'s' * (len(numbers) > 1)} {' and '.join(map(str, numbers))}"


def place(kind: str, header: Mapping[str, Any]) -> str:
    """The device of a search, in words after a semicolon; "" for the processor.

    Parameters
    ----------
    kind : str
        The value of the setting `index`.
    """
    if kind != "faiss-gpu" and not (kind == "auto" and _likely()):
        return ""
    try:
        where = named(chosen(header))
    except (NoGpu, ImgSearchError) as error:  # the latter if FAISS is not installed
        return f"; searched on the processor: {error}"
    return f"; searched on {where}" + f" after {AUTO_QUERIES} queries" * (kind == "auto")


def _likely() -> bool:
    """True if this machine has a driver for GPUs and FAISS's build for them; loads neither."""
    if not any(map(os.path.exists, _DEVICE_FILES)):
        return False
    from importlib import metadata  # tens of milliseconds, which `status` does without

    try:
        metadata.version("faiss-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True
