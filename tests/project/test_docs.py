"""The pages for readers: links and anchors resolve, lines are short, files they name exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.conftest import CHECKOUT

MAX_COLUMNS = 100
MAX_README_LINES = 100
MAX_RECORD_LINES = 70
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "data/*.md", "imgsearch/**/*.md")
    for path in CHECKOUT.glob(pattern)
)
OURS = [path for path in PAGES if "imgsearch" not in path.relative_to(CHECKOUT).parts]
RECORDS = sorted((CHECKOUT / "docs" / "adr").glob("*.md"))
LINK = re.compile(r"""(?:\]\(|src="|href=")([^)"\s]+)""")
SOURCE = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|sh|toml|jsonl|npz))`")
ROOTS = (CHECKOUT, CHECKOUT / "imgsearch", CHECKOUT / "imgsearch" / "encoders")

if not RECORDS:
    pytest.skip("only in a checkout: docs/ is not here", allow_module_level=True)


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@cache
def prose(path: Path) -> list[tuple[int, str]]:
    """Numbers and lines of a page without its code blocks."""
    lines, fenced = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            lines.append((number, line))
    assert not fenced, f"{name(path)} has a code block without an end"
    return lines


@cache
def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    slugs: list[str] = []
    for _, line in prose(path):
        if heading := re.match(r"#{1,6} +(.+)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", heading[1])
            slugs.append(re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-"))
    return {
        slug if slug not in slugs[:place] else f"{slug}-{slugs[:place].count(slug)}"
        for place, slug in enumerate(slugs)
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page):
    broken = []
    for number, line in prose(page):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"\w+:", target):
                continue
            place, _, anchor = target.partition("#")
            file = (page.parent / unquote(place)).resolve() if place else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{name(page)}:{number}: {target}")
    assert broken == []


@pytest.mark.parametrize("page", OURS, ids=name)
def test_lines_of_prose_are_short(page):
    """Except tables, images, and the addresses of links."""
    long = [
        f"{name(page)}:{number}: {len(line)}"
        for number, line in prose(page)
        if not line.startswith(("|", "<", "!["))
        and len(re.sub(r"\]\([^)]*\)|https?://\S+", "]", line)) > MAX_COLUMNS
    ]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_source_files_that_a_page_names_exist(page):
    missing = [
        f"{name(page)}:{number}: {path}"
        for number, line in prose(page)
        for path in SOURCE.findall(line)
        if not any((root / path).exists() for root in ROOTS)
    ]
    assert missing == []


def test_the_readme_stays_short():
    lines = (CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_README_LINES


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_a_record_is_one_page_and_begins_with_its_decision(record):
    text = record.read_text(encoding="utf-8")
    title, decision = text.split("\n\n")[:2]
    assert re.fullmatch(rf"# {int(record.name[:4])}\. \S.*", title)
    assert re.fullmatch(r"[A-Z`][^.]*(\.\w[^.]*)*\.", decision.replace("\n", " ")), decision
    assert len(text.splitlines()) <= MAX_RECORD_LINES


def test_records_that_code_and_pages_name_exist():
    """But for those that a record says it replaces."""
    numbers = {int(record.name[:4]) for record in RECORDS}
    files = [*PAGES, *(CHECKOUT / "imgsearch").rglob("*.py"), *(CHECKOUT / "tests").rglob("*.py")]
    wrong = []
    for path in files:
        text = re.sub(r"Replaces ADR[^.]*\.", "", path.read_text(encoding="utf-8"))
        for match in re.finditer(r"\bADRs? (\d+)|docs/adr/(\d{4})", text):
            if int(match[1] or match[2]) not in numbers:
                wrong.append(f"{name(path)}: {match[0]}")
    assert wrong == []


def test_the_page_on_stored_files_names_the_schema_and_every_table():
    from imgsearch.catalog import schema, tables

    text = (CHECKOUT / "docs" / "internals.md").read_text(encoding="utf-8")
    assert f"schema {schema.HEAD} " in text
    names = {table.name for table in tables.metadata.tables.values()}
    assert [each for each in sorted(names) if f"`{each}`" not in text] == []


def test_every_page_is_linked():
    """From README.md, or from a page that is."""
    reached, waiting = set(), [CHECKOUT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                waiting.append((page.parent / target).resolve())
    assert [each.name for each in (CHECKOUT / "docs").glob("*.md") if each not in reached] == []
