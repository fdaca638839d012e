"""The command line with an index on a real server: same commands, same answers."""

from __future__ import annotations

import pytest

from tests.cli.calls import Place, blocking, call, eight_pictures, picture, process
from tests.conftest import needs_server

pytestmark = [pytest.mark.slow, needs_server]
MODEL = ("--model", "cheap")


@pytest.fixture
def url(postgres) -> str:
    return postgres.database("photos")


@pytest.fixture
def milvus_url(milvus) -> str:
    return milvus.database("photos")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    return eight_pictures(tmp_path, monkeypatch)


def found(place: Place, *options: object) -> list[str]:
    outcome = place.call("search", "a picture", *MODEL, "--all", "--format", "json", *options)
    assert outcome.status == 0, outcome.err
    return outcome.paths


def require_same_answers(place: Place, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches answer from the server as from files, also after a run that changes the library."""
    assert not (place.library / "index").exists(), "no file beside the server"
    local = found(place)
    monkeypatch.setenv("IMGSEARCH_INDEX", url)
    assert found(place) == local and len(local) == 8
    first = found(place, "--name", "a*", "--no-daemon")
    assert first == [path for path in local if path.endswith("/a.jpg")]
    picture(place.photos / "new.jpg", 99)
    (place.photos / "a.jpg").unlink()
    place.index(place.photos, *MODEL)
    assert len(found(place)) == 8 and any(path.endswith("new.jpg") for path in found(place))


def test_commands_give_the_same_answers(place, url, postgres, monkeypatch):
    place.index(place.photos, *MODEL, "--index", url)
    stored = "SELECT vectors, revision FROM imgsearch_index.generations WHERE live"
    assert postgres.sql(stored, database="photos")[0][0] == 8
    require_same_answers(place, url, monkeypatch)


def test_commands_give_the_same_answers_on_milvus(place, milvus_url, milvus, monkeypatch):
    place.index(place.photos, *MODEL, "--index", milvus_url)
    assert '"vectors": 8' in milvus.states("photos")[0]["state"]
    require_same_answers(place, milvus_url, monkeypatch)
    monkeypatch.setenv("IMGSEARCH_INDEX", milvus_url.replace("://", "://me:hidden@"))
    status, report = place.call("status"), place.call("doctor")
    where = milvus_url.replace("://", "://me@")
    assert "Index     exact (float32) on Milvus" in status.text
    assert f"at {where}" in report.text and f"at {where}" in status.text
    assert "8 vectors, equal to the catalog" in report.text
    assert "hidden" not in status.text + status.err + report.text + report.err


def test_exact_stays_on_the_server(place, url, monkeypatch):
    place.index(place.photos, *MODEL, "--index", url)
    monkeypatch.setenv("IMGSEARCH_INDEX", url)
    outcome = place.call("search", "a picture", *MODEL, "--exact", "--explain")
    assert "exact scan of 8 vectors on the server" in outcome.text + outcome.err
    assert not (place.library / "index").exists()


def test_status_and_doctor_name_the_server(place, url, monkeypatch):
    place.index(place.photos, *MODEL, "--index", url)
    monkeypatch.setenv("IMGSEARCH_INDEX", url.replace("owner@", "owner:hidden@"))
    status = place.call("status")
    assert "Index     exact on PostgreSQL 18.4 with pgvector 0.8.5 at postgresql://owner@" in (
        status.text
    )
    report = place.call("doctor")
    assert "index server" in report.text and "exact on PostgreSQL 18.4" in report.text
    assert "8 vectors, equal to the catalog" in report.text
    assert "stored up to revision" in report.text
    assert "hidden" not in status.text + status.err + report.text + report.err


@pytest.mark.parametrize("scheme", ["postgresql", "milvus"])
def test_a_server_that_is_down_is_named_with_a_hint(place, scheme, monkeypatch):
    place.index(place.photos, *MODEL)
    monkeypatch.setenv("IMGSEARCH_INDEX", f"{scheme}://me:hidden@127.0.0.1:9/photos")
    search = place.call("search", "a picture", *MODEL)
    index = place.call("index", *MODEL)
    doctor, status = place.call("doctor"), place.call("status")
    for outcome in (search, index):
        assert outcome.status == 1 and "127.0.0.1:9/photos cannot be used" in outcome.err
        assert "is running" in outcome.err and "Traceback" not in outcome.err
    assert "127.0.0.1:9/photos cannot be used" in doctor.text and "is running" in doctor.text
    assert status.status == 0 and "127.0.0.1:9/photos cannot be used" in status.text
    every = "".join(each.text + each.err for each in (search, index, doctor, status))
    assert "hidden" not in every


def test_a_new_library_is_not_made_when_the_server_is_down(place):
    outcome = place.call("index", place.photos, *MODEL, "--index", "postgresql://127.0.0.1:9/x")
    assert outcome.status == 1 and "127.0.0.1:9/x cannot be used" in outcome.err
    assert not place.library.exists()


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:word@h/db", "postgresql://h/db?password=word", "milvus://me:word@h/db"],
)
def test_a_password_on_the_command_line_is_refused(place, url):
    outcome = place.call("index", place.photos, *MODEL, "--index", url)
    assert outcome.status == 2 and "word@" not in outcome.err
    assert "~/.pgpass" in outcome.err and "MILVUS_TOKEN" in outcome.err


def test_a_password_from_the_configuration_is_used(place, postgres, tmp_path, monkeypatch):
    postgres.database("secret")
    postgres.guest("s3cret", "SUPERUSER")
    url = postgres.url("guest", "secret", "s3cret")
    (tmp_path / "config.toml").write_text(f'index = "{url}"\n')
    monkeypatch.setenv("IMGSEARCH_CONFIG", str(tmp_path / "config.toml"))
    outcome = place.call("-v", "index", place.photos, *MODEL)
    assert outcome.status == 0 and "s3cret" not in outcome.text + outcome.err
    rows = postgres.sql("SELECT vectors FROM imgsearch_index.generations", database="secret")
    assert rows == [(8,)]


@pytest.mark.parametrize(
    ("scheme", "package", "name", "extra"),
    [
        ("postgresql", "psycopg", "PostgreSQL", "postgres"),
        ("milvus", "pymilvus", "Milvus", "milvus"),
    ],
)
def test_a_missing_extra_is_named(place, scheme, package, name, extra):
    url = f"{scheme}://127.0.0.1:9/x"
    arguments = ("--library", place.library, "index", place.photos, *MODEL, "--index", url)
    outcome = process(*arguments, prelude=blocking(package))
    assert outcome.status == 1
    assert f"an index on {name} needs a package that is not installed" in outcome.err
    assert f"pip install '.[{extra}]'" in outcome.err


def test_an_unknown_scheme_is_refused_without_the_url():
    outcome = call("index", ".", *MODEL, "--index", "mysql://me@h/db")
    assert outcome.status == 1 and "there is no index called mysql\n" in outcome.err


@pytest.mark.parametrize(("fixture", "name"), [("url", "PostgreSQL"), ("milvus_url", "Milvus")])
def test_the_benchmark_of_searches_runs_on_a_server(request, place, fixture, name):
    url = request.getfixturevalue(fixture)
    outcome = place.call(
        "bench", "search", "--synthetic", "500,32", "--repeats", "5", "--index", url, "--json"
    )
    assert outcome.status == 0, outcome.err
    assert name in outcome.text
