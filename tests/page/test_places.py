"""The map of the world: opened, zoomed, and searched by a box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD
from playwright.sync_api import expect

from tests.cli.calls import Place, position_tags
from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery, index
from tests.page.gallery import Gallery
from tests.page.page_server import serving

pytestmark = [pytest.mark.slow, full_only]

WORLD = ".world"
CLUSTERS = ".world-cluster"
POSITIONS = {
    "crab.jpg": (38.6916, -9.2160), "owl.jpg": (38.7118, -9.1300), "koala.jpg": (41.1496, -8.6110),
    "eiffel_tower.jpg": (48.8566, 2.3522), "bison.jpg": (-18.1368, 178.4253), "astronaut.jpg": None,
}  # fmt: skip
"""Two in Lisbon, one each in Porto, Paris and Suva, and one nowhere."""


def positioned(source: Path, target: Path, position: tuple[float, float] | None) -> None:
    """A small copy of a photo, taken at a latitude and a longitude."""
    with Image.open(source) as image:
        image.thumbnail((320, 320))
        exif = Image.Exif()
        if position is not None:
            exif.get_ifd(IFD.GPSInfo).update(position_tags(*position))
        image.save(target, exif=exif)


@pytest.fixture(scope="module")
def own(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server of a few photos with positions."""
    folder = tmp_path_factory.mktemp("places")
    place = Place(folder / "photos", folder / "library")
    place.photos.mkdir()
    for name, position in POSITIONS.items():
        positioned(PHOTOS / name, place.photos / name, position)
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield address


def shows_clusters(here: Gallery, count: int) -> None:
    expect(here.page.locator(CLUSTERS)).to_have_count(count, timeout=15_000)


def pixels(here: Gallery, latitude: float, longitude: float) -> tuple[float, float]:
    """Where a position is in the window."""
    box = here.page.locator(WORLD).bounding_box()
    assert box is not None
    x, y = here.page.evaluate(
        """async ([latitude, longitude]) => {
          const { toPlane } = await import('./static/js/world.js');
          return toPlane(latitude, longitude);
        }""",
        [latitude, longitude],
    )
    side = 0.46 * min(box["width"], box["height"])
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return middle[0] + x * side, middle[1] - y * side


def test_a_box_on_the_map_is_a_filter(own: str, gallery: OpenGallery) -> None:
    here = gallery(own)
    here.shows("6 pictures")
    here.page.get_by_role("button", name="Places", exact=True).click()
    here.page.get_by_text("5 pictures, 1 without a position").wait_for()
    assert here.parameters == {"show": ["places"]}
    here.page.get_by_role("button", name="Whole world").click()
    here.page.wait_for_timeout(500)
    start, end = pixels(here, 45, -20), pixels(here, 34, -1)
    here.page.keyboard.down("Shift")
    here.page.mouse.move(*start)
    here.page.mouse.down()
    here.page.mouse.move(*end, steps=5)
    here.page.mouse.up()
    here.page.keyboard.up("Shift")
    here.page.get_by_role("button", name="Remove: an area of the world").wait_for()
    here.shows("3 pictures")
    assert "show" not in here.parameters and len(here.parameters["box"]) == 1
    here.press("w")
    here.page.locator(WORLD).wait_for()
    here.press("w")
    here.shows("3 pictures")


def test_clusters_open_with_keys_and_with_a_press(own: str, gallery: OpenGallery) -> None:
    here = gallery(own, "/?show=places&place=portugal")
    shows_clusters(here, 2)
    lisbon = here.page.get_by_role("button", name="2 pictures, Lisbon")
    lisbon.focus()
    here.press("Enter")
    shows_clusters(here, 2)
    expect(here.page.get_by_role("button", name="crab.jpg")).to_be_visible()
    expect(here.page.locator(WORLD)).to_be_focused()
    here.page.reload()
    lisbon.click()
    here.page.get_by_role("button", name="crab.jpg").click()
    here.viewer.wait_for()
    here.press("Escape")
    here.page.get_by_role("button", name="List this part").click()
    here.shows("2 pictures")


def test_places_are_filters_and_tiles(own: str, gallery: OpenGallery) -> None:
    here = gallery(own)
    here.page.get_by_role("region", name="Places").get_by_role("link", name="Lisbon 2").click()
    here.shows("2 pictures")
    assert here.parameters["place"] == ["Lisbon"]
    here.page.get_by_role("radiogroup", name="Place").get_by_text("Portugal").click()
    here.shows("3 pictures")
    assert here.parameters["place"] == ["Portugal"]


def test_without_positions_the_map_is_not_offered(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo)
    here.shows("44 pictures")
    assert not here.page.get_by_role("button", name="Places", exact=True).is_visible()
    here.go("/?show=places")
    here.page.get_by_text("None of these pictures has a position.").wait_for()


@pytest.mark.parametrize(
    ("size", "scheme"), [((1440, 900), "light"), ((1440, 900), "dark"), ((360, 740), "light")]
)
def test_the_map_of_the_world_is_accessible(
    own: str, gallery: OpenGallery, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    here = gallery(own, "/?show=places", size=size, color_scheme=scheme, bypass_csp=True)
    here.page.locator(CLUSTERS).first.wait_for()
    here.page.wait_for_timeout(600)
    here.page.screenshot(path=screenshots / f"places-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
