"""Links in a folder: to places that the scan visits, leaves out or never sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgsearch.records import Decoded, ImageFile, RootRecord, Thumbnail
from imgsearch.sources.browser_images import render, render_request
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.sources.guarded_files import Unusable, open_below
from imgsearch.sources.sidecar_metadata import read_sidecars
from imgsearch.sources.statement import Statement
from tests.sources.metadata_files import bag, packet, saved
from tests.sources.test_folder_source import put, scan


def link(root: Path, name: str, target: str) -> None:
    """A link with a target relative to the root."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(os.path.relpath(root / target, (root / name).parent))


@pytest.mark.parametrize(
    "target",
    [
        ".git/annex/objects/K1.jpg",
        ".store/a.jpg",
        "#snapshot/a.jpg",
        "@eaDir/a.jpg/large.jpg",
        "Family.photoslibrary/resources/derivatives/a.jpg",
        ".hidden.jpg",
        "store/0a1b2c",  # no extension: not visited under its own name
    ],
)
def test_a_link_to_a_file_that_the_scan_does_not_visit_is_found(tmp_path, target):
    put(tmp_path, target, "other.jpg")
    link(tmp_path, "album/seen.jpg", target)
    link(tmp_path, "twice.jpg", target)
    assert scan(tmp_path) == (["album/seen.jpg", "other.jpg", "twice.jpg"], {}, {})


def test_a_link_to_a_visited_file_is_not_found_twice(tmp_path):
    put(tmp_path, "a/b.jpg", "Family.photoslibrary/originals/c.jpg")
    link(tmp_path, "b.jpg", "a/b.jpg")
    link(tmp_path, "c.jpg", "Family.photoslibrary/originals/c.jpg")
    assert scan(tmp_path)[0] == ["Family.photoslibrary/originals/c.jpg", "a/b.jpg"]
    link(tmp_path, "d.jpg", ".h/d.jpg")
    put(tmp_path, ".h/d.jpg")
    assert ".h/d.jpg" in scan(tmp_path, hidden=True)[0]
    assert "d.jpg" not in scan(tmp_path, hidden=True)[0]


def test_a_link_to_a_file_that_the_user_excludes_is_not_found(tmp_path):
    put(tmp_path, "secret/k.jpg", ".store/private/l.jpg", ".store/m.jpg", "a.jpg")
    link(tmp_path, "k.jpg", "secret/k.jpg")
    link(tmp_path, "l.jpg", ".store/private/l.jpg")
    link(tmp_path, "m.jpg", ".store/m.jpg")
    patterns = ["secret/", "private/"]
    assert scan(tmp_path, exclude=patterns)[0] == ["a.jpg", "m.jpg"]
    assert scan(tmp_path, exclude=[*patterns, ".store"])[0] == ["a.jpg"]
    assert scan(tmp_path, exclude=[*patterns, "m.jpg"])[0] == ["a.jpg"]


def test_a_linked_folder_is_followed_but_for_what_the_user_excludes_there(tmp_path):
    put(tmp_path, ".albums/a.jpg", ".albums/private/b.jpg", ".albums/deep/c.jpg")
    link(tmp_path, "albums", ".albums")
    found = ["albums/a.jpg", "albums/deep/c.jpg", "albums/private/b.jpg"]
    assert scan(tmp_path)[0] == found
    assert scan(tmp_path, exclude=["/.albums/private/"])[0] == found[:2]
    assert scan(tmp_path, exclude=["/.albums/deep/c.jpg"])[0] == [found[0], found[2]]
    assert scan(tmp_path, exclude=[".albums/"])[0] == []


def test_loops_through_hidden_folders_end(tmp_path):
    put(tmp_path, ".a/a.jpg", ".a/b/b.jpg")
    link(tmp_path, "x", ".a")
    link(tmp_path, "y", ".a/b")
    link(tmp_path, ".a/self", ".a")
    link(tmp_path, ".a/b/up", ".a")
    link(tmp_path, ".a/root", ".")
    assert scan(tmp_path) == (["x/a.jpg", "x/b/b.jpg"], {}, {})


def test_a_git_annex_library_is_found_whole(tmp_path):
    """Locked files are links into .git/annex, unlocked ones are files; without content they
    dangle, and only those of pictures are reported."""
    for key in ("SHA256E-s1--aa.jpg", "SHA256E-s1--bb.jpg"):
        put(tmp_path, f".git/annex/objects/x1/{key}/{key}")
    for name, key in (
        ("2019/a.jpg", "SHA256E-s1--aa.jpg"),
        ("2020/same as a.jpg", "SHA256E-s1--aa.jpg"),
        ("b.jpg", "SHA256E-s1--bb.jpg"),
        ("elsewhere.jpg", "SHA256E-s1--cc.jpg"),
        ("film.mov", "SHA256E-s1--dd.mov"),
        ("notes.pdf", "SHA256E-s1--ee.pdf"),
        ("b.jpg.xmp", "SHA256E-s1--ff.xmp"),
    ):
        link(tmp_path, name, f".git/annex/objects/x1/{key}/{key}")
    put(tmp_path, "unlocked.jpg")
    files, skipped, unvisited = scan(tmp_path)
    assert files == ["2019/a.jpg", "2020/same as a.jpg", "b.jpg", "unlocked.jpg"]
    assert skipped == {"elsewhere.jpg": "a link that leads nowhere"} and not unvisited
    assert scan(tmp_path, "2019")[0] == ["2019/a.jpg"]


@pytest.mark.parametrize("root", ["", "photos", "photos/2019"])
def test_a_folder_of_a_git_annex_library_has_pictures_thumbnails_and_sidecars(tmp_path, root):
    """The links of a subfolder lead above it, into the repository's contents."""
    contents = {"a.jpg": saved(), "a.jpg.xmp": packet(bag("dc:subject", "sheep")), "b.xmp": b"<"}
    for name, data in contents.items():
        key = f".git/annex/objects/x1/SHA256E-{name}"
        put(tmp_path, key)
        (tmp_path / key).write_bytes(data)
        link(tmp_path, f"photos/2019/{name}", key)
    put(tmp_path, ".git/config")
    link(tmp_path, "photos/2019/b.jpg.xmp", ".git/config")
    put(tmp_path, "photos/2019/b.jpg")
    top = str(tmp_path / root)
    files = [item for item in FilesystemSource(top).scan() if isinstance(item, ImageFile)]
    [file, other] = sorted(files, key=lambda each: each.path)
    decoded = decode_file(file, DecodeSettings())
    assert isinstance(decoded, Decoded) and decoded.metadata.keywords == ("sheep",)
    assert isinstance(render(render_request(file, [top], 8), DecodeSettings()), Thumbnail)
    assert read_sidecars(other)[0] == Statement("sidecar"), "only contents, not .git itself"
    config = os.path.join(top, other.path + ".xmp")
    with pytest.raises(Unusable, match="leads out"):
        open_below(config, [str(tmp_path / "photos" / "2019")])


def test_a_link_from_a_part_of_the_root_does_not_lead_around_an_exclude(tmp_path):
    root = tmp_path / "root"
    put(root, "part/a.jpg", "secret/k.jpg")
    (root / "part" / "up").symlink_to(tmp_path)
    assert scan(root, "part", exclude=["secret/"])[0] == ["part/a.jpg"]
    assert scan(root, exclude=["secret/"])[0] == ["part/a.jpg"]


def test_a_link_does_not_lead_around_an_exclude_of_another_folder(tmp_path):
    x, y = tmp_path / "x", tmp_path / "y"
    put(x, "a.jpg")
    put(y, "secret/k.jpg", "secret/deep/l.jpg", "open/m.jpg", "open/n.png")
    link(tmp_path, "x/l.jpg", "y/secret/k.jpg")
    link(tmp_path, "x/lf", "y/secret")
    link(tmp_path, "x/deep", "y/secret/deep")
    link(tmp_path, "x/o.jpg", "y/open/m.jpg")
    link(tmp_path, "x/up", ".")
    link(tmp_path, "x/y", "y")
    patterns = ("secret/", "!secret/k.jpg", "*.png")
    found, _, _ = scan(x, roots=[RootRecord(str(x)), RootRecord(str(y), patterns)])
    assert found == ["a.jpg", "o.jpg", "up/y/open/m.jpg"]
    found, _, _ = scan(x, roots=[RootRecord(str(x), ("secret/",)), RootRecord(str(y))])
    assert "l.jpg" in found


def test_patterns_of_a_folder_around_do_not_hold_inside_of_this_one(tmp_path):
    inner = tmp_path / "#snapshot"
    put(tmp_path, "secret/k.jpg")
    put(inner, ".store/a.jpg")
    link(inner, "a.jpg", ".store/a.jpg")
    link(tmp_path, "#snapshot/k.jpg", "secret/k.jpg")
    around = RootRecord(str(tmp_path), ("secret/", ".store/", "a.jpg"))
    assert scan(inner, roots=[around])[0] == ["a.jpg"]


def test_a_dangling_link_without_an_extension_may_be_a_folder(tmp_path):
    put(tmp_path, "a.jpg")
    link(tmp_path, "disk", "gone")
    assert scan(tmp_path)[2] == {"disk": "a link that leads nowhere"}
