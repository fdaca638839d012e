"""Measures the page in chromium: a keystroke, and a large library's months and map.

    python benchmarks/page.py keystroke DIR [--pictures 21000]
    python benchmarks/page.py jump LIBRARY [--times 24]
    python benchmarks/page.py map LIBRARY [--seconds 10]

`keystroke` makes a library in DIR, or takes the one from an earlier run: the demo photos with the
built-in model, and as many copies with vectors near theirs. It types a query up to its last letter,
waits, presses that letter, and measures to the load of the first thumbnail of the answer; first
with queries that the server has not seen, then again. `jump` takes a library of
benchmarks/million.py, and presses on the months at the edge of the window; its thumbnails are the
same small picture, because it has no files.

`map` takes such a library, too, and lays it out first, which takes minutes. It drags the map and
turns the wheel, by the mouse and by an event in each frame, of all pictures and of the few of two
weeks, in turn, and reports the intervals between animation frames, how often the map was drawn, and
with how many points. The map of few pictures shows what the browser takes without points: without a
graphics card it composes the page on the processor.

Processor time of the server is given for each measurement: other programs on the machine change it
less than the time by the clock.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from imgsearch.library import Library
from imgsearch.records import Encoded, ImageFile
from imgsearch.settings import Settings
from imgsearch.vectors import normalize
from tests.conftest import PHOTOS
from tests.page.conftest import launched
from tests.page.gallery import Gallery
from tests.page.page_server import serving

NOISE = 0.35
"""Standard deviation of what is added to the vectors of copies, as a share of their length."""
BATCH = 1000
FEW = "&before=2004-01-15"
"""A filter that some two thousand of a million pictures pass."""
SLOW_FRAME_MS = 50
MAX_MAP_ZOOM = 3.0
"""Below the zoom at which small pictures take the place of few points."""
TIMEOUT_MS = 60_000
QUERIES = (
    "an owl", "a crab", "polar bear", "a koala", "windmill", "a cat on a sofa", "horses", "a moose",
    "red flower", "lemurs in a tree", "snow on a mountain", "a boat", "people at a table", "hammer",
    "a bird in the sky", "brown hens", "a beach at sunset", "jaguars", "old car", "a castle",
    "bison on grass", "a bridge at night", "a train", "fruit in a bowl",
)  # fmt: skip

WATCH = """(input) => {
  window.from = 0;
  window.until = 0;
  addEventListener(input, (event) => {
    window.from = event.timeStamp;
    window.until = 0;
    for (const tile of document.querySelectorAll('.tile')) tile.dataset.before = '';
  }, true);
  document.addEventListener('load', ({ target }) => {
    const isNew = target.closest?.('.tile:not([data-before])');
    if (window.from && !window.until && isNew) window.until = performance.now();
  }, true);
}"""
"""From the latest input of a kind to the load of the first picture in a tile that came after it."""

FRAMES = """async () => {
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
  const { Plane } = await import(loaded.find((name) => name.endsWith('/js/plane.js')));
  const paint = Plane.prototype.paint;
  const frames = [];
  const paints = [];
  Plane.prototype.paint = function (count, resting) {
    paints.push(count);
    paint.call(this, count, resting);
  };
  let last = performance.now();
  const step = (now) => {
    frames.push(now - last);
    last = now;
    window.next = requestAnimationFrame(step);
  };
  window.next = requestAnimationFrame(step);
  window.frames = () => {
    cancelAnimationFrame(window.next);
    Plane.prototype.paint = paint;
    return [frames.slice(1), paints];
  };
}"""
"""Intervals between animation frames, and points of each drawing, until they are asked for."""

EACH_FRAME = """(seconds) => new Promise((resolve) => {
  const holder = document.querySelector('.plane');
  const box = holder.getBoundingClientRect();
  const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
  let number = 0;
  let start;
  const step = (now) => {
    start ??= now;
    if (now - start > 1000 * seconds) return resolve();
    holder.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: number++ % 40 < 20 ? -40 : 40 }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""

ALL_LOADED = """() => [...document.querySelectorAll('.tile')].every(
  (tile) => tile.matches('.loaded, .lost'))"""


def make(folder: Path, count: int) -> Path:
    folder = folder.resolve()
    library, photos = folder / "library", folder / "photos"
    if library.is_dir():
        return library
    (photos / "0").mkdir(parents=True)
    for each in sorted(PHOTOS.iterdir()):
        os.link(each, photos / "0" / each.name)
    with Library(Settings(library=str(library)), print) as lib:
        lib.index(str(photos))
        catalog, noise = lib.catalog, np.random.default_rng(0)
        space = catalog.default_space()
        assert space is not None
        records = list(lib.images())
        known = {each.id: catalog.vector(space, each.id) for each in records}
        with catalog.writer() as writer:
            writer.begin_run(space, "none", "fp32")
            for start in range(len(records), count, BATCH):
                (photos / str(start)).mkdir()
                batch = []
                for number in range(start, min(count, start + BATCH)):
                    record = records[number % len(records)]
                    vector = known[record.id]
                    step = noise.standard_normal(vector.shape) * NOISE / np.sqrt(len(vector))
                    path = f"{start}/{number}-{os.path.basename(record.file.path)}"
                    os.link(record.file.absolute, photos / path)
                    stat = (photos / path).stat()
                    file = ImageFile(str(photos), path, stat.st_size, stat.st_mtime_ns)
                    row = normalize((vector + step)[None].astype(np.float32))[0]
                    batch.append(Encoded(file, f"{number:032x}", record.metadata, row))
                writer.commit(batch)
            writer.end_run("done", {})
            lib.index_files.bring_up(space)
    return library


def server_seconds(port: int) -> float:
    """Processor time of the server on a port."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "serve" in line and str(port) in line:
            times = process.cpu_times()
            return float(times.user + times.system)
    raise AssertionError("the server has ended")


def waited(here: Gallery) -> float:
    """Milliseconds from the input to the picture."""
    here.page.wait_for_function("() => window.until", timeout=TIMEOUT_MS)
    spent: float = here.page.evaluate("() => window.until - window.from")
    return spent


def report(what: str, spent: list[float], seconds: float) -> None:
    middle, late = statistics.median(spent), float(np.quantile(spent, 0.95))
    figures = {
        "what": what, "times": len(spent), "p50_ms": round(middle), "p95_ms": round(late),
        "processor_ms": round(seconds / len(spent) * 1e3),
    }  # fmt: skip
    print(json.dumps(figures), flush=True)


def keystrokes(browser: Browser, address: str) -> None:
    here = Gallery(browser, address)
    here.go("/?all=1")  # an answer without a good match has no pictures otherwise
    here.pictures_drawn()
    here.page.evaluate(WATCH, "keydown")
    port = int(address.rpartition(":")[2])
    for what in ("new queries", "the same again"):
        spent, begin, own = [], server_seconds(port), 0.0
        for query in QUERIES:
            here.page.locator("#q").fill(query[:-1])
            here.page.wait_for_timeout(700)
            here.page.wait_for_function(ALL_LOADED)
            begin = server_seconds(port)
            here.page.keyboard.press(query[-1])
            spent.append(waited(here))
            own += server_seconds(port) - begin
        report(f"keystroke to first thumbnail, {what}", spent, own)
    here.context.close()


def jumps(browser: Browser, address: str, times: int) -> None:
    here = Gallery(browser, address, thumbnail=(PHOTOS / "hammer.jpg").read_bytes())
    here.go("/")
    slider = here.page.get_by_role("slider", name="Month")
    slider.wait_for()
    here.pictures_drawn()
    here.page.evaluate(WATCH, "pointerdown")
    box = slider.bounding_box()
    assert box is not None
    port, places = int(address.rpartition(":")[2]), random.Random(1)
    spent, seconds = [], server_seconds(port)
    for _ in range(times):
        here.page.mouse.move(box["x"] + 20, box["y"] + box["height"] * places.uniform(0.03, 0.97))
        here.page.mouse.down()
        here.page.mouse.up()
        spent.append(waited(here))
        here.page.wait_for_timeout(700)
        here.page.wait_for_function(ALL_LOADED)
    report("jump to a month", spent, server_seconds(port) - seconds)
    here.context.close()


def drag(page: Page, box: FloatRect, seconds: float) -> None:
    """Move the map in circles, so that it stays in view."""
    mouse = page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    radius, started = min(box["width"], box["height"]) / 4, time.monotonic()
    mouse.move(x + radius - 20, y)  # not where it ends, which would be a click
    mouse.down()
    while (spent := time.monotonic() - started) < seconds:
        mouse.move(x + radius * math.cos(3 * spent), y + radius * math.sin(3 * spent))
    mouse.move(x + radius, y)
    mouse.up()


def wheel(page: Page, box: FloatRect, seconds: float) -> None:
    """Zoom in and out."""
    mouse = page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    started, zoom, step = time.monotonic(), 1.0, -40
    while time.monotonic() - started < seconds:
        if not 1 <= zoom * math.exp(-step * 0.0015) <= MAX_MAP_ZOOM:
            step = -step
        zoom *= math.exp(-step * 0.0015)
        mouse.wheel(0, step)


def wheel_in_each_frame(page: Page, box: FloatRect, seconds: float) -> None:
    """The same by events that the page makes, which no pause of the mouse's delays."""
    page.evaluate(EACH_FRAME, seconds)


def map_frames(browser: Browser, address: str, seconds: float) -> None:
    thumbnail = (PHOTOS / "hammer.jpg").read_bytes()
    for parameters in ("", FEW, "", FEW):
        here = Gallery(browser, address, thumbnail=thumbnail)
        here.go(f"/?show=map{parameters}")
        plane = here.page.locator(".plane")
        plane.wait_for(timeout=10 * TIMEOUT_MS)
        here.page.wait_for_timeout(3000)
        note, box = here.page.locator(".map-tools .map-note").inner_text(), plane.bounding_box()
        assert box is not None
        for move in (drag, wheel, wheel_in_each_frame):
            here.page.evaluate(FRAMES)
            move(here.page, box, seconds)
            spent, drawn = map(np.array, here.page.evaluate("() => window.frames()"))
            figures = {
                "what": move.__name__, "points": note, "frames": len(spent),
                "p50_ms": round(float(np.median(spent)), 1),
                "p95_ms": round(float(np.quantile(spent, 0.95)), 1),
                f"over_{SLOW_FRAME_MS}_ms": round(float((spent > SLOW_FRAME_MS).mean()), 3),
                "drawings": len(drawn), "points_each": int(np.median(drawn)),
                "load": round(os.getloadavg()[0], 1),
            }  # fmt: skip
            print(json.dumps(figures), flush=True)
            here.page.wait_for_timeout(1000)
        here.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["keystroke", "jump", "map"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=21_000)
    parser.add_argument("--times", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=10, help="of each movement of the map")
    args = parser.parse_args()
    library = make(args.folder, args.pictures) if args.what == "keystroke" else args.folder
    if args.what == "map":
        with Library(Settings(library=str(library)), print) as lib:
            lib.kept_map()
    with (
        tempfile.TemporaryDirectory() as logs,
        serving(library, Path(logs, "log")) as address,
        sync_playwright() as playwright,
        launched(playwright) as browser,
    ):
        if args.what == "keystroke":
            keystrokes(browser, address)
        elif args.what == "jump":
            jumps(browser, address, args.times)
        else:
            map_frames(browser, address, args.seconds)


if __name__ == "__main__":
    main()
