"""Files of arrays with a checksum, for results that are kept up and can be made again."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgsearch.writing import private_folder, replace_file

_DIGEST_BYTES = 16


def write_arrays(path: str, **arrays: Any) -> None:
    """Store arrays, numbers and texts by name; nothing is stored where that is not possible."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    data = file.getvalue()
    with suppress(OSError):
        private_folder(os.path.dirname(path))
        replace_file(path, data + xxhash.xxh3_128_digest(data), private=True, durable=False)


def read_arrays(path: str) -> tuple[dict[str, NDArray[Any]] | None, str]:
    """The stored arrays, or None and the reason in words; no reason if there are none yet."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"the stored result cannot be read ({error.strerror})"
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if xxhash.xxh3_128_digest(body) != digest:
        return None, "the stored result is damaged"
    with np.load(io.BytesIO(body), allow_pickle=False) as values:
        return dict(values), ""
