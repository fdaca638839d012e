"""Which roots and which parts of them are scanned for the paths that a user names."""

from __future__ import annotations

import os

import pytest

from imgsearch.errors import SourceError
from imgsearch.indexing.plan import IndexRequest, plan
from imgsearch.records import RootRecord


@pytest.fixture
def tree(tmp_path):
    """a/b/c and ab, so that a name is the beginning of another."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    return tmp_path


def planned(tree, *paths, roots=(), library="/library", **options):
    known = [RootRecord(str(tree / name), exclude=("old/",), hidden=True) for name in roots]
    request = IndexRequest([str(tree / path) for path in paths], **options)
    return [
        (os.path.relpath(root.path, tree), scope) for root, scope in plan(request, known, library)
    ]


@pytest.mark.parametrize(
    ("paths", "roots", "expected"),
    [
        (["a"], [], [("a", "")]),
        (["a", "ab"], [], [("a", ""), ("ab", "")]),
        (["a", "a"], [], [("a", "")]),
        (["a", "a/b"], [], [("a", "")]),
        (["a/b/c", "a/b"], [], [("a/b", "")]),
        (["a/b"], ["a"], [("a", "b")]),
        (["a/b/c"], ["a"], [("a", "b/c")]),
        (["a/b/c", "a/b"], ["a"], [("a", "b")]),
        (["a", "a/b"], ["a"], [("a", "")]),
        (["ab"], ["a"], [("ab", "")]),
        (["."], ["a"], [(".", "")]),
        (["a"], ["a/b"], [("a", "")]),
        ([], ["a", "ab"], [("a", ""), ("ab", "")]),
        (["a/../a/b/"], ["a"], [("a", "b")]),
    ],
)
def test_plans(tree, paths, roots, expected):
    assert planned(tree, *paths, roots=roots) == expected


def test_a_known_root_that_is_away_is_planned_all_the_same(tree):
    assert planned(tree, "gone", roots=["gone"]) == [("gone", "")]


def test_links_lead_to_the_real_folder(tree):
    (tree / "link").symlink_to("a/b")
    assert planned(tree, "link", roots=["a"]) == [("a", "b")]
    assert planned(tree, "link") == [("a/b", "")]


@pytest.mark.parametrize(
    ("exclude", "hidden", "expected"),
    [
        (None, None, (("old/",), True)),
        (("new/",), None, (("new/",), True)),
        ((), False, ((), False)),
    ],
)
def test_what_a_root_remembers_holds_until_it_is_changed(tree, exclude, hidden, expected):
    known = [RootRecord(str(tree / "a"), exclude=("old/",), hidden=True)]
    request = IndexRequest([str(tree / "a")], exclude, hidden)
    [(root, scope)] = plan(request, known, "/library")
    assert ((root.exclude, root.hidden), scope) == (expected, "")


@pytest.mark.parametrize(("exclude", "hidden"), [(("new/",), None), ((), None), (None, True)])
def test_what_is_left_out_is_said_for_the_whole_root(tree, exclude, hidden):
    known = [RootRecord(str(tree / "a"), exclude=("old/",))]
    request = IndexRequest([str(tree / "a" / "b")], exclude, hidden)
    with pytest.raises(SourceError, match="is part of") as caught:
        plan(request, known, "/library")
    assert str(tree / "a") in caught.value.hint


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere", "is not there"), ("file.jpg", "is a file, not a folder")]
)
def test_paths_that_are_no_folder(tree, path, words):
    (tree / "file.jpg").touch()
    with pytest.raises(SourceError, match=words) as caught:
        planned(tree, path)
    assert caught.value.hint


def test_no_path_and_no_root():
    with pytest.raises(SourceError, match="no folders yet"):
        plan(IndexRequest(), [], "/library")


def test_an_empty_path_is_not_the_working_folder():
    with pytest.raises(SourceError, match="empty"):
        plan(IndexRequest([""]), [], "/library")


@pytest.mark.parametrize("library", ["a", "a/library", "a/b/c/library"])
def test_no_library_inside_a_root(tree, library):
    for paths, roots in ((["a"], []), (["a/b"], ["a"]), ([], ["a"])):
        with pytest.raises(SourceError, match="nothing may be written"):
            planned(tree, *paths, roots=roots, library=str(tree / library))


def test_a_library_beside_a_root_is_fine(tree):
    assert planned(tree, "a", library=str(tree / "a-library")) == [("a", "")]


def test_a_library_in_a_hidden_folder_is_not_in_the_way(tree):
    """`imgsearch index ~` with the default library, ~/.local/share/imgsearch."""
    library = str(tree / ".local" / "share" / "imgsearch")
    assert plan(IndexRequest([str(tree)]), [], library) == [(RootRecord(str(tree)), "")]
    with pytest.raises(SourceError, match="lies inside"):
        plan(IndexRequest([str(tree)], hidden=True), [], library)


@pytest.mark.parametrize(
    ("pattern", "above"),
    [
        ("*.tmp", "/in/**/*.tmp"),
        ("Thumbs/", "/in/**/Thumbs/"),
        ("/a.jpg", "/in/a.jpg"),
        ("x/*.jpg", "/in/x/*.jpg"),
        ("!keep.jpg", "!/in/**/keep.jpg"),
    ],
)
def test_a_root_that_takes_in_another_leaves_out_what_that_one_left_out(tree, pattern, above):
    (tree / "in").mkdir()
    (tree / "in" / "x.jpg").touch()
    inner = RootRecord(str(tree / "in"), exclude=(pattern,), hidden=True)
    ((root, scope),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert (root.path, root.exclude, root.hidden, scope) == (str(tree), (above,), True, "")


def test_the_name_of_a_folder_is_no_pattern(tree):
    (tree / "[20]*").mkdir()
    (tree / "[20]*" / "x.jpg").touch()
    inner = RootRecord(str(tree / "[20]*"), exclude=("private/",))
    ((root, _),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert root.exclude == (r"/\[20\]\*/**/private/",)


def test_a_root_keeps_the_guards_of_those_it_takes_in(tree):
    """An empty or missing one refuses the whole; mount points are remembered."""
    (tree / "disk").mkdir()
    inner = RootRecord(str(tree / "disk"), mounts=(str(tree / "disk"), "sub"))
    for prune in (False, True):
        request = IndexRequest([str(tree)], prune=prune)
        if prune:
            assert plan(request, [inner], "/elsewhere")
        else:
            with pytest.raises(SourceError, match="empty or not there"):
                plan(request, [inner], "/elsewhere")
    (tree / "disk" / "x.jpg").touch()
    ((root, _),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert root.mounts == ("", "disk", "disk/sub")


def test_a_root_in_a_hidden_folder_stays_on_its_own(tree):
    (tree / ".inner").mkdir()
    inner = RootRecord(str(tree / ".inner"))
    ((root, _),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert root == RootRecord(str(tree)) and not root.takes_in(inner.path)


def test_a_root_that_was_replaced_by_a_link_is_still_that_root(tree):
    known = RootRecord(str(tree / "a"))
    (tree / "a").rename(tree / "moved")
    (tree / "a").symlink_to(tree / "moved")
    for path in (tree / "a", tree / "moved"):
        assert plan(IndexRequest([str(path)]), [known], "/elsewhere") == [(known, "")]
    assert plan(IndexRequest(), [known], "/elsewhere") == [(known, "")]


def test_no_link_leads_to_a_new_folder_where_none_is_to_be_added(tree):
    (tree / "a" / "out").symlink_to(tree / "ab")
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "in").symlink_to(tree / "a" / "b")
    for away in ("a/out", "a/up", "ab", "."):
        with pytest.raises(SourceError, match="in no folder of this library"):
            planned(tree, away, roots=["a"], add=False)
    for below, scope in (("a", ""), ("a/b", "b"), ("a/in", "b")):
        assert planned(tree, below, roots=["a"], add=False) == [("a", scope)]
