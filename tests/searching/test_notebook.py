"""Results in a notebook: escaped, bounded, and without pictures where there are none."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from imgsearch.errors import EncoderError
from imgsearch.library import Library
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord, Skipped, Thumbnail
from imgsearch.searching.hits import Hit, SearchResult
from imgsearch.searching.notebook import MAX_SHOWN_HITS
from imgsearch.searching.request import SearchRequest
from imgsearch.settings import Settings

NAME = "<script>alert('&')</script>\x1b \udcff.jpg"


def result(count: int, name: str = NAME) -> SearchResult:
    files = [ImageFile("/photos", f"{number} {name}", 1, 1) for number in range(count)]
    images = [
        ImageRecord(at, file, "", ImageMetadata(1, 1, "JPEG")) for at, file in enumerate(files)
    ]
    return SearchResult([Hit(image.id + 1, 0.5, image, 0.25) for image in images])


class Tags(HTMLParser):
    """The tags of a page, and whether each is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


def test_names_are_escaped_and_can_be_encoded() -> None:
    page = replace(result(1), notes=["<b>note</b>"])._repr_html_()
    assert set(Tags(page).tags) == {"div", "p", "figure", "em", "figcaption", "br"}
    assert "&lt;script&gt;" in page and r"\xff" in page and "25%, 0.500" in page
    page.encode("utf-8")
    assert "\x1b" not in page


def test_thumbnails_are_data_uris_and_failures_their_reasons() -> None:
    found = result(2)
    first, second = (hit.image.file for hit in found)
    small = {0: Thumbnail(first, 16, 9, b"jpeg"), 1: Skipped(second, "cut <off>")}
    page = replace(found, thumbnails=lambda hits, side: small)._repr_html_()
    assert re.findall(r'src="([^"]*)"', page) == ["data:image/jpeg;base64,anBlZw=="]
    assert "cut &lt;off&gt;" in page


def test_only_the_first_are_shown_and_names_are_cut() -> None:
    asked = []

    def thumbnails(hits, side):
        asked.append(len(hits))
        raise EncoderError("no decoder")

    page = replace(result(MAX_SHOWN_HITS + 7, "x" * 5000), thumbnails=thumbnails)._repr_html_()
    assert asked == [MAX_SHOWN_HITS] and page.count("<figure") == MAX_SHOWN_HITS
    assert "and 7 more" in page and len(page) < 1000 * MAX_SHOWN_HITS


def test_an_empty_result_says_why() -> None:
    assert "nothing passes" in SearchResult([], why_empty="nothing passes")._repr_html_()


def test_a_search_shows_its_pictures(demo) -> None:
    with Library(Settings(library=str(demo.library), device="cpu")) as library:
        page = library.search(SearchRequest(limit=2))._repr_html_()
    assert page.count("data:image/jpeg;base64,") == 2
