"""Filters typed into the search box, and suggestions below it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import Gallery

pytestmark = [pytest.mark.slow, full_only]


def chips(here: Gallery) -> list[str]:
    return here.page.locator("#terms .chip .chip-text").all_inner_texts()


def test_filters_and_exclusions_become_chips_and_words_stay(
    demo: str, gallery: OpenGallery
) -> None:
    here = gallery(demo)
    here.type("a cat -people camera:canon ")
    here.page.wait_for_url("**camera=canon**")
    assert here.page.locator("#q").input_value() == "a cat "
    here.page.keyboard.type("rating>=1 or 12:30")
    here.press("Enter")
    here.page.wait_for_url(lambda url: "where=rating" in url and "12%3A30" in url)
    assert here.parameters == {
        "q": ["a cat or 12:30"],
        "not": ["people"],
        "camera": ["canon"],
        "where": ["rating >= 1"],
    }
    assert chips(here) == ["without people", "canon", "rating >= 1"]
    here.page.get_by_role("button", name="Remove: rating >= 1").click()
    here.page.wait_for_url(lambda url: "rating" not in url)
    assert here.page.locator("#q").input_value() == "a cat or 12:30"


def test_quoted_text_is_literal_and_a_faulty_filter_is_explained(
    demo: str, gallery: OpenGallery
) -> None:
    here = gallery(demo)
    here.type('"camera:canon" koala')
    here.press("Enter")
    here.page.wait_for_url("**q=*koala*")
    assert here.parameters == {"q": ['"camera:canon" koala']}
    here.page.locator("#q").fill("an owl type:banana")
    here.press("Enter")
    here.page.get_by_text("there is no picture format 'banana'").wait_for()
    here.page.wait_for_url("**q=an+owl")
    assert here.parameters == {"q": ["an owl"]}
    assert here.page.locator("#q").input_value() == "an owl type:banana"


def test_suggestions_are_taken_by_keyboard(demo: str, gallery: OpenGallery) -> None:
    here = gallery(demo)
    here.press("Control+k")
    assert here.page.evaluate("() => document.activeElement.id") == "q"
    here.page.keyboard.type("a bird camer")
    option = here.page.get_by_role("option", name="camera: filter")
    option.wait_for()
    here.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    here.press("Enter")
    camera = here.page.get_by_role("option").filter(has_text="Canon EOS 7D")
    camera.first.wait_for()
    assert here.page.locator("#q").input_value() == "a bird camera:"
    here.page.keyboard.type('"canon eos 7d')
    expect(here.page.locator("#suggestions li")).to_have_count(1)
    here.press("ArrowDown", "Enter")
    here.page.wait_for_url("**camera=Canon+EOS+7D**")
    assert here.parameters["q"] == ["a bird"]
    expect(here.page.locator("#suggestions")).to_be_hidden()
    here.go("/")
    here.press("/")
    here.page.get_by_role("option", name="earlier search").first.wait_for()
    here.press("Escape")
    expect(here.page.locator("#suggestions")).to_be_hidden()


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_suggestions_are_accessible(
    demo: str, gallery: OpenGallery, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    here = gallery(demo, size=size, color_scheme=scheme, bypass_csp=True)
    here.type("camera:")
    here.page.get_by_role("option").first.wait_for()
    here.press("ArrowDown")
    here.page.screenshot(path=screenshots / f"suggestions-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []
