"""imgsearch daemon: the same answers with it and without it, whatever happens to either side."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgsearch.daemon import address, client, wire
from imgsearch.daemon import listener as daemon
from imgsearch.searching.history import FILE
from imgsearch.searching.request import SearchRequest, Term, request_to_plain
from imgsearch.settings import load_settings
from tests.cli.calls import Outcome, Place, picture, process, start
from tests.conftest import PHOTOS, full_only

pytestmark = pytest.mark.skipif(not address.have_sockets(), reason="no Unix-domain sockets")

HITS = ("--all", "--format", "json")
LIGHT = """
def at_end():
    heavy = {"numpy", "sqlalchemy", "torch", "faiss", "PIL", "asyncio"} & set(sys.modules)
    print("loaded", sorted(heavy), file=sys.stderr)
"""
SECONDS = 60


@dataclass(frozen=True)
class Served(Place):
    """A library that a daemon has open."""

    running: subprocess.Popen[bytes]


def ready(library: Path, running: subprocess.Popen[bytes] | None = None) -> dict:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and (running is None or running.poll() is None):
        if found := daemon.running(str(library)):
            return found
        time.sleep(0.05)
    raise AssertionError("no daemon" if running is None else running.communicate()[1].decode())


@contextmanager
def serving(place: Place, *options: object) -> Iterator[Served]:
    running = start("--library", place.library, "daemon", *options)
    try:
        assert ready(place.library, running)["pid"] == running.pid
        yield Served(place.photos, place.library, running)
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGCONT)
            running.kill()
        running.communicate()


def copied(demo: Place, folder: Path) -> Place:
    shutil.copytree(demo.library, folder)
    (folder / FILE).unlink(missing_ok=True)
    return Place(demo.photos, folder)


@pytest.fixture(scope="module")
def served(demo: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(copied(demo, tmp_path_factory.mktemp("daemon") / "library")) as found:
        yield found


@pytest.fixture
def own(demo: Place, tmp_path: Path) -> Place:
    return copied(demo, tmp_path / "own")


def test_a_daemon_that_watches_indexes_what_changes(tmp_path: Path) -> None:
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    shutil.copy(PHOTOS / "crab.jpg", place.photos)
    assert process("--library", place.library, "index", place.photos, "-q").status == 0
    with serving(place, "--watch"):
        shutil.copy(PHOTOS / "bison.jpg", place.photos)
        until = time.monotonic() + 120
        while "bison.jpg" not in place.call("search", "a bison", *HITS).text:
            assert time.monotonic() < until
            time.sleep(0.5)


def asked(place: Place) -> int:
    found = daemon.running(str(place.library))
    assert found is not None
    return int(found["answered"])


# The same answers

KOALA, OWL, CRAB = PHOTOS / "koala.jpg", PHOTOS / "owl.jpg", PHOTOS / "crab.jpg"
SCENARIOS: dict[str, list[list[object]]] = {
    "words": [["search", "a", "dog", "on", "the", "beach"]],
    "another language": [["search", "ein", "roter", "Hund", *HITS]],
    "letters it cannot read": [["search", "\u0db6\u0dbd\u0dca\u0dbd\u0dcf"]],
    "json": [["search", "an animal", *HITS]],
    "csv": [["search", "an animal", "--all", "--format", "csv"]],
    "paths0": [["search", "an animal", "--format", "paths0"]],
    "words in names": [["search", "koala", "--mode", "text"]],
    "by meaning alone": [["search", "koala", "--mode", "semantic", *HITS]],
    "terms": [["search", "an animal^2", "--and", "grass^0.5", "--not", "a cat", *HITS]],
    "image terms": [["search", "at night", "--like", KOALA, "--not", OWL, *HITS]],
    "similar": [["similar", KOALA, "-n", "5"], ["similar", KOALA, "--unique", *HITS]],
    "filters": [
        ["search", "a bird", "--type", "jpeg", "--min-size", "300x300", *HITS],
        ["search", "a bird", "--where", "width > 500 and not has gps", *HITS],
        ["search", "--after", "2001", "--in", PHOTOS, "--format", "jsonl"],
        ["search", "a bird", "--near", "48.85,2.35,3000", *HITS],
    ],
    "nothing passes": [
        ["search", "a bird", "--after", "2300"],
        ["search", "a bird", "--after", "2300", "--type", "gif"],
        ["search", "a bird", "-t", "1"],
    ],
    "refined": [
        ["search", "an animal", *HITS],
        ["search", "--more", "1,3", "--less", "2", *HITS],
        ["search", "#2", *HITS],
        ["similar", "#1", "--and", "snow", "--more", "2", *HITS],
    ],
    "errors": [
        ["similar", "no/such/file.jpg"],
        ["similar", PHOTOS],
        ["similar", "#99"],
        ["search", "--not", "a cat"],
        ["search", " "],
        ["search", "a", "--like", "#1", "--mode", "text"],
        ["search", "a bird", "--in", "/nowhere"],
        ["search", "a bird", "--where", "colour = red"],
        ["search", "a bird", "--type", "gem"],
        ["search", "a bird", "--format", "jpeg"],
        ["search", "a bird^nan"],
        ["search", "--less", "x"],
        ["search", "a bird", "--model", "nothing-like-it"],
        ["search", "https://example.com/a.jpg"],
        ["search", "a bird", "--precision", "fp32", *HITS],
    ],
    "with an instruction": [["search", "a bird", "--instruction", "Find birds.", *HITS]],
    "a page": [["search", "a bird", "-n", "2", "--html", "{tmp}/page.html"]],
}


@pytest.mark.usefixtures("decoder_processes")
@pytest.mark.parametrize("name", SCENARIOS)
def test_answers_are_the_same_with_a_daemon_and_without(served, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = asked(served)

    def outcomes(*flags: object) -> list[Outcome]:
        (served.library / FILE).unlink(missing_ok=True)
        shown = []
        for each in SCENARIOS[name]:
            (tmp_path / "page.html").unlink(missing_ok=True)
            given = [str(part).replace("{tmp}", str(tmp_path)) for part in each]
            shown.append(served.call(given[0], *flags, *given[1:]))
        return shown

    local, remote = outcomes("--no-daemon"), outcomes()
    assert asked(served) > before + 1, "the daemon was asked"
    for arguments, one, other in zip(SCENARIOS[name], local, remote, strict=True):
        assert (one.status, one.out, one.err) == (other.status, other.out, other.err), arguments
        assert one.out or one.err


def test_a_new_picture_is_seen_by_the_daemon(served, tmp_path, monkeypatch):
    file = picture(tmp_path / "new.jpg", 7)
    monkeypatch.chdir(tmp_path)
    here = served.call("similar", "new.jpg", "--no-daemon", *HITS)
    there = served.call("similar", "new.jpg", *HITS)
    assert here.status == 0 and here.out == there.out
    data = file.read_bytes()
    for each in (here, there):
        flags = ("--no-daemon",) if each is here else ()
        running = start(
            "--library", served.library, "search", "-", *flags, *HITS, stdin=subprocess.PIPE
        )
        assert running.communicate(data, timeout=SECONDS)[0] == here.out


def test_explain_tells_the_same_but_for_the_times(served):
    one, other = (
        served.call("search", "a bird", "--after", "2001", "--explain", *flags).err.splitlines()
        for flags in (("--no-daemon",), ())
    )
    assert one[:3] == other[:3] and one[1].startswith("passed")
    assert [word for word in other[3].split() if word.isalpha()] == [
        word for word in one[3].split() if word.isalpha()
    ]


def test_a_call_that_a_daemon_answers_imports_little(served):
    outcome = process("--library", served.library, "search", "a bird", *HITS, prelude=LIGHT)
    assert (outcome.status, outcome.err) == (0, "loaded []\n")
    assert outcome.json
    refined = process("--library", served.library, "search", "--more", "1", "-q", prelude=LIGHT)
    assert (refined.status, refined.err) == (0, "loaded []\n")


def test_verbose_tells_who_answers(served):
    assert f"Process {served.running.pid} answers" in served.call("-v", "search", "a bird").err
    assert "answers" not in served.call("-v", "search", "a bird", "--no-daemon").err
    assert "answers" not in served.call("search", "a bird").err


@full_only
def test_verbose_tells_what_was_understood(served):
    query = ("--library", served.library, "-v", "search", "ein roter Hund am Strand")
    here, there = process(*query, "--no-daemon").err, process(*query).err
    assert "Read as: " in here
    assert there == f"Process {served.running.pid} answers, which has the library open.\n{here}"


def test_other_settings_are_not_asked_for_here(served, monkeypatch):
    told = served.call("-v", "search", "a bird", "--precision", "fp32").err
    assert "The daemon is not used, it has another precision." in told
    assert "answers" in served.call("-v", "search", "a bird", "--model", "builtin").err
    monkeypatch.setenv("IMGSEARCH_DAEMON", "off")
    assert "aemon" not in served.call("-v", "search", "a bird").err
    monkeypatch.setenv("IMGSEARCH_DAEMON", "sometimes")
    assert "Use auto or off." in served.call("search", "a bird").err


def test_another_version_is_not_asked(served, monkeypatch):
    monkeypatch.setattr(address, "__version__", "0.0.0")
    outcome = served.call("-v", "search", "a bird")
    assert outcome.status == 0 and outcome.out
    assert "The daemon is not used, it has another version." in outcome.err


@full_only
def test_pictures_that_come_while_it_runs_are_found(indexed):
    with serving(indexed):
        assert len(indexed.call("similar", indexed.photos / "a.jpg", *HITS).json) == 4
        new = picture(indexed.photos / "new.jpg", 99)
        indexed.index()
        found = indexed.call("-v", "similar", new, *HITS)
        assert "answers" in found.err
        assert found.paths[0] == str(new) and len(found.paths) == 5


# The place


def test_the_socket_is_the_owners_alone(served):
    path = Path(address.socket_path(str(served.library)))
    assert path.parent.parent == served.library.resolve()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_ISSOCK(path.stat().st_mode)


@full_only
def test_a_folder_that_is_open_to_others_is_not_used(own):
    folder = own.library / address.FOLDER
    folder.mkdir(mode=0o755)
    outcome = process("--library", own.library, "daemon")
    assert outcome.status == 1 and "is open to others" in outcome.err
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / address.SOCKET))
    listening.listen()
    assert client.connect(str(own.library)) is None
    folder.chmod(0o700)
    connection = client.connect(str(own.library))
    assert connection is not None
    connection.close()
    listening.close()


@full_only
def test_a_long_path_is_replaced(demo, tmp_path):
    place = copied(demo, tmp_path / ("x" * 60) / ("y" * 60) / "library")
    path = address.socket_path(str(place.library))
    assert len(os.fsencode(path)) < 100 and path.startswith(f"/tmp/imgsearch-{os.geteuid()}/")
    assert path == address.socket_path(str(place.library) + "/../library")
    with serving(place):
        assert "answers" in place.call("-v", "search", "a bird").err
    os.unlink(path)
    os.unlink(path + ".lock")


@full_only
def test_a_second_daemon_is_refused(served):
    outcome = process("--library", served.library, "daemon")
    assert outcome.status == 1
    assert f"process {served.running.pid} already has this library open" in outcome.err
    assert "--stop" in outcome.err and "Traceback" not in outcome.err


# Beginning and end


@full_only
def test_no_library_no_daemon(tmp_path):
    for options in ([], ["--stop"]):
        outcome = process("--library", tmp_path / "none", "daemon", *options)
        assert outcome.status == 1 and "Traceback" not in outcome.err
        assert "imgsearch" in outcome.err.splitlines()[1], "a hint"
    assert not (tmp_path / "none").exists()
    told = process("--library", tmp_path / "none", "daemon", "--status", "--json")
    assert (told.status, told.json) == (1, {"running": False})


@full_only
def test_status_and_stop(light):
    with serving(light) as place:
        light.call("search", "a bird")
        told = light.call("daemon", "--status", "--json").json
        assert (
            told["running"]
            and told["can_stop"]
            and told["pid"] == place.running.pid
            and told["answered"] >= 2
        )
        assert str(place.running.pid) in light.call("daemon", "--status").text
        outcome = light.call("daemon", "--stop")
        assert (outcome.status, place.running.wait(SECONDS)) == (0, 0)
        assert not os.path.exists(address.socket_path(str(light.library)))
        assert light.call("daemon", "--status").status == 1


@full_only
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_it_and_leave_no_socket(light, number, status):
    with serving(light) as place:
        place.running.send_signal(number)
        assert place.running.wait(SECONDS) == status
        assert not os.path.exists(address.socket_path(str(light.library)))


@full_only
def test_it_ends_when_nobody_asks(light):
    with serving(light, "--idle-minutes", "0.02") as place:
        assert place.running.wait(SECONDS) == 0


@full_only
def test_it_ends_when_its_library_is_removed(light):
    with serving(light) as place:
        shutil.rmtree(light.library)
        assert place.running.wait(SECONDS) == 0


# Accidents


@full_only
def test_after_a_kill_searches_go_on_and_a_new_one_starts(own):
    with serving(own) as place:
        place.running.kill()
        place.running.wait()
    assert os.path.exists(address.socket_path(str(own.library))), "it could not tidy up"
    outcome = own.call("search", "a koala")
    assert outcome.status == 0 and "koala.jpg" in outcome.text and not outcome.err
    with serving(own):
        assert "answers" in own.call("-v", "search", "a koala").err


@full_only
def test_a_daemon_that_is_killed_while_it_is_asked(own):
    expected = own.call("search", "a koala", *HITS)
    with serving(own) as place:
        place.running.send_signal(signal.SIGSTOP)
        asking = start("--library", own.library, "search", "a koala", *HITS)
        time.sleep(1.0)
        assert asking.poll() is None, "it waits for an answer"
        place.running.kill()
        out, err = asking.communicate(timeout=SECONDS)
    assert (asking.returncode, out, err) == (0, expected.out, b"")


def _hello(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)
    wire.send(connection, {"pid": 1, "differs": []})


def _hangs_up(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)


def _answers_half(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)
    connection.sendall(struct.pack(">I", 1000) + b'{"hits": [')


def _says_nonsense(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)
    wire.send(connection, {"hits": [{"rank": 1}], "lost": "", "told": {}})


def _no_json(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)
    connection.sendall(struct.pack(">I", 3) + b"\xff\x00{")


def _far_too_long(connection: socket.socket) -> None:
    wire.receive(connection, SECONDS)
    connection.sendall(struct.pack(">I", 2**32 - 1))


@pytest.mark.parametrize(
    "then", [_hangs_up, _answers_half, _says_nonsense, _no_json, _far_too_long]
)
@pytest.mark.parametrize("query", [("search", "a koala"), ("similar", KOALA)])
def test_whatever_a_broken_daemon_says(own, then: Callable, query):
    expected = own.call(*query, *HITS)
    path = address.socket_path(str(own.library))
    os.mkdir(os.path.dirname(path), 0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        met = []

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                _hello(connection)
                then(connection)
                met.append(True)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        outcome = own.call(*query, *HITS)
        thread.join(SECONDS)
    assert met, "the broken daemon was asked"
    assert (outcome.status, outcome.out, outcome.err) == (0, expected.out, expected.err)


def connected(place: Place) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address.socket_path(str(place.library)))
    return connection


def test_clients_that_go_or_hang_delay_nobody(served):
    settings = load_settings({"library": str(served.library)})
    hello = {"ask": "hello", **address.greeting(settings)}
    gone = connected(served)
    wire.send(gone, hello)
    wire.send(gone, {"ask": "card"})
    gone.close()  # before any answer
    hanging = [connected(served) for _ in range(5)]
    for each in hanging:
        each.sendall(b"\x00\x00")
    with connected(served) as rude, suppress(ConnectionResetError):
        rude.sendall(b"\xff" * 64)  # a frame of four gigabytes
        rude.settimeout(SECONDS)
        assert rude.recv(1000) == b"", "it hangs up"
    assert "answers" in served.call("-v", "search", "a koala").err
    for each in hanging:
        each.close()


def test_a_search_whose_client_leaves_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        job: Future[int] = Future()
        waiting = ThreadPoolExecutor(1).submit(daemon._result, job, ours)
        time.sleep(2 * daemon.POLL_SECONDS)
        assert not waiting.done() and not job.cancelled()
        theirs.close()
        assert isinstance(waiting.exception(SECONDS), daemon._ClientLeft)
        assert job.cancelled()


@pytest.mark.parametrize(
    "question",
    [
        {"ask": "find"},
        {"ask": "find", "query": {"terms": 1}, "unique": False},
        {"ask": "passing", "where": ["Compare", "password", "=", "x"]},
        {"ask": "picture", "path": 1, "weight": "x"},
        {"ask": "given", "data": "!", "name": "", "weight": 1},
        {"ask": "__class__"},
        {"ask": None},
        [],
        "find",
    ],
)
def test_questions_that_make_no_sense_are_refused(served, question):
    with connected(served) as connection:
        wire.send(connection, question)
        assert "failed" in wire.receive(connection, SECONDS)
    assert served.call("search", "a koala").status == 0


def test_half_of_a_surrogate_pair_is_answered_with_a_sentence(served):
    request = request_to_plain(SearchRequest([Term(text="dog \ud800")], 3))
    with connected(served) as connection:
        wire.send(connection, {"ask": "search", "request": request})
        kind, error, _ = wire.receive(connection, SECONDS)["error"]
    assert (kind, error) == ("QueryError", "a text of the query is not valid Unicode")


def test_no_more_than_so_many_at_once(served):
    crowd = [connected(served) for _ in range(daemon.MAX_CONNECTIONS + 10)]
    time.sleep(0.3)
    outcome = served.call("search", "a koala")
    assert outcome.status == 0 and "koala.jpg" in outcome.text
    for each in crowd:
        each.close()
    until = time.monotonic() + SECONDS
    while "answers" not in served.call("-v", "search", "a koala").err:
        assert time.monotonic() < until
        time.sleep(0.2)


@full_only
def test_many_ask_at_once(served):
    expected = served.call("search", "a koala", "--no-daemon", *HITS).out
    command = ("--library", served.library, "search", "a koala", *HITS)
    many = [start(*command) for _ in range(6)]
    for each in many:
        out, err = each.communicate(timeout=SECONDS)
        assert (out, err, each.returncode) == (expected, b"", 0)


def test_where_there_are_no_sockets(own, monkeypatch):
    monkeypatch.setattr(address, "have_sockets", lambda: False)
    outcome = own.call("daemon")
    assert outcome.status == 1 and "no Unix-domain sockets" in outcome.err
    assert own.call("search", "a koala").status == 0
