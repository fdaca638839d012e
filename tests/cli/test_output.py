"""What search and similar do with hits besides printing them."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import stat
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import pytest
from PIL import Image, ImageOps

from tests.cli.calls import Place, dangle, picture
from tests.conftest import PHOTOS, full_only

CAT = PHOTOS / "tabby_cat_face.jpg"
TAGS = set("html head meta title style body h1 ol li a img p span".split())  # noqa: SIM905


class Page(HTMLParser):
    """What a contact sheet holds."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags, self.images, self.links, self.text = [], [], [], ""
        self.feed(data.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        assert not any(name.startswith("on") for name in found)
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.links.append(found["href"])

    def handle_data(self, data):
        self.text += data

    def picture(self, number: int) -> Image.Image:
        head, data = self.images[number]["src"].split(",")
        assert head == "data:image/jpeg;base64"
        return Image.open(io.BytesIO(base64.b64decode(data)))


# --html


def test_a_contact_sheet(demo: Place, tmp_path):
    out = tmp_path / "sheet.html"
    outcome = demo.call(
        "similar", PHOTOS / "horses.heic", "-n", 3, "--html", out, "--format", "json"
    )
    assert outcome.status == 0, outcome.err
    assert outcome.err == f"Wrote {out}: 3 pictures.\n"
    page = Page(out.read_bytes())
    paths = [os.fsdecode(unquote_to_bytes(link.removeprefix("file://"))) for link in page.links]
    assert paths == [path for path in outcome.paths for _ in range(2)]
    assert len(page.images) == 3
    for number, hit in enumerate(outcome.json):
        small = page.picture(number)
        assert max(small.size) == min(320, max(hit["width"], hit["height"]))
        assert (small.width > small.height) == (hit["width"] > hit["height"]), "the right way up"
        assert f"{hit['score']:.3f}" in page.text
        assert os.path.basename(hit["path"]) in page.text
    assert "script" not in page.tags
    assert "prefers-color-scheme: dark" in out.read_text()
    assert "http" not in out.read_text().replace("http-equiv", ""), "it fetches nothing"
    assert out.stat().st_size < 100_000
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~_umask()
    assert os.listdir(tmp_path) == ["sheet.html"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_sheet_is_written_anew(demo: Place, tmp_path):
    out = tmp_path / "sheet.html"
    for query in ("a dog", "<b>a cat"):
        assert demo.call("search", "--all", query, "-n", 1, "--html", out).status == 0
    page = Page(out.read_bytes())
    assert "<b>a cat (1 picture)" in page.text
    assert "b" not in page.tags
    assert "a dog" not in page.text


@pytest.mark.parametrize("name", ["photo.jpg", "notes.txt", "folder", "sheet.heic", "my.html"])
def test_nothing_else_is_overwritten(demo: Place, tmp_path, name):
    target = tmp_path / name
    if name == "folder":
        target.mkdir()
    elif name != "sheet.heic":
        target.write_bytes(b"<!doctype html>mine" if name == "my.html" else b"mine")
    outcome = demo.call("search", "--all", "a dog", "-n", 1, "--html", target)
    assert outcome.status == 1
    assert "--html results.html" in outcome.err
    if target.is_file():
        assert target.read_bytes().endswith(b"mine")
    assert not (tmp_path / "sheet.heic").exists()


@full_only
def test_names_on_a_page_are_text(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    data = picture(place.photos / "a.jpg", 1, (40, 80)).read_bytes()
    names = [
        '<script>alert(1)<\\script>"&.jpg',
        "{{ 7 * 7 }}.jpg",
        "a#b?c%41.jpg",
        "\u202egnp.jpg",
        "line\nbreak.jpg",
        os.fsdecode(b"byte\xff\x9b.jpg"),
    ]
    for name in names:
        with open(os.path.join(place.photos, name), "wb") as file:
            file.write(data)
    place.index()
    out = tmp_path / "out.html"
    outcome = place.call("similar", place.photos / "a.jpg", "--html", out, "--format", "json")
    assert outcome.status == 0, outcome.err
    page = Page(out.read_bytes())
    assert set(page.tags) <= TAGS
    linked = {unquote_to_bytes(link.removeprefix("file://")) for link in page.links}
    assert linked == {os.fsencode(path) for path in outcome.paths}
    for shown in (names[0], names[1], names[2], "\\u202egnp", "line\\nbreak", "byte\\xff\\x9b"):
        assert shown in page.text, shown
    assert page.picture(0).size == (40, 80), "never scaled up"


def test_a_picture_that_is_gone_is_shown_without(indexed: Place, tmp_path):
    dangle(indexed.photos / "b.jpg")
    (indexed.photos / "sub" / "c.png").write_bytes(b"broken")
    out = tmp_path / "out.html"
    outcome = indexed.call("similar", indexed.photos / "a.jpg", "--html", out)
    assert outcome.status == 1
    assert f"imgsearch: {indexed.photos}/b.jpg: is not there any more\n" in outcome.err
    page = Page(out.read_bytes())
    assert (len(page.images), page.tags.count("li")) == (2, 4)
    assert "is not there any more" in page.text


def test_a_page_without_hits(demo: Place, tmp_path):
    out = tmp_path / "out.html"
    assert demo.call("search", "dog", "--min-score", "0.999", "--html", out).status == 0
    assert "dog (0 pictures)" in Page(out.read_bytes()).text


# --copy-to and --link-to


def test_copies_and_links(demo: Place, tmp_path):
    copies, links = tmp_path / "new" / "copies", tmp_path / "links"
    command = ["similar", CAT, "-n", 3, "--format", "json"]
    command += ["--copy-to", copies, "--link-to", links]
    first = demo.call(*command)
    assert first.status == 0, first.err
    for path in first.paths:
        name = os.path.basename(path)
        assert (copies / name).read_bytes() == (PHOTOS / name).read_bytes()
        assert not (copies / name).is_symlink()
        assert os.readlink(links / name) == path
        assert f"Copied {path} -> {copies}/{name}\n" in first.err
        assert f"Linked {path} -> {links}/{name}\n" in first.err
    before = sorted(os.listdir(copies))
    second = demo.call(*command)
    assert second.status == 0
    assert sorted(os.listdir(copies)) == sorted(os.listdir(links)) == before
    assert second.err.count("Already there:") == 6
    assert demo.call(*command, "-q").err == ""


def test_pictures_of_one_name_get_numbers(indexed: Place, tmp_path):
    picture(indexed.photos / "sub" / "a.jpg", 77)
    shutil.copy(indexed.photos / "a.jpg", indexed.photos / "sub" / "deep" / "a.jpg")
    indexed.index()
    outcome = indexed.call("similar", indexed.photos / "a.jpg", "--copy-to", tmp_path / "to")
    assert outcome.status == 0
    copied = sorted(os.listdir(tmp_path / "to"))
    assert copied == ["a-2.jpg", "a.jpg", "b.jpg", "c.png", "d.jpg"], "the same bytes only once"
    assert outcome.err.endswith(f"6 pictures of this search in {tmp_path}/to.\n")


def test_what_cannot_be_copied_is_told_and_the_rest_goes_on(indexed: Place, tmp_path):
    dangle(indexed.photos / "b.jpg")
    outcome = indexed.call("similar", indexed.photos / "a.jpg", "-q", "--copy-to", tmp_path / "to")
    assert outcome.status == 1
    lost = indexed.photos / "b.jpg"
    assert outcome.err == f"imgsearch: skipped {lost}: no such file or directory\n"
    assert sorted(os.listdir(tmp_path / "to")) == ["a.jpg", "c.png", "d.jpg"]


def test_a_folder_among_the_pictures_gets_a_warning(indexed: Place):
    to = indexed.photos / "picked"
    outcome = indexed.call("similar", indexed.photos / "a.jpg", "-n", 1, "--copy-to", to)
    assert outcome.status == 0
    assert f"Warning: {to} is inside {indexed.photos}, which is indexed" in outcome.err
    assert os.listdir(to) == ["a.jpg"]


def test_links_get_it_only_where_a_scan_would_find_them(indexed: Place, tmp_path):
    a = indexed.photos / "a.jpg"
    inside = indexed.call("similar", a, "--link-to", indexed.photos / "inside")
    assert inside.status == 0 and "Warning" not in inside.err
    assert indexed.index()["scanned"] == 4, "links to what lies in the same root are left out"
    other = tmp_path / "other"
    other.mkdir()
    (other / "e.png").write_bytes((indexed.photos / "sub" / "c.png").read_bytes())
    indexed.index(other)
    outside = indexed.call("similar", a, "--link-to", other / "outside")
    assert f"Warning: {other}/outside is inside {other}, which is indexed" in outside.err
    assert indexed.index(other)["scanned"] == 1 + 4, "those to another root are found"


@pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
def test_folders_that_cannot_be_used(indexed: Place, tmp_path, option):
    (tmp_path / "file").write_text("x")
    file, inside = tmp_path / "file", indexed.library / "x"
    for folder, words in ((file, "cannot create"), (inside, "only imgsearch")):
        outcome = indexed.call("similar", indexed.photos / "a.jpg", option, folder)
        assert outcome.status == 1
        assert words in outcome.err
        assert "Choose another folder." in outcome.err
    assert not (indexed.library / "x").exists()


# --open


@pytest.fixture
def desktop(tmp_path, monkeypatch):
    """A desktop whose opener notes what it is given, and writes to stdout as viewers do."""
    tool = tmp_path / "bin" / "xdg-open"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {tmp_path}/opened\necho chatter\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":9")

    def opened(count: int) -> list[str]:
        import time

        for _ in range(200):
            if (tmp_path / "opened").exists():
                lines = (tmp_path / "opened").read_text().splitlines()
                if len(lines) >= count:
                    return lines
            time.sleep(0.05)
        raise AssertionError("nothing was opened")

    return opened


def test_open(demo: Place, desktop, capfd):
    outcome = demo.call("similar", CAT, "--all", "-n", 12, "--open", "--format", "json")
    assert outcome.status == 0, outcome.err
    assert sorted(desktop(10)) == sorted(outcome.paths[:10])
    assert "Opened the first 10 of 12 pictures." in outcome.err
    assert "chatter" not in capfd.readouterr().out


def test_open_tells_of_a_picture_that_is_gone(indexed: Place, desktop):
    dangle(indexed.photos / "b.jpg")
    outcome = indexed.call("similar", indexed.photos / "a.jpg", "--open")
    assert outcome.status == 1
    assert f"imgsearch: cannot open {indexed.photos}/b.jpg\n" in outcome.err
    assert len(desktop(3)) == 3


def test_open_without_a_desktop(demo: Place, desktop, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    outcome = demo.call("similar", CAT, "-n", 2, "--open", "-q")
    assert (outcome.status, outcome.err) == (
        1,
        "imgsearch: --open needs a desktop, but none is running\n",
    )


# --unique


@full_only
def test_copies_are_folded(demo: Place, tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    for name in ("koala.jpg", "polar_bear.jpg", "lemurs.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    (place.photos / "sub").mkdir()
    shutil.copy(PHOTOS / "koala.jpg", place.photos / "sub" / "same.jpg")
    with Image.open(PHOTOS / "koala.jpg") as image:
        ImageOps.exif_transpose(image).save(place.photos / "sub" / "again.jpg", quality=70)
    place.index()
    command = ["similar", place.photos / "koala.jpg", "--format", "json"]
    assert len(place.call(*command).json) == 5
    hits = place.call(*command, "--unique").json
    assert hits[0]["path"] == str(place.photos / "koala.jpg")
    assert {os.path.basename(hit["path"]) for hit in hits[1:]} == {"polar_bear.jpg", "lemurs.jpg"}
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    copies = [os.path.relpath(path, place.photos) for path in hits[0]["duplicates"]]
    assert copies == ["sub/same.jpg", "sub/again.jpg"]
    assert [hit["duplicates"] for hit in hits[1:]] == [[], []]
    table = place.call("similar", place.photos / "koala.jpg", "--unique", "-n", 2).text
    assert table.splitlines()[0].endswith("  +2 like it")
    lines = place.call(*command[:-1], "jsonl", "--unique", "-n", 2).text.splitlines()
    assert [json.loads(line)["rank"] for line in lines] == [1, 2]


def test_different_pictures_are_not_folded(demo: Place):
    command = ["search", "an animal", "-n", 44, "--format", "paths"]
    assert demo.call(*command, "--unique").out == demo.call(*command).out
