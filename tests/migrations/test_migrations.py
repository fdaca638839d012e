"""Libraries with an older schema open with all their rows; those with a newer one are refused."""

from __future__ import annotations

import os
import re
import sqlite3

import pytest
import xxhash
from alembic import command
from alembic.script import ScriptDirectory

from imgsearch.catalog import open_catalog, schema, word_forms
from imgsearch.catalog.engine import open_engine
from imgsearch.catalog.rows import to_blob
from imgsearch.catalog.sqlite_file import connect
from imgsearch.catalog.store import FILE
from imgsearch.curation.clusters import Clusters
from imgsearch.errors import CatalogError, LibraryMissing, LibraryTooNew, QueryError
from imgsearch.filters import text_keys
from imgsearch.filters.parser import parse
from imgsearch.filters.text_keys import folded
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync, verify
from imgsearch.records import TextFound
from imgsearch.vectors import EmbeddingSpace
from tests.curation.groups import WordEncoder
from tests.fakes import SPACE, MemoryFolder, held, ingest, vector_of

ROWS_0001 = """
INSERT INTO spaces VALUES (1, :key, 'toy', '1', 'none', 8, '2026-01-01 00:00:00.000000');
INSERT INTO library VALUES (1, 'abc', 3, 0, 1, '2026-01-01 00:00:00.000000');
INSERT INTO roots VALUES (1, '/photos', '["*.tmp"]', 0, '2026-01-01 00:00:00.000000', NULL);
INSERT INTO runs VALUES (1, 1, 'fp32', '2026-01-01 00:00:00.000000', NULL, 'done', '{}');
INSERT INTO images (id, root_id, path, size, mtime_ns, content_hash, width, height, format,
  orientation, status, added_at) VALUES
  (1, 1, 'a.jpg', 1009, 1, 'content 1', 4, 3, 'JPEG', 1, 'present', '2026-01-01 00:00:00.000000'),
  (5, 1, 'caf//dce9.jpg', 1009, 1, 'content 2', 4, 3, 'JPEG', 1, 'present',
   '2026-01-01 00:00:00.000000'),
  (6, 1, 'gone.jpg', 1009, 1, 'content 3', 4, 3, 'JPEG', 1, 'gone', '2026-01-01 00:00:00.000000');
INSERT INTO embeddings (space_id, image_id, revision, vector) VALUES
  (1, 1, 1, :one), (1, 5, 2, :two);
INSERT INTO tombstones VALUES (1, 6, 3);
INSERT INTO skipped VALUES (1, 1, 'bad.jpg', 7, 1, 'cut off', 0, 'decoder 1', 1);
"""


WORDS = re.compile(r"""'[^']*'|"[^"]*"|\w+|[^\s\w]""")
"""Of SQL, with what is between quotation marks as it is."""


def make_0001(folder) -> str:
    """A library as the first release of the schema wrote it, with a row in every table."""
    path = os.path.join(folder, FILE)
    engine = open_engine(path)
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        command.upgrade(schema.alembic_config(connection), "0001")
    engine.dispose()
    values = {
        "key": SPACE.key,
        "one": to_blob(vector_of("content 1")),
        "two": to_blob(vector_of("content 2")),
    }
    connection = sqlite3.connect(path)
    for statement in ROWS_0001.split(";\n"):
        connection.execute(statement, values)
    connection.commit()
    connection.close()
    return path


def test_an_old_library_keeps_all_its_rows(tmp_path):
    make_0001(tmp_path)
    catalog = open_catalog(str(tmp_path))
    vectors = held(catalog)
    assert set(vectors) == {"/photos/a.jpg", "/photos/caf\udce9.jpg"}
    assert catalog.check() == []
    (root,) = catalog.roots()
    assert (root.path, root.exclude, root.mounts, root.images) == ("/photos", ("*.tmp",), (), 2)
    assert [each.reason for each in catalog.skipped()] == ["cut off"]
    assert catalog.head()[0] == 3 and catalog.head()[1]
    assert catalog.last_run().outcome == "done"
    index = MemoryIndex("", catalog.uuid, SPACE)
    assert sync(catalog, index) == "" and verify(catalog, index) == []


def test_filters_work_on_rows_from_before_filters(tmp_path):
    path = make_0001(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE images SET camera_make = 'NIKON', camera_model = 'D750', "
        "path = 'sub/\u00c9T\u00c9.JPG', taken_at = '2023-05-17 12:00:00.000000' WHERE id = 1"
    )
    connection.execute("UPDATE images SET camera_make = '' WHERE id = 5")
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    matches = {
        text: catalog.select(parse(text)).tolist()
        for text in ("name ~ 'e\u0301te\u0301.jpg'", "name = 'caf?.jpg' or name ~ 'caf?.jpg'",
                     "taken = 2023-05", "camera = 'nikon d750'", "not has camera",
                     "has camera or not has camera")
    }  # fmt: skip
    assert list(matches.values()) == [[1], [5], [1], [1], [5], [1, 5]], "6 is gone"
    connection = sqlite3.connect(path)
    keys = connection.execute("SELECT id, path, name_key, camera_key FROM images").fetchall()
    connection.close()
    for _, stored, name, camera in keys:
        assert name == folded(stored.replace("//dce9", "\udce9").rpartition("/")[2])
        assert camera in (None, "nikon d750")


def test_dates_are_exact_and_mpo_becomes_jpeg(tmp_path):
    path = make_0001(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE images SET taken_at = '2023-05-17 12:00:00.000000' WHERE id = 1")
    connection.execute("UPDATE images SET format = 'MPO' WHERE id = 1")
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    assert 1 in catalog.select(parse("format = jpeg")).tolist()
    metadata = catalog.get([1])[1].metadata
    assert (metadata.format, metadata.taken_precision) == ("JPEG", "second")
    assert metadata.metadata_version == 0, "read before there were versions"


def test_an_upgraded_library_can_be_indexed(tmp_path):
    make_0001(tmp_path)
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("content 1", 1), "back.jpg": ("content 9", 4), "gone.jpg": ("x", 9)}
    catalog = open_catalog(str(tmp_path))
    report = ingest(catalog, folder)
    assert (report.unchanged, report.added, report.removed) == (1, 2, 1)
    assert set(held(catalog)) == {"/photos/a.jpg", "/photos/back.jpg", "/photos/gone.jpg"}
    ids = catalog.all_ids()
    assert ids.max() > 6, "an id is never reused"


INSTRUCTION = "You are a helpful assistant."
BEFORE_0003 = (
    "two bicubic resizes to 256-1280 visual tokens, documents as 'You are a helpful assistant.',"
    " last token, 1-d positions"
)


def test_the_instruction_moves_out_of_the_preprocessing_and_no_vector_is_lost(tmp_path):
    path = make_0001(tmp_path)
    connection = sqlite3.connect(path)
    row = (2, "gme-key", "gme", "abc", BEFORE_0003, 8, "2026-01-01 00:00:00.000000")
    connection.execute("INSERT INTO spaces VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    vector = to_blob(vector_of("content 1"))
    connection.execute(
        "INSERT INTO embeddings (space_id, image_id, revision, vector) VALUES (2, 1, 3, ?)",
        (vector,),
    )
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    now = "two bicubic resizes to 256-1280 visual tokens, last token, 1-d positions"
    upgraded = EmbeddingSpace("gme", "abc", now, 8, INSTRUCTION)
    assert catalog.known_spaces() == [SPACE, upgraded]
    assert set(held(catalog, upgraded)) == {"/photos/a.jpg"}, "found by the key of the space"
    assert len(held(catalog)) == 2


@pytest.mark.parametrize("version", ["0001", "none"])
def test_an_old_library_that_is_read_only_is_an_error_with_a_hint(tmp_path, monkeypatch, version):
    if version == "0001":
        make_0001(tmp_path)
    else:
        (tmp_path / FILE).touch()
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with monkeypatch.context() as patch:  # a superuser may write anywhere
        patch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        with pytest.raises(CatalogError, match="because the folder is read-only") as caught:
            open_catalog(str(tmp_path))
    assert ("older version of imgsearch (schema 0001)" in str(caught.value)) == (version == "0001")
    assert "copy the folder" in caught.value.hint
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    assert open_catalog(str(tmp_path)).uuid, "it opens once it is writable"


def test_a_folder_that_cannot_be_locked_is_an_error(tmp_path, monkeypatch):
    catalog = open_catalog(str(tmp_path / "library"), create=True)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with (
        pytest.raises(CatalogError, match="cannot be written to: Permission denied") as caught,
        catalog.writer(),
    ):
        pass
    assert "--library DIR" in caught.value.hint


def test_captions_of_an_older_library_are_found_together_with_new_texts(tmp_path):
    path = make_0001(tmp_path)
    upgraded_to(tmp_path, "0006")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE images SET title = 'Opening night', keywords = 'opera' WHERE id = 1")
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    assert [i for i, _ in catalog.with_words("opera night", 9)] == [1]
    assert catalog.ocr_mode() == "" and catalog.texts().read == 0
    with catalog.writer() as writer:
        writer.put_texts([TextFound("content 1", "reader", "corner shop")])
        writer.set_ocr_mode("on")
    assert [i for i, _ in catalog.with_words("opera shop", 9)] == [1]
    assert catalog.ocr_mode() == "on"
    catalog.close()
    connection = connect(path)
    connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    connection.execute("DELETE FROM texts")
    connection.execute("UPDATE images SET path = 'b.jpg' WHERE id = 1")
    connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    found = "SELECT rowid FROM words WHERE words MATCH ?"
    assert connection.execute(found, ["shop"]).fetchall() == []
    assert connection.execute(found, ["b opera"]).fetchall() == [(1,)]
    connection.close()


def test_rows_from_before_folding_are_folded_and_other_programs_can_read_them(tmp_path):
    path = make_0001(tmp_path)
    upgraded_to(tmp_path, "0008")
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE images SET path = 'Łódź.jpg', name_key = 'łódź.jpg', camera_key = 'éclair',"
        " camera_model = 'Éclair',"
        " people = 'Zoë' || char(10) || 'Łucja', city = 'Kraków' WHERE id = 1"
    )
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    for text in ("name = lodz.jpg", "camera = eclair", "people = lucja", "person = zoe",
                 "city = krakow and has place"):  # fmt: skip
        assert catalog.select(parse(text)).tolist() == [1], text
    assert [i for i, _ in catalog.with_words("lodz lucja", 9)] == [1]
    catalog.close()
    connection = sqlite3.connect(path)
    (row,) = connection.execute("SELECT path, people FROM words WHERE words MATCH 'zoe'").fetchall()
    assert row == ("lodz jpg", "zoe lucja")
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        connection.execute("UPDATE images SET path = 'b.jpg' WHERE id = 1")
    connection.close()


def test_words_and_keys_of_older_rules_are_written_again(tmp_path):
    path = make_0001(tmp_path)
    upgraded_to(tmp_path, "0014")
    connection = connect(path)
    connection.execute("UPDATE images SET path = 'Łódź gaol.jpg', people = 'Zoë' WHERE id = 1")
    connection.execute("UPDATE images SET name_key = 'łódź gaol.jpg' WHERE id = 1")
    connection.execute("UPDATE words SET forms = '', path = 'łódź gaol jpg' WHERE rowid = 1")
    connection.execute("UPDATE labels SET key = 'zoë' WHERE image_id = 1")
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    for query in ("jail", "lodz", "zoe"):
        assert [i for i, _ in catalog.with_words(query, 9)] == [1], query
    for text in ("name = 'lodz gaol.jpg'", "person = zoe"):
        assert catalog.select(parse(text)).tolist() == [1], text
    assert [i for i, _ in catalog.with_words("caf", 9)] == [5], "the others are there, too"


RULES = {"0015": "e5e82aef832ea4b5"}
"""The migration that wrote all words again -> the hash of the rules that it followed."""


def test_a_change_of_the_rules_of_words_comes_with_a_migration():
    """Add a migration that calls `upgrade` of 0015, and its number with the new hash here."""
    rules = (
        word_forms._SPELLINGS,
        word_forms._IRREGULAR,
        word_forms._IRREGULAR_ENDINGS,
        [(each.pattern, by) for each, by in word_forms._RULES],
        sorted(word_forms._ENDINGS),
        sorted(word_forms._SPARED),
        word_forms._DATES,
        word_forms.MONTHS,
        text_keys._OTHER_LETTERS,
        text_keys._ACCENT_OWNERS,
        text_keys._LETTERS_WITH_MARKS,
    )
    assert xxhash.xxh3_64_hexdigest(repr(rules).encode()) == RULES[max(RULES)]
    assert max(RULES) <= schema.HEAD


def upgraded_to(folder, version: str) -> None:
    engine = open_engine(os.path.join(folder, FILE))
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        command.upgrade(schema.alembic_config(connection), version)
    engine.dispose()


def test_a_copy_is_kept_before_an_upgrade(tmp_path):
    make_0001(tmp_path)
    open_catalog(str(tmp_path))
    copy = sqlite3.connect(tmp_path / f"{FILE}.before-{schema.HEAD}")
    assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    assert copy.execute("SELECT count(*) FROM images").fetchone() == (3,)
    copy.close()


def version_of(path: str) -> str:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    ((version,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    return version


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs the names of open files")
def test_the_copy_is_on_the_disk_before_the_upgrade_begins(tmp_path, monkeypatch):
    """Its content and its name are synced while the library still has the old schema."""
    path = make_0001(tmp_path)
    copy, synced, sync = f"{path}.before-{schema.HEAD}", [], os.fsync

    def fsync(number: int) -> None:
        sync(number)
        synced.append((os.readlink(f"/proc/self/fd/{number}"), version_of(path)))
        assert version_of(copy) == "0001", "the copy is complete"

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        open_catalog(str(tmp_path)).close()
    assert synced == [(os.path.realpath(copy), "0001"), (os.path.realpath(tmp_path), "0001")]
    assert version_of(path) == schema.HEAD


def test_an_interrupted_upgrade_changes_nothing(tmp_path, monkeypatch):
    path = make_0001(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", fail_after(command.upgrade))
        with pytest.raises(RuntimeError):
            open_catalog(str(tmp_path))
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    assert "mounts" not in str(connection.execute("PRAGMA table_info(roots)").fetchall())
    connection.close()
    assert len(held(open_catalog(str(tmp_path)))) == 2


def fail_after(upgrade):
    def failing(*arguments):
        upgrade(*arguments)
        raise RuntimeError("killed")

    return failing


def test_a_newer_library_is_refused_and_unchanged(tmp_path):
    catalog = open_catalog(str(tmp_path / "new"), create=True)
    catalog.close()
    path = tmp_path / "new" / FILE
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LibraryTooNew, match="newer version of imgsearch") as caught:
        open_catalog(str(tmp_path / "new"))
    assert "Update imgsearch" in caught.value.hint
    assert path.read_bytes() == before


def test_the_tables_and_the_migrations_agree(tmp_path):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    with catalog._engine.connect() as connection:
        command.check(schema.alembic_config(connection))


def test_a_new_library_is_what_the_migrations_make_of_an_empty_file(tmp_path):
    for name in ("new", "migrated"):
        (tmp_path / name).mkdir()
    catalog = open_catalog(str(tmp_path / "new"), create=True)
    catalog.close()
    upgraded_to(tmp_path / "migrated", "head")
    new, migrated = (contents(tmp_path / name / FILE) for name in ("new", "migrated"))
    assert len(migrated) > 40
    assert new == {**migrated, "rows of library": "1"}


def contents(path) -> dict[str, str]:
    """The words of the statements of a schema, and the columns and the number of rows of each
    table. Alembic writes the constraints of a table that it copies in any order."""
    connection = sqlite3.connect(path)
    entries = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    found = {
        f"{kind} {name}": " ".join(sorted(WORDS.findall(sql or ""))) for kind, name, sql in entries
    }
    for kind, name, _ in entries:
        if kind == "table":
            (count,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            found[f"rows of {name}"] = str(count)
            columns = connection.execute(f'SELECT * FROM "{name}" LIMIT 0').description
            found[f"columns of {name}"] = " ".join(column[0] for column in columns)
    connection.close()
    return found


def test_alembic_check_sees_a_difference(tmp_path):
    from alembic.util import CommandError

    catalog = open_catalog(str(tmp_path / "library"), create=True)
    with catalog._engine.connect() as connection:
        connection.exec_driver_sql("DROP INDEX ix_images_size")
        with pytest.raises(CommandError, match="upgrade operations"):
            command.check(schema.alembic_config(connection))


def test_head_equals_the_head_of_alembic():
    assert ScriptDirectory.from_config(schema.alembic_config()).get_current_head() == schema.HEAD


def test_a_missing_library_is_an_error(tmp_path):
    with pytest.raises(LibraryMissing, match="there is no library") as caught:
        open_catalog(str(tmp_path / "nothing"))
    assert "imgsearch index" in caught.value.hint
    assert not (tmp_path / "nothing").exists()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(CatalogError, match="not empty"):
        open_catalog(str(tmp_path), create=True)
    assert os.listdir(tmp_path) == ["photo.jpg"]


@pytest.mark.parametrize("content", [b"", b"this is not a database" * 100])
def test_a_file_that_is_not_a_catalog_is_an_error(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    if content:
        with pytest.raises(CatalogError, match="damaged"):
            open_catalog(str(tmp_path))
    else:
        # Killed before the first transaction: an empty file becomes a library.
        assert open_catalog(str(tmp_path)).head() == (0, "")


def test_only_the_owner_can_access_the_library(tmp_path):
    open_catalog(str(tmp_path / "library"), create=True)
    assert os.stat(tmp_path / "library").st_mode & 0o077 == 0


def test_durable_settings(tmp_path):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    with catalog._engine.connect() as connection:

        def pragma(name):
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == (
            "wal", 2, 1,
        )  # fmt: skip


def test_an_old_library_has_no_clusters_until_they_are_made(tmp_path):
    make_0001(tmp_path)
    catalog = open_catalog(str(tmp_path))
    assert catalog.clustering(SPACE) is None and catalog.clusters(SPACE) == []
    assert catalog.unclustered() == 0 and catalog.select(parse("has cluster")).tolist() == []
    clusters = Clusters(catalog, MemoryIndex("", catalog.uuid, SPACE), WordEncoder, print)
    clusters.bring_up()
    assert clusters.report(3).pictures == 2, "6 is gone"
    assert catalog.check() == []


def test_the_pictures_of_an_old_library_are_not_measured_until_they_are_read(tmp_path):
    make_0001(tmp_path)
    catalog = open_catalog(str(tmp_path))
    assert all(record.measures is None for record in catalog.get(catalog.all_ids()).values())
    assert catalog.unmeasured_count() == catalog.count() > 0
    with pytest.raises(QueryError, match="have not been measured"):
        catalog.select(parse("sharpness > 0"))
    assert catalog.check() == []


@pytest.mark.parametrize(("reads_texts", "mode"), [(0, ""), (1, "on")])
def test_a_library_that_reads_texts_goes_on_reading_all_of_them(tmp_path, reads_texts, mode):
    path = make_0001(tmp_path)
    upgraded_to(tmp_path, "0012")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE library SET reads_texts = ?", (reads_texts,))
    connection.commit()
    connection.close()
    catalog = open_catalog(str(tmp_path))
    assert catalog.ocr_mode() == mode and catalog.texts().wanted == bool(reads_texts)
    assert catalog.uuid == "abc"
    catalog.close()
