"""The page with an empty, growing or large library, and with malicious names."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.records import Encoded, ImageFile, ImageMetadata, RootRecord
from tests.cli.calls import Place, picture
from tests.conftest import PHOTOS, full_only
from tests.fakes import SPACE, unit_rows
from tests.page.conftest import OpenGallery, Serve, index
from tests.page.page_server import serving

pytestmark = [pytest.mark.slow, full_only]

BOLD = "<b onclick=window.harmed=1>folder"
HOSTILE = [
    "<img src=x onerror=window.harmed=1>.jpg",
    "<script>window.harmed=1<_script>.jpg",
    "\"><svg onload=window.harmed=1>'.jpg",
    "javascript:window.harmed=1 %3Cb%3E &lt;b&gt;.jpg",
]


def test_an_empty_library_shows_the_first_steps(serve: Serve, gallery: OpenGallery, tmp_path: Path):
    library = tmp_path / "my library"
    place = Place(tmp_path / "photos", library)
    address = serve(library)
    here = gallery(address)
    here.page.get_by_role("heading", name="No pictures yet").wait_for()
    assert here.page.get_by_text("with your own folder").is_visible()
    command = f"imgsearch --library '{library}' index ~/Pictures"
    assert here.page.get_by_text(command, exact=True).is_visible()
    place.photos.mkdir()
    shutil.copy(PHOTOS / "koala.jpg", place.photos)
    index(place)
    here.tile("koala.jpg").wait_for()
    assert not here.page.get_by_role("heading", name="No pictures yet").is_visible()


Small = tuple[Place, str]


@pytest.fixture(scope="module")
def small(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """A few pictures, most with malicious names, and the URL of their server."""
    folder = tmp_path_factory.mktemp("small")
    place = Place(folder / "photos", folder / "library")
    for seed, name in enumerate(HOSTILE):
        picture(place.photos / BOLD / name, seed)
    shutil.copy(PHOTOS / "koala.jpg", place.photos)
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield place, address


def test_names_with_markup_are_only_names(small: Small, gallery: OpenGallery):
    place, address = small
    query = {"in": str(place.photos / BOLD), "unique": "0"}
    here = gallery(address, f"/?{urlencode(query)}")
    here.shows("4 pictures")
    here.pictures_drawn()
    assert sorted(here.names) == sorted(HOSTILE)
    for name in HOSTILE:
        here.page.get_by_role("link", name=name).click()
        here.viewer.get_by_role("heading", name=name).wait_for()
        here.viewer.get_by_text("Folder", exact=True).wait_for()
        here.press("Escape")
    here.go(f"/?{urlencode({**query, 'q': HOSTILE[0], 'not': '<b>bold', 'all': '1'})}")
    here.page.get_by_text("without <b>bold").wait_for()
    assert here.page.evaluate("() => window.harmed") is None
    assert here.page.locator("main b, main script, .terms b").count() == 0


def test_a_new_photo_appears_without_a_reload(small: Small, gallery: OpenGallery):
    place, address = small
    here = gallery(address, "/?unique=0")
    here.shows("5 pictures")
    shutil.copy(PHOTOS / "owl.jpg", place.photos)
    here.page.get_by_role("button", name="Scan for new pictures").click()
    here.page.get_by_text("1 new picture indexed.").wait_for()
    here.shows("6 pictures")
    here.tile("owl.jpg").wait_for()
    here.page.fill("#q", "an owl")
    here.first_is("owl.jpg")


def test_the_token_signs_in(serve: Serve, gallery: OpenGallery, tmp_path: Path):
    address = serve(tmp_path / "library", "--require-token", "--new-token")
    token = re.search(r"Token: (\S+)", (tmp_path / "server.log").read_text())
    assert token
    here = gallery(address)
    here.expected.append("401")
    field = here.page.get_by_label("Token")
    field.fill("guessed")
    here.press("Enter")
    here.page.get_by_text("That token is not valid.").wait_for()
    field.fill(token[1])
    here.press("Enter")
    here.page.get_by_role("heading", name="No pictures yet").wait_for()


SHAPES = ((1600, 1200), (1200, 1600), (1920, 1080), (1000, 1000), (3000, 1000))


def many_pictures(library: Path, many: int, apart: timedelta = timedelta(hours=2)) -> None:
    """Create a catalog of pictures without files, with just the data that a list by date needs.

    The first picture is committed like the indexer does it; the others are copies of its row.
    """
    root = "/nowhere/photos"
    catalog = open_catalog(str(library), create=True)
    with catalog.writer() as writer:
        writer.put_root(RootRecord(root))
        writer.begin_run(SPACE, "none", "fp32")
        first = ImageFile(root, "first.jpg", 1000, 1)
        writer.commit(
            [Encoded(first, "f" * 32, ImageMetadata(1600, 1200, "JPEG"), unit_rows(1)[0])]
        )
        writer.end_run("done", {})
    catalog.close()
    with sqlite3.connect(library / "catalog.sqlite") as database:
        columns = [row[1] for row in database.execute("pragma table_info(images)")]
        differ = (
            "id",
            "path",
            "name_key",
            "content_hash",
            "mtime_ns",
            "width",
            "height",
            "taken_at",
        )
        same = [name for name in columns if name not in differ]
        values = database.execute(f"select {', '.join(same)} from images").fetchone()
        names = (*differ, *same)
        # No test searches these names, and indexing 100 000 of them would take most of the time.
        triggers = "select name from sqlite_master where type = 'trigger' and tbl_name = 'images'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f"drop trigger {name}")
        database.executemany(
            f"insert into images ({', '.join(names)}) values ({', '.join('?' * len(names))})",
            ((*_row(number, apart), *values) for number in range(2, many + 1)),
        )


def _row(number: int, apart: timedelta) -> tuple[object, ...]:
    name = f"{number:06}.jpg"
    taken = datetime(2000, 1, 1) + number * apart
    path = f"{number // 1000:03}/{name}"
    hours = taken.isoformat(" ", "microseconds")
    return (number, path, name, f"{number:032x}", number, *SHAPES[number % len(SHAPES)], hours)
