"""The script that writes the outputs in the pages, with the program and the demo library."""

from __future__ import annotations

import re

import pytest

from tests.conftest import CHECKOUT, ROOT, full_only

pytest.importorskip("tools.documented_output", reason="only in a checkout: tools/ is not here")

from tools.documented_output import current, output_of, rewritten

PAGE = """\
# A page

```
$ imgsearch search --camera canon --after 2017     # by date
an old output
$ imgsearch search --name polar_bear --all
$ imgsearch search --name polar_bear
another
one
$ cat notes
of something else
```

```
imgsearch search a command without output
```
"""


def test_outputs_are_those_of_the_program(demo, monkeypatch):
    monkeypatch.chdir(ROOT)
    runs = []

    def run(arguments: list[str]) -> str:
        runs.append(arguments)
        return output_of(str(demo.library), arguments)

    page = rewritten(PAGE, run)
    assert runs == [
        ["search", "--camera", "canon", "--after", "2017"],
        ["search", "--name", "polar_bear"],
    ]
    assert page == PAGE.replace(
        "an old output\n", "  1          data/photos/jaguars.jpg  (1024x683)  2017-09-24\n"
    ).replace("another\none\n", "  1          data/photos/polar_bear.jpg  (1024x768)\n")
    assert rewritten(page, run) == page


@full_only
@pytest.mark.slow
@pytest.mark.parametrize("name", ["docs/CURATION.md", "docs/EXCHANGE.md"])
def test_outputs_of_pages_are_those_of_today(demo, monkeypatch, name):
    """'make examples' writes them. These have no scores, which differ by machine."""
    monkeypatch.chdir(ROOT)
    page = (CHECKOUT / name).read_text(encoding="utf-8")
    assert "$ imgsearch" in page
    assert current(str(CHECKOUT / name), str(demo.library)) == page


@pytest.mark.parametrize("name", ["README.md", "docs/TOUR.md"])
def test_the_first_line_makes_the_examples_work_as_they_stand(name):
    """In a clone after `make demo`: no alias, no path to the program before each command."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    assert re.search(r'export PATH="\$PWD/\.venv/bin:\$PATH" IMGSEARCH_LIBRARY=', text)
    assert not re.search(r"^(\$ )?\.venv/bin/imgsearch", text, re.M)
    assert "alias imgsearch" not in text
