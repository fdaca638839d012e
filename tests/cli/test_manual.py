"""Manual pages: one for each command, with all that --help says, as groff prints them."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from imgsearch.cli.help_sections import SECTIONS
from imgsearch.cli.manual import ManualFormatter, escaped, manual_page, write_manual
from imgsearch.cli.reference import commands

ALL_COMMANDS = list(commands())
GROFF = shutil.which("groff")


def page_of(wanted: str) -> str:
    return next(manual_page(*each) for each in ALL_COMMANDS if each[0] == wanted)


def printed(page: str) -> str:
    """What groff prints, without the spaces between words; it warns of nothing."""
    assert GROFF is not None
    options = ["-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=200n"]
    done = subprocess.run([GROFF, *options], input=page.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    return " ".join(done.stdout.decode().split())


@pytest.mark.skipif(GROFF is None, reason="without groff")
@pytest.mark.parametrize("entry", ALL_COMMANDS, ids=[each[0] for each in ALL_COMMANDS])
def test_a_page_has_all_that_the_help_says(entry):
    name, command, context = entry
    text = printed(manual_page(*entry))
    for parameter in command.params:
        row = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and row is not None:
            assert f"{row[0]} {' '.join(row[1].split())}" in text
    for example in re.findall(r"^  imgsearch .+$", command.get_help(context), re.M):
        assert " ".join(example.split()) in text
    assert f"{name.replace(' ', '-')} - {command.get_short_help_str(1000)}" in text


@pytest.mark.skipif(GROFF is None, reason="without groff")
def test_characters_that_troff_interprets_are_printed_as_they_are():
    text = r"""a \fB b' ^~`"-- \n(x"""
    page = ManualFormatter()
    page.write('.TH "" "" "" "" ""\n')
    page.write_text(f"\b\n{text}\n.so /etc/passwd\n'so /etc/passwd")
    assert f"{text} .so /etc/passwd 'so /etc/passwd" in printed(page.getvalue())


def test_a_page_has_the_sections_of_the_help():
    headings = re.findall(r"^\.SH (.+)$", page_of("imgsearch search"), re.M)
    sections = [heading.upper() for heading in SECTIONS]
    ends = ["EXIT STATUS", "SEE ALSO"]
    assert headings == ["NAME", "SYNOPSIS", "DESCRIPTION", *sections, *ends]
    assert "COMMANDS" in re.findall(r"^\.SH (.+)$", page_of("imgsearch"), re.M)


def test_pages_refer_to_each_other():
    names = ("", "-models-download", "-models-forget", "-models-recommend", "-models-switch")
    pages = [f"\\fB{escaped(f'imgsearch{name}')}\\fR(1)" for name in (*names, "-models-try")]
    assert page_of("imgsearch models").splitlines()[-1] == ", ".join(pages)


def test_a_folder_gets_a_page_for_each_command(tmp_path):
    paths = write_manual(str(tmp_path / "new" / "man1"))
    assert len(paths) == len(ALL_COMMANDS)
    assert (tmp_path / "new" / "man1" / "imgsearch-models-download.1").is_file()
