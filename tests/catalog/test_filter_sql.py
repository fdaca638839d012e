"""The SQL of the catalog and a plain reference implementation of filters agree."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from imgsearch.catalog import filter_sql, open_catalog, rows, server_words
from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.engine import writing
from imgsearch.catalog.store import _with_root
from imgsearch.catalog.tables import images, roots
from imgsearch.errors import QueryError
from imgsearch.filters.fields import FORMATS, HAS_NAMES, LABELS, ORIENTATIONS, comparison
from imgsearch.filters.parser import parse
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import (
    And,
    Below,
    Box,
    Compare,
    Has,
    Near,
    Not,
    Or,
)
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord, Known, RootRecord
from tests.conftest import examples, full_only, sqlite_only
from tests.fakes import DECODER, SPACE, MemoryFolder, encoded, held, ingest
from tests.reference_filter import passes

ROOTS = ("/photos", "/pho", "/more/photos")

# Values come from small sets, so that comparisons with them have both results.

moments = st.sampled_from(
    [datetime(2019, 12, 31, 23, 59, 59), datetime(2020, 1, 1), datetime(2020, 6, 15, 12, 30),
     datetime(2020, 6, 1), datetime(2020, 6, 15), datetime(2021, 1, 1), datetime(1970, 1, 1),
     datetime(9, 3, 4)]
)  # fmt: skip
dates = st.tuples(moments, st.sampled_from(["second", None])) | st.sampled_from(
    [(datetime(2020, 1, 1), "year"), (datetime(2020, 1, 1), "month"), (datetime(2020, 1, 1), "day"),
     (datetime(2020, 6, 1), "month"), (datetime(2020, 6, 15), "day"),
     (datetime(1970, 1, 1), "year")]
)  # fmt: skip
letters = st.text(st.sampled_from("abAB01-]^[!ßéÉ *?._\u0301\udcff"), min_size=1, max_size=5)
names = letters.filter(lambda name: name.strip(". "))
folders = st.sampled_from(["", "a/", "a/b/", "a\udcff/", "a\udcff/b/", "A/", "a0/", "\udcff/"])
degrees = st.sampled_from([0.0, 48.8566, -90.0, 90.0, 89.95, -33.8, 51.5])
meridians = st.sampled_from([0.0, 2.3522, 180.0, -180.0, 179.95, -179.95, 151.2])
labels = st.sampled_from(["Łódź", "Zo\u00eb B", "Zoe\u0301", "a*", "[a]", "Ann", "ann b"])
sides = st.sampled_from([1, 100, 101, 4000])


@st.composite
def metadata(draw):
    gps = draw(st.booleans())
    maybe = lambda values: draw(st.none() | values)  # noqa: E731
    taken_at, precision = draw(st.just((None, None)) | dates)
    return ImageMetadata(
        draw(sides),
        draw(sides),
        draw(st.sampled_from(["JPEG", "HEIF", "PNG"])),
        taken_at=taken_at,
        taken_precision=precision,
        rating=maybe(st.integers(-1, 5)),
        camera_make=maybe(st.sampled_from(["Canon", "NIKON", "Éclair"])),
        camera_model=maybe(st.sampled_from(["Canon EOS 80D", "D750"])),
        latitude=draw(degrees) if gps else None,
        longitude=draw(meridians) if gps else None,
        title=maybe(labels),
        keywords=tuple(draw(st.lists(labels, max_size=2))),
        people=tuple(draw(st.lists(labels, max_size=2))),
        city=maybe(labels),
        country=maybe(labels),
    )


@st.composite
def library(draw):
    """Pictures with distinct paths: (root, path, metadata, size, status)."""
    pictures = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ROOTS),
                st.builds(str.__add__, folders, names),
                metadata(),
                st.sampled_from([0, 10, 2**40]),
                st.sampled_from(["present", "present", "present", "gone", "unreadable"]),
            ),
            max_size=12,
            unique_by=lambda picture: picture[:2],
        )
    )
    return pictures


leaves = st.one_of(
    st.builds(Compare, st.just("taken"), st.sampled_from(["<", ">="]), moments),
    st.builds(
        Compare, st.sampled_from(["name", "camera", *LABELS]), st.sampled_from(["=", "~"]),
        st.one_of(
            letters, names, labels,
            st.sampled_from(["canon", "*", "a*", "*.?", "[a-b]*", "[!a]*", "[]"]),
        ).map(folded).filter(bool),
    ),
    st.builds(Compare, st.just("format"), st.just("="), st.sampled_from(["JPEG", "HEIF", "RAW"])),
    st.builds(Compare, st.just("orientation"), st.just("="), st.sampled_from(ORIENTATIONS)),
    st.builds(
        Compare, st.sampled_from(["width", "height", "size", "pixels"]),
        st.sampled_from(["=", "<", "<=", ">", ">="]), st.one_of(sides, st.just(100.5)),
    ),
    st.builds(
        Compare, st.sampled_from(["latitude", "longitude"]),
        st.sampled_from(["=", "<", "<=", ">", ">="]), st.one_of(degrees, meridians),
    ),
    st.builds(
        Compare, st.just("rating"), st.sampled_from(["=", "<", ">="]), st.integers(-1, 5)
    ),
    st.builds(Has, st.sampled_from(list(dict.fromkeys(HAS_NAMES.values())))),
    st.builds(Box, degrees, meridians, degrees, meridians).filter(
        lambda box: box.south <= box.north
    ),
    st.builds(Near, degrees, meridians, st.sampled_from([0.001, 5.0, 300.0, 10_000.0, 30_000.0])),
    st.builds(
        Below,
        st.builds(
            lambda root, folder, name: os.path.normpath(f"{root}/{folder}{name}"),
            st.sampled_from(ROOTS), folders, st.just("") | names,
        ),
    ),
)  # fmt: skip
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory, new_url):
    folder = str(tmp_path_factory.mktemp("filters") / "library")
    catalog = open_catalog(folder, create=True, url=new_url())
    with writing(catalog._engine) as connection:
        for root in ROOTS:
            values = {"exclude": [], "hidden": False, "mounts": [], "added_at": datetime.now()}
            connection.execute(insert(roots).values(path=root, **values))
    yield catalog
    catalog.close()


class Undo(Exception):
    """Rolls back a transaction."""


def put(connection, pictures) -> list[tuple[ImageRecord, str]]:
    root_ids = dict(connection.execute(select(roots.c.path, roots.c.id)).all())
    records = []
    for root, path, about, size, status in pictures:
        values = {**rows.path_values(path), **rows.metadata_values(about)}
        (image_id,) = connection.execute(
            insert(images).values(
                root_id=root_ids[root], size=size, mtime_ns=1, content_hash="x", status=status,
                added_at=datetime.now(), **values,
            )
        ).inserted_primary_key  # fmt: skip
        record = ImageRecord(image_id, ImageFile(root, path, size, 1), "x", about)
        records.append((record, status))
    if on_server(connection):
        server_words.write(connection)  # as at the end of the transaction
    return records


@full_only
@settings(max_examples=examples(400), deadline=None)
@given(pictures=library(), where=filters)
def test_sql_agrees_with_the_reference(catalog, pictures, where):
    with pytest.raises(Undo), writing(catalog._engine) as connection:
        records = put(connection, pictures)
        present = [image for image, status in records if status == "present"]
        expected = [image.id for image in present if passes(where, image)]
        assert filter_sql.image_ids(connection, where).tolist() == expected
        assert filter_sql.count(connection, where) == len(expected)
        assert sorted(filter_sql.newest(connection, where, 10**30)) == expected
        raise Undo


@settings(max_examples=examples(300), deadline=None)
@given(where=filters)
def test_the_text_of_a_filter_parses_again(where):
    again = parse(str(where))
    assert str(parse(str(again))) == str(again)


@settings(max_examples=examples(100), deadline=None)
@given(pictures=library(), where=filters)
def test_a_parsed_filter_has_the_same_meaning(catalog, pictures, where):
    with pytest.raises(Undo), writing(catalog._engine) as connection:
        images = [image for image, *_ in put(connection, pictures)]
        again = parse(str(where))
        assert [passes(where, each) for each in images] == [passes(again, each) for each in images]
        raise Undo


def test_the_newest_come_first_and_those_without_a_date_last(catalog):
    def picture(path: str, taken: datetime | None):
        return ("/photos", path, ImageMetadata(1, 1, "PNG", taken_at=taken), 1, "present")

    pictures = [
        picture("none.png", None),
        picture("b/old.png", datetime(2001, 1, 1)),
        picture("new.png", datetime(2020, 1, 1)),
        picture("a/old.png", datetime(2001, 1, 1)),
    ]
    with pytest.raises(Undo), writing(catalog._engine) as connection:
        paths = {image.id: image.file.path for image, *_ in put(connection, pictures)}
        order = [paths[i] for i in filter_sql.newest(connection, None, 10)]
        assert order == ["new.png", "a/old.png", "b/old.png", "none.png"]
        assert len(filter_sql.newest(connection, None, 2)) == 2
        raise Undo


@pytest.mark.parametrize(
    "expression, passing",
    [
        ("taken >= 1965-07 and taken < 1965-08", {"month", "day"}),
        ("taken = 1965-07", {"month", "day"}),
        ("taken = 1965", {"year", "month", "day"}),
        ("taken = 1965-07-01", {"day"}),
        ("taken < 1965-07-15", {"day"}),
        ("taken < 1966", {"year", "month", "day"}),
        ("taken < 1965-01-02", set()),
        ("taken >= 1965-02", {"month", "day"}),
        ("not taken < 1965-02", {"year", "month", "day"}),
    ],
)
def test_a_partial_date_passes_where_all_of_it_does(catalog, expression, passing):
    def picture(precision: str, start: datetime):
        about = ImageMetadata(1, 1, "PNG", taken_at=start, taken_precision=precision)
        return ("/photos", precision, about, 1, "present")

    july = datetime(1965, 7, 1)
    pictures = [picture("year", datetime(1965, 1, 1)), picture("month", july), picture("day", july)]
    with pytest.raises(Undo), writing(catalog._engine) as connection:
        paths = {image.id: image.file.path for image, *_ in put(connection, pictures)}
        found = filter_sql.image_ids(connection, parse(expression))
        assert {paths[each] for each in found.tolist()} == passing
        raise Undo


def test_a_folder_outside_the_library_is_an_error(catalog):
    with pytest.raises(QueryError, match="/elsewhere is not in a folder of this library") as caught:
        catalog.count(Below("/elsewhere"))
    assert "imgsearch roots" in caught.value.hint
    assert catalog.count(Below("/")) == 0, "it contains all folders"


def test_a_link_to_a_folder_counts_as_that_folder(tmp_path, catalog_url):
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    folder = MemoryFolder(str(real))
    folder.files = {"sub/a.jpg": ("a", 1), "b.jpg": ("b", 1)}
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    ingest(catalog, folder)
    for path, count in (("link", 2), ("link/sub", 1), ("real/sub/a.jpg", 1), ("real/no", 0)):
        assert catalog.count(Below(str(tmp_path / path))) == count
    assert catalog.count(Below(str(tmp_path))) == 2


def test_a_scan_of_a_folder_keeps_a_name_with_the_same_prefix(tmp_path, catalog_url):
    folder = MemoryFolder()
    folder.files = {"a/1.jpg": ("1", 1), "a\udcff.jpg": ("2", 1), "a/\udcff.jpg": ("3", 1)}
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    ingest(catalog, folder)
    folder.scope, folder.files = "a", {"a/1.jpg": ("1", 1)}
    assert ingest(catalog, folder).removed == 1
    assert set(held(catalog)) == {"/photos/a/1.jpg", "/photos/a\udcff.jpg"}


def test_the_folded_columns_follow_a_picture(tmp_path, catalog_url):
    """They are updated when it is moved, copied or encoded again."""
    folder = MemoryFolder()
    folder.files = {"Old.jpg": ("a", 1)}
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    ingest(catalog, folder)
    folder.files = {"NEW.jpg": ("a", 2), "copy.jpg": ("a", 3)}
    ingest(catalog, folder)
    ids = {name: catalog.select(parse(f"name ~ {name}")) for name in ("old", "new", "copy")}
    assert [len(matches) for matches in ids.values()] == [0, 1, 1]
    assert all(matches.dtype == np.int64 for matches in ids.values())


PEOPLE = (
    "people ~ rosalind",
    "people = 'ROSALIND FRANKLIN'",
    "person ~ 'rosalind*'",
    "people ~ zoe",
    "keyword = lodz",
    "tags ~ '*odz'",
    "city = 'łódź' and state ~ woj and country = polska",
    "title ~ opening and description ~ 'line?two'",
    "has people and has keywords and has title and has description and has place",
    "not (people ~ nobody or has camera)",
)
NOT_PEOPLE = ("people = rosalind", "people ~ 'franklin*zoe*'", "people = lodz", "has gps",
              "keyword ~ rosalind", "people != zoë")  # fmt: skip


def test_labels_are_filtered_by_each_of_their_values(tmp_path, catalog_url):
    """They follow the picture when it is copied, and when it is encoded again."""
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    metadata = ImageMetadata(
        4, 3, "JPEG", people=("Rosalind Franklin", "Zoë"), keywords=("Łódź", "lab"), city="Łódź",
        state="Woj. łódzkie", country="Polska", title="Opening", description="Line\ntwo",
    )  # fmt: skip
    write(catalog, replace(encoded("a.jpg", "a"), metadata=metadata))
    assert [catalog.select(parse(text)).tolist() for text in PEOPLE] == [[1]] * len(PEOPLE)
    assert [catalog.select(parse(text)).tolist() for text in NOT_PEOPLE] == [[]] * len(NOT_PEOPLE)
    write(catalog, Known(ImageFile("/photos", "b.jpg", 1, 1), "a"))
    assert catalog.select(parse("person = zoe")).tolist() == [1, 2]
    write(catalog, replace(encoded("a.jpg", "new"), metadata=replace(metadata, people=("Ann",))))
    assert catalog.select(parse("person = zoe")).tolist() == [2]
    assert catalog.select(parse("person = ann")).tolist() == [1]


def write(catalog, item) -> None:
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([item])


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("何？.jpg", "何？", True),  # a full-width sign stands for itself
        ("何か.jpg", "何？", False),
        ("何か.jpg", "何?.jpg", True),
        ("［A］.jpg", "［a］", True),
        ("a.jpg", "［a］*", False),
        ("＊b.jpg", "＊b", True),
        ("Łódź.JPG", "lodz.jpg", True),
        ("cafe\u0301.jpg", "CAFE*", True),
    ],
)
def test_names_are_folded_as_words_are(tmp_path, catalog_url, name, pattern, matches):
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    write(catalog, encoded(name, "a"))
    assert catalog.count(comparison("name", "~", pattern)) == matches


CAMERAS = {
    "canon": ("Canon", "Canon EOS 80D"),
    "nikon": ("NIKON CORPORATION", "NIKON D750"),
    "pixel": ("Google", "Pixel 8"),
    "make": ("Leica", None),
    "model": (None, "X100V"),
    "none": (None, None),
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("camera = 'Canon EOS 80D'", {"canon"}),
        ("camera = 'canon canon eos 80d'", {"canon"}),
        ("camera = 'EOS 80D'", set()),
        ("camera = 'nikon d750'", {"nikon"}),
        ("camera = 'nikon corporation nikon d750'", {"nikon"}),
        ("camera = 'Google Pixel 8'", {"pixel"}),
        ("camera = 'Pixel 8'", {"pixel"}),
        ("camera = leica", {"make"}),
        ("camera = x100v", {"model"}),
        ("camera ~ 'canon eos*'", {"canon"}),
        ("camera ~ 'pixel*'", {"pixel"}),
        ("camera ~ 'google*'", {"pixel"}),
        ("camera ~ corporation", {"nikon"}),
        ("camera in ('Pixel 8', 'Canon EOS 80D')", {"pixel", "canon"}),
        ("camera != 'Pixel 8'", set(CAMERAS) - {"pixel"}),
        ("not camera ~ 'canon eos*' and has camera", {"nikon", "pixel", "make", "model"}),
        ("camera = nothing", set()),
    ],
)
def test_a_camera_is_found_by_any_of_its_spellings(tmp_path, expression, found):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    for name, (make, model) in CAMERAS.items():
        metadata = ImageMetadata(1, 1, "JPEG", camera_make=make, camera_model=model)
        write(catalog, replace(encoded(name, name), metadata=metadata))
    ids = catalog.select(parse(expression))
    assert {record.file.path for record in catalog.get(ids.tolist()).values()} == found


@pytest.mark.parametrize(
    "expression",
    [
        "taken >= 2023",
        "taken = 2023-05",
        "name ~ 'img_*'",
        "name ~ beach",
        "camera ~ canon",
        "camera = canon",
        "format = heic",
        "width >= 1000",
        "orientation = portrait",
        "has gps",
        "near(48.8, 2.3)",
        "near(0, 180, 500)",
        "box(48, 2, 49, 3)",
        "box(-20, 170, -10, -170)",
        "in '/photos/2023'",
        "size > 5MB",
        "people ~ rosalind",
        "city = paris",
        "has keywords",
        "has place",
        "not taken < 2020",
        "taken < 2020-05-17T10:00",
        "rating >= 4",
    ],
)
@sqlite_only
def test_an_index_answers_a_filter_on_one_field(catalog, expression):
    """Such a filter never reads the table row by row."""
    with catalog._read() as connection:
        condition = filter_sql.present(connection, parse(expression))
        query = select(images.c.id).where(condition)
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text("EXPLAIN QUERY PLAN " + str(compiled).replace(":", r"\:")))
        steps = [row.detail for row in plan if row.detail.startswith(("SCAN", "SEARCH"))]
    no_table = ("SCAN CONSTANT ROW", "SCAN (subquery-1)")  # IN () of no camera
    steps = [step for step in steps if step not in no_table]
    assert steps and all("INDEX" in step or "PRIMARY KEY" in step for step in steps), steps


@sqlite_only
def test_pictures_are_looked_up_by_their_ids(catalog):
    with catalog._read() as connection:
        query = _with_root().where(images.c.id.in_([1, 2, 3]))
        compiled = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = connection.execute(text("EXPLAIN QUERY PLAN " + compiled)).all()
    assert "SEARCH images USING INTEGER PRIMARY KEY (rowid=?)" in [row.detail for row in plan]


def test_the_formats_are_those_of_the_decoders():
    from imgsearch.sources.formats import PILLOW_FORMATS

    assert set(FORMATS) == {*PILLOW_FORMATS, "RAW"}
