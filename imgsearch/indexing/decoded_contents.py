"""Decodes pictures of the catalog, one for each content, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imgsearch.ports import Decoder
from imgsearch.records import Decoded, ImageRecord, Skipped

Page = Callable[[str], list[ImageRecord]]
"""The next pictures of one root, by content hash, after the given one."""


def decoded_contents(
    decoder: Decoder, page: Page, stop: Callable[[], bool]
) -> Iterator[tuple[ImageRecord, Decoded | Skipped]]:
    """Pictures with their decoded results, until there are no more or `stop` returns True."""
    after = ""
    while not stop() and (found := page(after)):
        records = {record.file.path: record for record in found}
        for result in decoder.decode([record.file for record in found]):
            yield records[result.file.path], result
        after = found[-1].content_hash
