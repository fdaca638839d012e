"""An index on Milvus: what is stored, the writer, exact scores, errors with hints.

The contract of all kinds of index is in tests/contracts/test_vector_index.py.
"""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
import uuid
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from imgsearch.errors import IndexServerError
from imgsearch.vectors import normalize
from tests.conftest import needs_server
from tests.fakes import SPACE, batch, unit_rows
from tests.indexes.served_laws import refusal, require_copies_apart

pytestmark = [pytest.mark.slow, needs_server]


@pytest.fixture
def make(milvus):
    """A function that opens the index of one library, as a process would."""
    from imgsearch.indexes.milvus_index import MilvusIndex

    url, library = milvus.database("own"), uuid.uuid4().hex

    def open_index(space=SPACE, end="", **more):
        kind = type("Kind", (MilvusIndex,), more)
        return kind(url + end, library, space)

    return open_index


def near(count: int, dimension: int = 8):
    """Vectors whose scores differ by little."""
    middle = unit_rows(1, dimension=dimension)
    noise = np.random.default_rng(0).standard_normal((count, dimension))
    return middle, normalize(middle + 1.5e-3 * noise)


def collections(milvus) -> set[str]:
    """The collections of vectors in the database of the tests."""
    return set(milvus.client("own").list_collections()) - {"imgsearch_states"}


def test_rows_restore_the_vectors_of_the_catalog(milvus, make):
    rows = unit_rows(500, dimension=96)
    space = replace(SPACE, dimension=96)
    index = make(space)
    index.apply(batch(list(range(500)), rows))
    index.flush()
    again = make(space)
    assert np.array_equal(again.vectors(np.arange(500)), rows)
    assert (again.state.revision, again.state.token) == (1, "token")
    assert again.described().startswith("exact (float32) on Milvus")
    assert again.described().endswith(f"at milvus://{milvus.address}/own")


def test_scores_are_exact_where_vectors_are_close(make):
    query, rows = near(1000, 128)
    index = make(replace(SPACE, dimension=128))
    index.apply(batch(list(range(1000)), rows))
    index.flush()
    scores = rows.astype(np.float64) @ query[0].astype(np.float64)
    best = np.argsort(-scores, kind="stable")[:20]
    matches = index.search(query, 20)
    assert np.allclose(matches.scores[0], scores[best], atol=1e-6)
    assert np.allclose(scores[matches.ids[0]], scores[best], atol=1e-6)
    assert matches.method == "exact scan of 1000 vectors on the server"


def test_hnsw_is_used_without_a_filter_and_says_so(make):
    rows = unit_rows(2000, dimension=32)
    space = replace(SPACE, dimension=32)
    index = make(space, trained_from=1000)
    index.apply(batch(list(range(2000)), rows))
    assert index.due
    index.flush(train=True)
    assert not index.due and index.state.kind.startswith("HNSW (float32) on Milvus")
    queries = unit_rows(20, seed=3, dimension=32)
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    matches = index.search(queries, 10)
    assert matches.method == "HNSW over 2000 vectors on the server, compared exactly"
    common = [len(set(a) & set(b)) for a, b in zip(matches.ids, best, strict=True)]
    assert sum(common) >= 190
    some = np.arange(0, 2000, 3)
    filtered = index.search(queries, 10, some)
    assert filtered.method == "exact scan of 667 vectors on the server"
    assert (filtered.ids == some[np.argsort(-(queries @ rows[some].T), axis=1)[:, :10]]).all()
    assert index.search(queries[:1], 3000).ids.shape == (1, 2000), "more than there are"
    index.apply(batch([5], -rows[5:6], since=1, revision=2, removals=(6,)))
    index.flush()
    again = make(space)
    assert again.described().startswith("HNSW") and again.check() == ""
    assert again.search(-rows[5:6], 1).ids.tolist() == [[5]], "a flush changes both"
    assert 6 not in again.search(rows[6:7], 50).ids


def test_the_method_says_that_a_large_filter_was_approximate(make):
    index = make(trained_from=100, exact_filter_up_to=500)
    rows = unit_rows(1000)
    index.apply(batch(list(range(1000)), rows))
    index.flush(train=True)
    matches = index.search(rows[:1], 5, np.arange(600))
    assert matches.method.startswith("approximate: HNSW") and "--exact" in matches.method
    best = np.argsort(-(rows[:1] @ rows[:600].T), axis=1)[0, :5]
    assert len(set(matches.ids[0]) & set(best)) >= 4
    assert index.search(rows[:1], 5, np.arange(500)).method.startswith("exact")
    exact = make(end="#exact", exact_filter_up_to=500)
    assert exact.search(rows[:1], 5).method.startswith("exact scan of 1000")
    assert exact.search(rows[:1], 5, np.arange(600)).method.startswith("exact scan of 600")
    assert exact.state.kind.startswith("exact (float32) on Milvus")


def test_hnsw_is_made_again_on_request(milvus, make):
    index = make(trained_from=100)
    index.apply(batch(list(range(300)), unit_rows(300)))
    index.flush(train=True)
    before = collections(milvus)
    index.flush(train=True, retrain=True)
    index.apply(batch([1], unit_rows(1), since=1, revision=2))
    index.flush()
    after = collections(milvus)
    assert len(before) == len(after) == 2 and len(before & after) == 1


def test_more_results_and_longer_lists_than_the_engine_takes(make):
    count = 18_000
    rows, query = unit_rows(count), unit_rows(1, seed=1)
    index = make()
    index.build(1, "token", lambda: [batch(list(range(count)), rows)])
    scores = (query @ rows.T)[0]
    order = np.argsort(-scores, kind="stable")
    matches = index.search(query, 17_000)
    assert np.allclose(matches.scores[0], scores[order[:17_000]], atol=1e-6)
    allowed = np.setdiff1d(np.arange(count - 10), np.arange(1, 3000, 2))
    assert len(allowed) > 10_000
    best = allowed[np.argsort(-scores[allowed], kind="stable")][:20]
    assert np.allclose(index.search(query, 20, allowed).scores[0], scores[best], atol=1e-6)
    found = index.search(query, 17_000, np.arange(count - 10))
    assert found.ids.shape == (1, 17_000) and found.ids.max() < count - 10
    gone = tuple(order[:12_000].tolist())
    index.apply(batch([], unit_rows(0), since=1, revision=2, removals=gone))
    assert len(index) == 6000
    assert np.allclose(index.search(query, 5).scores[0], scores[order[12_000:12_005]], atol=1e-6)


def test_a_search_writes_nothing_and_a_reader_sees_each_flush(milvus, make):
    reader, writer = make(), make()
    assert milvus.client("own").list_collections() == []
    changes = [
        batch([1, 2, 3], unit_rows(3)),
        batch([4], unit_rows(1, seed=4), since=1, revision=2, removals=(2,)),
    ]
    for each in changes:
        writer.apply(each)
        writer.flush()
        before = milvus.states("own")
        reader.reload()
        assert reader.search(unit_rows(1), 10).ids.shape[1] == len(writer)
        assert milvus.states("own") == before
    assert reader.ids().tolist() == [1, 3, 4]


def test_a_reader_goes_on_while_the_index_is_rebuilt(make):
    rows = unit_rows(2)
    writer = make()
    writer.build(1, "token", lambda: [batch([1, 2], rows)])
    reader = make()
    for revision in (2, 3):  # the second drops what the reader uses
        writer.build(revision, "token", lambda: [batch([1, 2], rows)])
    assert reader.search(rows, 1).ids[:, 0].tolist() == [1, 2]
    assert np.array_equal(reader.vectors(np.array([2])), rows[1:])


def test_a_killed_build_leaves_the_live_index_and_is_dropped_later(milvus, make):
    index = make()
    index.build(1, "token", lambda: [batch([1], unit_rows(1))])

    def broken():
        yield batch([1, 2], unit_rows(2))
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make().build(2, "token", broken)
    assert len(collections(milvus)) == 2
    assert make().ids().tolist() == [1]
    index.apply(batch([5], unit_rows(1), since=1, revision=2))
    index.flush()
    assert len(collections(milvus)) == 1
    assert len(milvus.states("own")) == 1


def test_a_flush_that_was_cut_off_is_masked_and_repeated(make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2, 3], unit_rows(3))])
    late = unit_rows(2, seed=7)

    def broken():
        yield np.array([2, 9]), late
        raise KeyboardInterrupt

    gone = np.array([2, 3, 9])
    with pytest.raises(KeyboardInterrupt):
        index._store.replace(index._main, gone, broken(), 2, "token")
    again = make()
    assert again.check() == "", "rows that a flush may have changed do not count as damage"
    assert again.revision == 1
    again.apply(batch([2, 9], late, since=1, revision=2, removals=(3,)))
    assert len(again) == 3
    assert again.search(late, 1).ids[:, 0].tolist() == [2, 9]
    assert again.search(unit_rows(3)[2:], 3).ids.shape == (1, 3)
    again.flush()
    final = make()
    assert final.ids().tolist() == [1, 2, 9] and final.check() == ""
    assert np.array_equal(final.vectors(np.array([9, 2])), late[::-1])


def test_the_state_with_the_highest_number_counts(milvus, make):
    """A kill between two steps of a commit leaves the earlier state beside the later one."""
    index = make()
    index.apply(batch([1], unit_rows(1)))
    index.flush()
    (row,) = milvus.states("own")
    older = {**json.loads(row["state"]), "revision": 99}
    client = milvus.client("own")
    fields = {"owner": row["owner"], "number": row["number"] - 1, "v": [1.0, 0.0]}
    client.insert("imgsearch_states", [{"key": "k", "state": json.dumps(older), **fields}])
    assert make().state.revision == 1


@pytest.mark.parametrize(
    "state", ["", "[]", '{"name": "x"}', '{"vectors": 1, "unsettled": 0, "z": 1}']
)
def test_a_state_that_is_not_readable(milvus, make, state):
    index = make()
    index.apply(batch([1], unit_rows(1)))
    index.flush()
    (row,) = milvus.states("own")
    fields = {"owner": row["owner"], "number": row["number"] + 1, "v": [1.0, 0.0]}
    milvus.client("own").insert("imgsearch_states", [{"key": "k", "state": state, **fields}])
    with pytest.raises(IndexServerError, match="is not readable") as caught:
        make()
    assert "another version" in caught.value.hint


def test_an_id_that_comes_twice_leaves_nothing(milvus, make):
    def broken():
        yield batch([1, 1], unit_rows(2))

    with pytest.raises(IndexServerError, match="1 of 2 vectors"):
        make().build(2, "token", broken)
    assert collections(milvus) == set()
    folder = replace(SPACE, model="/models/caf\udce9")  # a path that is not UTF-8
    make(folder).build(1, "token", lambda: [batch([1], unit_rows(1))])
    assert make(folder).ids().tolist() == [1]


def test_two_copies_of_a_library_do_not_mix(make):
    require_copies_apart(make, unit_rows(1))


def test_check_finds_rows_that_somebody_has_deleted(milvus, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], unit_rows(2))])
    assert index.check() == ""
    (name,) = collections(milvus)
    milvus.client("own").delete(name, ids=[2])
    time.sleep(0.1)
    assert f"the collection {name} has 1 vectors instead of 2" in index.check()


def test_a_search_works_again_after_the_server_was_away(milvus, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], unit_rows(2))])
    milvus.kill()
    started = time.monotonic()
    with pytest.raises(IndexServerError) as caught:
        index.search(unit_rows(2), 1)
    assert time.monotonic() - started < 5
    assert f"{milvus.address}/own cannot be used" in str(caught.value)
    milvus.start()
    assert index.search(unit_rows(2), 1).ids[:, 0].tolist() == [1, 2]
    assert index.check() == ""


# Errors: an address and a hint, within five seconds


def test_a_server_that_is_down():
    error = refusal("milvus://me:hidden@127.0.0.1:9/photos")
    assert "milvus://me@127.0.0.1:9/photos cannot be used" in str(error)
    assert "is running" in error.hint and "hidden" not in f"{error} {error.hint}"


@contextmanager
def stopped(server):
    """A server that does not run, though its connections stay open."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def test_a_server_that_hangs(milvus):
    with stopped(milvus):
        error = refusal(milvus.url())
    assert milvus.address in str(error)


def test_a_server_that_hangs_in_the_middle_of_searches(milvus, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], unit_rows(2))])
    index.search(unit_rows(1), 1)
    started = time.monotonic()
    with stopped(milvus), pytest.raises(IndexServerError) as caught:
        index.search(unit_rows(1), 1)
    assert time.monotonic() - started < 5
    assert milvus.address in str(caught.value) and "?timeout=" in caught.value.hint
    assert index.search(unit_rows(1), 1).ids.tolist() == [[1]]
    with stopped(milvus), pytest.raises(IndexServerError):
        started = time.monotonic()
        make(end="?timeout=1")
    assert time.monotonic() - started < 3


@contextmanager
def imitation(refused: str = "", version: str = "v2.3.5", tokens: list[str] | None = None):
    """The address of a server that knows its version only, or refuses every call.

    The tokens that it has received are added to `tokens`.
    """
    import grpc
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

    class Service(milvus_pb2_grpc.MilvusServiceServicer):
        def Connect(self, request, context):
            sent = dict(context.invocation_metadata()).get("authorization", "")
            if tokens is not None:
                tokens.append(base64.b64decode(sent).decode())
            if refused:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, refused)
            return milvus_pb2.ConnectResponse(status=common_pb2.Status(), identifier=1)

        def GetVersion(self, request, context):
            return milvus_pb2.GetVersionResponse(status=common_pb2.Status(), version=version)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)


def test_a_wrong_password():
    """As Milvus 2.3.5 answers with `authorizationEnabled`; Milvus Lite has no users."""
    refused = "auth check failure, please check username and password are correct"
    with imitation(refused) as address:
        error = refusal(f"milvus://me:an0ther@{address}/photos")
    assert "auth check failure" in str(error) and "MILVUS_TOKEN" in error.hint
    assert "an0ther" not in f"{error} {error.hint}"


def test_the_token_comes_from_the_url_or_the_environment(monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", "me:s3cret")
    tokens: list[str] = []
    with imitation("auth check failure for me:s3cret", tokens=tokens) as address:
        error = refusal(f"milvus://{address}")
        assert "for me:***" in str(error) and "s3cret" not in f"{error} {error.hint}"
        for user in ("you:w%40rd", ":k3y", "you"):
            refusal(f"milvus://{user}@{address}/db")
    assert list(dict.fromkeys(tokens)) == ["me:s3cret", "you:w@rd", "k3y"]


def test_an_old_version():
    with imitation(version="v2.2.16") as address:
        error = refusal(f"milvus://{address}")
    assert "has Milvus 2.2.16, which is too old" in str(error) and "2.3 or later" in error.hint


def test_a_database_that_does_not_exist(milvus):
    error = refusal(milvus.url("nowhere"))
    assert "nowhere" in str(error) and "create_database" in error.hint


def test_vectors_that_are_too_long(milvus):
    error = refusal(milvus.url(), replace(SPACE, dimension=40_000))
    assert "at most 32768 numbers" in str(error) and "--dimension" in error.hint


@pytest.mark.parametrize(
    "url",
    [
        "milvus://me:hid%@h:x/db",
        "milvus:///db",
        "milvus://h?timeout=hid%",
        "milvus://h?timeout=0",
        "milvus://h?secure=hid%",
        "milvus://h?other=hid%",
    ],
)
def test_a_url_that_is_not_valid_is_not_repeated(url):
    error = refusal(url)
    assert "is not valid" in str(error) and "hid%" not in f"{error} {error.hint}"


def test_searches_of_several_threads_share_a_connection(make):
    rows = unit_rows(50)
    index = make()
    index.build(1, "token", lambda: [batch(list(range(50)), rows)])
    found: dict[int, list[int]] = {}

    def search(number: int) -> None:
        found[number] = index.search(rows[number : number + 1], 1).ids[0].tolist()

    threads = [threading.Thread(target=search, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {number: [number] for number in range(8)}
