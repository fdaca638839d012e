"""Draw the rooms of the package and the imports between them: `make docs`.

python -m tools.architecture docs/ARCHITECTURE.md

A room is a package or a module directly below `imgsearch/`. The drawing is made from the source
alone, without importing it, and replaces the text between two marks in the page. A test fails when
the page does not match the code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "imgsearch"
ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- drawing: begin, written by `make docs` -->"
END = "<!-- drawing: end -->"
BANDS: Mapping[str, tuple[str, ...]] = {
    "Ways in": ("cli", "web", "mcp_server", "daemon", "serving"),
    "Measurements and checks": ("evaluation", "bench", "doctor"),
    "The library and its subjects": (
        "library",
        "indexing",
        "searching",
        "curation",
        "exchange",
        "spaces",
    ),
    "Adapters": ("sources", "encoders", "ocr", "catalog", "indexes"),
    "Ports and lookup": ("plugins", "settings", "ports"),
    "Values": (
        "filters",
        "records",
        "model_card",
        "default_excludes",
        "vectors",
        "writing",
        "errors",
    ),
}
SUBJECTS = 2
"""Heading -> rooms, from top to bottom, and the band of a room that is not listed."""

Imports = dict[str, dict[str, set[str]]]
"""Room -> room that it imports -> modules of that room, relative to the package."""


def rooms(root: Path = ROOT) -> dict[str, str]:
    """Every room with the first line of its docstring, in the order of the drawing."""
    folder = root / PACKAGE
    paths = {path.parent.name: path for path in folder.glob("*/__init__.py")}
    paths |= {path.stem: path for path in folder.glob("[!_]*.py")}
    names = sorted(paths, key=lambda name: (_band(name), _place(name), name))
    return {name: _first_line(paths[name]) for name in names}


def imports(root: Path = ROOT) -> Imports:
    """Which rooms each room imports, also inside functions; not those for type checkers only."""
    folder = root / PACKAGE
    known = rooms(root)
    result: Imports = {name: {} for name in known}
    for path in sorted(folder.rglob("*.py")):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        if room not in known:  # imgsearch/__init__.py and __main__.py
            continue
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            other = module.split(".")[0]
            if other != room and other in known:
                result[room].setdefault(other, set()).add(module)
    return result


def drawing(root: Path = ROOT) -> str:
    """A Mermaid flowchart of the rooms and a table of what they hold.

    An arrow that follows from others is left out: where a imports b and b imports c, there is none
    from a to c. An arrow that runs upwards is dotted and names the modules that cause it.
    """
    known, table = rooms(root), imports(root)
    down = {
        room: {other for other in others if _below(other, room, table)}
        for room, others in table.items()
    }
    lines = ["```mermaid", "flowchart TD"]
    for number, heading in enumerate(BANDS):
        members = [name for name in known if _band(name) == number]
        if members:
            lines.append(f'  subgraph band{number}["{heading}"]')
            lines += [f'    {name}["{_label(name, root)}"]' for name in members]
            lines.append("  end")
    for room in known:
        shown = [other for other in known if other in _direct(room, down)]
        lines += [f"  {room} --> {other}" for other in shown]
    for room, others in table.items():
        for other in sorted(others.keys() - down[room]):
            causes = ", ".join(sorted(others[other]))
            lines.append(f'  {room} -.->|"{causes}"| {other}')
    lines += ["```", "", "| room | what it holds | imports |", "|---|---|---|"]
    for room, summary in known.items():
        names = ", ".join(f"`{other}`" for other in known if other in table[room])
        lines.append(f"| `{_label(room, root)}` | {_cell(summary)} | {names or 'none'} |")
    return "\n".join(lines) + "\n"


def updated(page: str, root: Path = ROOT) -> str:
    """The page with a drawing of the present code.

    Raises
    ------
    ValueError
        The page does not have both marks.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{drawing(root)}\n{END}{tail}"


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules of the package that a module imports, without the name of the package."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names]
            within = node.module if node.module.count(".") else None
            yield from _relative([within] if within else names)
        elif isinstance(node, ast.Import):
            yield from _relative([name.name for name in node.names])
        else:
            yield from _imported(node)


def _relative(names: list[str]) -> Iterator[str]:
    for name in names:
        if name.startswith(f"{PACKAGE}."):
            yield name.removeprefix(f"{PACKAGE}.")


def _below(other: str, room: str, table: Imports) -> bool:
    """True if an arrow from `room` to `other` runs down, or sideways without coming back."""
    if _band(other) != _band(room):
        return _band(other) > _band(room)
    return room not in table[other] or _place(other) > _place(room)


def _direct(room: str, down: Mapping[str, set[str]]) -> set[str]:
    """The arrows of a room that do not follow from longer ways."""
    further: set[str] = set()
    for other in down[room]:
        further |= _reached(other, down) - {other}
    return down[room] - further


def _reached(start: str, down: Mapping[str, set[str]]) -> set[str]:
    seen, waiting = set(), [start]
    while waiting:
        room = waiting.pop()
        if room not in seen:
            seen.add(room)
            waiting.extend(down[room])
    return seen


def _band(room: str) -> int:
    return next((n for n, names in enumerate(BANDS.values()) if room in names), SUBJECTS)


def _place(room: str) -> int:
    return next((names.index(room) for names in BANDS.values() if room in names), 0)


def _label(room: str, root: Path) -> str:
    return f"{room}.py" if (root / PACKAGE / f"{room}.py").exists() else f"{room}/"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".")


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
