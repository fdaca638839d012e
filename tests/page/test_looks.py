"""The page by keyboard, on a phone, in dark mode and for screen readers, on the demo photos."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PHOTOS, full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import BUDGET, Gallery

pytestmark = [pytest.mark.slow, full_only]

if TYPE_CHECKING:
    from playwright.sync_api import Route

FOCUS = "() => document.activeElement.closest('.tile')?.dataset.index ?? document.activeElement.id"


# After the last button the focus leaves the page, and the active element is the body.
INSIDE = """() => document.activeElement === document.body
  || Boolean(document.activeElement.closest('dialog.viewer'))"""


def test_a_picture_opened_by_keyboard_alone(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.press("Tab")
    assert here.page.evaluate("() => document.activeElement.textContent") == "Skip to the pictures"
    here.press("/")
    here.page.keyboard.type("polar bear")
    here.first_is("polar_bear.jpg")
    here.press("ArrowDown")
    assert here.page.evaluate(FOCUS) == "0"
    here.press("Enter")
    here.viewer.get_by_role("heading", name="polar_bear.jpg").wait_for()
    for _ in range(25):
        here.press("Tab")
        assert here.page.evaluate(INSIDE)
    here.press("z")
    assert here.page.locator(".stage.zoomed").count() == 1
    here.press("0", "i")
    assert not here.page.locator(".details").is_visible()
    here.press("i", "Escape")
    assert not here.viewer.is_visible()
    assert here.page.evaluate(FOCUS) == "0"
    assert "view" not in here.parameters


def test_arrows_go_through_the_pictures(demo: str, gallery: OpenGallery):
    here = gallery(demo)
    here.tiles.first.locator("a").focus()
    here.press("ArrowRight", "ArrowRight")
    assert here.page.evaluate(FOCUS) == "2"
    here.press("ArrowDown")
    below = int(here.page.evaluate(FOCUS))
    assert below > 2
    here.press("ArrowUp", "End")
    assert here.page.evaluate(FOCUS) == "43"
    here.press("Home", "Enter", "ArrowRight", "ArrowRight", "ArrowLeft")
    here.viewer.get_by_text("2 of 44").wait_for()
    here.press("Escape")
    assert here.page.evaluate(FOCUS) == "1"


def test_a_deep_link_to_a_picture_reloads_and_goes_back(demo: str, gallery: OpenGallery):
    here = gallery(demo, "/?q=a+cat")
    here.first_is("tabby_cat_face.jpg")
    here.tile("kitten_with_wool.jpg").locator("a").click()
    title = here.viewer.get_by_role("heading", name="kitten_with_wool.jpg")
    title.wait_for()
    here.page.reload()
    title.wait_for()
    assert here.viewer.get_by_text(re.compile(r"^\d of \d+$")).is_visible()
    here.page.go_back()
    assert not here.viewer.is_visible()
    here.first_is("tabby_cat_face.jpg")


def test_the_panel_shows_date_camera_and_strength(demo: str, gallery: OpenGallery):
    here = gallery(demo, "/?q=spotted+cats&all=1")
    here.tile("jaguars.jpg").locator("a").click()
    panel = here.page.locator(".details")
    panel.get_by_text("24 September 2017, 12:33").wait_for()
    for words in ("Canon EOS 7D", "1,024 × 683", "an estimate of how likely"):
        panel.get_by_text(words).wait_for()
    panel.get_by_role("button", name="Canon EOS 7D").click()
    here.page.wait_for_url("**camera=Canon+EOS+7D**")
    assert not here.viewer.is_visible()


def test_a_picture_of_a_type_that_browsers_do_not_draw(demo: str, gallery: OpenGallery):
    here = gallery(demo, "/?q=horses")
    here.first_is("horses.heic")
    here.tiles.first.locator("a").click()
    here.page.wait_for_function("() => document.querySelector('.full').src.endsWith('?as=jpeg')")
    assert here.page.evaluate("() => document.querySelector('.full').naturalWidth") == 1024


def test_selected_pictures_and_their_paths(demo: str, gallery: OpenGallery):
    here = gallery(demo, "/?q=a+bird", permissions=["clipboard-read", "clipboard-write"])
    here.first_is("scarlet_macaw.jpg" if here.names[0] == "scarlet_macaw.jpg" else here.names[0])
    first, _, third = here.names[:3]
    here.tiles.first.locator("a").focus()
    here.press("x", "ArrowRight", "ArrowRight", "Shift+X")
    here.page.get_by_text("3 pictures selected").wait_for()
    here.page.get_by_role("button", name="Copy paths").click()
    here.page.get_by_text("3 paths copied.").wait_for()
    copied = here.page.evaluate("() => navigator.clipboard.readText()").split("\n")
    assert [Path(path).name for path in (copied[0], copied[2])] == [first, third]
    assert all(Path(path).is_file() for path in copied)
    here.press("Escape")
    assert not here.page.locator("#selection").is_visible()


PLACES = ["/", "/?q=a+bird&not=hens&after=2000&all=1", "/?q=a+bird&min_strength=0.99"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_rule_is_broken(demo: str, gallery: OpenGallery, theme: str):
    """Run all rules of axe-core, including best practices, on each state of the page."""
    here = gallery(demo, color_scheme=theme, bypass_csp=True)

    def check(state: str) -> None:
        here.pictures_drawn()
        assert here.violations() == [], state

    for place in PLACES:
        here.go(place)
        check(place)
    here.go("/?q=a+bird")
    here.tiles.first.locator("a").focus()
    here.press("x")
    check("selected")
    here.press("Escape", "?")
    check("help")
    here.press("Escape", "Enter")
    here.viewer.get_by_text("Folder").wait_for()
    check("viewer")
    here.page.set_viewport_size({"width": 360, "height": 740})
    check("viewer on a phone")
    here.press("Escape", "x")
    check("selected on a phone")
    here.press("Escape", "Enter")
    here.press("Escape", "f")
    check("filters on a phone")


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_nothing_jumps_or_sticks_out(demo: str, gallery: OpenGallery, width: int):
    here = gallery(demo, "/?q=a+bird&all=1", size=(width, 900))
    here.pictures_drawn()
    assert here.layout_shift() <= BUDGET["layout_shift"]
    sticks_out = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert here.page.evaluate(sticks_out) <= 0
    edges = """() => {
      const grid = document.querySelector('#grid').getBoundingClientRect();
      const rows = new Map();
      for (const tile of document.querySelectorAll('.tile')) {
        const box = tile.getBoundingClientRect();
        if (box.left < grid.left - 0.5) throw new Error('sticks out');
        rows.set(box.top, Math.max(box.right - grid.right, rows.get(box.top) ?? -Infinity));
      }
      return [...rows.values()];
    }"""
    beyond = here.page.evaluate(edges)
    assert max(beyond) <= 1
    short = [each for each in beyond if each < -1]
    assert len(short) <= 2, "only the last row of a section may be short"


def test_on_a_phone(demo: str, gallery: OpenGallery):
    here = gallery(demo, size=(360, 740), has_touch=True, is_mobile=True)
    assert not here.page.locator("#filters").is_visible()
    here.page.get_by_role("button", name="Filters").tap()
    sheet = here.page.locator("dialog.sheet")
    sheet.get_by_text("PNG").tap()
    here.shows("1 picture")
    sheet.get_by_role("button", name="Close filters").tap()
    here.page.get_by_role("button", name="Remove: PNG").tap()
    here.shows("44 pictures")
    here.tiles.first.locator("a").tap()
    here.viewer.get_by_text("1 of 44").wait_for()
    here.viewer.get_by_role("button", name="Details").tap()
    here.page.locator(".details").get_by_text("Folder").wait_for()
    here.viewer.get_by_role("button", name="Close").tap()
    assert not here.viewer.is_visible()


Point = tuple[float, float]


def _touch(here: Gallery) -> Callable[..., None]:
    """A function that moves one or more fingers along paths on the screen."""
    session = here.context.new_cdp_session(here.page)

    def send(kind: str, points: list[Point]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def draw(*fingers: tuple[Point, Point], steps: int = 8) -> None:
        for step in range(steps + 1):
            share = step / steps
            points = [
                (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])) for a, b in fingers
            ]
            send("touchMove" if step else "touchStart", points)
        send("touchEnd", [])

    return draw


def test_fingers_swipe_pinch_and_move_an_open_picture(demo: str, gallery: OpenGallery):
    here = gallery(demo, size=(360, 740), has_touch=True, is_mobile=True)
    here.tiles.first.locator("a").tap()
    here.viewer.get_by_text("1 of 44").wait_for()
    draw = _touch(here)
    place = """() => {
      const { transform } = getComputedStyle(document.querySelector('.full'));
      const { a, e, f } = new DOMMatrix(transform);
      return [a, e, f];
    }"""
    draw(((300, 380), (100, 390)))
    here.viewer.get_by_text("2 of 44").wait_for()
    draw(((60, 380), (260, 370)))
    here.viewer.get_by_text("1 of 44").wait_for()
    draw(((200, 380), (170, 380)))  # too short
    draw(((200, 330), (180, 430)))  # neither across nor far enough down
    assert here.page.evaluate(place) == [1, 0, 0]
    here.page.wait_for_function("() => document.querySelector('.full').clientWidth > 300")
    # Two fingers from 40 to 160 pixels apart: four times as large; the page itself does not zoom.
    draw(((160, 380), (100, 380)), ((200, 380), (260, 380)))
    assert here.page.evaluate(place)[0] == pytest.approx(4, rel=0.05)
    assert here.page.evaluate("() => visualViewport.scale") == 1
    # One finger now pans, and does not change the picture.
    before = here.page.evaluate(place)
    draw(((200, 380), (120, 380)))
    after = here.page.evaluate(place)
    assert after[0] == before[0]
    assert after[1] == pytest.approx(before[1] - 80, abs=2)
    assert here.viewer.get_by_text("1 of 44").is_visible()
    draw(((80, 380), (160, 380)), ((280, 380), (200, 380)))
    assert here.page.evaluate(place) == [1, 0, 0]
    # Pinching also works below the picture.
    below = here.page.evaluate(
        "() => document.querySelector('.full').getBoundingClientRect().bottom"
    )
    assert below < 640
    draw(((160, 660), (140, 660)), ((200, 660), (220, 660)))
    assert here.page.evaluate(place)[0] == pytest.approx(2, rel=0.05)
    draw(((140, 660), (170, 660)), ((220, 660), (190, 660)))
    draw(((180, 300), (185, 520)))
    here.viewer.wait_for(state="hidden")


def test_light_and_dark_follow_the_system_until_chosen(demo: str, gallery: OpenGallery):
    here = gallery(demo, color_scheme="dark")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark, light = "rgb(17, 18, 20)", "rgb(251, 251, 250)"
    assert here.page.evaluate(ground) == dark
    here.page.emulate_media(color_scheme="light")
    assert here.page.evaluate(ground) == light
    here.page.locator("#theme").click()
    here.page.locator("#theme").click()
    assert here.page.evaluate(ground) == dark
    here.page.reload()
    assert here.page.evaluate(ground) == dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screenshots(demo: str, gallery: OpenGallery, screenshots: Path, theme: str):
    """Screenshots for the README; IMGSEARCH_SCREENSHOTS=docs updates them."""
    here = gallery(demo, color_scheme=theme, size=(1280, 800))
    for answer in ("images/*", "search?*"):
        here.context.route(f"**/api/v1/{answer}", _at_home)
    here.go("/?q=wildlife")
    here.pictures_drawn()
    shot = screenshots / f"gallery-{theme}.webp"
    _save(here.page.screenshot(), shot)
    assert shot.stat().st_size > 20_000
    here.tiles.first.locator("a").click()
    here.page.locator(".details").get_by_text("/home/me/Pictures", exact=True).wait_for()
    here.page.wait_for_timeout(300)
    if theme == "dark":  # an open picture looks the same in both
        _save(here.page.screenshot(), screenshots / "gallery-picture.webp")


def test_screenshot_of_a_phone(demo: str, gallery: OpenGallery, screenshots: Path):
    here = gallery(demo, "/?q=old+building", size=(360, 740), has_touch=True, is_mobile=True)
    here.pictures_drawn()
    _save(here.page.screenshot(), screenshots / "gallery-phone.webp")


def _at_home(route: Route) -> None:
    """Replace the folder of the photos in an answer by that of a user."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace(str(PHOTOS), "/home/me/Pictures"))


def _save(png: bytes, to: Path) -> None:
    """Save as WebP, because a page of photos exceeds a megabyte as PNG."""
    import io

    from PIL import Image

    Image.open(io.BytesIO(png)).convert("RGB").save(to, "WEBP", quality=72, method=6)
