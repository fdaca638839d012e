"""A browser for the tests of the page: Debian's chromium, never a downloaded one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.calls import Place, process
from tests.page.gallery import Gallery
from tests.page.page_server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


def index(place: Place) -> None:
    """Index its photos as a user does."""
    result = process("--library", place.library, "index", place.photos, "-q")
    assert result.status == 0, result.err


CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb")
"""CI runs as root in a container, where chromium's sandbox cannot be set up."""


def without_browser(reason: str) -> None:
    """Fail in CI, where every test must run; skip with a hint elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without_browser("playwright is not installed: pip install -c constraints.txt '.[test]'")
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def launched(playwright: Playwright, *more: str) -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        without_browser("chromium is not installed: apt-get install chromium")
    browser = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *more])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright) as browser:
        yield browser


@pytest.fixture
def trusting_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that accepts every certificate. Playwright's `ignore_https_errors` starts each
    request again after the error, and chromium gives up after a number of starts."""
    with launched(playwright, "--ignore-certificate-errors") as browser:
        yield browser


@pytest.fixture(scope="session")
def demo(
    browser: Browser, copy_demo: Callable[[], Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """URL of a server for the demo photos, for tests that do not change the library."""
    log = tmp_path_factory.mktemp("log") / "server.log"
    with serving(copy_demo().library, log) as address:
        yield address


@pytest.fixture(scope="session")
def grouped(
    browser: Browser, copy_demo: Callable[[], Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The same with clusters and a map."""
    place = copy_demo()
    assert place.call("map", "-q").status == 0
    with serving(place.library, tmp_path_factory.mktemp("log") / "server.log") as address:
        yield address


OpenGallery = Callable[..., Gallery]
Serve = Callable[..., str]


@pytest.fixture
def serve(browser: Browser, tmp_path: Path) -> Iterator[Serve]:
    """Serve a library until the test has ended and its pages are closed."""
    with ExitStack() as servers:
        yield lambda library, *options: servers.enter_context(
            serving(library, tmp_path / "server.log", *options)
        )


@pytest.fixture
def gallery(browser: Browser, serve: Serve) -> Iterator[OpenGallery]:
    """Open the page of a server. At the end, check that no request left the machine and that the
    console contains no unexpected messages."""
    galleries: list[Gallery] = []

    def open_gallery(address: str, path: str = "/", **context: Any) -> Gallery:
        galleries.append(Gallery(browser, address, **context))
        galleries[-1].go(path)
        return galleries[-1]

    yield open_gallery
    for each in galleries:
        each.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for screenshots: IMGSEARCH_SCREENSHOTS if set, otherwise a temporary one."""
    folder = os.environ.get("IMGSEARCH_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
