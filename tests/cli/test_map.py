"""imgsearch map, on the demo photos."""

from __future__ import annotations

import io
import json
import os
import re
import shutil

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from imgsearch.cli import map_page
from imgsearch.library import open_library
from tests.cli.calls import Place, call, picture, process
from tests.conftest import PHOTOS, full_only

pytestmark = pytest.mark.slow
COUNT = len(list(PHOTOS.iterdir()))


@pytest.fixture(scope="module")
def mapped(copy_demo) -> Place:
    """The demo photos with a map; nothing is written to it after that."""
    place = copy_demo()
    outcome = place.call("map", "-q")
    assert outcome.status == 0, outcome.err
    return place


@pytest.fixture
def copied(mapped, tmp_path) -> Place:
    """A copy of it, to write to."""
    shutil.copytree(mapped.library, tmp_path / "copy")
    return Place(mapped.photos, tmp_path / "copy")


@pytest.fixture(scope="module")
def listed(mapped):
    return mapped.call("map", "--json").json


def places(plain) -> dict[int, tuple[float, float]]:
    return {each["id"]: (each["x"], each["y"]) for each in plain["points"]}


@full_only
def test_pictures_lie_among_those_like_them(mapped, listed):
    """Better than principal components keep neighbours, by trustworthiness."""
    with open_library(str(mapped.library)) as library:
        ids, rows = library.vectors()
        rows = np.array(rows)
    where = places(listed)
    positions = np.array([where[key] for key in ids.tolist()])
    found = trustworthiness(rows, positions, n_neighbors=5)
    assert found > trustworthiness(rows, PCA(2).fit_transform(rows), n_neighbors=5) + 0.04
    names = {os.path.basename(each["path"]): each["id"] for each in listed["points"]}
    assert nearest(where, names["tabby_cat_face.jpg"]) == names["kitten_with_wool.jpg"]


def nearest(where, key: int) -> int:
    far = {each: np.hypot(*np.subtract(where[each], where[key])) for each in where if each != key}
    return min(far, key=far.__getitem__)


@full_only
def test_json_has_every_picture_once(listed):
    assert (listed["pictures"], listed["unindexed"]) == (COUNT, 0)
    assert len(places(listed)) == COUNT
    assert all(abs(x) <= 1 and abs(y) <= 1 for x, y in places(listed).values())
    ids = {each["id"] for each in listed["clusters"]}
    assert {each["cluster"] for each in listed["points"]} <= ids | {None}
    for each in listed["clusters"]:
        parts = {each["id"]} | {c["id"] for c in listed["clusters"] if c["parent"] == each["id"]}
        assert each["count"] == sum(p["cluster"] in parts for p in listed["points"])


@full_only
def test_a_table_of_the_broad_clusters(mapped, listed):
    outcome = mapped.call("map")
    assert "imgsearch map --html" in outcome.err
    lines = [line.split() for line in outcome.text.splitlines()]
    broad = [each for each in listed["clusters"] if each["parent"] is None]
    outliers = COUNT - sum(each["count"] for each in broad)
    assert [line[:2] for line in lines] == [
        *([str(each["id"]), str(each["count"])] for each in broad),
        ["-", str(outliers)],
    ]


@full_only
def test_a_filter_moves_nothing(mapped, listed):
    some = mapped.call("map", "--json", "--type", "jpeg").json
    assert 0 < some["pictures"] < COUNT
    assert places(some).items() <= places(listed).items()
    none = mapped.call("map", "--json", "--type", "gif")
    assert (none.status, none.out) == (1, b"") and "no picture on the map" in none.err


@full_only
def test_new_pictures_move_no_others(copied, listed, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    with Image.open(PHOTOS / "kitten_with_wool.jpg") as image:
        image.resize((image.width // 2, image.height // 2)).save(folder / "again.jpg")
    copied.index(folder)
    after = copied.call("map", "--json").json
    where = places(after)
    assert places(listed).items() <= where.items() and len(where) == COUNT + 1
    (new,) = set(where) - set(places(listed))
    names = {each["id"]: os.path.basename(each["path"]) for each in after["points"]}
    assert names[nearest(where, new)] in ("kitten_with_wool.jpg", "tabby_cat_face.jpg")
    assert places(copied.call("map", "--json", "--refit").json) != where


@pytest.fixture(scope="module")
def written(mapped, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    options = [f"--{kind}={folder / f'map.{kind}'}" for kind in ("html", "png", "svg", "parquet")]
    outcome = mapped.call("map", *options)
    assert outcome.status == 0, outcome.err
    return folder


@full_only
def test_the_page_holds_all_it_needs_behind_a_strict_policy(written, listed):
    page = (written / "map.html").read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="(.*?)"', page, re.S)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    for text in (script, style):
        assert f"'{map_page._hash(text)}'" in policy
    assert not re.search(r"(src|href)=", page) and "import " not in script
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    values = json.loads(data)
    assert len(values["names"]) == COUNT == len(values["pictures"])
    assert {os.path.basename(each) for each in values["names"]} == {
        os.path.basename(each["path"]) for each in listed["points"]
    }
    assert [each["name"] for each in values["regions"]] == [
        each["name"] for each in listed["clusters"]
    ]


@full_only
def test_drawings(written, listed):
    with Image.open(written / "map.png") as image:
        assert image.size == (1600, 1600) and len(image.getcolors(1 << 22)) > 1000
    root = ElementTree.parse(written / "map.svg").getroot()
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    broad = [each["name"] for each in listed["clusters"] if each["parent"] is None]
    assert texts == broad
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == COUNT


@full_only
def test_a_table_with_x_and_y(written, listed):
    from pyarrow.parquet import read_table

    rows = read_table(written / "map.parquet").to_pylist()
    where = {row["id"]: (row["x"], row["y"]) for row in rows}
    assert where == {key: pytest.approx(each, abs=1e-5) for key, each in places(listed).items()}
    assert "vector" not in rows[0] and rows[0]["path"]


@full_only
@pytest.mark.parametrize("target", ("pictures.parquet", "shards"))
def test_an_export_has_x_and_y_if_there_is_a_map(mapped, demo, listed, tmp_path, target):
    from pyarrow.parquet import read_table

    for place, known in ((mapped, True), (demo, False)):
        there = tmp_path / str(known) / target
        there.parent.mkdir()
        assert place.call("export", there, "-q").status == 0
        files = [there] if there.is_file() else sorted((there / "metadata").iterdir())
        (table,) = map(read_table, files)
        assert ("x" in table.column_names) == known == ("y" in table.column_names)
        if known:
            found = zip(*(table[name].to_pylist() for name in ("id", "x", "y")), strict=True)
            for key, x, y in found:
                assert (x, y) == pytest.approx(places(listed)[key], abs=1e-5)
            outcome = mapped.call("import", there)
            assert outcome.status == 0, outcome.err


@full_only
@pytest.mark.parametrize(
    ("option", "name"), (("--png", "owl.jpg"), ("--svg", "notes.txt"), ("--html", "a.html"))
)
def test_no_file_is_replaced_that_is_not_a_map(mapped, tmp_path, option, name):
    target = tmp_path / name
    target.write_bytes(b"mine")
    outcome = mapped.call("map", option, target)
    assert (outcome.status, outcome.out, target.read_bytes()) == (1, b"", b"mine")
    assert "already exists" in outcome.err
    outcome = mapped.call("map", option, tmp_path / "no" / "map")
    assert outcome.status == 1 and "does not exist" in outcome.err


@full_only
def test_a_map_of_ours_is_replaced(mapped, written):
    for kind in ("png", "svg"):
        before = (written / f"map.{kind}").read_bytes()
        outcome = mapped.call("map", "-q", f"--{kind}", written / f"map.{kind}", "--type", "jpeg")
        assert outcome.status == 0, outcome.err
        assert (written / f"map.{kind}").read_bytes() != before


def test_names_cannot_leave_the_data_of_the_page():
    from imgsearch.curation.map import MapRegion, PictureMap

    evil = '</script><script>alert(1)</script>"\x1b[2J'
    region = MapRegion(1, evil, None, 2, 0.0, 0.0, ())
    shown = PictureMap(
        "toy", "1", np.array([1, 2]), np.zeros((2, 2), np.float32), np.ones(2, int), (region,), 0
    )
    page = map_page.map_page(shown, {1: evil, 2: "\udcff.jpg"}, {})
    assert page.count(b"</script>") == 2 and b"\x1b" not in page
    svg = map_page.map_svg(shown, {})
    assert b"<script" not in svg and ElementTree.fromstring(svg) is not None
    with Image.open(io.BytesIO(map_page.map_png(shown, {}))) as image:
        image.load()


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
"""


@full_only
def test_a_full_disk_leaves_nothing_half_written(copied, tmp_path):
    """A limit on the size of files stands for the full disk."""
    for kind in ("html", "svg", "png", "parquet"):
        target = tmp_path / f"out.{kind}"
        outcome = process("--library", copied.library, "map", f"--{kind}", target, prelude=LIMITED)
        assert outcome.status == 1 and "Traceback" not in outcome.err, outcome.err
        assert not target.exists() and not list(tmp_path.glob(".imgsearch*"))


@full_only
def test_libraries_that_have_nothing_to_lay_out(tmp_path):
    library = ("--library", tmp_path / "library")
    missing = call(*library, "map")
    assert missing.status == 1 and "library" in missing.err
    picture(tmp_path / "photos" / "a.jpg", 1)
    assert call(*library, "index", tmp_path / "photos", "-q").status == 0
    one = call(*library, "map", "--html", tmp_path / "map.html")
    assert one.status == 1 and "two pictures" in one.err and "Traceback" not in one.err
    assert not (tmp_path / "map.html").exists()
    (tmp_path / "photos" / "b.jpg").write_bytes((tmp_path / "photos" / "a.jpg").read_bytes())
    assert call(*library, "index", "-q").status == 0
    equal = call(*library, "map", "--json")
    assert equal.status == 0 and "at one place" in equal.err
    assert [(each["x"], each["y"]) for each in equal.json["points"]] == [(0, 0), (0, 0)]
