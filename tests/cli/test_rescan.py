"""A run on an unchanged library loads no model, index or decoder."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import full_only

RUN = """
import sys
from imgsearch.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({"torch", "transformers", "faiss", "PIL.Image"} & set(sys.modules)), file=sys.stderr)
"""


@full_only
def test_an_unchanged_library_loads_no_model_no_index_and_no_decoder(indexed) -> None:
    command = [sys.executable, "-c", RUN, "-q", "index", "--library", str(indexed.library)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert '"unchanged": 4' in done.stdout
    assert not done.stderr.strip()
