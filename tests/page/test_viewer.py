"""An open picture: its metadata lead to others, the slide show, and pictures to download."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.cli.calls import Place
from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery, index
from tests.page.page_server import serving

pytestmark = [pytest.mark.slow, full_only]

SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmp:Rating="4" photoshop:City="Lisbon" photoshop:Country="Portugal">
 <dc:subject><rdf:Bag><rdf:li>old town</rdf:li></rdf:Bag></dc:subject>
 <Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Ann Lee</rdf:li></rdf:Bag>
 </Iptc4xmpExt:PersonInImage></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture(scope="module")
def labelled(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("labelled")
    place = Place(folder / "photos", folder / "library")
    place.photos.mkdir()
    for name in ("jaguars.jpg", "owl.jpg", "moose.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    (place.photos / "jaguars.xmp").write_text(SIDECAR)
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield address


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ("Ann Lee", {"person": ["Ann Lee"]}),
        ("Lisbon", {"place": ["Lisbon"]}),
        ("4 of 5", {"rating": ["4"]}),
        ("old town", {"keyword": ["old town"]}),
        ("24 September 2017", {"after": ["2017-09-24"], "before": ["2017-09-25"]}),
    ],
)
def test_metadata_become_filters(
    labelled: str, gallery: OpenGallery, words: str, parameters: dict[str, list[str]]
) -> None:
    here = gallery(labelled)
    here.tile("jaguars.jpg").locator("a").click()
    here.page.locator(".details").get_by_role("button", name=re.compile(words)).click()
    here.shows("1 picture")
    assert here.parameters == parameters
    assert here.names == ["jaguars.jpg"]


def test_a_slide_show_goes_to_the_end(labelled: str, gallery: OpenGallery) -> None:
    here = gallery(labelled, "/?sort=name")
    here.page.clock.install()
    here.first_is("jaguars.jpg")
    here.tiles.first.locator("a").click()
    here.press("p")
    player = here.viewer.get_by_role("button", name="End the slide show")
    player.wait_for()
    for place in ("2 of 3", "3 of 3"):
        here.page.clock.fast_forward(4100)
        here.viewer.get_by_text(place).wait_for()
    here.page.clock.fast_forward(4100)
    here.viewer.get_by_role("button", name="Slide show (p)").wait_for()
    assert here.viewer.get_by_text("3 of 3").is_visible()
    here.press("p", "Escape")
    expect(here.viewer).to_be_hidden()


def test_selected_pictures_are_downloaded_as_one_file(labelled: str, gallery: OpenGallery) -> None:
    here = gallery(labelled, "/?sort=name")
    here.first_is("jaguars.jpg")
    here.tiles.first.locator("a").focus()
    here.press("x", "ArrowRight", "x")
    here.page.get_by_text("2 pictures selected").wait_for()
    with here.page.expect_download() as download:
        here.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "pictures.zip"
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.namelist() == ["jaguars.jpg", "moose.jpg"]
