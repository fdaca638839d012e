"""The filters of imgsearch search and similar, lists by date, and --explain."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base

from imgsearch.catalog import open_catalog
from tests.cli.calls import NO_TORCH, Place, picture, position_tags, process
from tests.conftest import PHOTOS, examples, full_only

COUNT = len(list(PHOTOS.iterdir()))


def photo(
    path: Path, seed: int, taken: str = "", camera: str = "", gps: tuple = (), **size
) -> None:
    """Create a picture with EXIF data."""
    picture(path, seed, **size)
    image = Image.open(path)
    exif = Image.Exif()
    if camera:
        exif[Base.Make], exif[Base.Model] = camera.split(" ", 1)
    if taken:
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = taken
    if gps:
        exif.get_ifd(IFD.GPSInfo).update(position_tags(*gps))
    image.save(path, exif=exif)


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("album")
    place = Place(folder / "photos", folder / "library")
    photo(place.photos / "paris.jpg", 1, "2023:05:17 10:00:00", "Canon EOS 80D", (48.85, 2.35))
    photo(place.photos / "fiji.jpg", 2, "2023:01:01 00:00:00", "NIKON D750", (-17.8, 179.9))
    photo(place.photos / "2022/old.png", 3, size=(48, 64))
    photo(place.photos / "2022/Éte.jpg", 4, "2022:12:31 23:59:59", "Canon EOS R5", size=(50, 50))
    for age, name in enumerate(["paris.jpg", "2022/old.png", "fiji.jpg", "2022/Éte.jpg"]):
        os.utime(place.photos / name, (10**9 - age, 10**9 - age))
    assert place.index()["added"] == 4
    return place


def listed(place: Place, *arguments: object) -> list[str]:
    """File names in a list with these filters, in order."""
    outcome = place.call("search", *arguments, "--format", "json")
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths]


PARIS, FIJI, OLD, ETE = "paris.jpg", "fiji.jpg", "old.png", "Éte.jpg"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--after", "2023"], [PARIS, FIJI]),
        (["--before", "2023"], [ETE]),
        (["--after", "2023-01-01", "--before", "2023-05-17"], [FIJI]),
        (["--after", "2022-12-31", "--before", "2023-01-01"], [ETE]),
        (["--camera", "canon"], [PARIS, ETE]),
        (["--camera", "canon", "--camera", "r5"], [ETE]),
        (["--camera", "nikon d7*"], [FIJI]),
        (["--type", "png"], [OLD]),
        (["--type", "png", "--type", "JPG"], [PARIS, FIJI, ETE, OLD]),
        (["--min-size", "64x48"], [PARIS, FIJI]),
        (["--orientation", "portrait"], [OLD]),
        (["--orientation", "square", "--orientation", "portrait"], [ETE, OLD]),
        (["--near", "48.9,2.4"], [PARIS]),
        (["--near", "48.9,2.4,5"], []),
        (["--near", "-17.8,-179.9,50"], [FIJI]),
        (["--box", "48,2,49,3"], [PARIS]),
        (["--box", "-18,170,-17,-179"], [FIJI]),
        (["--where", "not box(48, 2, 49, 3) and has gps"], [FIJI]),
        (["--has", "gps"], [PARIS, FIJI]),
        (["--has", "date"], [PARIS, FIJI, ETE]),
        (["--has", "date", "--has", "gps", "--type", "png"], []),
        (["--name", "e\u0301TE*"], [ETE]),
        (["--name", "*.JPG"], [PARIS, FIJI, ETE]),
        (["--name", "i"], [PARIS, FIJI]),
        (["--where", "not taken < 2023"], [PARIS, FIJI, OLD]),
        (["--where", "camera ~ canon or format = png", "--where", "not has gps"], [ETE, OLD]),
        (["--where", "name in ('old.png', FIJI.jpg)", "-n", "1"], [FIJI]),
    ],
)
def test_a_list_by_date(album, arguments, names):
    assert listed(album, *arguments) == names


def test_a_multi_picture_file_is_found_as_what_it_is_and_as_jpeg(tmp_path):
    """Its first picture is a JPEG that every program shows."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    picture(place.photos / "plain.jpg", 1)
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("teal", "red")]
    pictures[0].save(place.photos / "stereo.jpg", "MPO", save_all=True, append_images=pictures[1:])
    place.index()
    both = ["plain.jpg", "stereo.jpg"]
    assert sorted(listed(place, "--type", "jpeg")) == sorted(listed(place, "--type", "jpg")) == both
    assert "stereo.jpg" in listed(place, "--type", "mpo")


def test_partial_dates_in_a_list_by_date(tmp_path):
    """Each is at its first day; pictures without a date come last."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    dates = {
        "year": "1965:00:00 00:00:00", "month": "1965:07:00 00:00:00",
        "day": "1965:07:04", "time": "1965:07:04 10:00:00", "later": "1966:01:01 00:00:00",
        "none": "",
    }  # fmt: skip
    for seed, (name, taken) in enumerate(dates.items()):
        photo(place.photos / f"{name}.jpg", seed, taken)
    place.index()
    dated = ["year.jpg", "month.jpg", "day.jpg", "time.jpg", "later.jpg"]
    assert listed(place, "--has", "date", "--sort", "date") == dated
    assert listed(place, "--has", "date", "--sort", "-date") == dated[::-1]
    assert listed(place, "red", "--all", "--sort", "date")[:5] == dated
    outcome = place.call("search", "--name", "month", "--format", "json")
    assert outcome.json[0]["taken"] == "1965-07"


def test_a_date_from_the_name_is_marked_as_such(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    photo(place.photos / "IMG-20190504-WA0001.jpg", 1)
    photo(place.photos / "20190505.jpg", 2, "2019:05:06 10:00:00")
    place.index()
    outcome = place.call("search", "--has", "date", "--sort", "date", "--format", "json")
    found = [(each["taken"], each["taken_source"]) for each in outcome.json]
    assert found == [("2019-05-04", "file name"), ("2019-05-06T10:00:00", "exif")]


def test_in_a_folder(album, monkeypatch):
    assert listed(album, "--in", album.photos) == [PARIS, FIJI, ETE, OLD]
    assert listed(album, "--in", album.photos / "2022") == [ETE, OLD]
    assert listed(album, "--in", album.photos / "paris.jpg") == [PARIS]
    assert listed(album, "--in", album.photos / "20") == []
    monkeypatch.chdir(album.photos)
    assert listed(album, "--in", "2022/") == [ETE, OLD]
    assert listed(album, "--in", "2022", "--in", "./fiji.jpg") == [FIJI, ETE, OLD]
    assert listed(album, "--where", "in 2022 or in fiji.jpg") == [FIJI, ETE, OLD]
    monkeypatch.chdir(album.photos / "2022")
    assert listed(album, "--in", "..", "--type", "png") == [OLD]


def test_a_list_has_no_scores(album):
    def out(form: str) -> str:
        outcome = album.call("search", "--has", "date", "-n", 1, "--format", form)
        assert (outcome.status, outcome.err) == (0, "")
        return outcome.text

    path = str(album.photos / PARIS)
    assert out("tsv") == f"\t{path}\n"
    assert out("paths") == f"{path}\n"
    assert re.fullmatch(r"  1          \S*paris.jpg  \(64x48\)  2023-05-17\n", out("table"))
    assert out("csv").splitlines()[1].startswith(f"1,,,false,{path},64,48")
    assert '"score": null' in out("json")


@full_only
def test_a_list_needs_no_model(album):
    outcome = process(
        "--library", album.library, "search", "--after", "2023", "--where", "has gps",
        "--format", "paths", prelude=NO_TORCH,
    )  # fmt: skip
    assert outcome.status == 0
    assert len(outcome.text.splitlines()) == 2
    assert outcome.err.splitlines()[-1] == "loaded []"


@full_only
def test_a_filter_that_no_picture_passes_needs_no_model(album):
    call = ["--library", album.library, "search", "a dog", "--after", "2030", "--format", "json"]
    outcome = process(*call, prelude=NO_TORCH)
    assert (outcome.status, outcome.json) == (0, [])
    assert outcome.err.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("limit", [1, 3, 5, 100])
def test_the_best_passing_pictures(demo, limit):
    """A filtered search returns the passing hits of an unfiltered one."""
    both = ["search", "an", "animal", "--all", "--format", "json"]
    everything = demo.call(*both, "-n", COUNT).json
    for filters, passes in (
        (["--orientation", "portrait"], lambda hit: hit["height"] > hit["width"]),
        (["--type", "png", "--type", "webp"], lambda hit: hit["format"] in ("PNG", "WEBP")),
        (["--name", "koala"], lambda hit: hit["path"].endswith("koala.jpg")),
        (["--in", PHOTOS], lambda hit: True),
    ):
        expected = [hit for hit in everything if passes(hit)][:limit]
        hits = demo.call(*both, "-n", limit, *filters).json
        assert [hit["path"] for hit in hits] == [hit["path"] for hit in expected]
        scores = [hit["score"] for hit in expected]  # rounded products of other numbers of rows
        assert [hit["score"] for hit in hits] == pytest.approx(scores, rel=0, abs=1.01e-6)
        assert [hit["rank"] for hit in hits] == list(range(1, len(hits) + 1))


def test_a_minimum_score_is_applied_afterwards(demo):
    query = ["search", "an animal", "--all", "--orientation", "portrait", "--format", "json"]
    scores = [hit["score"] for hit in demo.call(*query, "-n", COUNT).json]
    assert len(scores) > 3
    assert len(demo.call(*query, "--min-score", scores[1]).json) == 2
    outcome = demo.call(*query, "--min-score", "0.99")
    assert (outcome.json, outcome.err) == ([], "No picture scores 0.99 or more.\n")


def test_similar_takes_filters(demo):
    cat = PHOTOS / "tabby_cat_face.jpg"
    outcome = demo.call("similar", cat, "--name", "kitten", "--format", "json")
    assert [os.path.basename(path) for path in outcome.paths] == ["kitten_with_wool.jpg"]


def test_no_picture_passes(album):
    def note_of(*filters: object) -> str:
        outcome = album.call("search", *filters, "--format", "json")
        assert (outcome.status, outcome.json) == (0, [])
        assert album.call("search", *filters, "-q").err == ""
        return outcome.err

    assert note_of("--after", "2030") == ("No picture passes the filter: taken >= 2030-01-01\n")
    assert note_of("a dog", "--type", "jpeg", "--camera", "Leica") == (
        'No picture passes the filter: camera ~ "leica"\n'
    )
    assert note_of("--type", "png", "--camera", "canon") == (
        "No picture passes all parts of the filter, though some pass each: "
        'format = "PNG" and camera ~ "canon"\n'
    )


def test_explain(demo):
    outcome = demo.call(
        "search",
        "a dog",
        "--all",
        "--orientation",
        "portrait",
        "--explain",
        "-q",
        "--format",
        "json",
    )
    filtered, passed, method, time = outcome.err.splitlines()
    assert filtered == 'filter  orientation = "portrait"'
    count = len(outcome.json)
    assert passed == f"passed  {count} of {COUNT} pictures"
    assert f"{count} vectors that pass" in method
    steps = re.findall(r"(\w+) [0-9.]+ ms", time)
    assert steps == [
        "parse", "open", "filter", "words", "encode", "search", "fetch", "fold", "look",
    ]  # fmt: skip


def test_a_filter_cannot_forge_lines(album):
    outcome = album.call("search", "--name", "x\npassed  9 of 9\x1b[2J", "--explain")
    assert [line[:6] for line in outcome.err.splitlines()] == [
        "No pic", "filter", "passed", "method", "time  "
    ]  # fmt: skip
    assert outcome.err.count("\\npassed  9 of 9\\x1b") == 2


def test_explain_without_a_filter_or_without_words(demo):
    lines = demo.call("search", "a dog", "--explain").err.splitlines()
    assert lines[:2] == ["filter  none", f"passed  all {COUNT} pictures"]
    assert lines[2] == f"method  FAISS scan of {COUNT} vectors"
    lines = demo.call("search", "--in", PHOTOS, "--explain").err.splitlines()
    assert lines[1] == f"passed  {COUNT} of {COUNT} pictures"
    assert lines[2] == "method  the newest by date, from the catalog"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "camra = canon"], "there is no field 'camra' (column 1)"),
        (["--after", "soon"], "'soon' is not a valid date"),
        (["--type", "doc"], "there is no picture format 'doc'"),
        (["--min-size", "big"], "'big' is not a valid size in pixels"),
        (["--box", "48.9,2.2,48.8,2.5"], "the south of the box, 48.9, lies above its north"),
        (["--near", "here"], "a place is LATITUDE,LONGITUDE"),
        (["--has", "cheese"], "there is no 'has cheese'"),
        (["--in", "/no/such/folder"], "/no/such/folder is not in a folder of this library"),
        (["--has", "gps", "--min-score", "0.3"], "a list by date has no scores"),
        (["", "--has", "gps"], "the query is empty"),
        (["--not", "dog", "--has", "date"], "only says what not to find"),
    ],
)
def test_invalid_queries_are_refused(album, arguments, words):
    outcome = album.call("search", *arguments)
    assert (outcome.status, outcome.out) == (1, b"")
    first, *_, hint = outcome.err.splitlines()
    assert first.startswith("imgsearch: ") and words in first
    assert hint.startswith("  ")


def test_a_picture_format_is_not_an_output_format(album):
    outcome = album.call("search", "dog", "--format", "heic")
    assert outcome.status == 2
    assert "use --type heic" in outcome.err


def test_a_list_of_an_empty_library(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    open_catalog(str(place.library), create=True).close()
    outcome = place.call("search", "--has", "date")
    assert outcome.status == 1
    assert "the library has no pictures yet" in outcome.err


def test_dates_have_no_time_zone(album):
    assert datetime.fromisoformat(
        album.call("search", "--name", "paris", "--format", "json").json[0]["taken_at"]
    ) == datetime(2023, 5, 17, 10)


# fmt: off
PIECES = [
    "taken", "name", "camera", "width", "size", "format", "orientation", "=", "!=", "<", ">=", "~",
    "!~", "and", "or", "not", "in", "has", "near", "gps", "date", "(", ")", ",", "2023", "9999",
    "2023-05-17", "0", "-1", "1e9", "jpeg", "'", '"', "\"a\"", "*", "[", "[a-", "%", ";", "--",
    "\0", "\udcff", "\x1b[2J", "DROP TABLE images", "\\", "~", "/", "..", "5MB", "9" * 30, "nan",
    "日本",
]
# fmt: on
pieces = st.sampled_from(PIECES)
anything = st.text(st.characters(), max_size=30) | st.lists(pieces, max_size=8).map(" ".join)
FLAGS = ("--in", "--after", "--before", "--camera", "--type", "--min-size", "--orientation",
         "--near", "--box", "--has", "--name", "--where")  # fmt: skip


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(options=st.lists(st.tuples(st.sampled_from(FLAGS), anything), min_size=1, max_size=3))
@example(options=[("--where", "(" * 9000)])
@example(options=[("--where", "not (" * 1500 + "has gps" + ")" * 1500)])
@example(options=[("--where", "name ~ '" + "*a" * 249 + "'")])
@example(options=[("--where", "size = 9999999999999999999GB or width > 999999999999999")])
@example(options=[("--where", "taken <= 9998 or taken > 9998-12-31T23:59:59")])
@example(options=[("--name", "\ud800[!\0]")])
@example(options=[("--in", "x" * 5000)])
@example(options=[("--near", "90,180,99999999")])
@example(options=[("--min-size", "999999999x999999999")])
def test_any_filter_gives_a_list_or_an_error(album, options):
    outcome = album.call("search", *(f"{flag}={value}" for flag, value in options))
    assert outcome.status in (0, 1, 2)
    assert outcome.status == 0 or (outcome.err and not outcome.out)
    assert "Traceback" not in outcome.err
    assert not any(c < " " and c != "\n" for c in outcome.text + outcome.err)
