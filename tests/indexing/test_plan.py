"""The roots and subfolders that are scanned for the paths of a user."""

from __future__ import annotations

import os

import pytest

from imgsearch.errors import SourceError
from imgsearch.indexing.plan import IndexRequest, plan
from imgsearch.records import RootRecord


@pytest.fixture
def tree(tmp_path):
    """a/b/c and ab, so that one name is a prefix of another."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    return tmp_path


def plans(tree, *paths, roots=(), library="/library", **options):
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
    assert plans(tree, *paths, roots=roots) == expected


def test_a_missing_known_root_is_planned(tree):
    assert plans(tree, "gone", roots=["gone"]) == [("gone", "")]


def test_links_lead_to_the_real_folder(tree):
    (tree / "link").symlink_to("a/b")
    assert plans(tree, "link", roots=["a"]) == [("a", "b")]
    assert plans(tree, "link") == [("a/b", "")]


@pytest.mark.parametrize(
    ("exclude", "hidden", "expected"),
    [
        (None, None, (("old/",), True)),
        (("new/",), None, (("old/", "new/"), True)),
        (("new/", "old/"), None, (("new/", "old/"), True)),
        ((), False, (("old/",), False)),
    ],
)
def test_the_settings_of_a_root_are_kept_until_changed(tree, exclude, hidden, expected):
    known = [RootRecord(str(tree / "a"), exclude=("old/",), hidden=True)]
    request = IndexRequest([str(tree / "a")], exclude, hidden)
    [(root, scope)] = plan(request, known, "/library")
    assert ((root.exclude, root.hidden), scope) == (expected, "")


@pytest.mark.parametrize(("exclude", "expected"), [((), ()), (("new/",), ("new/",))])
def test_excludes_of_earlier_runs_are_discarded_on_request(tree, exclude, expected):
    known = [RootRecord(str(tree / "a"), exclude=("old/",))]
    request = IndexRequest([str(tree / "a")], exclude, no_exclude=True)
    [(root, _)] = plan(request, known, "/library")
    assert root.exclude == expected


def test_an_absolute_pattern_belongs_to_the_folder_that_holds_it(tree):
    roots = [RootRecord(str(tree / "a"), ("old/",)), RootRecord(str(tree / "ab"))]
    request = IndexRequest(exclude=[str(tree / "a" / "b"), "c/"])
    assert [root.exclude for root, _ in plan(request, roots, "/library")] == [
        ("old/", "/b", "c/"),
        ("c/",),
    ]
    with pytest.raises(SourceError, match="absolute path outside"):
        plan(IndexRequest(exclude=[str(tree)]), roots, "/library")


def test_a_folder_that_is_excluded_is_not_scanned_alone(tree):
    known = [RootRecord(str(tree / "a"), exclude=("b/",))]
    for below in ("b", "b/c"):
        with pytest.raises(SourceError, match="is excluded from"):
            plan(IndexRequest([str(tree / "a" / below)]), known, "/library")


def test_a_folder_that_is_left_out_by_default_is_a_root_of_its_own(tree):
    inner = tree / "a" / "#snapshot" / "daily"
    inner.mkdir(parents=True)
    both = [("a", ""), ("a/#snapshot/daily", "")]
    assert plans(tree, "a/#snapshot/daily", roots=["a"]) == both[1:]
    assert plans(tree, "a", "a/#snapshot/daily") == both
    assert plans(tree, roots=["a", "a/#snapshot/daily"]) == both


@pytest.mark.parametrize(("exclude", "hidden"), [(("new/",), None), ((), False), (None, True)])
def test_exclusions_apply_to_the_whole_root(tree, exclude, hidden):
    known = [RootRecord(str(tree / "a"), exclude=("old/",))]
    request = IndexRequest([str(tree / "a" / "b")], exclude, hidden)
    with pytest.raises(SourceError, match="is part of") as caught:
        plan(request, known, "/library")
    assert str(tree / "a") in caught.value.hint


@pytest.mark.parametrize(
    ("path", "words"), [("nowhere", "does not exist"), ("file.jpg", "is a file, not a folder")]
)
def test_paths_that_are_not_folders(tree, path, words):
    (tree / "file.jpg").touch()
    with pytest.raises(SourceError, match=words) as caught:
        plans(tree, path)
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
            plans(tree, *paths, roots=roots, library=str(tree / library))


def test_a_library_beside_a_root_is_fine(tree):
    assert plans(tree, "a", library=str(tree / "a-library")) == [("a", "")]


def test_a_library_in_a_hidden_folder_is_allowed(tree):
    """`imgsearch index ~` with the default library, ~/.local/share/imgsearch."""
    library = str(tree / ".local" / "share" / "imgsearch")
    assert plan(IndexRequest([str(tree)]), [], library) == [(RootRecord(str(tree)), "")]
    with pytest.raises(SourceError, match="is inside"):
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
def test_a_root_absorbs_the_exclusions_of_another(tree, pattern, above):
    (tree / "in").mkdir()
    (tree / "in" / "x.jpg").touch()
    inner = RootRecord(str(tree / "in"), exclude=(pattern,), hidden=True)
    ((root, scope),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert (root.path, root.exclude, root.hidden, scope) == (str(tree), (above,), True, "")


def test_a_folder_name_is_not_a_pattern(tree):
    (tree / "[20]*").mkdir()
    (tree / "[20]*" / "x.jpg").touch()
    inner = RootRecord(str(tree / "[20]*"), exclude=("private/",))
    ((root, _),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert root.exclude == (r"/\[20\]\*/**/private/",)


def test_a_root_absorbs_the_mount_points_of_others(tree):
    """An empty or missing inner root is an error; mount points are kept."""
    (tree / "disk").mkdir()
    inner = RootRecord(str(tree / "disk"), mounts=(str(tree / "disk"), "sub"))
    for prune in (False, True):
        request = IndexRequest([str(tree)], prune=prune)
        if prune:
            assert plan(request, [inner], "/elsewhere")
        else:
            with pytest.raises(SourceError, match="empty or missing"):
                plan(request, [inner], "/elsewhere")
    (tree / "disk" / "x.jpg").touch()
    ((root, _),) = plan(IndexRequest([str(tree)]), [inner], "/elsewhere")
    assert root.mounts == ("", "disk", "disk/sub")


def test_a_root_in_a_hidden_folder_stays_separate(tree):
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


def test_links_add_no_new_folders(tree):
    (tree / "a" / "out").symlink_to(tree / "ab")
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "in").symlink_to(tree / "a" / "b")
    for away in ("a/out", "a/up", "ab", "."):
        with pytest.raises(SourceError, match="not in a folder of this library"):
            plans(tree, away, roots=["a"], add=False)
    for below, scope in (("a", ""), ("a/b", "b"), ("a/in", "b")):
        assert plans(tree, below, roots=["a"], add=False) == [("a", scope)]
