"""The command line with a catalog on a real PostgreSQL: same commands, same answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.calls import Place, blocking, eight_pictures, picture, process
from tests.conftest import needs_server
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, needs_server]
MODEL = ("--model", "cheap")


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    place = eight_pictures(tmp_path, monkeypatch)
    (place.photos / "broken.jpg").write_bytes(b"no picture")
    return place


def answers(place: Place) -> dict[str, object]:
    """What commands print about a library, without what differs by place and time."""
    outcome = place.call("status", "--json")
    assert outcome.status == 0, outcome.err
    status = outcome.json
    for name in ("library", "catalog", "bytes", "last_run"):
        status.pop(name, None)
    for space in status["spaces"]:
        del space["index"]
    search = ("search", *MODEL, "--all", "--format", "json")
    calls = {
        "meaning": (*search, "a picture"),
        "words": (*search, "b", "--mode", "text"),
        "filter": (*search, "a picture", "--where", "name ~ '[a-c].jpg' and width > 1"),
        "newest": ("search", "--format", "paths0"),
        "skipped": ("skipped",),
        "roots": ("roots",),
        "dupes": ("dupes", *MODEL),
        "dry run": ("index", *MODEL, "--dry-run", "-v"),
    }
    outcomes = {name: place.call(*arguments) for name, arguments in calls.items()}
    for name, outcome in outcomes.items():
        assert outcome.status in (0, 1) and "Traceback" not in outcome.err, (name, outcome.err)
    texts = {name: outcome.text for name, outcome in outcomes.items()}
    texts["dry run"] = texts["dry run"].partition(" in ")[0]  # some seconds
    texts["words"] = str(outcomes["words"].paths)  # the scores differ
    return {"status": status, **texts}


def test_commands_give_the_same_answers(
    place: Place, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.index(place.photos, *MODEL)
    local = answers(place)
    other = Place(place.photos, place.library.with_name("elsewhere"))
    other.index(place.photos, *MODEL, "--catalog", catalog_url)
    assert not (other.library / "catalog.sqlite").exists()
    monkeypatch.setenv("IMGSEARCH_CATALOG", catalog_url)
    assert answers(other) == local
    picture(place.photos / "new.jpg", 99)
    (place.photos / "a.jpg").unlink()
    report = other.call("index", *MODEL, "--json").json
    assert (report["added"], report["removed"], report["skipped"]) == (1, 1, 1)
    third = Place(place.photos, place.library.with_name("third"))
    outcome = third.call("search", "a picture", *MODEL, "--all", "--format", "json")
    assert len(outcome.paths) == 8, "another folder, as on another machine"
    changed = answers(other)
    monkeypatch.delenv("IMGSEARCH_CATALOG")
    place.index(place.photos, *MODEL)
    assert answers(place) == changed != local


def test_status_and_doctor_name_the_server(
    place: Place, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = catalog_url.replace("owner@", "owner:hidden@")
    monkeypatch.setenv("IMGSEARCH_CATALOG", url)
    index = place.call("-v", "-v", "index", place.photos, *MODEL)
    assert index.status == 0 and "hidden" not in index.text + index.err
    status, report = place.call("status"), place.call("doctor")
    assert "Catalog   PostgreSQL 18.4 at postgresql://owner@" in status.text
    assert "schema 00" in status.text
    assert "intact, at revision 8" in report.text and "PostgreSQL 18.4 at" in report.text
    assert "hidden" not in status.text + status.err + report.text + report.err


def test_index_and_catalog_share_a_database(
    place: Place, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSEARCH_CATALOG", catalog_url)
    monkeypatch.setenv("IMGSEARCH_INDEX", catalog_url)
    place.index(place.photos, *MODEL)
    outcome = place.call("search", "a picture", *MODEL, "--all", "--format", "json")
    assert len(outcome.paths) == 8
    assert "8 vectors, equal to the catalog" in place.call("doctor").text


def test_a_server_that_is_down_is_named_with_a_hint(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSEARCH_CATALOG", "postgresql://me:hidden@127.0.0.1:9/photos")
    calls = (("index", place.photos, *MODEL), ("search", "a", *MODEL), ("status",), ("roots",))
    for arguments in calls:
        outcome = place.call(*arguments)
        assert outcome.status == 1 and "127.0.0.1:9/photos cannot be used" in outcome.err
        assert "is running" in outcome.err and "Traceback" not in outcome.err
        assert "hidden" not in outcome.text + outcome.err
    doctor = place.call("doctor").text
    assert "127.0.0.1:9/photos cannot be used" in doctor and "is running" in doctor
    assert not place.library.exists()


def test_what_copies_a_file_names_the_programs_of_the_server(
    place: Place,
    catalog_url: str,
    new_url: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMGSEARCH_CATALOG", catalog_url)
    place.index(place.photos, *MODEL)
    backup = place.call("backup", place.photos.with_name("file"))
    restore = place.call("restore", place.photos.with_name("file"))
    assert backup.status == restore.status == 1
    assert "pg_dump" in backup.err and "imgsearch migrate --to DIR" in backup.err
    assert "pg_restore" in restore.err and "imgsearch migrate --to URL" in restore.err
    assert "Traceback" not in backup.err + restore.err

    # What they name works, in both directions.
    copy, file = (
        Place(place.photos, place.library.with_name("copy")),
        place.photos.with_name("file"),
    )
    assert place.call("migrate", "--to", copy.library).status == 0
    monkeypatch.delenv("IMGSEARCH_CATALOG")
    assert copy.call("backup", file).text.startswith("8 pictures, 8 vectors,")
    restored = Place(place.photos, place.library.with_name("restored"))
    assert restored.call("restore", file).status == 0
    url = new_url()
    assert restored.call("migrate", "--to", url).status == 0
    monkeypatch.setenv("IMGSEARCH_CATALOG", url)
    assert restored.call("status", "--json").json["images"] == 8


def test_a_library_in_a_folder_is_merged_into_one_on_a_server(
    place: Place, catalog_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.index(place.photos, *MODEL)
    other = Place(place.photos, place.library.with_name("elsewhere"))
    picture(place.photos.with_name("more") / "z.jpg", 77)
    monkeypatch.setenv("IMGSEARCH_CATALOG", catalog_url)
    other.index(place.photos.with_name("more"), *MODEL)
    assert "8 pictures added" in other.call("merge", place.library).text
    assert other.call("status", "--json").json["images"] == 9


@pytest.mark.parametrize(
    "url", ["postgresql://me:word@h/db", "postgresql://h/db?password=word", "mysql://me@h/db"]
)
def test_an_unsuitable_url_is_refused(place: Place, url: str) -> None:
    outcome = place.call("status", "--catalog", url)
    assert outcome.status in (1, 2) and "word@" not in outcome.err
    assert "~/.pgpass" in outcome.err or "Write postgresql://" in outcome.err


def test_a_missing_extra_is_named(place: Place) -> None:
    url = "postgresql://127.0.0.1:9/x"
    arguments = ("--library", place.library, "--catalog", url, "status")
    outcome = process(*arguments, prelude=blocking("psycopg"))
    assert outcome.status == 1
    assert "a catalog on PostgreSQL needs a package that is not installed" in outcome.err
    assert "pip install '.[postgres]'" in outcome.err


def test_a_library_migrates_to_a_server_and_back(
    place: Place,
    new_url: Callable[[], str],
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, back = new_url(), Place(place.photos, place.library.with_name("back"))
    place.index(place.photos, *MODEL)
    local = answers(place)
    refused = place.call("migrate", "--to", "postgresql://me:hidden@127.0.0.1/photos")
    assert refused.status == 2 and "~/.pgpass or PGPASSWORD" in refused.err
    assert "hidden" not in refused.err and "IMGSEARCH_" not in refused.err
    outcome = place.call("-v", "migrate", "--to", url)
    assert outcome.status == 0 and "rows copied and compared" in outcome.text, outcome.err
    assert "images: 8 rows" in outcome.err
    monkeypatch.setenv("IMGSEARCH_CATALOG", url)
    assert answers(place) == local
    report = json.loads(place.call("index", *MODEL, "--json").text)
    assert (report["added"], report["unchanged"]) == (0, 8), "nothing is encoded again"
    again = place.call("migrate", "--to", url)
    assert again.status == 1 and "the target is the library itself" in again.err
    assert place.call("migrate", "--to", back.library).status == 0
    monkeypatch.delenv("IMGSEARCH_CATALOG")
    assert answers(back) == local
    same = back.call("migrate", "--to", back.library)
    assert same.status == 1 and "the target is the library itself" in same.err
    assert place.call("migrate", "--to", back.library).status == 1, "it holds a library"
