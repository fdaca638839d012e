"""What a run over an unchanged library does not load."""

from __future__ import annotations

import subprocess
import sys

RUN = """
import sys
from imgsearch.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({"torch", "transformers", "faiss"} & set(sys.modules)), file=sys.stderr)
"""


def test_an_unchanged_library_loads_neither_a_model_nor_the_index(indexed) -> None:
    command = [sys.executable, "-c", RUN, "-q", "index", "--library", str(indexed.library)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert '"unchanged": 4' in done.stdout
    assert not done.stderr.strip()
