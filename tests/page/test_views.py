"""What a view says of itself: titles, reasons, labels, folding, and what is not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pillow_heif
import pytest
from PIL import Image

from tests.cli.calls import Place, picture
from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery, index
from tests.page.gallery import Gallery
from tests.page.page_server import free_port, serving

pytestmark = [pytest.mark.slow, full_only]

DATE_TIME_ORIGINAL = 0x9003
VIDEO = b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(100)
BLOCKS = 45
"""Pictures of coloured blocks; a search takes 32 examples."""


def dated(path: Path, photo: str, taken: datetime) -> None:
    """A photo of the demo with a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTOS / photo) as image:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[DATE_TIME_ORIGINAL] = f"{taken:%Y:%m:%d %H:%M:%S}"
        image.save(path, exif=exif)


Served = tuple[Place, str]


@pytest.fixture(scope="module")
def served(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Copies, folders of one name, one picture of 1919, and the URL of their server."""
    folder = tmp_path_factory.mktemp("views")
    place = Place(folder / "photos", folder / "library")
    for seed in range(BLOCKS):
        picture(place.photos / "beach" / "images" / f"block {seed:02}.png", seed)
    for name in ("koala.jpg", "koala again.jpg", "koala once more.jpg"):
        place.photos.joinpath("city/images").mkdir(parents=True, exist_ok=True)
        shutil.copy(PHOTOS / "koala.jpg", place.photos / "city" / "images" / name)
    dated(place.photos / "old" / "grandfather.jpg", "hammer.jpg", datetime(1919, 5, 1))
    for year, photo in ((2012, "owl.jpg"), (2014, "crab.jpg"), (2019, "moose.jpg")):
        dated(place.photos / "new" / photo, photo, datetime(year, 7, 1))
    live_photo(place.photos / "phone")
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield place, address


def live_photo(folder: Path) -> None:
    """A HEIC with its video, and its JPEG in black and white, not a near-identical copy."""
    dated(folder / "IMG_7.JPG", "kitten_with_wool.jpg", datetime(2013, 7, 1))
    with Image.open(folder / "IMG_7.JPG") as image:
        pillow_heif.from_pillow(image).save(folder / "IMG_7.HEIC", exif=image.info["exif"])
        image.convert("L").save(folder / "IMG_7.JPG", exif=image.info["exif"])
    (folder / "IMG_7.MOV").write_bytes(VIDEO)


def title_is(here: Gallery, title: str) -> None:
    here.page.wait_for_function("title => document.title === title", arg=title)


def test_copies_fold_without_words_until_they_are_unfolded(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?name=koala")
    here.shows("1 picture, newest first")
    assert here.tiles.count() == 1
    assert here.tiles.first.get_by_text("+2").is_visible()
    title_is(here, "1 picture · imgsearch")
    here.page.get_by_role("button", name="Fold copies").click()
    here.shows("3 pictures, newest first")
    title_is(here, "3 pictures · imgsearch")


def test_folders_of_one_name_are_told_apart(served: Served, gallery: OpenGallery):
    place, address = served
    here = gallery(address)
    tree = here.page.locator(".folders")
    for label in ("beach/images", "city/images", "new", "old"):
        tree.get_by_text(label, exact=True).wait_for()
    tree.get_by_text("city/images", exact=True).click()
    here.page.get_by_role("button", name="Remove: in city/images").wait_for()
    assert here.parameters["in"] == [str(place.photos / "city" / "images")]


def test_more_like_all_of_them_takes_as_many_as_a_search_does(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?name=block&unique=0")
    here.shows(f"{BLOCKS} pictures")
    here.tiles.first.locator("a").focus()
    here.press("Control+A")
    here.page.get_by_text(f"{BLOCKS} pictures selected").wait_for()
    here.page.get_by_role("button", name="More like these").click()
    here.page.wait_for_url("**like=**")
    here.page.wait_for_function(
        "() => document.querySelector('#count').textContent.includes('best')"
    )
    assert len(here.parameters["like"]) == 32
    assert here.page.locator("#terms .chip", has_text="pictures").count() == 1
    assert here.page.get_by_text("32 pictures", exact=True).is_visible()
    assert here.page.get_by_text(f"the first 32 of {BLOCKS} are used").is_visible()
    too_many = "&".join(f"like={number}" for number in range(1, 60))
    here.go(f"/?{too_many}")
    here.page.wait_for_function("() => document.querySelectorAll('.tile').length > 0")


def test_a_picture_of_another_tab_is_missed(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?image=otherTab")
    here.page.get_by_role("heading", name="This tab does not have the picture").wait_for()
    assert here.tiles.count() == 0
    here.go("/?image=otherTab&q=koala")
    here.page.get_by_role("button", name="Search without it").click()
    here.first_is("koala.jpg")


def test_a_name_match_says_so(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?q=grandfather")
    here.first_is("grandfather.jpg")
    title_is(here, "grandfather · imgsearch")
    first = here.tiles.first
    assert first.locator(".reason").inner_text() == "name"
    assert first.locator(".reason").count() == 1
    first.locator("a").click()
    panel = here.page.locator(".details")
    panel.get_by_text("The words are in its name.").wait_for()
    assert "out of 1" not in panel.inner_text()
    title_is(here, "grandfather.jpg · grandfather · imgsearch")
    whole = panel.evaluate("panel => panel.innerText.split('/photos/old').length - 1")
    assert whole == 1, "the path is there once"


def test_keys_in_an_open_picture(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?name=block&unique=0")
    here.shows(f"{BLOCKS} pictures")
    here.tiles.first.locator("a").click()
    here.viewer.get_by_text(f"1 of {BLOCKS}").wait_for()
    here.press("End")
    here.viewer.get_by_text(f"{BLOCKS} of {BLOCKS}").wait_for()
    here.press("Home")
    here.viewer.get_by_text(f"1 of {BLOCKS}").wait_for()
    here.press("?")
    here.page.get_by_role("heading", name="How to search").wait_for()
    here.press("Escape")
    here.page.get_by_role("heading", name="How to search").wait_for(state="hidden")
    assert here.viewer.is_visible()


def test_one_old_picture_does_not_squeeze_the_dates(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address)
    bars = here.page.locator(".chart rect")
    bars.nth(1).wait_for(state="attached")
    # 1919, the years without pictures, 2012 to 2014, another gap, 2019
    assert bars.count() == 7
    assert bars.evaluate_all("bars => bars.map((bar) => bar.classList[0] === 'gap')") == [
        False, True, False, False, False, True, False,
    ]  # fmt: skip
    box = here.page.locator(".chart").bounding_box()
    assert box
    bar, low = box["width"] / 7, box["y"] + box["height"] - 8
    here.page.mouse.click(box["x"] + 1.5 * bar, low)
    assert "after" not in here.parameters
    here.page.mouse.click(box["x"] + 0.5 * bar, low)
    here.shows("1 picture")
    assert here.names == ["grandfather.jpg"]
    assert (here.parameters["after"], here.parameters["before"]) == (["1919-01-01"], ["1920-01-01"])


@pytest.mark.parametrize(
    "query, words",
    [
        ("min_strength=high", "'high' is not a strength"),
        ("mode=magic", "mode has to be 'hybrid', 'semantic' or 'text'"),
        ("like=abc", "like.0 has to be a whole number"),
        ("after=yesterday", "yesterday"),
    ],
)
def test_errors_are_sentences(served: Served, gallery: OpenGallery, query: str, words: str):
    _, address = served
    here = gallery(address)
    here.expected.append("400")
    here.go(f"/?{query}")
    here.page.get_by_role("heading", name="Request failed").wait_for()
    notice = here.page.locator("#notice").inner_text()
    assert words in notice
    for validator in ("Input should", "type=", "pydantic", "Value error"):
        assert validator not in notice
    here.page.get_by_role("button", name="Show all pictures").click()
    here.page.wait_for_function("() => document.querySelectorAll('.tile').length > 0")


def test_a_selection_and_help_on_a_phone(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?unique=0", size=(360, 740), has_touch=True, is_mobile=True)
    here.page.wait_for_function("() => document.querySelectorAll('.tile').length > 0")
    here.tiles.first.locator("a").focus()
    here.press("Control+A")
    bar = here.page.locator("#selection")
    assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth")
    for button in bar.get_by_role("button").all():
        box = button.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360
        assert box["width"] >= 36
    assert bar.get_by_role("button").count() == 6
    bar.get_by_role("button", name="Clear selection").tap()
    here.page.get_by_role("button", name="How to search").tap()
    here.page.get_by_role("heading", name="How to search").wait_for()
    assert here.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_deleted_picture_and_a_restarted_server(browser, gallery: OpenGallery, tmp_path: Path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    for name in ("koala.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    index(place)
    port = free_port()

    def thumbnail(route):
        """A picture is deleted after it was listed and before it is drawn."""
        (place.photos / "owl.jpg").unlink(missing_ok=True)
        route.continue_()

    with serving(place.library, tmp_path / "server.log", port=port) as address:
        here = gallery(address, "/?name=koala")
        here.page.route("**/thumb/**", thumbnail)
        here.page.goto(f"{address}/?type=jpeg")  # without the start, which draws thumbnails first
        here.expected += ["404", "ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE"]
        lost = here.page.locator(".tile.lost")
        lost.get_by_text("no longer there").wait_for()
        assert lost.locator("img").count() == 0
        lost.locator("a").click()
        note = here.viewer.get_by_text("owl.jpg: This file was moved, deleted or changed.")
        note.wait_for()
        assert not here.viewer.locator("img.full").is_visible()
        here.press("Escape")
        here.go("/?type=jpeg")
        left_out = "1 picture that is no longer on disk is left out"
        here.page.get_by_text(left_out).first.wait_for()
    here.page.fill("#q", "a koala")
    here.page.get_by_role("heading", name="No response").wait_for()
    with serving(place.library, tmp_path / "server.log", port=port):
        here.first_is("koala.jpg")
        assert not here.page.get_by_role("heading", name="No response").is_visible()
        assert urlsplit(here.page.url).query == "q=a+koala&type=jpeg"


def test_a_live_photo_is_one_picture_with_its_parts(served: Served, gallery: OpenGallery):
    _, address = served
    here = gallery(address, "/?name=IMG_7")
    here.shows("1 picture, newest first")
    assert here.names == ["IMG_7.JPG"]
    assert here.tiles.first.get_by_text("+HEIF").is_visible()
    here.tiles.first.locator("a").click()
    panel = here.page.locator(".details")
    video = panel.get_by_role("link", name="IMG_7.MOV (video)")
    reply = here.page.request.get(address + str(video.get_attribute("href")))
    assert (reply.status, reply.body()) == (200, VIDEO)
    assert reply.headers["content-type"] == "video/quicktime"
    assert "IMG_7.MOV" in reply.headers["content-disposition"]
    panel.get_by_role("button", name="IMG_7.HEIC (HEIF)").click()
    here.viewer.get_by_role("heading", name="IMG_7.HEIC").wait_for()
    panel.get_by_role("button", name="IMG_7.JPG (JPEG)").wait_for()
    nothing = here.page.request.get(f"{address}/api/v1/original/1?as=video")
    assert nothing.status == 404


@pytest.fixture
def from_a_phone(browser, tmp_path: Path) -> Iterator[str]:
    """The URL of a server with two dates, one in a name and one in a file."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    picture(place.photos / "IMG-20190504-WA0001.jpg", 1)
    dated(place.photos / "camera.jpg", "crab.jpg", datetime(2014, 7, 1))
    index(place)
    with serving(place.library, tmp_path / "server.log") as address:
        yield address


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("IMG-20190504-WA0001.jpg", "4 May 2019, from the file name"),
        ("camera.jpg", "1 July 2014, 00:00"),
    ],
)
def test_a_date_says_where_it_comes_from(
    from_a_phone: str, gallery: OpenGallery, name: str, line: str
):
    """Unless the camera wrote it."""
    here = gallery(from_a_phone, f"/?name={name}")
    here.tile(name).locator("a").click()
    here.page.locator(".details").get_by_text(line, exact=True).wait_for()
