"""The page below a path, behind nginx with TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.calls import Place
from tests.conftest import full_only
from tests.page.conftest import Serve
from tests.page.gallery import Gallery
from tests.web.fronts import behind_nginx

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, full_only]


def test_the_page_works_below_a_path(
    serve: Serve, trusting_browser: Browser, light: Place, tmp_path: Path
):
    """Links, pictures, the event stream, the cookie and the address of a view; every request stays
    below the path, which `Gallery.close` checks."""
    options = ("--trust-proxy", "127.0.0.1", "--root-path", "/photos", "--new-token")
    address = serve(light.library, *options)
    token = re.search(r"Token: (\S+)", (tmp_path / "server.log").read_text())
    assert token is not None
    folder = tmp_path / "nginx"
    folder.mkdir()
    with behind_nginx(folder, int(address.rpartition(":")[2])) as front:
        below = f"https://127.0.0.1:{front.port}/photos"
        here = Gallery(trusting_browser, below)
        here.expected.append("401")
        here.go("/")
        here.page.get_by_label("Token").fill(token[1])
        here.press("Enter")
        here.shows("4 pictures")
        here.pictures_drawn()
        assert here.page.locator(".tile.lost").count() == 0
        cookie = here.context.cookies()[0]
        assert (cookie["path"], cookie["secure"]) == ("/photos/", True)
        with here.page.expect_request("**/photos/api/v1/index/events"):
            here.page.get_by_role("button", name="Scan for new pictures").click()
        here.page.get_by_text("Everything is up to date.").wait_for()
        here.tile("crab.jpg").click()
        here.viewer.wait_for()
        assert here.page.url.startswith(f"{below}/?")
        here.page.reload()
        here.viewer.wait_for()
        here.press("Escape")
        here.page.locator("a.brand").click()
        here.shows("4 pictures")
        assert here.page.url == f"{below}/"
        here.close()
