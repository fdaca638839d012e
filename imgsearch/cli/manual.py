"""Manual pages of all commands, for man(1), from what --help prints.

python -m imgsearch.cli.manual [DIR]

Without DIR they go where `man` finds them once the environment's `bin` is on the PATH.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

import click

from imgsearch import __version__
from imgsearch.cli.reference import commands

DEFAULT_FOLDER = os.path.join(sys.prefix, "share", "man", "man1")
GLYPHS = str.maketrans({
    "\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti",
})  # fmt: skip
"""Characters that troff would replace -> their escapes."""
NOTHING_FOUND = ("3", "With --exit-code: nothing was found.")
EXIT_CODES = (
    ("0", "Done. This includes a search that found nothing."),
    ("1", "An error; stderr has a message and a way to fix it."),
    ("2", "The command line is not valid."),
    ("130", "Interrupted with Ctrl-C; finished work is kept."),
    ("143", "Stopped by SIGTERM; finished work is kept."),
)


class ManualFormatter(click.HelpFormatter):
    """Writes the parts of a help text as requests of the man macros."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        self.write_heading("Synopsis")
        self.write(f"\\fB{escaped(prog)}\\fR {escaped(args)}\n")
        self.write_heading("Description")

    def write_heading(self, heading: str) -> None:
        self.write(f".SH {escaped(heading.upper())}\n")

    def write_paragraph(self) -> None:
        """Headings and .PP make the space between paragraphs."""

    def write_text(self, text: str) -> None:
        for paragraph in re.split(r"\n{2,}", text.strip()):
            self.write(".PP\n")
            if paragraph.startswith("\b"):
                self.write(f".nf\n{escaped(paragraph[1:].strip(chr(10)))}\n.fi\n")
            else:
                self.write(escaped(" ".join(paragraph.split())) + "\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        for term, text in rows:
            self.write(f".TP\n\\fB{escaped(term)}\\fR\n{escaped(' '.join(text.split()))}\n")


def escaped(text: str) -> str:
    """Text escaped for troff, which prints it unchanged."""
    return re.sub(r"^(?=\.)", r"\\&", text.translate(GLYPHS), flags=re.M)


def manual_page(name: str, command: click.Command, context: click.Context) -> str:
    """The page of a command, such as "imgsearch search"."""
    title = name.replace(" ", "-")
    page = ManualFormatter()
    page.write(f'.TH {escaped(title.upper())} 1 "" "imgsearch {__version__}" "imgsearch"\n.nh\n')
    page.write_heading("Name")
    page.write(f"{escaped(title)} \\- {escaped(command.get_short_help_str(1000))}\n")
    command.format_help(context, page)
    page.write_heading("Exit status")
    page.write_dl(_exit_codes(command))
    page.write_heading("See also")
    page.write(", ".join(f"\\fB{escaped(other)}\\fR(1)" for other in _related(title)) + "\n")
    return page.getvalue()


def _exit_codes(command: click.Command) -> list[tuple[str, str]]:
    special = [NOTHING_FOUND for each in command.params if each.name == "exit_code"]
    return sorted([*EXIT_CODES, *special], key=lambda row: int(row[0]))


def _related(title: str) -> list[str]:
    names = [name.replace(" ", "-") for name, _, _ in commands()]
    near = [name for name in names if name.rpartition("-")[0] == title]
    above = title.rpartition("-")[0]
    return [above, *near] if above else near


def write_manual(folder: str) -> list[str]:
    """Write a page for each command into a folder, which is made; the paths of the pages."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, command, context in commands():
        paths.append(os.path.join(folder, f"{name.replace(' ', '-')}.1"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(manual_page(name, command, context))
    return paths


if __name__ == "__main__":
    written = write_manual(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_FOLDER)
    print(f"Wrote {len(written)} manual pages to {os.path.dirname(written[0])}")
