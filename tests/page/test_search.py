"""Searching on the page by words, pictures, refinements and filters, on the demo photos."""

from __future__ import annotations

import pytest

from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery

pytestmark = pytest.mark.slow


def test_typing_shows_the_right_picture_first(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.shows("44 pictures, newest first")
    here.type("a polar bear in the snow")
    here.first_is("polar_bear.jpg")
    assert here.parameters["q"] == ["a polar bear in the snow"]
    here.press("Control+A", "Delete")
    here.shows("44 pictures, newest first")


@full_only
def test_a_late_answer_is_dropped(demo: str, gallery: OpenGallery):
    """The answer to "koala" is delayed until the answer to "owl" is shown."""
    here = gallery(demo)
    delayed = []
    here.page.route("**/search?q=koala&*", lambda route: delayed.append(route))  # noqa: PLW0108
    with here.page.expect_request("**/search?q=koala&*"):
        here.page.fill("#q", "koala")
    here.page.fill("#q", "owl")
    here.first_is("owl.jpg")
    assert len(delayed) == 1
    delayed[0].continue_()
    here.page.wait_for_timeout(400)
    assert here.names[0] == "owl.jpg"


def test_a_dropped_picture_finds_itself_and_survives_a_reload(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.hand_over("drop", PHOTOS / "tabby_cat_face.jpg")
    here.first_is("tabby_cat_face.jpg")
    assert here.page.get_by_text("like your picture").is_visible()
    here.page.reload()
    here.first_is("tabby_cat_face.jpg")


@full_only
def test_a_pasted_picture_with_words(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.hand_over("paste", PHOTOS / "kingfisher.webp")
    here.first_is("kingfisher.webp")
    here.page.get_by_role("button", name="and", exact=True).click()
    here.page.keyboard.type("owl")
    here.press("Enter")
    here.page.wait_for_url("**and=owl**")
    here.first_is("owl.jpg")


@full_only
def test_a_picture_that_browsers_cannot_draw_is_sent_as_it_is(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.hand_over("drop", PHOTOS / "horses.heic")
    here.first_is("horses.heic")


@full_only
def test_a_word_after_a_minus_sign_is_excluded(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.type("a bird")
    here.page.wait_for_url("**q=a+bird")
    here.page.wait_for_function(
        "() => document.querySelector('.tile-link[aria-label^=\"brown_hens\"]')"
    )
    here.type(" -hens")
    here.press("Enter")
    here.page.wait_for_url("**not=hens**")
    here.page.wait_for_function(
        "() => !document.querySelector('.tile-link[aria-label^=\"brown_hens\"]')"
    )
    assert here.page.locator("#q").input_value() == "a bird"
    here.page.get_by_role("button", name="Remove: without hens").click()
    here.page.wait_for_function(
        "() => document.querySelector('.tile-link[aria-label^=\"brown_hens\"]')"
    )


def test_marked_pictures_refine_the_search(demo: str, gallery: OpenGallery):
    here = gallery(demo, "/?q=an+animal&all=1")
    here.shows("44 pictures, best first")
    before = here.names
    last = before[12]
    here.tile(last).hover()
    here.tile(last).get_by_role("button", name="is relevant").click()
    here.page.wait_for_url("**good=**")
    here.page.wait_for_function(
        "([name, place]) => [...document.querySelectorAll('.tile-link')]"
        ".findIndex((link) => link.getAttribute('aria-label').startsWith(name)) < place",
        arg=[last, 8],
    )
    assert here.tile(last).get_attribute("data-mark") == "good"


@full_only
def test_more_like_this(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.tile("jaguars.jpg").hover()
    here.tile("jaguars.jpg").get_by_role("button", name="More like jaguars.jpg").click()
    here.page.wait_for_url("**like=**")
    here.first_is("jaguars.jpg")
    assert here.page.get_by_text("like this", exact=True).is_visible()
    here.page.go_back()
    here.shows("44 pictures, newest first")


@full_only
def test_filter_by_dates_that_are_typed(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.page.get_by_label("From").fill("2010-01-01")
    here.page.get_by_label("To", exact=True).fill("2010-12-31")
    here.shows("2 pictures, newest first")
    assert sorted(here.names) == ["baseball.png", "brown_hens.jpg"]
    assert (here.parameters["after"], here.parameters["before"]) == (["2010-01-01"], ["2011-01-01"])
    assert here.page.get_by_role("button", name="Remove: 2010").is_visible()


@full_only
def test_filter_by_a_bar_of_the_histogram(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    chart = here.page.locator(".chart")
    chart.locator("rect").nth(1).wait_for(state="attached")
    box = chart.bounding_box()
    assert box
    here.page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] - 8)
    here.shows("1 picture, newest first")
    assert here.names == ["jaguars.jpg"]
    assert here.parameters["after"] == ["2017-01-01"]
    here.page.get_by_role("button", name="Remove: 2017").click()
    here.shows("44 pictures")


@full_only
@pytest.mark.parametrize(
    "label, expected",
    [("PNG", ["baseball.png"]), ("Tall", None), ("NIKON D40", ["baseball.png"])],
)
def test_filter_by_type_shape_and_camera(demo, gallery: OpenGallery, label, expected):
    here = gallery(demo)
    if expected is None:
        tall = ["drum_and_wine", "koala", "receipt", "two_dogs_at_window", "windmill"]
        expected = [f"{each}.jpg" for each in tall]
    here.page.locator("#filters").get_by_text(label, exact=True).click()
    here.shows(f"{len(expected)} picture")
    assert sorted(here.names) == expected


@full_only
def test_active_filters_can_be_removed_if_nothing_matches(demo, gallery: OpenGallery):
    here = gallery(demo, "/?q=a+polar+bear&after=2017&mode=semantic&min_strength=0.99")
    here.page.get_by_role("heading", name="No good match").wait_for()
    here.page.get_by_role("button", name="Remove “from 1 Jan 2017”").click()
    here.page.wait_for_url(f"{demo}/?q=a+polar+bear&mode=semantic&min_strength=0.99")
    here.page.get_by_role("button", name="Show the closest anyway").click()
    here.first_is("polar_bear.jpg")
    here.shows("44 pictures")
    assert here.page.get_by_role("heading", name="Closest guesses").count() == 1
    assert here.tiles.first.locator(".reason").inner_text() in ("strong", "possible")
    here.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    last = here.page.locator('.tile[data-index="43"]')
    assert last.locator(".reason").inner_text() == "guess"


@full_only
def test_back_and_forward_go_through_searches(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.type("koala")
    here.press("Enter")
    here.first_is("koala.jpg")
    here.page.fill("#q", "owl")
    here.press("Enter")
    here.first_is("owl.jpg")
    here.page.go_back()
    here.first_is("koala.jpg")
    assert here.page.locator("#q").input_value() == "koala"
    here.page.go_back()
    here.shows("44 pictures")
    here.page.go_forward()
    here.first_is("koala.jpg")


@full_only
def test_a_stopped_server_is_reported(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.expected.append("net::ERR_FAILED")
    here.page.route("**/api/v1/search?*", lambda route: route.abort())
    here.page.fill("#q", "owl")
    here.page.get_by_role("heading", name="No response").wait_for()
    assert here.page.get_by_role("button", name="Try again").is_visible()
    here.page.unroute("**/api/v1/search?*")
    here.first_is("owl.jpg")
