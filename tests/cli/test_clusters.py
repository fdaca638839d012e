"""imgsearch clusters, on the demo photos."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from imgsearch.catalog import open_catalog
from tests.cli.calls import Place, call, picture
from tests.conftest import PHOTOS, full_only

pytestmark = pytest.mark.slow
COUNT = len(list(PHOTOS.iterdir()))


@pytest.fixture(scope="module")
def clustered(copy_demo) -> Place:
    """The demo photos in clusters; nothing is written to it after that."""
    place = copy_demo()
    outcome = place.call("clusters", "-q")
    assert outcome.status == 0, outcome.err
    return place


@pytest.fixture
def copied(clustered, tmp_path) -> Place:
    """A copy of it, to write to."""
    shutil.copytree(clustered.library, tmp_path / "copy")
    return Place(clustered.photos, tmp_path / "copy")


@pytest.fixture(scope="module")
def listed(clustered):
    return clustered.call("clusters", "--format", "json").json


def names(outcome) -> set[str]:
    assert outcome.status == 0, outcome.err
    return {os.path.basename(path) for path in outcome.paths}


def test_the_demo_photos_have_clusters_that_say_what_they_show(listed):
    assert (listed["model"], listed["pictures"], listed["waiting"]) == ("builtin", COUNT, 0)
    broad = [each for each in listed["clusters"] if each["parent"] is None]
    assert sum(each["count"] for each in broad) + listed["outliers"] == COUNT
    by_name = {each["name"]: each for each in listed["clusters"]}
    assert len(by_name) == len(listed["clusters"])
    assert names_of(by_name["kitten"] if "kitten" in by_name else by_name["cat"]) == {
        "tabby_cat_face.jpg",
        "kitten_with_wool.jpg",
    }
    assert "mountain_trail.jpg" in names_of(by_name["mountain"])


def names_of(cluster) -> set[str]:
    return {os.path.basename(path) for path in cluster["examples"]}


def test_searches_by_cluster(clustered, listed):
    every = ("--all", "-n", 1000, "--format", "json")
    seen = set()
    for each in listed["clusters"]:
        found = names(clustered.call("search", "--cluster", each["id"], *every))
        where = f'cluster = "{each["name"]}"'
        assert found == names(clustered.call("search", "--where", where, *every))
        assert len(found) == each["count"] and names_of(each) <= found
        ranked = names(clustered.call("search", "a", "dog", "--cluster", each["name"], *every))
        assert ranked == found, "the filter says which, the query in which order"
        seen |= found
    outliers = names(clustered.call("search", "--where", "not has cluster", *every))
    assert len(outliers) == listed["outliers"] and not outliers & seen
    assert len(outliers | seen) == COUNT


def test_clusters_change_no_search_without_the_filter(clustered, demo):
    for query in (("a", "bird"), ("--type", "jpeg"), ("an", "animal", "--unique")):
        options = ("-n", 1000, "--format", "json")
        assert (
            clustered.call("search", *query, *options).json
            == demo.call("search", *query, *options).json
        )


def test_a_table_for_people(clustered, listed):
    table = clustered.call("clusters").text.splitlines()
    assert len(table) == len(listed["clusters"]) + 1
    for line, each in zip(table, listed["clusters"], strict=False):
        assert line.split()[:2] == [str(each["id"]), str(each["count"])]
        assert line[16:].startswith(each["name"] if each["parent"] is None else "  " + each["name"])
    assert table[-1].split() == ["-", str(listed["outliers"]), "outliers"]
    broad = clustered.call("clusters", "--broad").text.splitlines()
    assert 1 < len(broad) < len(table) and set(broad) <= set(table)


@full_only
@pytest.mark.usefixtures("decoder_processes")
def test_a_page_with_pictures_of_each_cluster(clustered, listed, tmp_path):
    target = tmp_path / "clusters.html"
    outcome = clustered.call("clusters", "-n", 2, "--html", target)
    assert outcome.status == 0, outcome.err
    page = target.read_text(encoding="utf-8")
    parents = {each["parent"] for each in listed["clusters"]}
    for each in listed["clusters"]:
        shown = f"--cluster {each['id']})" in page
        assert shown == (each["id"] not in parents)
    assert page.count("<img ") >= 20 and "<script" not in page


def test_an_unknown_cluster_is_a_sentence(clustered):
    outcome = clustered.call("search", "--cluster", "4711")
    assert outcome.status == 1
    assert "there is no cluster 4711" in outcome.err and "imgsearch clusters" in outcome.err


def test_new_pictures_are_reported_until_they_join(copied, tmp_path):
    first = copied.call("clusters", "--format", "json").json
    folder = tmp_path / "more"
    folder.mkdir()
    shutil.copy(PHOTOS / "kitten_with_wool.jpg", folder / "again.jpg")
    copied.index(folder)
    key = next(each["id"] for each in first["clusters"] if each["count"] == 2)
    assert "1 picture is not in clusters yet" in copied.call("search", "--cluster", key).err
    after = copied.call("clusters", "--format", "json").json
    assert (after["waiting"], after["pictures"]) == (0, COUNT + 1)
    names_by_id = [{each["id"]: each["name"] for each in r["clusters"]} for r in (first, after)]
    assert names_by_id[0] == names_by_id[1]
    assert "not in clusters yet" not in copied.call("search", "--cluster", key).err
    assert copied.call("clusters", "--forget").status == 0
    assert copied.call("search", "--cluster", key).status == 1


def test_a_catalog_that_cannot_be_written_to_lists_what_it_has(copied, tmp_path):
    picture(tmp_path / "more" / "a.jpg", 1)
    copied.index(tmp_path / "more")
    catalog = open_catalog(str(copied.library))
    with catalog.writer():
        outcome = copied.call("clusters", "--format", "json")
    catalog.close()
    assert (outcome.status, outcome.json["waiting"]) == (0, 1)
    assert "could not join" in outcome.err


@full_only
def test_libraries_that_have_nothing_to_group(tmp_path):
    library = ("--library", tmp_path / "library")
    missing = call(*library, "clusters")
    assert missing.status == 1 and "library" in missing.err
    picture(tmp_path / "photos" / "a.jpg", 1)
    assert call(*library, "index", tmp_path / "photos", "-q").status == 0
    one = call(*library, "clusters")
    assert one.status == 1 and "one picture" in one.err and "Traceback" not in one.err
    (tmp_path / "photos" / "b.jpg").write_bytes((tmp_path / "photos" / "a.jpg").read_bytes())
    assert call(*library, "index", "-q").status == 0
    equal = call(*library, "clusters", "--format", "json")
    assert [each["count"] for each in json.loads(equal.out)["clusters"]] == [2]
    (tmp_path / "photos" / "a.jpg").unlink()
    (tmp_path / "photos" / "b.jpg").unlink()
    shutil.copy(PHOTOS / "owl.jpg", tmp_path / "photos" / "c.jpg")
    call(*library, "index", "-q")
    rest = call(*library, "clusters", "--format", "json")
    assert (rest.status, rest.json["pictures"]) == (0, 1), "what was made stays usable"
