"""Decoder processes that start before it is known what they decode."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from imgsearch.records import Decoded, Skipped
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.worker_process import SpareProcesses
from tests.sources.test_decoder_pool import SETTINGS, behave, files, folder, good  # noqa: F401


def report(file, settings):
    """The process that decodes, its threads, and the environment that sets their number."""
    threads = psutil.Process().num_threads()
    variable = os.environ.get("OPENBLAS_NUM_THREADS", "")
    return Skipped(file, f"{os.getpid()} {threads} {variable}")


def decoding():
    """Ids of the child processes that were spawned."""
    children = psutil.Process().children()
    return {each.pid for each in children if "spawn_main" in " ".join(each.cmdline())}


def started(count):
    """Spares whose processes have begun."""
    spares = SpareProcesses()
    spares.start(count)
    spares.start(count)
    end = time.monotonic() + 30
    while len(spares._spares) < count and time.monotonic() < end:
        time.sleep(0.01)
    return spares


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = decoding()
    yield
    assert decoding() <= before


def test_a_decoder_uses_those_that_have_started(folder):  # noqa: F811
    before = decoding()
    spares = started(1)
    (ready,) = decoding() - before
    decoder = ProcessDecoder(SETTINGS, 2, decode_one=report, spares=spares)
    results = list(decoder.decode(good(folder, 20)))
    used = {int(each.reason.split()[0]) for each in results}
    decoder.close()
    spares.close()
    assert ready in used and len(used) <= 2


def test_a_process_that_started_early_decodes_with_the_later_settings(folder):  # noqa: F811
    spares = started(1)
    decoder = ProcessDecoder(SETTINGS, 1, decode_one=behave, spares=spares)
    results = list(decoder.decode([*good(folder, 3), *files(folder, "segfault.jpg")]))
    decoder.close()
    spares.close()
    assert sum(isinstance(each, Decoded) for each in results) == 3
    assert [each.reason for each in results if isinstance(each, Skipped)] == [
        "the decoder crashed on this file"
    ]


def test_those_that_nobody_used_are_stopped():
    before = decoding()
    spares = started(2)
    assert len(decoding() - before) == 2
    spares.close()
    assert decoding() == before and spares.take() is None


def test_a_decoder_has_one_thread_for_products_and_this_process_keeps_its_own(folder):  # noqa: F811
    own = os.environ.get("OPENBLAS_NUM_THREADS")
    decoder = ProcessDecoder(SETTINGS, 1, decode_one=report)
    (result,) = decoder.decode(good(folder, 1))
    decoder.close()
    _, threads, variable = result.reason.split()
    assert variable == "1"
    assert int(threads) <= 2, "the main thread, and the one that watches the parent"
    assert os.environ.get("OPENBLAS_NUM_THREADS") == own


class Slow:
    """Takes two seconds to be loaded in another process, like a module on a slow disk."""

    def __reduce__(self):
        return _loaded_slowly, ()

    def __call__(self, file, settings):
        return Skipped(file, "read")


def _loaded_slowly():
    time.sleep(2)
    return Slow()


def test_what_a_decoder_loads_first_does_not_count_as_time_of_a_file(folder):  # noqa: F811
    decoder = ProcessDecoder(SETTINGS, 1, timeout_s=1.5, decode_one=Slow())
    (result,) = decoder.decode(good(folder, 1))
    decoder.close()
    assert result.reason == "read"
