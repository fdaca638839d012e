"""A library that stays open in a thread of its own."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.errors import LibraryMissing, QueryError
from imgsearch.library import Library
from imgsearch.searching.hits import SearchResult
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.serving.resident import MAX_TEXTS_PER_CALL, Closed, Lane, Overloaded, Resident
from tests.cli.calls import Place, process
from tests.conftest import PHOTOS, Opener, full_only

WORDS = ("a polar bear", "old coins", "a crab", "a windmill", "an owl", "a steam engine")


def _query(text: str) -> SearchRequest:
    return SearchRequest([Term(text=text)], limit=5)


def _plain(hits: SearchResult) -> list[tuple[int, str, float]]:
    return [(hit.rank, hit.image.file.path, round(hit.score or 0.0, 4)) for hit in hits]


def _held(resident: Lane[Library]) -> tuple[threading.Event, Future[bool]]:
    """Keep the thread busy until the event is set."""
    begun, go = threading.Event(), threading.Event()

    def work(library: Library) -> bool:
        begun.set()
        return go.wait(60)

    future = resident.submit(work)
    assert begun.wait(60)
    return go, future


def test_waiting_texts_are_encoded_together_and_find_what_they_find_alone(
    demo: Place, opener: Opener
) -> None:
    library = opener(demo.library)()
    alone = {text: _plain(library.search(_query(text))) for text in WORDS}
    library.close()
    seen: list[tuple[str, float]] = []
    resident = Resident(opener(demo.library), watch=lambda name, value: seen.append((name, value)))
    go, _ = _held(resident)
    futures = {text: resident.search(_query(text)) for text in WORDS}
    go.set()
    assert {text: _plain(future.result(60)) for text, future in futures.items()} == alone
    assert ("together", float(len(WORDS))) in seen
    # A text that was asked for before needs no model.
    seen.clear()
    resident.search(_query(WORDS[0])).result(60)
    assert [name for name, _ in seen] == ["queue"]
    assert resident.close()


@full_only
def test_a_call_of_the_model_takes_a_few_texts_of_those_that_wait(
    demo: Place, opener: Opener
) -> None:
    seen: list[tuple[str, float]] = []
    resident = Resident(opener(demo.library), watch=lambda name, value: seen.append((name, value)))
    texts = [f"{text} number {n}" for n in range(4) for text in WORDS]
    go, _ = _held(resident)
    futures = [resident.search(_query(text)) for text in texts]
    go.set()
    found = [_plain(future.result(60)) for future in futures]
    assert resident.close()
    together = [value for name, value in seen if name == "together"]
    assert sum(together) == len(texts)
    assert max(together) == MAX_TEXTS_PER_CALL
    library = opener(demo.library)()
    assert found == [_plain(library.search(_query(text))) for text in texts]
    library.close()


def test_questions_that_wait_together_see_one_state_and_later_ones_the_next(
    demo: Place, opener: Opener, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    shutil.copytree(demo.library, folder, ignore=shutil.ignore_patterns("daemon"))
    resident = Resident(opener(folder))
    resident.search(_query("a crab")).result(60)  # opens the index

    def look_and_commit(library: Library) -> int:
        seen = library.catalog.head()[0]
        with closing(sqlite3.connect(folder / "catalog.sqlite")) as other, other:
            other.execute("UPDATE library SET revision = revision + 1")
        return seen

    go, _ = _held(resident)
    waiting = [resident.submit(look_and_commit) for _ in range(3)]
    go.set()
    before, *others = [future.result(60) for future in waiting]
    assert others == [before, before]
    assert resident.submit(lambda library: library.catalog.head()[0]).result(60) == before + 3
    assert resident.close()


def test_each_question_gets_its_own_error(demo: Place, opener: Opener) -> None:
    resident = Resident(opener(demo.library))
    go, _ = _held(resident)
    good, bad = resident.search(_query("a crab")), resident.search(SearchRequest([Term(text="")]))
    broken = resident.submit(lambda library: 1 // 0)
    go.set()
    assert good.result(60)[0].image.file.path == "crab.jpg"
    with pytest.raises(QueryError):
        bad.result(60)
    with pytest.raises(ZeroDivisionError):
        broken.result(60)
    assert resident.submit(lambda library: 7).result(60) == 7  # and it goes on
    resident.close()


def test_a_full_queue_refuses_and_a_closed_one_finishes_what_waits(
    demo: Place, opener: Opener
) -> None:
    resident = Resident(opener(demo.library), max_waiting=2)
    go, first = _held(resident)
    waiting = [resident.submit(lambda library: threading.get_ident()) for _ in range(2)]
    with pytest.raises(Overloaded):
        resident.search(_query("a crab"))
    closer = threading.Thread(target=resident.close)
    closer.start()
    go.set()
    closer.join(60)
    wait([first, *waiting], 60)
    assert len({future.result(0) for future in waiting}) == 1
    with pytest.raises(Closed):
        resident.submit(lambda library: 0)


def test_a_question_that_nobody_waits_for_is_not_answered(demo: Place, opener: Opener) -> None:
    resident = Resident(opener(demo.library))
    go, _ = _held(resident)
    done: list[int] = []
    future = resident.submit(lambda library: done.append(1))
    assert future.cancel()
    go.set()
    resident.submit(lambda library: None).result(60)
    assert done == []
    resident.close()


def test_a_question_can_be_given_up_while_those_before_it_are_answered(
    demo: Place, opener: Opener
) -> None:
    """They were taken out of the queue together."""
    resident = Resident(opener(demo.library))
    outer, _ = _held(resident)
    begun, go, done = threading.Event(), threading.Event(), []
    first = resident.submit(lambda library: (begun.set(), go.wait(60)))
    later = [resident.submit(lambda library: done.append(1)) for _ in range(20)]
    outer.set()
    assert begun.wait(60)
    assert all(future.cancel() for future in later)
    go.set()
    first.result(60)
    resident.submit(lambda library: None).result(60)
    assert done == []
    resident.close()


def test_questions_that_were_given_up_take_no_room(demo: Place, opener: Opener) -> None:
    resident = Resident(opener(demo.library), max_waiting=2)
    go, _ = _held(resident)
    for future in [resident.submit(lambda library: 1) for _ in range(2)]:
        assert future.cancel()
    waiting = [resident.submit(lambda library: 2) for _ in range(2)]
    with pytest.raises(Overloaded):
        resident.submit(lambda library: 3)
    go.set()
    assert [future.result(60) for future in waiting] == [2, 2]
    resident.close()


@full_only
def test_a_library_that_is_made_and_grows_meanwhile_is_searched(
    tmp_path: Path, opener: Opener
) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    resident = Resident(opener(folder))
    with pytest.raises(LibraryMissing):
        resident.search(_query("a crab")).result(60)
    for name in ("crab.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, photos)
        found = process("--library", folder, "index", photos, "-q")
        assert found.status == 0, found.err
        hits = resident.search(_query(name.split(".")[0])).result(60)
        assert hits[0].image.file.path == name
    assert resident.close()
