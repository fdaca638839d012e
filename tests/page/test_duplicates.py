"""Duplicates on the page: groups side by side, the picture to keep, and the paths of the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.cli.calls import Place
from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery, index
from tests.page.page_server import serving

pytestmark = [pytest.mark.slow, full_only]

NAMES = ("koala.jpg", "owl.jpg")
Copies = tuple[Place, str]


@pytest.fixture(scope="module")
def copies(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    """Two photos, each with an equal copy and a smaller one, beside one without a copy."""
    folder = tmp_path_factory.mktemp("copies")
    place = Place(folder / "photos", folder / "library")
    place.photos.mkdir()
    for name in NAMES:
        shutil.copy(PHOTOS / name, place.photos)
        shutil.copy(PHOTOS / name, place.photos / f"z <b>{name}")
        with Image.open(PHOTOS / name) as image:
            image.resize((image.width // 2, image.height // 2)).save(
                place.photos / f"small {name}", quality=90
            )
    shutil.copy(PHOTOS / "moose.jpg", place.photos)
    index(place)
    with serving(place.library, folder / "server.log") as address:
        yield place, address


def test_groups_show_which_to_keep_and_give_the_paths_of_the_others(
    copies: Copies, gallery: OpenGallery
) -> None:
    place, address = copies
    here = gallery(address, permissions=["clipboard-read", "clipboard-write"])
    before = sorted(place.photos.iterdir())
    here.page.get_by_role("button", name="Find duplicates").click()
    here.shows("2 groups of duplicates")
    assert here.parameters == {"show": ["duplicates"]}
    group = here.page.locator(".group").filter(has_text="owl.jpg")
    expect(group.locator(".copy.kept .copy-name")).to_have_text("owl.jpg")
    assert group.locator(".copy-match").all_inner_texts() == [
        "Keep", "same bytes", "saved again or resized"
    ]  # fmt: skip
    group.get_by_role("button", name="Copy the paths").click()
    here.page.get_by_text("2 paths copied.").wait_for()
    copied = here.page.evaluate("() => navigator.clipboard.readText()").split("\n")
    assert [Path(each).name for each in copied] == ["z <b>owl.jpg", "small owl.jpg"]
    assert all(Path(each).is_file() for each in copied)
    here.page.get_by_role("button", name="Same bytes").click()
    expect(here.page.locator(".copy")).to_have_count(4)
    assert sorted(place.photos.iterdir()) == before


def test_the_viewer_goes_through_the_copies_and_a_search_leaves_them(
    copies: Copies, gallery: OpenGallery
) -> None:
    here = gallery(copies[1], "/?show=duplicates&name=owl")
    here.shows("1 group of duplicates")
    here.page.locator(".copy-link").first.click()
    here.viewer.get_by_role("heading", name="owl.jpg").wait_for()
    here.viewer.get_by_text("1 of 3").wait_for()
    here.press("ArrowRight")
    here.viewer.get_by_role("heading", name="z <b>owl.jpg").wait_for()
    here.press("Escape")
    assert here.page.evaluate("() => document.activeElement.className") == "copy-link"
    here.page.get_by_role("button", name="Remove: named owl").click()
    here.shows("2 groups")
    here.page.get_by_role("button", name="Back to the pictures").click()
    here.tile("moose.jpg").wait_for()
    assert not here.page.locator(".copy").count()
    here.page.go_back()
    here.shows("2 groups")
    here.type("a moose")
    here.first_is("moose.jpg")
    assert here.parameters == {"q": ["a moose"]}


def test_a_library_without_duplicates_says_so(copies: Copies, gallery: OpenGallery) -> None:
    here = gallery(copies[1], "/?show=duplicates&name=moose")
    here.shows("No duplicates")


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_duplicates_are_accessible(
    copies: Copies,
    gallery: OpenGallery,
    screenshots: Path,
    size: tuple[int, int],
    scheme: str,
) -> None:
    here = gallery(copies[1], "/?show=duplicates", size=size, color_scheme=scheme, bypass_csp=True)
    here.shows("2 groups")
    here.page.wait_for_load_state("networkidle")
    here.page.screenshot(path=screenshots / f"duplicates-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
