"""Full-text search over names, folders and captions, in a real catalog."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.full_text import tokens
from imgsearch.records import ImageMetadata, RootRecord
from tests.fakes import DECODER, SPACE, MemoryFolder, encoded, ingest

NAMES = [
    "2019/Ausflug nach München/brücke.jpg",
    "2020/Grandma's birthday/cake_with_candles.jpg",
    "2020/Grandma's birthday/IMG_1234.jpg",
    "旅行/東京タワー.jpg",
    "여행/제주도.jpg",
    "ภาพถ่าย/ทะเล.jpg",
    "DogsOnBeach.jpg",
    "dogs/rex.jpg",
    "iPhone写真2023.jpg",
    unicodedata.normalize("NFD", "서울여행.jpg"),
]


@pytest.fixture
def folder(catalog) -> MemoryFolder:
    folder = MemoryFolder()
    folder.files = {name: (f"content {name}", 1) for name in NAMES}
    ingest(catalog, folder)
    return folder


def matching_paths(catalog: Catalog, query: str) -> list[str]:
    ranking = catalog.with_words(query, 50)
    assert [score for _, score in ranking] == sorted((s for _, s in ranking), reverse=True)
    records = catalog.get([image_id for image_id, _ in ranking])
    return [records[image_id].file.path for image_id, _ in ranking]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("munchen", NAMES[:1]),  # without the umlaut, as many type it
        ("the bridge of München", []),  # all words must occur
        ("candle", NAMES[1:2]),  # by its stem
        ("a photo of the cakes", NAMES[1:2]),  # stop words are ignored
        ("grandma birthday 1234", NAMES[2:3]),
        ("IMG_1234.jpg", NAMES[2:3]),
        ("dog", NAMES[7:8]),
        ("東京", NAMES[3:4]),  # two letters: shorter than a trigram
        ("東京タワー", NAMES[3:4]),
        ("旅行 東京", NAMES[3:4]),
        ("제주", NAMES[4:5]),
        ("ทะเล", NAMES[5:6]),
        ("東京 jpg", NAMES[3:4]),
        ("写真2023", NAMES[8:9]),
        ("写真", NAMES[8:9]),
        ("서울여행", NAMES[9:]),  # decomposed in the name
        ("서울", NAMES[9:]),
        ("日、" * 4000, []),
        ("京都", []),
        ("the", []),
        ("", []),
        ("?!", []),
        ('"', []),
        ("NEAR(a b) OR *", []),
    ],
)
def test_search_by_words(catalog, folder, query, expected):
    assert matching_paths(catalog, query) == expected


def put(catalog: Catalog, path: str, **captions) -> None:
    item = encoded(path, path)
    item = replace(item, metadata=ImageMetadata(4, 3, "JPEG", **captions))
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([item])


def test_captions_and_cameras_are_words_too(catalog):
    put(catalog, "1.jpg", title="Opening night", keywords=("opera", "Wien"))
    put(catalog, "2.jpg", description="At the opera", camera_model="X100V")
    assert matching_paths(catalog, "opera") == ["1.jpg", "2.jpg"], (
        "a keyword weighs more than a description"
    )
    assert matching_paths(catalog, "x100v") == ["2.jpg"]
    (record,) = catalog.get([1]).values()
    assert record.metadata.keywords == ("opera", "Wien")
    assert record.metadata.title == "Opening night"


def test_places_of_the_words(catalog):
    """A name, a caption, text in the image, or the words spread over both; in each script."""
    put(catalog, "receipt.jpg")
    put(catalog, "a.jpg", keywords=("receipt",))
    put(catalog, "receipts/b.jpg", title="Chocolate")
    put(catalog, "c.jpg", description="東京タワー")
    put(catalog, "東京/d.jpg")

    def places(query: str) -> dict[str, tuple[str, ...]]:
        ids = [image_id for image_id, _ in catalog.with_words(query, 50)]
        found, records = catalog.word_places(query, ids), catalog.get(ids)
        return {records[image_id].file.path: found[image_id] for image_id in ids}

    assert places("the receipt") == {
        "receipt.jpg": ("name",),
        "a.jpg": ("text",),
        "receipts/b.jpg": ("name",),
    }
    assert places("chocolate receipt") == {"receipts/b.jpg": ("name", "text")}
    assert places("東京") == {"c.jpg": ("text",), "東京/d.jpg": ("name",)}
    assert places("東京タワー") == {"c.jpg": ("text",)}
    assert catalog.word_places("receipt", []) == {}


def test_the_index_follows_moves_changes_and_losses(catalog, folder):
    folder.files["hounds/rex.jpg"] = folder.files.pop("dogs/rex.jpg")
    del folder.files["DogsOnBeach.jpg"]
    ingest(catalog, folder)
    assert matching_paths(catalog, "dogs") == []
    assert matching_paths(catalog, "hounds") == ["hounds/rex.jpg"]
    assert sound(catalog)


def test_forgetting_a_folder_forgets_its_words(catalog, folder):
    with catalog.writer() as writer:
        writer.forget_root("/photos")
    assert matching_paths(catalog, "dog") == []
    assert sound(catalog)


def sound(catalog: Catalog) -> bool:
    """True if the index matches the table; otherwise SQLite raises."""
    for table in ("words", "letters"):
        with catalog._engine.connect() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO {table}({table}, rank) VALUES ('integrity-check', 1)"
            )
    return True


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_valid_query(query):
    spaced, spaceless = tokens(query)
    assert not any(set(token) & set("\"'*()%_: ") for token in spaced + spaceless)
    CATALOGS[0].with_words(query, 5)


CATALOGS: list[Catalog] = []


@pytest.fixture(autouse=True, scope="module")
def some_catalog(tmp_path_factory):
    CATALOGS.append(open_catalog(str(tmp_path_factory.mktemp("any") / "library"), create=True))
    folder = MemoryFolder()
    folder.files = {name: (f"content {name}", 1) for name in NAMES}
    ingest(CATALOGS[0], folder)
    yield
    CATALOGS.pop().close()
