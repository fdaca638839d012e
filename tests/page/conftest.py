"""A browser for the tests of the page: Debian's chromium, never one that was downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.calls import Place, process
from tests.page.gallery import Gallery
from tests.page.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


def index(place: Place) -> None:
    """Index its photos as a user does."""
    done = process("--library", place.library, "index", place.photos, "-q")
    assert done.status == 0, done.err


CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb")
"""CI runs as root in a container, where chromium's sandbox cannot be set up."""


def without_browser(reason: str) -> None:
    """In CI a test that did not run is a failure; elsewhere it says what it would take."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without_browser("playwright is not installed: pip install -c constraints.txt '.[test]'")
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        without_browser("there is no chromium: apt-get install chromium")
    browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def demo(
    browser: Browser, demo_library: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server on the demo photos, for tests that change nothing."""
    log = tmp_path_factory.mktemp("log") / "server.log"
    with serving(demo_library.library, log) as address:
        yield address


OpenGallery = Callable[..., Gallery]


Serve = Callable[..., str]


@pytest.fixture
def serve(browser: Browser, tmp_path: Path) -> Iterator[Serve]:
    """Serve a library until the test is over and its pages are closed."""
    with ExitStack() as servers:
        yield lambda library, *options: servers.enter_context(
            serving(library, tmp_path / "server.log", *options)
        )


@pytest.fixture
def gallery(browser: Browser, serve: Serve) -> Iterator[OpenGallery]:
    """Open the page of a server. At the end, no request may have left the machine, and the page
    may have complained about nothing."""
    opened: list[Gallery] = []

    def open_gallery(address: str, path: str = "/", **context: Any) -> Gallery:
        opened.append(Gallery(browser, address, **context))
        opened[-1].go(path)
        return opened[-1]

    yield open_gallery
    for each in opened:
        each.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: into docs/ when IMGSEARCH_SCREENSHOTS says so."""
    wanted = os.environ.get("IMGSEARCH_SCREENSHOTS")
    return Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")
