"""Prose follows the rules of CONTRIBUTING.md that a machine can check."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

RULES = {
    "again": r"\banew\b",
    "that many, that much": r"\bso (?:many|much)\b",
    "on its own": r"\bby itself\b",
    "is not a": r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b)",
    "report, say, distinguish": r"\b(?:tells?|told|telling)\b",
    "fix": r"\bmend(?:s|ed|ing)?\b",
    "by default": r"\b(?:where|if|when) nothing is (?:said|given|told)\b",
    "anyone who": r"\bwhoever\b",
    "subject, verb, object": r"\b(?:who may|what is wanted|what is shown where)\b",
    "begin with a noun": r"(?:\"\"\"|# )(?-i:What) (?:is|was|are|were|may|can|has|have) [^?]*$",
}
"""What to write instead -> what is found."""

ALLOWED = {
    "imgsearch/doctor.py": ("fix",),  # the JSON key of a fix, which scripts read
    "migrations/versions/0003_document_instruction.py": ("report, say, distinguish",),  # SQL
    "tests/project/test_prose.py": tuple(RULES),
}
"""Files that break a rule for a reason."""

FOLDERS = ("imgsearch", "benchmarks", "docs", "migrations", "tests", "tools")
SUFFIXES = {".py", ".md", ".js"}

if not (CHECKOUT / "docs").is_dir():
    pytest.skip("only in a checkout: docs/ is not here", allow_module_level=True)


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*")]
    found += CHECKOUT.glob("*.md")
    return sorted(path for path in found if path.suffix in SUFFIXES)


def prose(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines that people read, without code in backquotes."""
    if name.endswith(".py"):
        lines = python_prose(text)
    elif name.endswith(".js"):
        lines = script_prose(text)
    else:
        lines = page_prose(text.partition("\n## 0.0")[0] if name == "CHANGELOG.md" else text)
    for number, line in lines:
        yield number, re.sub(r"`[^`]*`", "", line)


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Comments, docstrings, and other strings with a space in them."""
    middle = getattr(tokenize, "FSTRING_MIDDLE", -1)  # since Python 3.12
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, middle) and " " in token.string:
            for offset, line in enumerate(token.string.split("\n")):
                yield token.start[0] + offset, line


def script_prose(text: str) -> Iterator[tuple[int, str]]:
    """Comments, and strings with a space in them."""
    for number, line in enumerate(text.split("\n"), 1):
        found = re.findall(r"(?:^|\s)//.*|^\s*(?:/\*|\*).*|\"[^\"]* [^\"]*\"|`[^`]* [^`]*`", line)
        yield number, " ".join(found).replace("`", '"')


def page_prose(text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        fenced ^= line.lstrip().startswith("```")
        if not fenced:
            yield number, line


def breaches(name: str, text: str) -> list[str]:
    return [
        f"{name}:{number}: write '{better}': {line.strip()}"
        for number, line in prose(name, text)
        for better, pattern in RULES.items()
        if better not in ALLOWED.get(name, ()) and re.search(pattern, line, re.IGNORECASE)
    ]


def test_prose_follows_the_rules():
    found = []
    for path in files():
        name = str(path.relative_to(CHECKOUT))
        found += breaches(name, path.read_text(encoding="utf-8"))
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("a.py", '"""The index is built anew."""\n', 1),
        ("a.py", "x = 1  # it tells nothing\n", 1),
        ("a.py", 'raise Error("that is no picture")\n', 1),
        ("a.py", 'raise Error("there is no picture")\n', 0),
        ("a.py", '"""What is shown by default."""\n', 1),
        ("a.py", 'told = {"mend": told}\n', 0),
        ("a.js", "// So many tiles.\n", 1),
        ("a.js", 'note("Mend the index");\n', 1),
        ("a.js", "const mend = told;\n", 0),
        ("a.md", "It starts by itself.\n", 1),
        ("a.md", "```\ntell\n```\nCall `tell`.\n", 0),
    ],
)
def test_a_breach_is_found_in_prose_only(name, text, count):
    assert len(breaches(name, text)) == count, breaches(name, text)


def test_each_exception_is_needed():
    unused = []
    for name, rules in ALLOWED.items():
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        for rule in rules:
            if not any(re.search(RULES[rule], line, re.I) for _, line in prose(name, text)):
                unused.append((name, rule))
    assert [each for each in unused if each[0] != "tests/project/test_prose.py"] == []
