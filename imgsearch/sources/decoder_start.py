"""The first function of a decoder process; it runs before NumPy is imported."""

from __future__ import annotations

import gc
import os
from multiprocessing.connection import Connection


def start(requests: Connection, results: Connection, parent: int, shared: int | None) -> None:
    """Import what decoding needs, then decode until the parent closes the pipe or dies.

    NumPy's OpenBLAS starts a thread for each core when it is imported. A decoder multiplies no
    matrices, and there is a decoder for each core: the threads would only delay its start.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    gc.disable()  # modules are not garbage
    from imgsearch.sources import decode, decoder_process  # noqa: F401 - `decode` is for later

    gc.freeze()
    gc.enable()

    decoder_process.serve(requests, results, parent, shared)
