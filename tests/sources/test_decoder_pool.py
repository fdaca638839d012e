"""The decoder contract holds whatever a file does to the process that decodes it."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from imgsearch.errors import TooManyFiles
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import InlineDecoder, ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from tests.conftest import ROOT, full_only
from tests.hostile_files import saved, scene

pytestmark = pytest.mark.slow

SETTINGS = DecodeSettings(InputSize(short=50))


def is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def behave(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Do to the process what the file name says; decode all other files."""
    name = file.path.partition(".")[0].rstrip("0123456789")
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "exit":
        os._exit(3)
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "sleep":
        time.sleep(3600)
    elif name == "spin":
        while True:
            pass
    elif name == "slow":
        time.sleep(0.03)
        return Skipped(file, str(os.getpid()))
    elif name == "touched":
        started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            blocks = [bytearray(1 << 20) for _ in range(12)]  # as Pillow divides a picture
            del blocks
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - started
        return Skipped(file, str(faults))
    elif name == "memory":
        try:
            bytearray(3 << 30)
        except MemoryError:
            return Skipped(file, "needs too much memory to be decoded")
    elif name == "modules":
        heavy = {"torch", "transformers", "sqlalchemy", "click", "faiss", "tqdm", "PIL"}
        return Skipped(file, " ".join(sorted(heavy & set(sys.modules))))
    elif name == "sockets":
        return Skipped(file, " ".join(str(fd) for fd in range(256) if is_socket(fd)))
    elif name == "once" and not os.path.exists(file.absolute + ".seen"):
        open(file.absolute + ".seen", "w").close()
        os._exit(1)
    return decode_file(file, settings)


@pytest.fixture
def folder(tmp_path):
    jpeg = saved(scene(), "JPEG")
    for number in range(40):
        (tmp_path / f"good{number}.jpg").write_bytes(jpeg)
    return tmp_path


def files(folder: Path, *names: str) -> list[ImageFile]:
    return [ImageFile(str(folder), name, 0, 0) for name in names]


def good(folder: Path, number: int = 40) -> list[ImageFile]:
    return files(folder, *(f"good{n}.jpg" for n in range(number)))


def reasons(results) -> dict[str, str]:
    return {r.file.path: r.reason for r in results if isinstance(r, Skipped)}


@pytest.fixture
def decoder():
    decoders = []

    def make(workers=2, **options):
        options.setdefault("decode_one", behave)
        decoders.append(ProcessDecoder(SETTINGS, workers, **options))
        return decoders[-1]

    yield make
    for each in decoders:
        each.close()


@pytest.mark.parametrize("hanging", [(), pytest.param(("sleep1.jpg",), marks=full_only)])
def test_quick_files_travel_together_and_a_bad_one_affects_no_other(decoder, folder, hanging):
    """Two processes with many files ahead: soon several files make one request."""
    pool = decoder(in_flight=64, timeout_s=16.0)
    bad = files(folder, "segfault1.jpg", "once.jpg", "exit1.jpg", *hanging)
    (folder / "once.jpg").write_bytes((folder / "good0.jpg").read_bytes())
    many = good(folder) * 4
    for place, each in enumerate(bad):
        many.insert(60 + 25 * place, each)
    results = list(pool.decode(many))
    assert max(worker.together for worker in pool._workers) > 1
    assert reasons(results) == {
        **dict.fromkeys(["segfault1.jpg", "exit1.jpg"], "the decoder crashed on this file"),
        **dict.fromkeys(hanging, "took longer than 16 seconds to be read"),
    }
    decoded = [each for each in results if isinstance(each, Decoded)]
    assert sorted(each.file.path for each in decoded) == sorted(
        each.path for each in many if each.path not in reasons(results)
    )
    first = decoded[0].pixels
    assert all(np.array_equal(each.pixels, first) for each in decoded)


def test_files_do_not_travel_together_for_longer_than_they_may_take(decoder, folder):
    """With a short time limit, too: else the worker would be replaced again and again."""
    pool = decoder(1, in_flight=64, timeout_s=1.0)
    results = pool.decode(files(folder, *(f"slow{number}.jpg" for number in range(40))))
    assert len({each.reason for each in results if isinstance(each, Skipped)}) == 1


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt") or sys.platform != "linux", reason="needs glibc"
)
def test_workers_keep_freed_memory(decoder, folder):
    """20 times 12 MB are 3072 pages of 4 KiB, cleared by the system once or twice, not 20 times."""
    (result,) = decoder(1).decode(files(folder, "touched.jpg"))
    assert int(result.reason) < 3 * 3072


@pytest.mark.parametrize("kind", ["inline", "processes"])
class TestContract:
    @pytest.fixture
    def any_decoder(self, kind, decoder):
        return InlineDecoder(SETTINGS) if kind == "inline" else decoder()

    def test_one_result_per_file(self, any_decoder, folder):
        (folder / "bad.jpg").write_bytes(b"no picture")
        batch = [*good(folder), *files(folder, "bad.jpg", "gone.jpg")]
        results = list(any_decoder.decode(batch))
        assert sorted(r.file.path for r in results) == sorted(f.path for f in batch)
        assert set(reasons(results)) == {"bad.jpg", "gone.jpg"}

    def test_results_equal_those_of_decode_file(self, any_decoder, folder):
        (result,) = any_decoder.decode(good(folder, 1))
        expected = decode_file(good(folder, 1)[0], SETTINGS)
        assert isinstance(result, Decoded) and isinstance(expected, Decoded)
        assert np.array_equal(result.pixels, expected.pixels)
        assert (result.file, result.content_hash) == (expected.file, expected.content_hash)
        assert result.metadata == expected.metadata

    def test_no_files_no_results(self, any_decoder):
        assert list(any_decoder.decode([])) == []

    def test_it_can_be_reused_and_closed_twice(self, any_decoder, folder):
        for _ in range(2):
            assert len(list(any_decoder.decode(good(folder, 3)))) == 3
        any_decoder.close()
        any_decoder.close()

    @full_only
    def test_files_are_read_only_a_little_ahead(self, any_decoder, folder):
        started = []

        def source():
            for file in good(folder):
                started.append(file)
                yield file

        results = any_decoder.decode(source())
        next(results)
        assert len(started) <= 8
        results.close()
        assert len(started) <= 8

    @full_only
    def test_an_error_of_the_source_is_raised(self, any_decoder, folder):
        def source():
            yield from good(folder, 3)
            raise LookupError("the walk failed")

        with pytest.raises(LookupError):
            list(any_decoder.decode(source()))
        assert len(list(any_decoder.decode(good(folder, 3)))) == 3


@full_only
@pytest.mark.parametrize(
    "name, words",
    [
        ("segfault.jpg", "crashed on this file"),
        ("exit.jpg", "crashed on this file"),
        ("killed.jpg", "was killed on this file"),
    ],
)
def test_a_crash_affects_only_the_file_that_caused_it(decoder, folder, name, words):
    batch = [*good(folder, 15), *files(folder, name), *good(folder)[15:]]
    results = list(decoder().decode(batch))
    assert len(results) == 41
    assert list(reasons(results)) == [name] and words in reasons(results)[name]


@full_only
def test_many_crashes_in_a_row(decoder, folder):
    crashing = files(folder, *(f"segfault{n}.jpg" for n in range(5)))
    results = list(decoder().decode([*crashing, *good(folder, 5)]))
    assert set(reasons(results)) == {file.path for file in crashing}


@full_only
def test_a_file_that_crashes_only_once_is_decoded(decoder, folder):
    (folder / "once.jpg").write_bytes((folder / "good0.jpg").read_bytes())
    (result,) = decoder(1).decode(files(folder, "once.jpg"))
    assert isinstance(result, Decoded)


@pytest.mark.parametrize(
    "name, word, transient", [("sleep", "read", True), ("spin", "decoded", False)]
)
def test_a_file_that_hangs_is_skipped(decoder, folder, name, word, transient):
    batch = [*files(folder, f"{name}.jpg"), *good(folder, 10)]
    results = list(decoder(timeout_s=1.0).decode(batch))
    assert len(results) == 11
    assert reasons(results) == {f"{name}.jpg": f"took longer than 1 seconds to be {word}"}
    assert [r.transient for r in results if isinstance(r, Skipped)] == [transient]


@full_only
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits address space")
def test_memory_is_limited(decoder, folder):
    batch = [*files(folder, "memory.jpg"), *good(folder, 3)]
    results = list(decoder(memory_limit=1 << 30).decode(batch))
    assert reasons(results) == {"memory.jpg": "needs too much memory to be decoded"}


def test_workers_import_nothing_heavy(decoder, folder):
    (result,) = decoder(1).decode(files(folder, "modules.jpg"))
    assert result.reason == "PIL"


def test_workers_have_no_sockets(decoder, folder):
    (result,) = decoder(1).decode(files(folder, "sockets.jpg"))
    assert result.reason == ""


def test_no_worker_is_started_before_the_first_file(decoder):
    before = len(psutil.Process().children())
    list(decoder().decode([]))
    assert len(psutil.Process().children()) == before


@full_only
def test_an_abandoned_run_leaves_nothing_behind(decoder, folder):
    pool = decoder()
    results = pool.decode([*files(folder, "sleep.jpg"), *good(folder)])
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 5
    assert len(list(pool.decode(good(folder, 5)))) == 5
    pool.close()
    decoding = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
    assert not decoding


PROGRAM = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
from test_decoder_pool import SETTINGS, behave, files
from imgsearch.sources.decoder_pool import ProcessDecoder

if __name__ == "__main__":
    decoder = ProcessDecoder(SETTINGS, 2, decode_one=behave)
    names = ["good0.jpg", "good1.jpg", "{stuck}.jpg", "{stuck}2.jpg"]
    for result in decoder.decode(files(Path({folder!r}), *names)):
        print("result", flush=True)
"""


@pytest.fixture
def program(folder):
    running = []

    def start(stuck: str) -> tuple[subprocess.Popen, list[psutil.Process]]:
        here = Path(__file__).resolve().parent
        script = folder / "program.py"
        script.write_text(
            PROGRAM.format(tests=str(here.parent), here=str(here), folder=str(folder), stuck=stuck)
        )
        environment = os.environ | {"PYTHONPATH": os.getcwd()}
        process = subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        running.append(process)
        for _ in range(2):
            assert process.stdout.readline() == b"result\n"
        return process, psutil.Process(process.pid).children(recursive=True)

    yield start
    for process in running:
        process.kill()
        process.communicate()


@full_only
@pytest.mark.parametrize("stuck", ["sleep", "spin"])
def test_killing_the_program_leaves_no_orphans(program, stuck):
    process, children = program(stuck)
    assert len(children) >= 2
    process.kill()
    assert not psutil.wait_procs(children, timeout=5)[1]


def test_ctrl_c_ends_the_program_once_and_quietly(program):
    process, children = program("sleep")
    os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal does
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.count(b"Traceback") == errors.count(b"KeyboardInterrupt") == 1
    assert not psutil.wait_procs(children, timeout=5)[1]


@full_only
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("count", [0, 1, 3, 5, 6])
def test_too_many_open_files_are_named_and_leave_nothing_open(folder, count):
    """In a process of its own: other threads of this one may open files, too."""
    program = "import sys; from tests.sources.test_decoder_pool import decode_with_few_descriptors"
    program += "; decode_with_few_descriptors(sys.argv[1], int(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", program, folder, str(count)], check=True, cwd=ROOT)


def decode_with_few_descriptors(folder: str, count: int) -> None:
    """A process needs two pipes and what starts it; no file may be taken for a bad one."""
    import resource

    def taken() -> set[int]:
        return {int(name) for name in os.listdir("/proc/self/fd")}

    with closing(ProcessDecoder(SETTINGS, 1)) as first:  # starts what all processes share
        list(first.decode(good(folder, 1)))
    before = taken()
    free = [number for number in range(max(before) + 20) if number not in before]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(ProcessDecoder(SETTINGS, 1)) as decoder:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
        try:
            with suppress(TooManyFiles):
                pytest.fail(f"decoded {list(decoder.decode(good(folder, 2)))}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        results = list(decoder.decode(good(folder, 2)))
        assert [type(each) for each in results] == [Decoded, Decoded]
    del results  # the pixels lie in memory that the process shared
    gc.collect()
    assert taken() == before


UNGUARDED = """
from imgsearch.errors import SourceError
from imgsearch.model_card import InputSize
from imgsearch.records import ImageFile
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings

decoder = ProcessDecoder(DecodeSettings(InputSize(short=50)), 1)
try:
    list(decoder.decode([ImageFile("/", "picture.png", 1, 1)]))
except SourceError as error:
    print(error.hint)
decoder.close()
"""


def test_a_script_without_the_guard_gets_the_way(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, check=True, capture_output=True, text=True
    )
    assert 'if __name__ == "__main__":' in done.stdout
