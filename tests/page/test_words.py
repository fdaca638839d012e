"""The page in other languages, and from right to left."""

from __future__ import annotations

import re

import pytest

from tests.conftest import full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import Gallery

pytestmark = [pytest.mark.slow, full_only]

STICKS_OUT = """() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const wide = [...document.querySelectorAll('.bar, .bar button, .above, .count, dialog[open] *')]
    .filter((each) => each.getClientRects().length)
    .filter((each) => !each.closest('.unseen, .view-tools, .arrow, .full'))
    .map((each) => [each.className, each.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.left < -0.5 || box.right > innerWidth + 0.5));
  return [scrollWidth - clientWidth, wide.map(([name]) => name)];
}"""
SIZES = [(1440, 900), (360, 740)]
MIRRORED = "⟦"
"""Begins each text of the language for tests."""


def fits(here: Gallery, state: str) -> None:
    for width, height in SIZES:
        here.page.set_viewport_size({"width": width, "height": height})
        for _ in range(100):  # the rows follow the window after a moment
            beyond, elements = here.page.evaluate(STICKS_OUT)
            if beyond <= 0 and elements == []:
                break
            here.page.wait_for_timeout(100)
        assert beyond <= 0 and elements == [], f"{state} at {width}: {beyond} {elements}"


def test_in_german(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo, locale="de-AT", bypass_csp=True)
    here.shows("44 Bilder, neueste zuerst")
    root = here.page.locator("html")
    assert (root.get_attribute("lang"), root.get_attribute("dir")) == ("de-AT", "ltr")
    asked = [each.rpartition("/")[2] for each in here.requests if "/words/" in each]
    assert asked[0] == "de.json", "the page waits for no other language"
    assert set(asked) <= {"de.json", "en.json"}, "the worker keeps English as well"
    assert here.page.get_by_placeholder("44 Bilder durchsuchen").count() == 1
    here.pictures_drawn()
    assert here.violations() == []
    here.tiles.first.locator("a").focus()
    here.press("x")
    here.page.get_by_text("1 Bild ausgewählt").wait_for()
    here.press("ArrowRight", "x")
    here.page.get_by_text("2 Bilder ausgewählt").wait_for()
    here.press("Escape")
    here.tile("jaguars.jpg").locator("a").click()
    here.viewer.get_by_text("24. September 2017, 12:33").wait_for()
    here.viewer.get_by_text(re.compile("^[0-9]+ von 44$")).wait_for()
    here.viewer.get_by_text(re.compile("[0-9],[0-9] MP")).wait_for()


def test_a_chosen_language_is_kept(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo, locale="pt-BR")
    here.shows("44 pictures")  # no language of the browser is known
    here.press("?")
    here.page.get_by_label("Language").select_option(label="français")
    here.page.get_by_role("button", name="Comment rechercher").wait_for()
    here.shows("44 photos, plus récentes d’abord")
    here.page.reload()
    here.shows("44 photos")
    here.press("?")
    here.page.get_by_label("Langue").select_option("")
    here.shows("44 pictures")


def test_longer_words_fit(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo)
    for language in ("de", "es", "fr", "ja", "zh"):
        here.go(f"/?q=owl&all=1&lang={language}")
        fits(here, language)
        here.press("Escape", "?")
        fits(here, f"help in {language}")
    for language in ("de", "fr"):  # whose words are the longest
        here.go(f"/?show=duplicates&level=shots&lang={language}")
        fits(here, f"duplicates in {language}")


def test_from_right_to_left(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo, "/?q=a+bird&all=1&lang=x-rtl", size=SIZES[0], bypass_csp=True)
    here.shows(f"{MIRRORED}44 pictures")
    here.pictures_drawn()
    assert here.violations() == []
    first, second = (here.tiles.nth(number).bounding_box() for number in (0, 1))
    grid = here.page.locator("#grid").bounding_box()
    assert first and second and grid
    assert abs(first["x"] + first["width"] - grid["x"] - grid["width"]) < 1
    assert second["x"] + second["width"] < first["x"]
    here.tiles.first.locator("a").focus()
    here.press("ArrowLeft", "Enter")
    here.viewer.get_by_text("2 of 44").wait_for()
    here.press("ArrowLeft")
    here.viewer.get_by_text("3 of 44").wait_for()
    following, previous = (
        here.page.locator(f".arrow.{name}").bounding_box() for name in ("after", "before")
    )
    assert following and previous and following["x"] < previous["x"]
    fits(here, "a picture")
    here.press("Escape")
    fits(here, "results")
    here.press("f")
    fits(here, "filters")
    here.page.keyboard.press("Escape")
    labels = here.page.eval_on_selector_all(
        "button", "all => all.map((each) => each.ariaLabel ?? each.textContent)"
    )
    plain = [each for each in labels if each and MIRRORED not in each]
    assert all(not re.search("[a-z] [a-z]", each) for each in plain), "texts not in words/"
