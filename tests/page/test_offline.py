"""The page as an app on a home screen, and what it shows without its server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.calls import Place
from tests.conftest import full_only
from tests.page.gallery import Gallery
from tests.page.page_server import free_port, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [full_only]

READY = "() => navigator.serviceWorker.ready.then((found) => found.active.scriptURL)"
KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) found.push(request.url);
  }
  return found;
}"""


@pytest.mark.parametrize("below", ["", "/photos"])
def test_without_its_server_the_page_says_so_and_keeps_no_pictures(
    browser: Browser, light: Place, tmp_path: Path, below: str
) -> None:
    """With a search in the address, to which it returns; also below a path."""
    port, log = free_port(), tmp_path / "server.log"
    options = ("--root-path", below) if below else ()
    with serving(light.library, log, *options, port=port) as address:
        here = Gallery(browser, address + below)
        here.expected += ["ERR_CONNECTION_REFUSED", "Failed to load resource", "net::ERR"]
        here.go("/?sort=name")
        here.shows("4 pictures")
        here.pictures_drawn()
        assert here.page.evaluate(READY) == f"{address}{below}/worker.js?lang=en"
        here.page.reload()
        here.shows("4 pictures")
        kept = [each.removeprefix(f"{address}{below}/") for each in here.page.evaluate(KEPT)]
        assert "offline.html" in kept and len(kept) == 8
        assert all(each.startswith(("static/~", "offline.html")) for each in kept), kept
    here.page.reload()
    here.page.get_by_role("heading", name="imgsearch is not reachable").wait_for()
    here.page.get_by_text("this browser keeps none of them").wait_for()
    assert here.page.evaluate("() => document.styleSheets.length") == 2
    assert here.page.evaluate("() => document.images[0].naturalWidth") > 0
    assert here.page.url == f"{address}{below}/?sort=name"
    with serving(light.library, log, *options, port=port):
        here.page.get_by_role("link", name="Try again").click()
        here.shows("4 pictures")
        here.close()


def test_offline_the_page_says_so_and_returns_when_the_device_is_online(
    gallery: Callable[..., Gallery], demo: str
) -> None:
    here = gallery(demo, "/?sort=name")
    here.expected += ["ERR_INTERNET_DISCONNECTED", "Failed to load resource"]
    here.page.evaluate(READY)
    here.context.set_offline(True)
    here.page.reload()
    here.page.get_by_role("heading", name="imgsearch is not reachable").wait_for()
    here.context.set_offline(False)
    here.page.locator(".tile").first.wait_for()


def test_the_page_can_be_installed(gallery: Callable[..., Gallery], demo: str) -> None:
    """Private windows, which tests use, install nothing."""
    here = gallery(demo)
    here.page.evaluate(READY)
    browser = here.context.new_cdp_session(here.page)
    manifest = browser.send("Page.getAppManifest")
    assert manifest["errors"] == []
    errors = browser.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [each["errorId"] for each in errors if each["errorId"] != "in-incognito"] == []
