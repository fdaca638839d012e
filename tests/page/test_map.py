"""The map of meaning: drawn, moved, searched, and with a million points."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.conftest import full_only
from tests.page.conftest import OpenGallery
from tests.page.gallery import Gallery

pytestmark = [pytest.mark.slow, full_only]

PLANE = ".plane"
MESSAGES = ["GL Driver Message", "WebGL"]


def opened(gallery: OpenGallery, address: str, path: str = "/?show=map", **context) -> Gallery:
    here = gallery(address, path, **context)
    here.expected += MESSAGES
    here.page.locator(".plane-points").wait_for()
    here.page.wait_for_timeout(400)
    return here


def box_of(here: Gallery) -> dict[str, float]:
    box = here.page.locator(PLANE).bounding_box()
    assert box is not None
    return box


def test_the_map_takes_the_place_of_the_grid(grouped: str, gallery: OpenGallery) -> None:
    here = gallery(grouped)
    here.expected += MESSAGES
    here.shows("44 pictures")
    here.page.get_by_role("button", name="Map", exact=True).click()
    here.page.locator(".plane-points").wait_for()
    assert here.parameters == {"show": ["map"]}
    assert not here.tiles.first.is_visible() and not here.page.locator("#start").is_visible()
    expect(here.page.locator(".plane-near img")).to_have_count(44)
    here.press("m")
    here.page.locator(PLANE).wait_for(state="detached")
    here.shows("44 pictures")
    here.tiles.first.wait_for()
    here.first_is(here.names[0])
    assert here.tiles.first.is_visible()


def test_a_map_that_takes_longer_than_an_answer_may_is_requested_again(
    grouped: str, gallery: OpenGallery
) -> None:
    here = gallery(grouped)
    here.expected += [*MESSAGES, "503"]
    answers = iter([503, 503])

    def late(route: Any) -> None:
        if status := next(answers, None):
            route.fulfill(status=status, body='{"detail": "the search took too long"}')
        else:
            route.continue_()

    here.context.route("**/api/v1/map?*", late)
    here.go("/?show=map")
    here.page.get_by_text("Laying out the pictures").wait_for()
    here.page.locator(".plane-points").wait_for(timeout=15_000)
    assert next(answers, None) is None


def test_a_line_around_pictures_lists_them(grouped: str, gallery: OpenGallery) -> None:
    here = opened(gallery, grouped)
    here.page.get_by_role("button", name="Draw around pictures").click()
    box = box_of(here)
    middle, half = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    side = 0.46 * min(box["width"], box["height"])
    corners = [(-1.05, -1.05), (1.05, -1.05), (1.05, 0), (-1.05, 0)]
    here.page.mouse.move(middle + corners[-1][0] * side, half + corners[-1][1] * side)
    here.page.mouse.down()
    for x, y in corners:
        here.page.mouse.move(middle + x * side, half + y * side, steps=12)
    here.page.mouse.up()
    here.page.get_by_role("button", name="Remove: an area of the map").wait_for()
    here.tiles.first.wait_for()
    found = here.page.evaluate(
        """async () => {
          const { map } = await import('./static/js/api.js');
          const { points } = await map(new URLSearchParams());
          return [...points].filter((_, i) => i % 2 && points[i] > 32767).length;
        }"""
    )
    here.shows(f"{found} pictures")
    assert 0 < found < 44 and "show" not in here.parameters
    here.page.reload()
    here.shows(f"{found} pictures")
    here.type("a cat")
    here.page.wait_for_url(lambda url: "q=a+cat" in url)
    assert here.parameters["region"]


def test_without_a_pointer(grouped: str, gallery: OpenGallery) -> None:
    here = opened(gallery, grouped)
    region = here.page.get_by_role("list", name="Groups on the map").get_by_role("button").first
    name = region.inner_text()
    region.focus()
    here.press("Enter")
    here.page.wait_for_timeout(300)
    shown = here.page.locator(".plane-near img").count()
    assert 0 < shown < 44, name
    here.page.locator(PLANE).focus()
    here.press("+", "ArrowLeft", "-", "ArrowRight")
    here.page.get_by_role("button", name="List this part").click()
    here.page.get_by_role("button", name="Remove: an area of the map").wait_for()
    here.tiles.first.wait_for()
    here.page.go_back()
    here.page.locator(".plane-points").wait_for()


def test_a_picture_is_named_and_opened(grouped: str, gallery: OpenGallery) -> None:
    here = opened(gallery, grouped)
    box = box_of(here)
    x, y = here.page.evaluate(
        """async () => {
          const { map } = await import('./static/js/api.js');
          return [...(await map(new URLSearchParams())).points.slice(0, 2)];
        }"""
    )
    side = 0.46 * min(box["width"], box["height"])
    left = box["x"] + box["width"] / 2 + (x / 32767.5 - 1) * side
    top = box["y"] + box["height"] / 2 - (y / 32767.5 - 1) * side
    here.page.mouse.move(left, top)
    here.page.locator(".map-label").wait_for()
    name = here.page.locator(".map-label span").inner_text()
    here.page.mouse.click(left, top)
    here.viewer.wait_for()
    assert here.parameters["view"] and name in here.page.title()
    here.press("Escape")
    here.page.locator(PLANE).wait_for()


def test_filters_choose_what_is_on_the_map(grouped: str, gallery: OpenGallery) -> None:
    here = opened(gallery, grouped, "/?show=map&type=png")
    assert here.page.locator(".plane-near img").count() < 10
    here.go("/?show=map&type=gif")
    here.expected += ["400"]
    here.page.get_by_text("no picture on the map passes the filter").wait_for()


WEBGL = """(() => {
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, options) {
    const context = get.call(
      this, kind, kind === 'webgl' ? { preserveDrawingBuffer: true } : options);
    if (kind === 'webgl') {
      const value = context.getParameter;
      context.getParameter = (name) => (name === 37446 ? 'a card' : value.call(context, name));
    }
    return context;
  };
})()"""
"""Use WebGL on a processor, too (37446 is the name of the renderer), and let its pixels be read."""
COLOURED = """async () => {
  const copy = document.createElement('canvas');
  const canvas = document.querySelector('.plane-points');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const pen = copy.getContext('2d');
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, copy.width, copy.height);
  const found = [];
  for (let i = 3; i < data.length; i += 4) {
    if (data[i]) found.push([(i >> 2) % copy.width, Math.floor((i >> 2) / copy.width)]);
  }
  return found;
}"""
"""Places of the pixels that have a colour."""


def test_points_are_drawn_with_and_without_webgl_in_the_same_places(
    grouped: str, gallery: OpenGallery
) -> None:
    found = []
    for script in ("", WEBGL):
        here = gallery(grouped)
        here.expected += MESSAGES
        here.page.add_init_script(script)
        here.go("/?show=map")
        here.page.locator(".plane-points").wait_for()
        here.page.wait_for_function(f"async () => (await ({COLOURED})()).length > 500")
        found.append(np.array(here.page.evaluate(COLOURED)))
    flat, card = ({(x // 4, y // 4) for x, y in pixels.tolist()} for pixels in found)
    assert len(flat & card) > 0.7 * len(flat | card)
    for axis in (0, 1):
        assert abs(found[0][:, axis].min() - found[1][:, axis].min()) <= 2
        assert abs(found[0][:, axis].max() - found[1][:, axis].max()) <= 2


@pytest.mark.parametrize("size", [(1440, 900), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=full_only)])
def test_the_map_is_accessible(
    grouped: str, gallery: OpenGallery, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    here = opened(gallery, grouped, size=size, color_scheme=scheme, bypass_csp=True)
    here.page.screenshot(path=screenshots / f"map-{size[0]}-{scheme}.png")
    assert here.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert here.violations() == []


def packed(count: int) -> bytes:
    """A map of made points in the form of the API."""
    rng = np.random.default_rng(0)
    middles = rng.uniform(-0.9, 0.9, (40, 2))
    numbers = rng.integers(0, 40, count)
    places = np.clip(middles[numbers] + rng.normal(0, 0.05, (count, 2)), -1, 1)
    regions = [
        {"id": n + 1, "name": f"group {n}", "parent": None, "count": 1, "x": x, "y": y,
         "outline": [], "colour": n % 12 + 1}
        for n, (x, y) in enumerate(middles.tolist())
    ]  # fmt: skip
    palette = [[90 + 10 * n, 200 - 10 * n, 120] for n in range(13)]
    head = {"model": "made", "count": count, "total": count, "unindexed": 0, "levels": []}
    text = json.dumps(head | {"palette": palette, "regions": regions}).encode()
    text += b" " * (-(len(text) + 4) % 8)
    parts = (
        np.arange(1, count + 1, dtype="<i8"),
        np.round((places + 1) * 32767.5).astype("<u2"),
        (numbers + 1).astype("<u2"),
    )
    body = b"".join(part.tobytes() + bytes(-part.nbytes % 8) for part in parts)
    return len(text).to_bytes(4, "little") + text + body


FRAMES = """() => new Promise((resolve) => {
  const holder = document.querySelector('.plane');
  const box = holder.getBoundingClientRect();
  const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
  const times = [];
  const step = (now) => {
    times.push(now);
    if (times.length > 60) {
      const frames = times.slice(1).map((time, i) => time - times[i]).slice(20);
      resolve(frames.sort((a, b) => a - b)[Math.floor(frames.length / 2)]);
      return;
    }
    holder.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: times.length % 2 ? -20 : 15 }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


SLOW_POINTER = """async () => {
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
  const { Plane } = await import(loaded.find((name) => name.endsWith('/js/plane.js')));
  const paint = Plane.prototype.paint;
  const counts = [];
  Plane.prototype.paint = function (count, resting) {
    if (!resting) counts.push(count);
    paint.call(this, count, resting);
  };
  const holder = document.querySelector('.plane');
  for (let i = 0; i < 20; i += 1) {
    holder.dispatchEvent(new WheelEvent('wheel', { deltaY: i % 2 ? -20 : 15 }));
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  return counts.sort((a, b) => a - b)[Math.floor(counts.length / 2)];
}"""
"""Move with 16 events a second; the median number of points of a drawing."""


def _fulfil(data: bytes, route: Any) -> None:
    route.fulfill(body=data)


def test_a_million_points_are_smooth(grouped: str, gallery: OpenGallery) -> None:
    """Frames while it zooms, drawn by a processor: while it moves, fewer points are drawn. A map of
    few points measures how busy the machine is."""
    medians_ms = []
    for count in (1_000, 1_000_000):
        here = gallery(grouped)
        here.expected += MESSAGES
        data = packed(count)
        here.context.route("**/api/v1/map?*", partial(_fulfil, data))
        here.go("/?show=map")
        here.page.get_by_text(f"{count:,} pictures").wait_for()
        here.page.wait_for_timeout(1500)
        medians_ms.append(here.page.evaluate(FRAMES))
    print("median frames: {:.0f} ms of few points, {:.0f} ms of a million".format(*medians_ms))
    assert medians_ms[1] < 2 * medians_ms[0] + 50


def test_a_slow_pointer_is_no_slow_drawing(grouped: str, gallery: OpenGallery) -> None:
    here = gallery(grouped)
    here.expected += MESSAGES
    here.context.route("**/api/v1/map?*", partial(_fulfil, packed(60_000)))
    here.go("/?show=map")
    here.page.get_by_text("60,000 pictures").wait_for()
    here.page.wait_for_timeout(500)
    assert here.page.evaluate(SLOW_POINTER) == 60_000
