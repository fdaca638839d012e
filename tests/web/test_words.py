"""The texts of the page: each language has all of them, and the scripts have none of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from imgsearch.web.static_files import FOLDER

STATIC = Path(FOLDER)
WORDS = {path.stem: json.loads(path.read_text("utf-8")) for path in STATIC.glob("words/*.json")}
ENGLISH = WORDS["en"]
PLURALS: dict[str, set[str] | None] = {"ja": None, "zh": None}
"""Plural forms of languages that have others than "one" and "other"; None for none at all."""
SCRIPTS = sorted(STATIC.rglob("*.js"))
PAGES = sorted(STATIC.rglob("*.html"))

CLASSES = {
    name
    for path in STATIC.glob("css/*.css")
    for name in re.findall(r"\.([a-z][a-z-]*)", path.read_text("utf-8"))
}

COMMENT = re.compile(r"^\s*(?://|/\*|\*).*$|(?<=\s)// .*$", re.MULTILINE)
NOT_SHOWN = re.compile(
    r"(?:querySelector(?:All)?|matches|closest|matchMedia|new \w*Error)(?:\?\.)?\([\"`].*$"
    r"|^import .*$|class: \"[^\"]*\""
    r"|^const (?:VERTEX|FRAGMENT) = `[^`]*`|^const SHOWN_FIELDS = [^;]*;",
    re.MULTILINE,
)
"""Selectors, messages of bugs, modules, shaders and names of fields."""
SHOWN = re.compile(
    r"(?:(?:aria-label|title|placeholder|alt|label)\"?: |textContent = "
    r"|(?:toast|askName|askLines|confirmed)\(|h\(\"\w+\", \{[^{}]*\}, "
    r"|iconButton\([^,()]+, )([\"`][^\"`]*)"
)
"""A text for an element, an attribute or a dialog that stands in a script."""
SENTENCE = re.compile(r"^(?:[A-Z][a-z]+\b|.*[A-Za-z]{2,},? [A-Za-z]{2,})")
ALLOWED = {
    # keys of the keyboard, and names that browsers give to errors and kinds of data
    *("ArrowDown", "ArrowLeft", "ArrowRight", "ArrowUp", "Backspace", "Enter", "Escape"),
    *("End", "Home", "AbortError", "Files"),
    # commands to type, examples of filters, units of cameras, and a cache of the browser
    *("imgsearch clusters", " index ~/Pictures", "width > 4000 and not has gps", "imgsearch "),
    # parts of expressions and of styles
    *(" and ", "use strict", "icon icon-"),
}


def strings(script: str) -> Iterator[str]:
    """The texts of the literals of a script, and the parts of its templates."""
    inside: list[int] = []  # open braces in each template's ${}
    start, quote = 0, ""
    for at, sign in enumerate(script):
        if quote:
            ends = sign == quote or (quote == "`" and script.startswith("${", at))
            if (ends and script[at - 1] != "\\") or (sign == "\n" and quote != "`"):
                yield script[start:at]
                if sign == "$":
                    inside.append(-1)  # for the brace that follows
                quote = ""
        elif sign in "\"'`":
            start, quote = at + 1, sign
        elif inside and sign == "{":
            inside[-1] += 1
        elif inside and sign == "}":
            inside[-1] -= 1
            if inside[-1] < 0:
                inside.pop()
                start, quote = at + 1, "`"


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def forms(text: str | dict[str, str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def code(path: Path) -> str:
    return COMMENT.sub("", path.read_text("utf-8"))


def own_texts(script: str) -> list[str]:
    """Texts of a script that a user would see."""
    found = [part for each in SHOWN.findall(script) for part in strings(each + each[0])]
    found = [each for each in found if re.search("[A-Za-z]", each)]
    found += [each for each in strings(NOT_SHOWN.sub("", script)) if SENTENCE.match(each)]
    return [each for each in found if each not in ALLOWED and not set(each.split()) <= CLASSES]


class Texts(HTMLParser):
    """Collects the texts of an HTML file that a user would see."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.names: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "input"):
            self.inside.append(tag)
        for name, value in attributes:
            if name in ("aria-label", "title", "placeholder", "alt") and value:
                self.found.append(value)
            if name in ("data-text", "data-label"):
                self.names.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        # Without scripts, nothing can be filled in.
        if data.strip() and not {"noscript", "code"} & set(self.inside):
            self.found.append(data.strip())


def calls() -> Iterator[tuple[str, set[str]]]:
    """Names of texts in calls of `t`, with the names of the values that they get."""
    for path in SCRIPTS:
        script = code(path)
        for call in re.finditer(r"\bt\(\"([^\"]+)\"(, \{)?", script):
            values, depth, end = "", 1 if call[2] else 0, call.end()
            while depth:
                sign = script[end]
                depth += (sign in "{([") - (sign in "})]")
                values += sign if depth == 1 else ""
                end += 1
            yield call[1], set(re.findall(r"(?:^|,) *(\w+)", values))


def test_the_page_knows_the_languages_that_are_here():
    listed = re.search(r"LANGUAGES = (\[[^\]]*\])", (STATIC / "js" / "early.js").read_text())
    assert listed and json.loads(listed[1]) == sorted(WORDS)
    assert {"de", "en", "es", "fr", "ja", "zh"} <= set(WORDS)


@pytest.mark.parametrize("language", sorted(WORDS))
def test_a_language_has_the_texts_of_english_with_the_same_values(language: str) -> None:
    words = WORDS[language]
    assert list(words) == list(ENGLISH), "in the same order, so that a missing one is seen"
    for name, text in words.items():
        english = placeholders(forms(ENGLISH[name])[-1])
        for form in forms(text):
            assert placeholders(form) == english, f"{language}: {name}"
            assert form.strip() and "<" not in form and form.count("{") == form.count("}"), name
        counted = isinstance(ENGLISH[name], dict)
        expected = PLURALS.get(language, {"one", "other"}) if counted else None
        assert (set(text) if isinstance(text, dict) else None) == expected, f"{language}: {name}"
    same = [name for name in words if words[name] == ENGLISH[name] and len(str(words[name])) > 25]
    assert language == "en" or set(same) <= {"query.filter"}, "not translated"


def test_each_text_is_used_and_each_that_is_used_is_there() -> None:
    used, groups = set(), set()
    for path in SCRIPTS:
        text = code(path)
        used |= set(strings(text))
        groups |= set(re.findall(r"\bt\(`([^`$]+)\$", text))
        groups |= {f"{each}." for each in re.findall(r"ofCode\(\"(\w+)\"", text)}
    groups |= {"query.", "key."}  # help.js gets the group as an argument
    for path in PAGES:
        texts = Texts()
        texts.feed(path.read_text("utf-8"))
        assert set(texts.names) <= set(ENGLISH)
        used |= set(texts.names)
    unused = [each for each in ENGLISH if each not in used and not each.startswith(tuple(groups))]
    assert unused == []
    assert [each for each in groups if not any(name.startswith(each) for name in ENGLISH)] == []
    for name, values in calls():
        assert name in ENGLISH
        assert placeholders(forms(ENGLISH[name])[-1]) <= values, name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_no_text_of_its_own(path: Path) -> None:
    assert own_texts(code(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_an_html_file_has_no_text_of_its_own(path: Path) -> None:
    texts = Texts()
    texts.feed(path.read_text("utf-8"))
    assert set(texts.found) == {"imgsearch"}


@pytest.mark.parametrize(
    "script",
    [
        'toast("Copied.");',
        'h("p", {}, "none");',
        'h("p", { class: "note" }, "No pictures");',
        'this.message.textContent = "wait";',
        'h("button", { "aria-label": "close" });',
        'iconButton("close", "close", act);',
        "const words = `${number(count)} more folders`;",
        'const TITLES = ["Wide", "Tall"];',
    ],
)
def test_a_text_of_a_script_is_found(script: str) -> None:
    assert own_texts(script) != []


def test_each_exception_is_needed() -> None:
    everything = {each for path in SCRIPTS for each in strings(code(path))}
    assert ALLOWED - everything == set()
