"""What the page begins with, the order of pictures, and saved searches."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.cli.calls import Place
from tests.conftest import full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import BUDGET, Gallery
from tests.page.page_server import serving

pytestmark = pytest.mark.slow

SAVED = ".shelf[data-kind=saved]"


@pytest.fixture(scope="module")
def own(
    browser, copy_demo: Callable[[], Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """URL of a server of demo photos whose saved searches these tests change."""
    place = copy_demo()
    place.call("saved", "add", "Owls", "an owl")
    log = tmp_path_factory.mktemp("start") / "server.log"
    with serving(place.library, log) as address:
        yield address


def titles(here: Gallery) -> list[str]:
    return here.page.locator(".shelf h2").all_inner_texts()


def test_the_page_begins_with_shelves_above_all_pictures(own: str, gallery: OpenGallery) -> None:
    here = gallery(own)
    here.shows("44 pictures, newest first")
    assert [each for each in titles(here) if each != "On this day"] == [
        "Saved searches", "Years", "Months", "Groups", "Recently added"
    ]  # fmt: skip
    assert here.page.get_by_text("imgsearch clusters").is_visible()
    asked = [url for url in here.requests if re.search(r"/api/v1/(start|dupes|clusters)", url)]
    assert len(asked) == 1, "one cheap request"
    year = here.page.locator(".shelf[data-kind=years] a").first
    label, count = year.inner_text().split("\n")[:2]
    year.click()
    here.shows(f"{count} picture")
    assert (here.parameters["after"], here.parameters["before"]) == ([label], [str(int(label) + 1)])
    assert not here.page.locator("#start").is_visible()
    here.page.go_back()
    here.shows("44 pictures")
    assert here.page.locator("#start").is_visible()
    here.type("a koala")
    here.first_is("koala.jpg")
    assert not here.page.locator("#start").is_visible()


def focused(here: Gallery) -> list[str]:
    """The lines of the focused link."""
    return str(here.page.evaluate("() => document.activeElement.innerText")).split("\n")


@full_only
def test_a_group_shows_its_parts_by_keyboard_with_a_way_back(
    grouped: str, gallery: OpenGallery
) -> None:
    with urllib.request.urlopen(f"{grouped}/api/v1/clusters") as response:
        clusters = json.load(response)["clusters"]
    parts = next(
        found
        for broad in clusters
        if len(found := [each for each in clusters if each["parent"] == broad["id"]]) > 1
    )
    broad = next(each for each in clusters if each["id"] == parts[0]["parent"])
    here = gallery(grouped, size=(360, 740), bypass_csp=True)
    groups = here.page.locator(".shelf[data-kind=clusters] .shelf-tile")
    groups.filter(has_text=broad["name"]).focus()
    here.press("Enter")
    here.shows(f"{broad['count']} picture")
    tiles = here.page.locator(".shelf[data-kind=parts] .shelf-tile")
    assert [each.split("\n")[:2] for each in tiles.all_inner_texts()] == [
        [each["name"], str(each["count"])] for each in parts
    ]
    expect(tiles.locator("img")).to_have_count(len(parts))
    assert here.parameters == {"cluster": [str(broad["id"])]} and focused(here) == [broad["name"]]
    assert here.violations() == []
    here.press("Tab", "Tab", "Tab", "Enter")  # the row, the first tile, the second one
    here.shows(f"{parts[1]['count']} picture")
    assert here.parameters == {"cluster": [str(parts[1]["id"])]}
    assert focused(here)[0] == parts[1]["name"]
    here.page.reload()
    here.page.get_by_role("button", name=f"Remove: {parts[1]['name']}").wait_for()
    expect(here.page.locator(".shelf-tile[aria-current]")).to_contain_text(parts[1]["name"])
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
    here.page.get_by_role("link", name=broad["name"], exact=True).press("Enter")
    here.shows(f"{broad['count']} picture")
    here.page.get_by_role("link", name="Groups", exact=True).press("Enter")
    here.shows("44 pictures")
    assert here.parameters == {} and focused(here)[0] == broad["name"]
    here.go(f"/?cluster={broad['id']}&type=jpeg")
    expect(tiles).to_have_count(0)


@full_only
def test_pictures_are_sorted_by_the_menu(own: str, gallery: OpenGallery) -> None:
    here = gallery(own)
    menu = here.page.get_by_label("Order")
    menu.select_option("name")
    here.shows("44 pictures, name, a to z")
    assert here.parameters == {"sort": ["name"]}
    names = here.names
    assert names == sorted(names, key=str.lower)
    here.go("/?q=an+animal&all=1&sort=-size")
    assert menu.input_value() == "-size"
    menu.select_option("")
    here.page.wait_for_url(lambda url: "sort" not in url)


@full_only
def test_a_search_is_saved_opened_renamed_and_deleted(own: str, gallery: OpenGallery) -> None:
    name = f"Grey & “soft” {os.urandom(3).hex()}"  # another one in each attempt
    here = gallery(own, "/?q=a+koala&type=jpeg")
    here.expected += ["409"]
    here.first_is("koala.jpg")
    here.page.get_by_role("button", name="Save", exact=True).click()
    here.page.get_by_label("Name", exact=True).fill(name)
    here.press("Enter")
    here.page.get_by_text("Saved as").wait_for()
    here.page.locator(".brand").click()
    tile = here.page.locator(SAVED).get_by_role("listitem").filter(has_text=name)
    tile.get_by_text(re.compile("^[0-9]+ picture")).wait_for()
    tile.locator("img").wait_for()
    tile.locator("a").click()
    here.first_is("koala.jpg")
    assert here.parameters == {"saved": [name]}
    here.page.get_by_role("button", name=f"Remove: {name}").wait_for()
    here.page.go_back()
    tile.get_by_role("button", name="Rename").click()
    here.page.get_by_label("Name", exact=True).fill("Owls")
    here.press("Enter")
    here.page.get_by_text("there is a saved search 'Owls' already").wait_for()
    tile.get_by_role("button", name="Delete").click()
    here.page.get_by_role("button", name="Delete", exact=True).click()
    tile.wait_for(state="detached")
    assert "Owls" in here.page.locator(SAVED).inner_text()


@full_only
def test_nothing_moves_while_the_start_is_drawn(own: str, gallery: OpenGallery) -> None:
    here = gallery(own)
    here.pictures_drawn()
    assert here.layout_shift() <= BUDGET["layout_shift"]


@pytest.mark.parametrize("size", [(1440, 900), (768, 1024), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_the_start_is_accessible(
    own: str, gallery: OpenGallery, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    here = gallery(own, size=size, color_scheme=scheme, bypass_csp=True)
    here.pictures_drawn()
    here.page.screenshot(path=screenshots / f"start-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []


@full_only
def test_an_address_with_a_kind_or_a_rating_filters(own: str, gallery: OpenGallery) -> None:
    here = gallery(own, "/?kind=photo")
    here.page.get_by_role("button", name="Remove: photo").wait_for()
    expect(here.page.locator(".tile").first).to_be_visible()
    here.go("/?rating=5")
    here.page.get_by_role("button", name="Remove: at least 5 of 5 stars").wait_for()
    expect(here.page.locator(".tile")).to_have_count(0)
