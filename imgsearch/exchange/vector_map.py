"""Maps the vectors of a library from a file as one array, for computations."""

from __future__ import annotations

import os
import tempfile

import numpy as np

from imgsearch.catalog import Catalog
from imgsearch.errors import ExchangeError
from imgsearch.exchange.columns import ROWS_PER_BATCH
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, normalize


def vector_map(catalog: Catalog, space: EmbeddingSpace, ids: Ids) -> tuple[Ids, Embeddings]:
    """The vectors of pictures, read-only, in a file that the system removes after use.

    A file of its own, because an index file has lists of vectors and row numbers in turn, and an
    index may be on a server. Memory does not grow with the number of pictures.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted

    Returns
    -------
    ids : ndarray of shape (m,), int64, sorted
        Those that have a vector.
    vectors : memmap of shape (m, dimension), float32, unit norm
        Its row i is that of ids[i].

    Raises
    ------
    ExchangeError
        The disk is full.
    """
    known = [np.empty(0, np.int64)]
    folder = catalog.folder if os.access(catalog.folder, os.W_OK) else None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for start in range(0, len(ids), ROWS_PER_BATCH):
                found, stored = catalog.stored_vectors(space, ids[start : start + ROWS_PER_BATCH])
                file.write(normalize(stored).tobytes())
                known.append(found)
            file.flush()
            every = np.concatenate(known)
            shape = (len(every), space.dimension)
            if not len(every):  # an empty file cannot be mapped
                return every, np.empty(shape, np.float32)
            return every, np.memmap(file, np.float32, "r", shape=shape)
    except OSError as error:
        raise ExchangeError(
            f"the vectors cannot be written to a temporary file: {error.strerror or error}",
            "Free some space on the disk of the library.",
        ) from error
