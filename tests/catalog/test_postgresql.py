"""What only a catalog on PostgreSQL has: its schema, its lock and epochs, and its errors."""

from __future__ import annotations

import itertools
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from imgsearch.catalog import Catalog, open_catalog, postgresql, schema
from imgsearch.catalog.engine import writing
from imgsearch.catalog.overview import Overview
from imgsearch.catalog.postgresql import CatalogServer, own_name
from imgsearch.catalog.spellings import glob_regex
from imgsearch.errors import (
    CatalogError,
    CatalogServerError,
    LibraryBusy,
    LibraryMissing,
    LibraryTooNew,
)
from imgsearch.filters.parser import parse
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync, verify
from imgsearch.records import ImageMetadata, RootRecord
from tests.conftest import examples, needs_server
from tests.fakes import DECODER, SPACE, MemoryFolder, encoded, held, ingest, rehearsed
from tests.postgres_server import PostgresServer

pytestmark = needs_server


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


def folder_of(*names: str) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {name: (f"content {name}", 1) for name in names}
    return folder


# Schema


def test_the_tables_are_those_of_the_code(catalog: Catalog) -> None:
    """`alembic check` finds nothing to change; it would see a column that is missing here."""
    with catalog._engine.connect() as connection:  # and without a commit
        command.check(schema.alembic_config(connection))
        connection.execute(text("ALTER TABLE images DROP COLUMN rating"))
        with pytest.raises(Exception, match="rating"):
            command.check(schema.alembic_config(connection))


def test_texts_are_compared_by_code_points(catalog: Catalog) -> None:
    query = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'imgsearch' AND data_type = 'text' AND collation_name IS NULL"
        " AND table_name NOT IN ('writer')"
    )
    with catalog._read() as connection:
        assert connection.execute(text(query)).all() == []


def test_a_newer_schema_is_refused_and_left_alone(
    catalog: Catalog, tmp_path: Path, catalog_url: str
) -> None:
    with writing(catalog._engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LibraryTooNew, match="schema 9999"):
        open_catalog(str(tmp_path / "other"), url=catalog_url)
    with closing(Overview(str(tmp_path), catalog_url)) as overview:
        assert not overview.ready


def test_an_interrupted_creation_leaves_nothing(
    tmp_path: Path, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade

    def fail(*arguments: object) -> None:
        upgrade(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", fail)
        with pytest.raises(RuntimeError):
            open_catalog(str(tmp_path), create=True, url=catalog_url)
    with pytest.raises(LibraryMissing, match="no library in postgresql://owner@127"):
        open_catalog(str(tmp_path), url=catalog_url)
    with closing(open_catalog(str(tmp_path), create=True, url=catalog_url)) as catalog:
        assert ingest(catalog, folder_of("a.jpg")).added == 1


def test_words_of_older_rules_are_written_again(catalog: Catalog) -> None:
    ingest(catalog, folder_of("gaol.jpg", "Łódź.jpg"))
    with catalog._engine.begin() as connection:
        connection.execute(text("UPDATE words SET doc = to_tsvector('simple', 'other')"))
        connection.execute(text("UPDATE images SET name_key = 'łódź.jpg' WHERE id = 2"))
        connection.execute(text("UPDATE imgsearch.alembic_version SET version_num = '0014'"))
        connection.execute(text("ALTER TABLE reference_texts DROP COLUMN priors"))  # of 0017
    schema.upgrade_server(catalog._engine, lambda connection: None)
    for query, name in (("jail", "gaol.jpg"), ("lodz", "Łódź.jpg")):
        (found,) = catalog.get([i for i, _ in catalog.with_words(query, 9)]).values()
        assert found.file.path.endswith(name)
    assert len(catalog.select(parse("name = lodz.jpg"))) == 1


def test_another_programs_schema_is_refused(
    tmp_path: Path, catalog_url: str, postgres: PostgresServer
) -> None:
    name = catalog_url.rpartition("/")[2]
    statements = "CREATE SCHEMA imgsearch", "CREATE TABLE imgsearch.theirs (id int)"
    postgres.sql(*statements, database=name)
    with pytest.raises(CatalogError, match="belongs to another program"):
        open_catalog(str(tmp_path), create=True, url=catalog_url)


def test_two_processes_may_create_one_library(tmp_path: Path, catalog_url: str) -> None:
    """One of them creates it; the other one opens it, or reports that it is being written."""
    outcomes: list[str] = []

    def create(number: int) -> None:
        try:
            place = str(tmp_path / str(number))
            with closing(open_catalog(place, create=True, url=catalog_url)) as catalog:
                outcomes.append(catalog.uuid)
        except LibraryBusy:
            outcomes.append("")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(outcomes) == 4 and len(set(outcomes) - {""}) == 1


# One writer


def test_a_second_writer_is_refused_by_the_name_of_the_first(
    catalog: Catalog, tmp_path: Path, catalog_url: str
) -> None:
    with closing(open_catalog(str(tmp_path / "other"), url=catalog_url)) as other:
        with catalog.writer(), pytest.raises(LibraryBusy) as refused, other.writer():
            pass
        assert own_name() in str(refused.value)
        assert socket.gethostname() in str(refused.value)
        with other.writer() as writer:  # it was released
            writer.put_root(RootRecord("/elsewhere"))


def test_a_writer_of_an_older_epoch_writes_no_more(
    catalog: Catalog, tmp_path: Path, catalog_url: str, postgres: PostgresServer
) -> None:
    """As after a failover: the server has forgotten the lock, and another process has taken it."""
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([encoded("a.jpg", "content a")])
        postgres.sql(end, database=catalog_url.rpartition("/")[2])
        writer.commit([encoded("b.jpg", "content b")])  # nobody else has begun
        with closing(open_catalog(str(tmp_path / "other"), url=catalog_url)) as other:
            with other.writer() as second:
                second.put_root(RootRecord("/elsewhere"))
            with pytest.raises(LibraryBusy, match=f"process {own_name()} has begun to write"):
                writer.commit([encoded("c.jpg", "content c")])
    assert catalog.count() == 2
    assert ingest(catalog, folder_of("c.jpg")).encoded == 1, "a later run is as usual"


def test_ids_are_never_used_again(catalog: Catalog) -> None:
    folder = folder_of("a.jpg", "b.jpg")
    ingest(catalog, folder)
    with catalog.writer() as writer:
        writer.forget_root("/photos")
    ingest(catalog, folder_of("c.jpg"))
    assert catalog.all_ids().tolist() == [3]


# Values and words


def test_a_text_with_a_nul_is_stored_without_it(catalog: Catalog) -> None:
    item = replace(
        encoded("a.jpg", "a"), metadata=ImageMetadata(4, 3, "JPEG", title="one\0two", rating=3)
    )
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([item, encoded("\udcff.jpg", "b")])
    assert catalog.get([1])[1].metadata.title == "one\ufffdtwo"
    assert catalog.get([2])[2].file.path == "\udcff.jpg"
    assert [key for key, _ in catalog.with_words("two", 9)] == [1]


def test_texts_of_any_length_and_content_are_indexed(catalog: Catalog) -> None:
    """Longer words, labels and texts than an index of the server takes."""
    titles = [
        "x" * 2000,
        "語" * 2000,
        "quote ' and \\ back:slash <-> & | ! ( )",
        " ".join(f"word{number}" for number in range(250)),
    ]
    items = [
        replace(encoded(f"{i}.jpg", f"c{i}"), metadata=ImageMetadata(4, 3, "JPEG", title=title))
        for i, title in enumerate(titles)
    ]
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit(items)
        from imgsearch.records import TextFound

        long = " ".join(itertools.islice((f"{n:06}" for n in itertools.count()), 200_000))
        writer.put_texts([TextFound("c0", "engine", long, "")])
    for query, found in (("語語", 2), ("slash back", 3), ("word249", 4), ("000007", 1)):
        assert [key for key, _ in catalog.with_words(query, 9)] == [found], query


GLOB_CHARACTERS = st.text("ab]-[^*?!\\.(é語\n", max_size=8)


@pytest.fixture(scope="module")
def matcher(new_url: Callable[[], str]) -> Iterator[Callable[[str, str], bool]]:
    with CatalogServer(new_url()).open(autocommit=True) as connection:

        def matches(value: str, regex: str) -> bool:
            row = connection.execute("SELECT %s ~ %s", (value, regex)).fetchone()
            assert row is not None
            return bool(row[0])

        yield matches


@settings(max_examples=examples(1000), deadline=None)
@given(value=GLOB_CHARACTERS, pattern=GLOB_CHARACTERS)
def test_patterns_mean_what_they_mean_to_sqlite(
    matcher: Callable[[str, str], bool], value: str, pattern: str
) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        (expected,) = db.execute("SELECT ? GLOB ?", (value, pattern)).fetchone()
    assert matcher(value, glob_regex(pattern)) == bool(expected)


# What else a library does


def test_a_dry_run_rehearses_in_a_file(catalog: Catalog) -> None:
    ingest(catalog, folder_of("a.jpg", "b.jpg"))
    folder = folder_of("b.jpg", "c.jpg")
    report = rehearsed(catalog, folder)
    assert report.names["added"] == ["/photos/c.jpg"]
    assert report.names["removed"] == ["/photos/a.jpg"]
    assert catalog.count() == 2, "nothing has changed"


def test_a_snapshot_sees_no_later_change(
    catalog: Catalog, tmp_path: Path, catalog_url: str
) -> None:
    ingest(catalog, folder_of("a.jpg"))
    with closing(open_catalog(str(tmp_path / "other"), url=catalog_url)) as other:
        with other.snapshot():
            assert other.count() == 1
            ingest(catalog, folder_of("a.jpg", "b.jpg"))
            assert other.count() == 1
        assert other.count() == 2


def test_an_overview_reads_what_the_catalog_reads(
    catalog: Catalog, tmp_path: Path, catalog_url: str
) -> None:
    folder = folder_of("a.jpg", "b.jpg")
    folder.files["c.jpg"] = ("broken c", 1)
    ingest(catalog, folder)
    with closing(Overview(catalog.folder, catalog_url)) as overview:
        assert overview.ready
        assert overview.summary() == catalog.summary()
        assert overview.roots() == catalog.roots()
        assert overview.skipped() == catalog.skipped()
        known = overview.known_files("/photos", ["a.jpg", "c.jpg", "d.jpg"])
        assert sorted(known) == ["a.jpg", "c.jpg"]
    assert "PostgreSQL" in catalog.summary()["catalog"]


def test_values_out_of_range_are_named(catalog: Catalog) -> None:
    values = {
        "latitude": "999",
        "longitude": "'NaN'",
        "rating": "7",
        "orientation": "0",
        "taken_precision": "'week'",
        "taken_at": "'0044-03-15 12:00:00'",
        "utc_offset_minutes": "5000",
    }
    dates = ("'infinity'", "'20000-01-01'")
    names = [f"{n}.jpg" for n in range(len(values) + len(dates))]
    ingest(catalog, folder_of("sound.jpg", *names))
    assert catalog.check() == []
    changes = [*values.items(), *(("taken_at", date) for date in dates)]
    with catalog._engine.begin() as connection:
        for name, (column, value) in zip(names, changes, strict=True):
            query = f"UPDATE images SET {column} = {value} WHERE path = '{name}'"
            connection.execute(text(query))
    faults = catalog.check()
    assert len(faults) == len(changes)
    for name, (column, _) in zip(names, changes, strict=True):
        (fault,) = [each for each in faults if f"of images ({name})" in each]
        assert f"{column} is damaged" in fault


def test_damaged_vectors_are_named(catalog: Catalog) -> None:
    ingest(catalog, folder_of("a.jpg", "b.jpg"))
    assert catalog.check() == []
    with writing(catalog._engine) as connection:
        connection.execute(text("UPDATE embeddings SET vector = 'x' WHERE image_id = 2"))
    (fault,) = catalog.check()
    assert "1 vectors of toy" in fault and "ids 2" in fault
    assert set(held(catalog)) == {"/photos/a.jpg"}


# Errors


def test_a_restarted_server_is_used_again(
    catalog: Catalog, tmp_path: Path, postgres: PostgresServer
) -> None:
    """A run that the server leaves ends with its address; the next one goes on."""
    ingest(catalog, folder_of("a.jpg"))
    folder = folder_of("a.jpg", "b.jpg")
    address = r"postgresql://owner@127\.0\.0\.1"
    with pytest.raises(CatalogServerError, match=address), catalog.writer() as writer:
        postgres.kill()
        writer.put_root(RootRecord("/photos"))
    postgres.start()
    assert catalog.count() == 1
    assert ingest(catalog, folder).added == 1
    index = MemoryIndex("", catalog.uuid, SPACE)
    assert sync(catalog, index) == "" and verify(catalog, index) == []


def test_a_lost_server_is_not_a_damaged_picture(catalog: Catalog, postgres: PostgresServer) -> None:
    ingest(catalog, folder_of("a.jpg"))
    with pytest.raises(CatalogServerError), catalog.snapshot():
        assert len(catalog.get([1])) == 1
        postgres.kill()
        catalog.get([1])
    postgres.start()
    assert catalog.damaged == 0 and len(catalog.get([1])) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url: re.sub(r":\d+/", ":1/", url), "Connection refused"),
        (lambda url: url.rpartition("/")[0] + "/nowhere", '"nowhere" does not exist'),
        (lambda url: url.replace("owner@", "guest:mistaken@"), "password authentication failed"),
        (lambda url: url + "?nonsense=1", "the URL of the catalog server is not valid"),
    ],
)
def test_an_error_names_the_address_and_no_password(
    tmp_path: Path,
    catalog_url: str,
    postgres: PostgresServer,
    change: Callable[[str], str],
    sentence: str,
) -> None:
    postgres.guest("right")
    url = change(catalog_url)
    for open_it in (
        lambda: open_catalog(str(tmp_path), create=True, url=url),
        lambda: Overview(str(tmp_path), url),
    ):
        start = time.monotonic()
        with pytest.raises(CatalogServerError) as caught:
            open_it()
        assert time.monotonic() - start < 5
        assert sentence in str(caught.value) and caught.value.hint
        assert "mistaken" not in str(caught.value) + caught.value.hint
        assert sentence.startswith("the URL") or "postgresql://" in str(caught.value)


def test_an_old_version_of_the_server(
    tmp_path: Path, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "MIN_VERSION", 99)
    with pytest.raises(CatalogServerError, match="is PostgreSQL 18, which is too old") as caught:
        open_catalog(str(tmp_path), create=True, url=catalog_url)
    assert "PostgreSQL 99 or later" in caught.value.hint


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"postgresql://me@127.0.0.1:{deaf.getsockname()[1]}/photos"
        start = time.monotonic()
        with pytest.raises(CatalogServerError, match="timeout"):
            open_catalog(str(tmp_path), url=url)
        assert time.monotonic() - start < 5


def test_a_user_without_rights_is_told_what_to_grant(
    tmp_path: Path, catalog_url: str, postgres: PostgresServer
) -> None:
    postgres.guest("right")
    url = catalog_url.replace("owner@", "guest:right@")
    with pytest.raises(CatalogServerError) as caught:
        open_catalog(str(tmp_path), create=True, url=url)
    assert "GRANT CREATE ON DATABASE" in caught.value.hint
    assert "right@" not in str(caught.value)
