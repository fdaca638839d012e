"""The page in a browser tab: its contents, its requests and input to it."""

from __future__ import annotations

import base64
import json
import mimetypes
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.page.page_server import name_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

BUDGET = json.loads(Path(__file__).with_name("budget.json").read_text("utf-8"))
"""Limits of what the page costs. Elements on the page are those beside the shelves of the start;
the page itself has about 200, a tile about 12. Files and bytes of the first load are those of the
page, compressed, without answers and pictures."""

# Drops a File with the given bytes on the window, or pastes it.
HAND_OVER = """([kind, name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  if (kind === 'paste') {
    document.body.dispatchEvent(
      new ClipboardEvent('paste', { ...options, clipboardData: transfer }));
    return;
  }
  for (const step of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(step, { ...options, dataTransfer: transfer }));
  }
}"""


class Gallery:
    """A tab that shows the page."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        size = context.pop("size", (1280, 800))
        thumbnail: bytes = context.pop("thumbnail", b"")
        options = {"viewport": {"width": size[0], "height": size[1]}, "locale": "en-GB"}
        self.address = address
        self.requests: list[str] = []
        self.messages: list[str] = []
        """Errors and warnings of the page and its console."""
        self.expected: list[str] = []
        """Fragments of messages that the test provokes."""
        self.context = browser.new_context(**(options | context))
        self.context.on("request", lambda request: self.requests.append(request.url))
        if thumbnail:  # for pictures without files
            self.context.route("**/api/v1/thumb/**", lambda route: route.fulfill(body=thumbnail))
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("console", self._record)

    def _record(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(message.text)

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.page.wait_for_function("() => document.querySelector('#count').textContent !== ''")

    def close(self) -> None:
        self.context.close()
        external = [url for url in self.requests if not self._is_local(url)]
        assert not external, f"requests left the machine: {external}"
        unexpected = [
            text for text in self.messages if not any(each in text for each in self.expected)
        ]
        assert not unexpected, f"the browser reported errors: {unexpected}"

    def _is_local(self, url: str) -> bool:
        return url.startswith((f"{self.address}/", "data:", f"blob:{self.address}/"))

    # Output

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The state in the URL."""
        return parse_qs(urlsplit(self.page.url).query)

    @property
    def tiles(self) -> Locator:
        return self.page.locator(".tile")

    @property
    def viewer(self) -> Locator:
        return self.page.locator("dialog.viewer")

    @property
    def names(self) -> list[str]:
        """The file names of the pictures in the document, in order."""
        labels = self.page.eval_on_selector_all(
            ".tile-link", "links => links.map((link) => link.getAttribute('aria-label'))"
        )
        return [name_in(label) for label in labels]

    def tile(self, name: str) -> Locator:
        return self.page.locator(f'.tile:has(.tile-link[aria-label^="{name}"])')

    def first_is(self, name: str) -> None:
        """Wait for an answer that begins with this picture."""
        self.page.wait_for_function(
            """name => document.querySelector('.tile-link')
              ?.getAttribute('aria-label').startsWith(name)""",
            arg=name,
        )

    def shows(self, words: str) -> None:
        """Wait until the count of results starts with these words."""
        self.page.wait_for_function(
            "words => document.querySelector('#count').textContent.startsWith(words)",
            arg=words,
        )

    def pictures_drawn(self) -> None:
        """Wait until all pictures in the window are loaded and have faded in."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll('.tile')].every((tile) => {
              const box = tile.getBoundingClientRect();
              return box.top > innerHeight || box.bottom < 0 || tile.matches('.loaded, .lost');
            })"""
        )
        self.page.wait_for_timeout(300)

    def layout_shift(self) -> float:
        """How much of the page has moved so far without input."""
        shift: float = self.page.evaluate(
            """() => new Promise((resolve) => {
              let sum = 0;
              new PerformanceObserver((list) => {
                const moved = list.getEntries().filter((entry) => !entry.hadRecentInput);
                for (const entry of moved) sum += entry.value;
              }).observe({ type: 'layout-shift', buffered: true });
              setTimeout(() => resolve(sum), 300);
            })"""
        )
        return shift

    def violations(self) -> list[tuple[str, list[str]]]:
        """Rules of axe-core that the page breaks, best practices too, and the elements that do."""
        script = files("axe_playwright_python") / "axe.min.js"
        self.page.evaluate(script.read_text(encoding="utf-8"))
        found = self.page.evaluate("() => axe.run()")["violations"]
        return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]

    # Input

    def type(self, words: str) -> None:
        """Type into the search field, letter by letter."""
        self.page.locator("#q").click()
        self.page.keyboard.type(words, delay=8)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def hand_over(self, kind: str, picture: Path) -> None:
        """Drop a picture file on the page, or paste it."""
        media = mimetypes.guess_type(picture.name)[0] or ""
        data = base64.b64encode(picture.read_bytes()).decode()
        self.page.evaluate(HAND_OVER, [kind, picture.name, media, data])
