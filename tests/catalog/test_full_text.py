"""Full-text search over names, folders and captions, in a real catalog."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.full_text import content_words
from imgsearch.records import ImageMetadata, RootRecord, TextFound
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
        ("dog", [NAMES[7], NAMES[6]]),
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
        ("アー", []),
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


def found_among(catalog: Catalog, names: list[str], query: str) -> list[str]:
    """The names that a query finds in a library of files with these names."""
    folder = MemoryFolder()
    folder.files = {name: (f"content {name}", 1) for name in names}
    ingest(catalog, folder)
    return matching_paths(catalog, query)


DECOMPOSED = [unicodedata.normalize("NFD", name) for name in
              ("Чайка.jpg", "Ёлка у дома.jpg", "Αθήνα.jpg", "제주도.jpg", "Hà Nội.jpg",
               "がっこう.jpg", "Żółw.jpg")]  # fmt: skip
STROKES = ["Łódź.jpg", "Ærøskøbing.jpg", "Đà Nẵng.jpg", "IŞIK.jpg", "Þingvellir.jpg", "Straße.jpg",
           "ＴＯＫＹＯ.jpg", "ﬁreﬂy.jpg", "İzmir.jpg", "хор.jpg", "ｶﾞﾗｽ.jpg"]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Чайка", DECOMPOSED[0]),
        ("чаика", None),  # й is a letter of its own
        ("елка дома", DECOMPOSED[1]),
        ("ЁЛКА", DECOMPOSED[1]),
        ("αθηνα", DECOMPOSED[2]),
        ("ΑΘΉΝΑ", DECOMPOSED[2]),
        ("제주도", DECOMPOSED[3]),
        ("주도", DECOMPOSED[3]),
        ("ha noi", DECOMPOSED[4]),
        ("Hà Nội", DECOMPOSED[4]),
        ("がっこう", DECOMPOSED[5]),
        ("かっこう", None),  # voicing is not an accent
        ("zolw", DECOMPOSED[6]),
        ("lodz", STROKES[0]),
        ("ŁÓDŹ", STROKES[0]),
        ("aeroskobing", STROKES[1]),
        ("da nang", STROKES[2]),
        ("ışık", STROKES[3]),
        ("isik", STROKES[3]),
        ("thingvellir", STROKES[4]),
        ("STRASSE", STROKES[5]),
        ("tokyo", STROKES[6]),
        ("firefly", STROKES[7]),
        ("ｆｉｒｅｆｌｙ", STROKES[7]),
        ("izmir", STROKES[8]),
        ("ガラス", STROKES[10]),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_in_whatever_form_they_and_the_query_are_written(
    spelled_catalog, query, expected, form
):
    found = matching_paths(spelled_catalog, unicodedata.normalize(form, query))
    assert found == ([expected] if expected else [])


@pytest.fixture(scope="module")
def scratch_catalog(tmp_path_factory, new_url):
    """A catalog whose pictures each test replaces."""
    folder = str(tmp_path_factory.mktemp("scratch") / "library")
    catalog = open_catalog(folder, create=True, url=new_url())
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def spelled_catalog(tmp_path_factory, new_url):
    folder = str(tmp_path_factory.mktemp("spelled") / "library")
    catalog = open_catalog(folder, create=True, url=new_url())
    found_among(catalog, DECOMPOSED + STROKES, "")
    yield catalog
    catalog.close()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        # those that have the words as they are written come first
        ("birthday", ["birthday_cake.jpg", "BirthdayParty/1.jpg"]),
        ("party", ["a/party.jpg", "BirthdayParty/1.jpg"]),
        ("beach", ["Beach.jpg", "beach2019.jpg", "PARISbeach.jpg"]),
        ("2019", ["x 2019.jpg", "beach2019.jpg"]),
        ("paris", ["IMG_Paris.jpg", "IMGParis.jpg", "PARISbeach.jpg"]),
        ("http", ["http.png", "XMLHttp.png"]),
        ("поездка", ["поездка.jpg", "МояПоездка.jpg"]),
        ("BirthdayParty", ["birthdayparty.jpg", "party, birthday.jpg"]),
        ("birthday party", ["birthday/party.jpg", "birthdayparty.jpg"]),
        ("beach2019", ["beach2019.jpg", "2019/beach.jpg"]),
        ("child", ["child.jpg", "children.jpg"]),
        ("children", ["children.jpg", "child.jpg"]),
        ("mice", ["mice.jpg", "mouse.jpg"]),
        ("grandchildren", ["grandchildren.jpg", "grandchild.jpg"]),
        ("city", ["city.jpg", "cities.jpg"]),
        ("swimming", ["swimming.jpg", "swam.jpg"]),
        ("gray", ["gray.jpg", "grey.jpg"]),
        ("colours", ["colours.jpg", "color.jpg"]),
        ("theater", ["theater.jpg", "theatres.jpg"]),
        ("centre", ["centre.jpg", "center.jpg"]),
        ("organised", ["organised.jpg", "organize.jpg"]),
        ("traveling", ["traveling.jpg", "travelled.jpg"]),
        ("August 2019", ["August 2019/1.jpg", "2019-08/2.jpg", "IMG_20190811_120000.jpg",
                         "Aug2019.jpg"]),
        ("2019-08", ["2019-08/2.jpg", "20190811.jpg", "August 2019/1.jpg"]),
        ("20190811", ["20190811.jpg", "2019-08-11/2.jpg"]),
        ("11 August 2019", ["11 August 2019.jpg", "11.08.2019.jpg"]),
    ],
)  # fmt: skip
def test_other_forms_of_a_word_come_after_the_word_as_it_is_written(scratch_catalog, query, names):
    others = ["vacation.jpg", "IMG_1234.jpg", "2018-08/3.jpg", "chill.jpg", "universe.jpg"]
    found = found_among(scratch_catalog, names + others, query)
    assert sorted(found) == sorted(names)
    assert found[0] == names[0]
    assert matching_paths(scratch_catalog, f"{query} universe") == []


def test_an_exact_word_in_a_text_comes_before_another_form_in_a_title(catalog):
    put(catalog, "1.jpg", title="Children", keywords=("children",))
    put(catalog, "2.jpg", description="Somewhere behind the house and the trees: a child")
    assert matching_paths(catalog, "child") == ["2.jpg", "1.jpg"]


def test_text_in_a_picture_weighs_less_than_its_name_and_its_title(catalog):
    put(catalog, "1.jpg")
    put(catalog, "bakery/2.jpg")
    put(catalog, "3.jpg", title="Bakery")
    with catalog.writer() as writer:
        writer.put_texts([TextFound("1.jpg", "reader", "bakery")])
    assert matching_paths(catalog, "bakery") == ["3.jpg", "bakery/2.jpg", "1.jpg"]


def test_people_and_places_are_words(catalog):
    put(catalog, "1.jpg", people=("Rosalind Franklin", "Łucja"), city="Kraków", country="Polska")
    put(catalog, "2.jpg", description="Rosalind and her friends in Kraków on a summer day")
    assert matching_paths(catalog, "rosalind") == ["1.jpg", "2.jpg"], "a person weighs more"
    assert matching_paths(catalog, "lucja krakow polska") == ["1.jpg"]
    assert sound(catalog)


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
    with catalog._engine.connect() as connection:
        key = "id"
        if connection.dialect.name == "sqlite":
            key = "rowid"
            check = "INSERT INTO words(words, rank) VALUES ('integrity-check', 1)"
            connection.exec_driver_sql(check)
        images = set(connection.exec_driver_sql("SELECT id FROM images").scalars())
        assert set(connection.exec_driver_sql(f"SELECT {key} FROM words").scalars()) == images
        labelled = set(connection.exec_driver_sql("SELECT image_id FROM labels").scalars())
        assert labelled <= images
    return True


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_valid_query(query):
    assert not any(set(word) & set("\"'*()%_: ") for word in content_words(query))
    CATALOGS[0].with_words(query, 5)


CATALOGS: list[Catalog] = []


@pytest.fixture(autouse=True, scope="module")
def some_catalog(tmp_path_factory, new_url):
    folder = str(tmp_path_factory.mktemp("any") / "library")
    CATALOGS.append(open_catalog(folder, create=True, url=new_url()))
    folder = MemoryFolder()
    folder.files = {name: (f"content {name}", 1) for name in NAMES}
    ingest(CATALOGS[0], folder)
    yield
    CATALOGS.pop().close()
