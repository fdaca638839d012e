"""An index on PostgreSQL: stored rows, permissions, exact scores, errors with hints.

The contract of all kinds of index is in tests/contracts/test_vector_index.py.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
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
GENERATIONS = "SELECT name, live, revision, vectors FROM imgsearch_index.generations"


@pytest.fixture
def make(postgres):
    """A function that opens the index of one library, as a process would."""
    from imgsearch.indexes.pgvector_index import PgIndex

    url, library = postgres.database("own"), uuid.uuid4().hex

    def open_index(space=SPACE, end="", **more):
        kind = type("Kind", (PgIndex,), more)
        return kind(url + end, library, space)

    return open_index


def catalog_rows(count: int, seed: int = 0, dimension: int = 8):
    """Vectors as the catalog returns them: stored in float16, then normalised."""
    return normalize(unit_rows(count, seed, dimension).astype(np.float16))


def stored_type(postgres) -> str:
    query = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v'"
    ((name,),) = postgres.sql(query + " AND attrelid IN (SELECT c.oid FROM pg_class c JOIN"
                              " pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r'"
                              " AND nspname = 'imgsearch_index')", database="own")  # fmt: skip
    return str(name)


def test_half_precision_restores_the_vectors_of_the_catalog(postgres, make):
    rows = catalog_rows(500, dimension=96)
    space = replace(SPACE, dimension=96)
    index = make(space)
    index.apply(batch(list(range(500)), rows))
    index.flush()
    assert stored_type(postgres) == "halfvec(96)"
    again = make(space)
    assert np.array_equal(again.vectors(np.arange(500)), rows)
    assert (again.state.revision, again.state.token) == (1, "token")


def test_vectors_that_never_were_float16_are_stored_in_float32(postgres, make):
    index = make()
    index.apply(batch(list(range(50)), catalog_rows(50)))
    index.flush()
    index.apply(batch([3, 60], unit_rows(2, seed=9), since=1, revision=2))
    index.flush()
    again = make()
    assert np.array_equal(again.vectors(np.array([60, 3])), unit_rows(2, seed=9)[::-1])
    assert np.array_equal(again.vectors(np.array([4])), catalog_rows(50)[4:5])
    assert again.ids().tolist() == [*range(50), 60]


def test_scores_are_exact_where_float16_cannot_order_the_vectors(make):
    """Scores of a thousand vectors that differ by no more than the norms of the stored rows."""
    random = np.random.default_rng(0)
    space = replace(SPACE, dimension=128)
    middle = unit_rows(1, dimension=128)
    near = middle + 1.5e-3 * random.standard_normal((1000, 128))
    rows = normalize(normalize(near).astype(np.float16))
    index = make(space)
    index.apply(batch(list(range(1000)), rows))
    index.flush()
    scores = rows.astype(np.float64) @ middle[0].astype(np.float64)
    best = np.argsort(-scores, kind="stable")[:20]
    matches = index.search(middle, 20)
    assert np.allclose(matches.scores[0], scores[best], atol=1e-6)
    assert np.allclose(scores[matches.ids[0]], scores[best], atol=1e-6)
    assert matches.method == "exact scan of 1000 vectors on the server"


def test_a_vector_of_zeros_scores_zero(make):
    rows = catalog_rows(100)
    rows[5] = 0
    index = make()
    index.apply(batch(list(range(100)), rows))
    index.flush()
    matches = index.search(rows[7:8], 100)
    scores = dict(zip(matches.ids[0].tolist(), matches.scores[0].tolist(), strict=True))
    assert len(scores) == 100 and scores[5] == 0


def test_hnsw_is_used_without_a_filter_and_says_so(make):
    rows = catalog_rows(2000, dimension=32)
    space = replace(SPACE, dimension=32)
    index = make(space, trained_from=1000)
    index.apply(batch(list(range(2000)), rows))
    assert index.due
    index.flush(train=True)
    assert not index.due and index.state.kind.startswith("HNSW on PostgreSQL 18")
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
    everything = index.search(queries[:1], 3000)
    assert everything.ids.shape == (1, 2000), "more than HNSW returns"


def test_the_method_says_that_a_large_filter_was_approximate(make):
    index = make(trained_from=100, exact_filter_up_to=500)
    index.apply(batch(list(range(1000)), catalog_rows(1000)))
    index.flush(train=True)
    method = index.search(unit_rows(1), 5, np.arange(600)).method
    assert method.startswith("approximate: HNSW") and "--exact" in method
    assert index.search(unit_rows(1), 5, np.arange(500)).method.startswith("exact")


def test_exact_in_the_url_forbids_hnsw(make):
    index = make(trained_from=100)
    index.apply(batch(list(range(1000)), catalog_rows(1000)))
    index.flush(train=True)
    exact = make(end="#exact", exact_filter_up_to=500)
    assert exact.search(unit_rows(1), 5).method.startswith("exact scan of 1000")
    assert exact.search(unit_rows(1), 5, np.arange(600)).method.startswith("exact scan of 600")
    assert exact.state.kind.startswith("exact on PostgreSQL")


def test_hnsw_is_made_again_on_request(postgres, make):
    index = make(trained_from=100)
    index.apply(batch(list(range(300)), catalog_rows(300)))
    index.flush(train=True)
    query = "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'"
    before = postgres.sql(query, database="own")
    index.flush(train=True, retrain=True)
    after = postgres.sql(query, database="own")
    assert len(before) == len(after) == 1 and before != after


def test_a_search_writes_nothing_and_a_reader_sees_each_flush(postgres, make):
    reader, writer = make(), make()
    assert postgres.sql("SELECT to_regclass('imgsearch_index.generations')", database="own") == [
        (None,)
    ]
    changes = [
        batch([1, 2, 3], catalog_rows(3)),
        batch([4], catalog_rows(1, seed=4), since=1, revision=2, removals=(2,)),
    ]
    for each in changes:
        writer.apply(each)
        writer.flush()
    for each in changes:  # a reader that was open before replays what is stored by now
        reader.apply(each)
    assert reader.ids().tolist() == [1, 3, 4] and len(reader) == 3
    assert reader.search(catalog_rows(3)[1:2], 9).ids.shape == (1, 3)
    reader.reload()
    assert reader.unflushed() == 0 and reader.ids().tolist() == [1, 3, 4]


def test_a_reader_survives_that_its_generation_is_dropped(postgres, make):
    first = batch([1, 2, 3], catalog_rows(3))
    make().build(1, "token", lambda: [first])
    reader, writer = make(), make()
    late = batch([4], catalog_rows(1, seed=4), since=1, revision=2)
    reader.apply(late)
    for _ in range(2):
        writer.build(2, "token", lambda: [first, late])
    names = postgres.sql(GENERATIONS + " WHERE live", database="own")
    assert len(names) == 1
    assert reader.search(catalog_rows(3), 4).ids.shape == (3, 4)
    assert reader.ids().tolist() == [1, 2, 3, 4] and len(reader) == 4
    assert reader.among(np.array([0, 2, 4])).tolist() == [2, 4]


def test_an_index_that_was_removed_is_an_error_and_then_empty(postgres, make):
    make().build(1, "token", lambda: [batch([1], catalog_rows(1))])
    reader = make()
    postgres.sql("DROP SCHEMA imgsearch_index CASCADE", database="own")
    with pytest.raises(IndexServerError, match="the index was removed from PostgreSQL"):
        reader.search(catalog_rows(1), 1)
    assert reader.state.revision == 0


def test_generations_of_killed_builds_are_dropped_by_the_next_write(postgres, make):
    index = make()
    index.build(1, "token", lambda: [batch([1], catalog_rows(1))])

    def broken():
        yield batch([1, 2], catalog_rows(2))
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make().build(2, "token", broken)
    rows = postgres.sql(GENERATIONS, database="own")
    assert sorted(live for _, live, *_ in rows) == [False, True]
    assert make().ids().tolist() == [1]
    index.apply(batch([5], catalog_rows(1), since=1, revision=2))
    index.flush()
    rows = postgres.sql(GENERATIONS, database="own")
    assert sorted(row[1:] for row in rows) == [(True, 2, 2)]
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'imgsearch_index'"
    assert postgres.sql(tables, database="own") == [(2,)]


def test_a_build_that_fails_leaves_nothing(postgres, make):
    def broken():
        yield batch([1, 1], catalog_rows(2))

    with pytest.raises(IndexServerError, match="duplicate key"):
        make().build(2, "token", broken)
    assert postgres.sql(GENERATIONS, database="own") == []
    folder = replace(SPACE, model="/models/caf\udce9")  # a path that is not UTF-8
    make(folder).build(1, "token", lambda: [batch([1], catalog_rows(1))])
    assert make(folder).ids().tolist() == [1]


def test_two_copies_of_a_library_do_not_mix(make):
    require_copies_apart(make, catalog_rows(1))


def test_check_finds_rows_that_somebody_has_deleted(postgres, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], catalog_rows(2))])
    assert index.check() == ""
    ((name, *_),) = postgres.sql(GENERATIONS, database="own")
    postgres.sql(f"DELETE FROM imgsearch_index.{name} WHERE id = 2", database="own")
    assert f"the table {name} has 1 vectors instead of 2" in index.check()


def test_a_search_works_again_after_the_server_was_away(postgres, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], catalog_rows(2))])
    postgres.kill()
    started = time.monotonic()
    with pytest.raises(IndexServerError) as caught:
        index.search(catalog_rows(2), 1)
    assert time.monotonic() - started < 5
    assert f"127.0.0.1:{postgres.port}/own" in str(caught.value)
    postgres.start()
    assert index.search(catalog_rows(2), 1).ids[:, 0].tolist() == [1, 2]


# Errors: an address and a hint, within five seconds


def test_a_server_that_is_down():
    error = refusal("postgresql://me:hidden@127.0.0.1:9/photos")
    assert "postgresql://me@127.0.0.1:9/photos cannot be used" in str(error)
    assert "is running" in error.hint and "hidden" not in f"{error} {error.hint}"


def test_a_server_that_hangs(postgres):
    os.kill(postgres.pid, signal.SIGSTOP)
    try:
        error = refusal(postgres.url())
    finally:
        os.kill(postgres.pid, signal.SIGCONT)
    assert f"127.0.0.1:{postgres.port}" in str(error)


@contextmanager
def stopped(*pids: int):
    """Processes that do not run, though their connections stay open."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_server_that_hangs_in_the_middle_of_searches(postgres, make):
    index = make()
    index.build(1, "token", lambda: [batch([1, 2], catalog_rows(2))])
    index.search(catalog_rows(1), 1)
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'imgsearch'"
    backends = [pid for (pid,) in postgres.sql(query + " AND datname = 'own'", database="own")]
    started = time.monotonic()
    with stopped(postgres.pid, *backends), pytest.raises(IndexServerError) as caught:
        index.search(catalog_rows(1), 1)
    assert time.monotonic() - started < 5
    assert f"127.0.0.1:{postgres.port}/own has not answered for 4 seconds" in str(caught.value)
    assert "statement_timeout" in caught.value.hint
    assert index.search(catalog_rows(1), 1).ids.tolist() == [[1]]


def test_a_search_that_takes_too_long(postgres, make):
    index = make(end="?options=-c%20statement_timeout%3D300")
    index.build(1, "token", lambda: [batch([1, 2], catalog_rows(2))])
    ((name, *_),) = postgres.sql(GENERATIONS, database="own")
    lock = f"BEGIN; LOCK TABLE imgsearch_index.{name}; SELECT pg_sleep(2)"
    holder = threading.Thread(target=postgres.sql, args=(lock,), kwargs={"database": "own"})
    holder.start()
    time.sleep(0.3)
    with pytest.raises(IndexServerError, match="statement timeout") as caught:
        index.search(catalog_rows(1), 1)
    assert "statement_timeout%3D60s" in caught.value.hint
    started = time.monotonic()
    assert index.check() == "" and time.monotonic() - started > 0.3, "only searches are limited"
    holder.join()
    assert index.search(catalog_rows(1), 1).ids.tolist() == [[1]]


def test_a_wrong_password(postgres):
    postgres.guest("s3cret word")
    error = refusal(postgres.url("guest", password="an0ther"))
    assert "password authentication failed" in str(error) and "~/.pgpass" in error.hint
    assert "an0ther" not in f"{error} {error.hint}"


def test_the_extension_is_not_installed(postgres):
    url = postgres.database("without")
    postgres.sql("ALTER DATABASE without SET extension_control_path = '/nowhere'")
    error = refusal(url)
    assert "has no pgvector" in str(error) and "postgresql-18-pgvector" in error.hint


def test_the_extension_is_not_enabled_and_the_user_may_not(postgres):
    postgres.database("closed")
    postgres.sql("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    error = refusal(postgres.url("reader", "closed"))
    assert "not enabled in the database closed" in str(error)
    assert "CREATE EXTENSION vector" in error.hint


def test_an_old_version_of_the_extension(postgres):
    url = postgres.database("old")
    change = "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"
    postgres.sql("CREATE EXTENSION vector", change, database="old")
    error = refusal(url)
    assert "has pgvector 0.7.4, which is too old" in str(error)
    assert "ALTER EXTENSION vector UPDATE" in error.hint


def test_vectors_that_are_too_long(postgres):
    error = refusal(postgres.url(), replace(SPACE, dimension=20_000))
    assert "at most 16000 numbers" in str(error) and "--dimension" in error.hint


def test_a_user_who_may_only_read(postgres, make):
    make().build(1, "token", lambda: [batch([1], catalog_rows(1))])
    library = make()._library
    postgres.sql(
        "DROP ROLE IF EXISTS visitor",
        "CREATE ROLE visitor LOGIN",
        "GRANT USAGE ON SCHEMA imgsearch_index TO visitor",
        "GRANT SELECT ON ALL TABLES IN SCHEMA imgsearch_index TO visitor",
        database="own",
    )
    from imgsearch.indexes.pgvector_index import PgIndex

    index = PgIndex(postgres.url("visitor", "own"), library, SPACE)
    index.apply(batch([2], catalog_rows(1, seed=2), since=1, revision=2))
    assert index.search(catalog_rows(1), 5).ids.shape == (1, 2)
    with pytest.raises(IndexServerError, match="permission denied") as caught:
        index.flush()
    assert "GRANT" in caught.value.hint
    postgres.sql("DROP OWNED BY visitor", "DROP ROLE visitor", database="own")


@pytest.mark.parametrize("url", ["postgresql://me:p%zz@h/db", "postgresql://me:hid%@h:x/db", "x"])
def test_a_url_that_is_not_valid_is_not_repeated(url):
    error = refusal(url, kind="postgresql")
    assert "is not valid" in str(error) and "p%zz" not in str(error) and "hid%" not in str(error)
