"""What the page may cost, in budget.json, held by libraries of several sizes.

    IMGSEARCH_BUDGET_PICTURES=1000,21000,200000 IMGSEARCH_TEST_FULL=1 python -m pytest \\
        tests/page/test_budget.py -s

prints the figures as JSON. Times have limits for a busy machine of two cores; the others are the
same on every machine. The pictures have no files: each thumbnail is the same one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import FULL, PHOTOS, full_only
from tests.page.conftest import OpenGallery, Serve
from tests.page.gallery import BUDGET, Gallery
from tests.page.test_library import many_pictures

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

pytestmark = [pytest.mark.slow, full_only]

LARGE = 30_000 if FULL else 10_000
SIZES = [int(each) for each in os.environ.get("IMGSEARCH_BUDGET_PICTURES", "").split(",") if each]
MAX_SCROLLED = 30_000
"""Pictures of a list that are scrolled through."""

FIRST_LOAD = """() => {
  const all = [...performance.getEntriesByType('navigation'),
    ...performance.getEntriesByType('resource')];
  const files = all.filter(({ name }) => !name.includes('/api/'));
  return [files.length, files.reduce((sum, { transferSize }) => sum + transferSize, 0)];
}"""
LARGEST_PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
    .observe({ type: 'largest-contentful-paint', buffered: true });
})"""
WATCH_INTERACTIONS = """() => {
  window.slowest = 0;
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      if (each.interactionId) window.slowest = Math.max(window.slowest, each.duration);
    }
  }).observe({ type: 'event', durationThreshold: 16, buffered: true });
}"""
SCROLL = """async (many) => {
  let most = 0;
  let longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
  }).observe({ type: 'longtask' });
  const frame = async (top) => {
    scrollTo({ top, behavior: 'instant' });
    await new Promise(requestAnimationFrame);
    most = Math.max(most, document.querySelectorAll('*:not(#start *)').length);
  };
  const shown = () => [...document.querySelectorAll('.tile')];
  const last = () => Math.max(...shown().map((tile) => Number(tile.dataset.index)));
  const until = performance.now() + 150000;
  while (last() < many - 1 && performance.now() < until) await frame(document.body.scrollHeight);
  if (last() < many - 1) throw new Error(`came no further than ${last()}`);
  const middle = scrollY / 2;
  for (let step = 0; step < 60; step += 1) await frame(middle + step * 300);
  return [most, longest];
}"""


def heap_megabytes(tab: CDPSession) -> float:
    """Memory of the scripts of a tab, without what is not used any more."""
    tab.send("HeapProfiler.collectGarbage")
    used: float = tab.send("Runtime.getHeapUsage")["usedSize"]
    return used / 1e6


def interact(here: Gallery) -> None:
    """Open the filters, move among the pictures, and look at a few."""
    here.page.evaluate(WATCH_INTERACTIONS)
    here.press("f", "f")
    here.tiles.nth(1).locator("a").focus()
    here.press("ArrowRight", "ArrowDown", "ArrowLeft", "x", "x", "Enter")
    here.viewer.wait_for()
    here.press("ArrowRight", "ArrowRight", "Escape")
    here.viewer.wait_for(state="hidden")
    here.page.wait_for_timeout(300)


def measured(here: Gallery, many: int) -> dict[str, Any]:
    """The figures of a page with a library of `many` pictures, in the units of the budget."""
    here.shows(f"{many:,} pictures, newest first")
    here.pictures_drawn()
    paint = here.page.evaluate(LARGEST_PAINT)  # before the first input, after which it ends
    files, size = here.page.evaluate(FIRST_LOAD)
    shift = here.layout_shift()
    interact(here)
    slowest = here.page.evaluate("() => window.slowest")
    most, longest = here.page.evaluate(SCROLL, min(many, MAX_SCROLLED))
    here.shows(f"{many:,} pictures, newest first")
    return {
        "first_load": {"files": files, "kilobytes": round(size / 1e3, 1)},
        "layout_shift": round(shift, 4),
        "elements": {"page": most, "start": here.page.locator("#start *").count()},
        "heap_megabytes": round(heap_megabytes(here.context.new_cdp_session(here.page)), 1),
        "largest_paint_ms": round(paint),
        "interaction_ms": round(slowest),
        "long_task_ms": round(longest),
    }


def exceeded(figures: dict[str, Any], budget: dict[str, Any]) -> list[str]:
    """The figures above the budget, which has the same keys."""
    assert list(figures) == list(budget)
    found = []
    for name, limit in budget.items():
        if isinstance(limit, dict):
            found += [f"{name}, {each}" for each in exceeded(figures[name], limit)]
        elif figures[name] > limit:
            found.append(f"{name}: {figures[name]}, at most {limit}")
    return found


@pytest.mark.parametrize("many", SIZES or [1000, LARGE])
def test_a_library_of_any_size_keeps_the_budget(
    serve: Serve, gallery: OpenGallery, tmp_path: Path, many: int
) -> None:
    many_pictures(tmp_path / "library", many)
    address = serve(tmp_path / "library")
    here = gallery(address, thumbnail=(PHOTOS / "hammer.jpg").read_bytes())
    here.expected.append("404")  # the files of the pictures that are opened
    figures = measured(here, many)
    print(json.dumps({"pictures": many, **figures}))
    assert exceeded(figures, BUDGET) == []
