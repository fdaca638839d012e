"""Write the reference part of docs/PYTHON.md from the docstrings of the public names: `make docs`.

    python -m tools.python_reference docs/PYTHON.md

Everything below the line REFERENCE is replaced.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import imgsearch

REFERENCE = "## Reference"


def updated(page: str) -> str:
    """The page with its reference made again."""
    head = page[: page.index(REFERENCE)]
    parts = [head + REFERENCE + "\n\nMade from the docstrings by `make docs`.\n"]
    for name in imgsearch.__all__:
        parts.append(_entry(name, getattr(imgsearch, name)))
    return "\n".join(parts)


def _entry(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return _section("###", f"{name}{_signature(value)}", value)
    lines = [_section("###", f"{name}{'' if is_dataclass(value) else _signature(value)}", value)]
    if issubclass(value, Exception):
        return lines[0]
    for member, function in vars(value).items():
        if member.startswith("_"):
            continue
        if isinstance(function, property):
            lines.append(_section("####", f"{name}.{member}", function.fget))
        elif inspect.isfunction(function):
            lines.append(_section("####", f"{name}.{member}{_signature(function)}", function))
    return "\n".join(lines)


def _signature(value: Any) -> str:
    """Names of the parameters, with "=" where there is a default."""
    parts = []
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name == "self":
            continue
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = stars.get(parameter.kind, "") + parameter.name
        default = parameter.default
        if default is not parameter.empty:
            shown = repr(default)
            text += "=..." if "<" in shown or len(shown) > 20 else f"={shown}"
        parts.append(text)
    return f"({', '.join(parts)})"


def _section(level: str, title: str, value: Any) -> str:
    return f"{level} `{title}`\n\n```text\n{inspect.getdoc(value)}\n```\n"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(updated(target.read_text(encoding="utf-8")), encoding="utf-8")
