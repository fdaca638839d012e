"""The months at the edge of a list by date, and the heading that sticks above the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import Gallery
from tests.page.page_server import serving
from tests.page.test_library import many_pictures

pytestmark = [pytest.mark.slow, full_only]

MANY = 3000
"""One picture a day from 2 January 2000; the last one, of which no date is known, is the first."""


@pytest.fixture(scope="module")
def daily(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("daily")
    many_pictures(folder / "library", MANY, timedelta(days=1))
    with serving(folder / "library", folder / "server.log") as address:
        yield address


def opened(gallery: OpenGallery, address: str, path: str = "/", **context: object) -> Gallery:
    here = gallery(address, path, thumbnail=(PHOTOS / "hammer.jpg").read_bytes(), **context)
    here.page.get_by_role("slider", name="Month").wait_for()
    return here


def slider(here: Gallery) -> Locator:
    return here.page.get_by_role("slider", name="Month")


def first_on_screen(here: Gallery) -> str:
    """Label of the first picture below the bar."""
    label: str = here.page.evaluate(
        """() => [...document.querySelectorAll('.tile')]
          .filter((tile) => tile.getBoundingClientRect().bottom > 130)
          .sort((a, b) => a.dataset.index - b.dataset.index)[0]
          .querySelector('a').getAttribute('aria-label')"""
    )
    return label


def test_a_press_goes_to_a_month_that_is_not_loaded(daily: str, gallery: OpenGallery) -> None:
    here = opened(gallery, daily)
    here.shows("3,000 pictures, newest first")
    box = slider(here).bounding_box()
    assert box is not None
    before = len(here.requests)
    here.page.mouse.move(box["x"] + 20, box["y"] + box["height"] * 0.5)
    expect(here.page.locator(".scrubber-tip")).to_contain_text("February 2004")
    here.page.mouse.down()
    here.page.mouse.up()
    here.page.wait_for_url("**at=2004-02")
    here.shows("1,519 pictures up to February 2004, newest first")
    assert "29 February 2004" in here.page.locator(".tile-link").first.get_attribute("aria-label")
    asked = [url for url in here.requests[before:] if "/api/v1/search" in url]
    assert len(asked) <= 2, "the pictures in between are not requested"
    assert slider(here).get_attribute("aria-valuetext") == "February 2004, 29 pictures"
    here.page.get_by_role("button", name="Newer: March 2004").click()
    here.shows("1,550 pictures up to March 2004")
    here.page.go_back()
    here.shows("3,000 pictures")
    assert "at" not in here.parameters


def test_keys_go_by_months_and_years_and_scroll_where_pictures_are_loaded(
    daily: str, gallery: OpenGallery
) -> None:
    here = opened(gallery, daily)
    slider(here).focus()
    here.press("ArrowDown")
    here.page.wait_for_function("() => scrollY > 0")
    assert here.parameters == {}, "that month was loaded already"
    assert slider(here).get_attribute("aria-valuetext") == "February 2008, 29 pictures"
    assert " February 2008" in first_on_screen(here)
    here.press("PageDown")
    here.page.wait_for_function(
        "() => document.querySelector('.scrubber-track').ariaValueText.startsWith('December 2007')"
    )
    here.press("End")
    here.page.wait_for_url("**at=2000-01")
    here.shows("29 pictures up to January 2000")


def test_the_heading_of_the_pictures_on_screen_sticks(daily: str, gallery: OpenGallery) -> None:
    here = opened(gallery, daily, "/?at=2004-02")
    period = here.page.locator("#period")
    expect(period).to_be_hidden()
    here.page.mouse.wheel(0, 1500)
    expect(period).to_be_visible()
    here.page.wait_for_timeout(300)
    month = first_on_screen(here).split(", ")[1].split(" ", 1)[1]
    assert period.inner_text() == month
    top = period.bounding_box()
    assert top is not None and abs(top["y"] - 72) < 2, "right below the bar"


def test_filters_change_the_months_and_a_search_has_none(daily: str, gallery: OpenGallery) -> None:
    here = opened(gallery, daily, "/?after=2003&before=2004&sort=date&at=2003-06")
    here.shows("214 pictures from June 2003, oldest first")
    assert slider(here).get_attribute("aria-valuemax") == "11"
    here.page.get_by_label("Order").select_option("name")
    expect(slider(here)).to_be_hidden()
    assert "at" not in here.parameters


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_the_timeline_is_accessible(
    daily: str, gallery: OpenGallery, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    here = opened(gallery, daily, "/?unique=0", size=size, color_scheme=scheme, bypass_csp=True)
    here.pictures_drawn()
    here.page.mouse.wheel(0, 1500)
    here.page.wait_for_timeout(300)
    here.page.screenshot(path=screenshots / f"timeline-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
