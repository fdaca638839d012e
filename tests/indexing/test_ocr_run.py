"""Texts in pictures: read once per content, kept after moves, dropped with the last copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from imgsearch.catalog import Catalog
from imgsearch.errors import EncoderError
from imgsearch.indexing.ocr_run import TextIngestor
from imgsearch.model_card import InputSize
from imgsearch.records import (
    PASSED_OVER,
    SEEN,
    Decoded,
    ImageFile,
    ImageMetadata,
    Measures,
    Skipped,
    TextFound,
    TextReport,
)
from imgsearch.vectors import Pixels
from tests.catalog.test_full_text import matching_paths, sound
from tests.conftest import full_only
from tests.fakes import MemoryFolder, ingest

ROOT = "/photos"


class ContentDecoder:
    """Decodes files of a memory folder: the content is the hash and, as bytes, the pixels."""

    def __init__(self, folder: MemoryFolder) -> None:
        self.folder = folder
        self.decoded: list[str] = []

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        for file in files:
            self.decoded.append(file.path)
            content, mtime_ns = self.folder.files[file.path]
            now = replace(file, size=1000 + len(content), mtime_ns=mtime_ns)
            if content.startswith(("undecodable", "away")):
                yield Skipped(now, content, transient=content.startswith("away"))
            else:
                pixels = np.frombuffer(content.encode(), np.uint8)
                measures = Measures(0.1, 0.9, 0.0, 0.4, 0.05, 3.0, kind_of(content))
                yield Decoded(now, content, ImageMetadata(4, 3, "JPEG"), pixels, measures)

    def close(self) -> None:
        pass


def kind_of(content: str) -> str:
    return "document" if content.startswith("page") else "photo"


class ContentReader:
    """The text of a picture is its content; "fail" and "stop" raise."""

    input_size = glance_size = InputSize()

    def __init__(self, engine: str = "reader 1") -> None:
        self.engine = engine

    def read(self, pixels: Pixels) -> str:
        content = pixels.tobytes().decode()
        if content.startswith("fail") and self.engine == "reader 1":
            raise ValueError("it fails")
        if content.startswith("stop"):
            raise EncoderError("nothing works")
        return "" if content.startswith("blank") else content

    def sees_text(self, pixels: Pixels) -> bool:
        """Small print is overlooked, and a fence is taken for letters."""
        content = pixels.tobytes().decode()
        if content.startswith("glance fails"):
            raise ValueError("the glance fails")
        return not content.startswith(("blank", "small print", "page"))


def read(
    catalog: Catalog,
    folder: MemoryFolder,
    scope: str = "",
    engine: str = "reader 1",
    mode: str = "on",
    **more,
) -> tuple[TextReport, list[str]]:
    """Run once; returns the report and the files opened."""
    decoder = ContentDecoder(folder)
    with catalog.writer() as writer:
        options = {"on_progress": lambda _: None, "stop": lambda: False, **more}
        run = TextIngestor(catalog, writer, ContentReader(engine), **options)
        if mode == "auto":
            run.glance(decoder, [(ROOT, scope)])
        run.read(decoder, [(ROOT, scope)], "seen" if mode == "auto" else "any")
        return run.report, sorted(decoder.decoded)


@pytest.fixture
def folder(catalog) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {
        "a.jpg": ("corner shop total", 1),
        "sub/b.jpg": ("blank", 1),
        "c.jpg": ("合計 千円", 1),
    }
    ingest(catalog, folder)
    return folder


def test_texts_are_found_beside_names(catalog, folder):
    report, _ = read(catalog, folder)
    assert (report.read, report.with_text, report.failed, report.put_off) == (3, 2, 0, 0)
    assert matching_paths(catalog, "totals") == ["a.jpg"], "stemmed like other words"
    assert matching_paths(catalog, "shop a.jpg") == ["a.jpg"], "one of the words is in the name"
    assert matching_paths(catalog, "合計") == matching_paths(catalog, "千円") == ["c.jpg"]
    assert matching_paths(catalog, "blank") == []
    assert sound(catalog)


def test_nothing_is_read_twice(catalog, folder):
    assert read(catalog, folder)[1] == ["a.jpg", "c.jpg", "sub/b.jpg"]
    report, opened = read(catalog, folder)
    assert (report.read, opened) == (0, []), "not even pictures without text"
    assert catalog.texts().read == 3 and catalog.texts().with_text == 2


def test_only_the_given_folder_is_read(catalog, folder):
    assert read(catalog, folder, "sub")[1] == ["sub/b.jpg"]
    assert catalog.unread_count(ROOT, "", "reader 1") == 2


def test_copies_are_read_once_and_moved_files_keep_their_text(catalog, folder):
    folder.files["copy.jpg"] = folder.files["a.jpg"]
    ingest(catalog, folder)
    assert read(catalog, folder)[0].read == 3
    assert matching_paths(catalog, "corner") == ["a.jpg", "copy.jpg"]
    folder.files["moved.jpg"] = folder.files.pop("a.jpg")
    del folder.files["copy.jpg"]
    ingest(catalog, folder)
    assert matching_paths(catalog, "corner") == ["moved.jpg"]
    assert read(catalog, folder)[1] == []
    assert sound(catalog)


def test_a_changed_picture_loses_its_text_and_is_read_again(catalog, folder):
    read(catalog, folder)
    folder.files["a.jpg"] = ("exit only", 2)
    ingest(catalog, folder)
    assert matching_paths(catalog, "corner") == [] and sound(catalog)
    assert read(catalog, folder)[1] == ["a.jpg"]
    assert matching_paths(catalog, "exit") == ["a.jpg"]


def test_a_text_is_dropped_with_the_last_copy(catalog, folder):
    folder.files["copy.jpg"] = folder.files["a.jpg"]
    ingest(catalog, folder)
    read(catalog, folder)
    del folder.files["a.jpg"]
    ingest(catalog, folder)
    with catalog.writer() as writer:
        writer.purge(0, timedelta(0))
    assert matching_paths(catalog, "corner") == ["copy.jpg"]
    del folder.files["copy.jpg"]
    ingest(catalog, folder)
    assert hashes(catalog) == {"corner shop total", "blank", "合計 千円"}, (
        "the picture may come back"
    )
    with catalog.writer() as writer:
        writer.purge(0, timedelta(0))
        assert hashes(catalog) == {"blank", "合計 千円"}
        writer.forget_root(ROOT)
    assert hashes(catalog) == set() and sound(catalog)


def hashes(catalog: Catalog) -> set[str]:
    with catalog._engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT content_hash FROM texts").scalars())


def test_an_unreadable_picture_does_not_stop_the_run(catalog, folder):
    folder.files |= {"f.jpg": ("fail", 1), "u.jpg": ("gone bad", 1), "w.jpg": ("was here", 1)}
    ingest(catalog, folder)
    # The files changed after indexing, so a later run must retry them.
    folder.files |= {"u.jpg": ("undecodable", 1), "w.jpg": ("away....", 1)}
    report, _ = read(catalog, folder)
    assert (report.read, report.failed, report.put_off) == (3, 1, 2)
    assert [(each.file.path, each.reason) for each in catalog.unreadable_texts()] == [
        ("f.jpg", "ValueError: it fails")
    ]
    assert read(catalog, folder)[1] == ["u.jpg", "w.jpg"]
    assert read(catalog, folder, engine="reader 2")[0].read == 1, "a new engine retries"
    assert catalog.unreadable_texts() == [] and matching_paths(catalog, "fail") == ["f.jpg"]
    assert catalog.texts().engines == ("reader 1", "reader 2"), "texts of the old engine are kept"


def test_a_picture_that_no_longer_decodes_is_a_failure(catalog, folder):
    folder.files = {"u.jpg": ("same length", 1)}
    ingest(catalog, folder)
    folder.files = {"u.jpg": ("undecodable", 1)}  # the file appears unchanged
    report, _ = read(catalog, folder)
    assert (report.failed, report.put_off) == (1, 0)
    assert [each.reason for each in catalog.unreadable_texts()] == ["undecodable"]


def test_a_broken_engine_is_not_blamed_on_a_picture(catalog, folder):
    folder.files = {"s.jpg": ("stop", 1)}
    ingest(catalog, folder)
    with pytest.raises(EncoderError, match="nothing works"):
        read(catalog, folder)
    assert catalog.unread_count(ROOT, "", "reader 1") == 1


def test_a_killed_run_loses_the_batch_in_flight(catalog, folder):
    folder.files = {f"{n:02}.jpg": (f"{n:02} text", 1) for n in range(20)}
    ingest(catalog, folder)

    class Killed(ContentReader):
        count = 0

        def read(self, pixels: Pixels) -> str:
            self.count += 1
            if self.count == 18:
                raise KeyboardInterrupt
            return super().read(pixels)

    with catalog.writer() as writer, pytest.raises(KeyboardInterrupt):
        TextIngestor(catalog, writer, Killed(), lambda _: None, lambda: False).read(
            ContentDecoder(folder), [(ROOT, "")]
        )
    assert catalog.texts().read == 16
    assert len(read(catalog, folder)[1]) == 4


def test_a_stopped_run_keeps_its_texts(catalog, folder):
    folder.files = {f"{n:02}.jpg": (f"{n:02} text", 1) for n in range(20)}
    ingest(catalog, folder)
    stops = iter([False] * 9 + [True] * 99)
    report, _ = read(catalog, folder, stop=lambda: next(stops))
    assert 0 < report.read == catalog.texts().read < 20
    progress = []
    read(catalog, folder, on_progress=progress.append)
    assert progress[0].done == 0 and progress[-1].done == progress[-1].total


@full_only
@pytest.mark.parametrize(("text", "stored"), [
    ("a\x00b\x07c\n\n  d \udcff\u2028e", "a b c\nd  \u2028e"),
    ("e\u0301te\u0301", "\u00e9t\u00e9"),
    ("x" * 200_000, "x" * 100_000),
])  # fmt: skip
def test_any_text_can_be_stored(catalog, folder, text, stored):
    class Odd(ContentReader):
        def read(self, pixels: Pixels) -> str:
            return text

    with catalog.writer() as writer:
        TextIngestor(catalog, writer, Odd(), lambda _: None, lambda: False).read(
            ContentDecoder(folder), [(ROOT, "sub")]
        )
    with catalog._engine.connect() as connection:
        texts = connection.exec_driver_sql("SELECT text FROM texts").scalars().all()
    assert texts == [stored] and sound(catalog)


def test_many_pictures_are_queried_in_pages(catalog):
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"text {n % 290}", 1) for n in range(300)}
    ingest(catalog, folder, batch_size=300)
    report, opened = read(catalog, folder)
    assert report.read == len(opened) == 290
    assert catalog.texts().read == 300, "counted in pictures"


@pytest.mark.parametrize("which", ["any", "new", "seen"])
def test_pages_are_sorted_by_an_index(catalog, folder, which):
    """Pages must not sort all unread pictures."""
    seen = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        if "LIMIT" in statement:
            seen.append((statement, parameters))

    from sqlalchemy import event

    event.listen(catalog._engine, "before_cursor_execute", note)
    catalog.unread(ROOT, "", "reader 1", "", 5, which)
    event.remove(catalog._engine, "before_cursor_execute", note)
    with catalog._engine.connect() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + seen[0][0], seen[0][1]).all()
    steps = " ".join(row[-1] for row in plan)
    assert "ix_images_content_hash_status" in steps and "ORDER BY" not in steps


def test_texts_are_replaced(catalog, folder):
    read(catalog, folder)
    with catalog.writer() as writer:
        writer.put_texts([TextFound("corner shop total", "reader 2", "something else")])
    assert matching_paths(catalog, "corner") == [] and matching_paths(catalog, "something") == [
        "a.jpg"
    ]
    assert sound(catalog)


def test_a_touched_file_does_not_change_the_text_index(catalog, folder):
    read(catalog, folder)

    def entries() -> list[bytes]:
        with catalog._engine.connect() as connection:
            return connection.exec_driver_sql("SELECT block FROM words_data").scalars().all()

    before = entries()
    folder.files = {path: (content, 9) for path, (content, _) in folder.files.items()}
    assert ingest(catalog, folder).unchanged == 3
    assert entries() == before
    folder.files["renamed.jpg"] = folder.files.pop("a.jpg")
    ingest(catalog, folder)
    assert entries() != before
    assert matching_paths(catalog, "corner") == ["renamed.jpg"] and sound(catalog)


@pytest.fixture
def glanced(folder) -> MemoryFolder:
    """Pictures with text that is seen, overlooked, or on a page, and two without text."""
    folder.files = {
        "sign.jpg": ("corner shop", 1),
        "small.jpg": ("small print", 1),
        "page.jpg": ("page of a letter", 1),
        "cat.jpg": ("blank cat", 1),
        "fence.jpg": ("blank", 1),
    }
    return folder


def test_auto_reads_what_it_sees_at_a_glance(catalog, glanced):
    ingest(catalog, glanced)
    report, opened = read(catalog, glanced, mode="auto")
    assert (report.read, report.with_text, report.passed_over, report.failed) == (2, 2, 3, 0)
    assert opened.count("cat.jpg") == 1 and opened.count("sign.jpg") == 2, "a glance, and to read"
    assert matching_paths(catalog, "corner") == ["sign.jpg"]
    assert matching_paths(catalog, "letter") == ["page.jpg"], "documents are always read"
    counts = catalog.texts()
    assert (counts.read, counts.with_text, counts.passed_over, counts.failed) == (2, 2, 3, 0)
    assert catalog.unreadable_texts() == [], "passed over is not failed"
    assert read(catalog, glanced, mode="auto")[1] == [], "nothing is repeated"


def test_what_auto_passed_over_is_read_later(catalog, glanced):
    ingest(catalog, glanced)
    read(catalog, glanced, mode="auto")
    assert matching_paths(catalog, "print") == []
    report, opened = read(catalog, glanced, mode="on")
    assert opened == ["cat.jpg", "fence.jpg", "small.jpg"] and report.read == 3
    assert matching_paths(catalog, "print") == ["small.jpg"] and sound(catalog)
    assert catalog.texts().passed_over == 0 and catalog.texts().read == 5
    assert read(catalog, glanced, mode="auto")[1] == [], "what was read is not glanced at"


def test_auto_continues_where_it_was_stopped(catalog, folder):
    """Each picture is glanced at once and read once, however often the run is stopped."""
    folder.files = {f"{n:02}.jpg": (f"{n:02} text", 1) for n in range(10)}
    folder.files |= {f"{n:02}.jpg": (f"blank {n}", 1) for n in range(10, 20)}
    ingest(catalog, folder)
    opened: list[str] = []
    for _ in range(99):
        stops = iter([False] * 5 + [True] * 99)
        found = read(catalog, folder, mode="auto", stop=lambda stops=stops: next(stops))[1]
        if not found:
            break
        opened += found
    assert catalog.texts().read == 10 and catalog.texts().passed_over == 10
    assert [opened.count(f"{n:02}.jpg") for n in range(20)] == [2] * 10 + [1] * 10


def test_pictures_with_text_at_a_glance_wait_for_the_next_run(catalog, glanced):
    ingest(catalog, glanced)
    with catalog.writer() as writer:
        run = TextIngestor(catalog, writer, ContentReader(), lambda _: None, lambda: False)
        run.glance(ContentDecoder(glanced), [(ROOT, "")])
    counts = catalog.texts()
    assert (counts.read, counts.seen, counts.passed_over, counts.failed) == (0, 2, 3, 0)
    assert catalog.unreadable_texts() == []
    assert read(catalog, glanced, mode="auto")[1] == ["page.jpg", "sign.jpg"]


def test_failures_at_a_glance_are_reported_and_tried_by_the_next_engine(catalog, folder):
    folder.files = {"g.jpg": ("glance fails", 1), "f.jpg": ("fail", 1), "b.jpg": ("gone bad", 1)}
    ingest(catalog, folder)
    folder.files["b.jpg"] = ("undecodable", 1)
    report, _ = read(catalog, folder, mode="auto")
    assert (report.read, report.failed, report.put_off) == (0, 2, 1)
    assert sorted(each.reason for each in catalog.unreadable_texts()) == [
        "ValueError: it fails",
        "ValueError: the glance fails",
    ]
    report, opened = read(catalog, folder, engine="reader 2", mode="auto")
    assert opened == ["b.jpg", "f.jpg", "g.jpg"] and report.read == 2
    assert matching_paths(catalog, "glance") == ["g.jpg"]


def test_a_changed_picture_is_glanced_at_again(catalog, glanced):
    ingest(catalog, glanced)
    read(catalog, glanced, mode="auto")
    glanced.files["cat.jpg"] = ("cat food on sale", 2)
    ingest(catalog, glanced)
    assert read(catalog, glanced, mode="auto")[0].read == 1
    assert matching_paths(catalog, "sale") == ["cat.jpg"]


def test_a_text_of_another_library_replaces_what_a_glance_saw(catalog, glanced):
    from imgsearch.catalog import ocr_texts
    from imgsearch.catalog.engine import writing

    ingest(catalog, glanced)
    read(catalog, glanced, mode="auto")
    with catalog.writer(), writing(catalog._engine) as connection:
        for text in (
            TextFound("small print", "theirs", "small print"),
            TextFound("corner shop", "theirs", reason=PASSED_OVER),
            TextFound("blank", "theirs", reason=SEEN),
        ):
            ocr_texts.put(connection, [text], keep=True)
    assert matching_paths(catalog, "print") == ["small.jpg"]
    assert matching_paths(catalog, "corner") == ["sign.jpg"], "what was read here stays"
    assert catalog.texts().passed_over == 2
