"""The server against its own OpenAPI document, with requests that schemathesis makes up of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calls import Place
from tests.conftest import FULL
from tests.web.served import API, serving

pytestmark = pytest.mark.slow

SECONDS = 15 if FULL else 4
_RUN = "from schemathesis.cli import schemathesis; schemathesis()"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
MORE = {"coverage": ("negative_data_rejection",), "fuzzing": ()}
"""Of what is made up at random, schemathesis does not always know whether it is right."""


REFUSALS = """
[checks]
negative_data_rejection.expected-statuses = [
  "400", "401", "403", "404", "405", "409", "410", "413", "414", "429"
]
"""
"""What schemathesis does not count among refusals by itself: a body or an address that is too long,
and a cursor that leads nowhere."""


@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_made_up_requests_are_answered_as_the_document_says(
    demo: Place, tmp_path: Path, phase: str
) -> None:
    """The event stream, which has no end, is left out; test_indexing.py reads it."""
    library = tmp_path / "library"
    shutil.copytree(demo.library, library, ignore=shutil.ignore_patterns("daemon"))
    (tmp_path / "schemathesis.toml").write_text(REFUSALS)
    with serving(library, "--rate", 100_000) as served:
        served.get("/search", q="a dog")  # the model is loaded before the clock starts
        command = [
            sys.executable, "-c", _RUN, "run",
            f"{served.url}{API[1:]}/openapi.json", "--max-time", str(SECONDS),
            "--phases", phase, "--exclude-path", f"{API}/index/events",
            "--checks", ",".join(CHECKS + MORE[phase]), "--max-examples", "25", "--no-shrink",
            "--suppress-health-check", "all", "--request-timeout", "60", "--seed", "7",
        ]  # fmt: skip
        environment = {**os.environ, "COLUMNS": "120"}
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=False
        )
        told = ran.stdout.decode(errors="replace") + ran.stderr.decode(errors="replace")
        assert ran.returncode == 0, told[-6000:]
        passed = re.search(r"(\d+) generated, (\d+) passed", told)
        assert passed is not None, told[-2000:]
        assert int(passed[2]) >= 20 * SECONDS // 15, "a slow machine makes hundreds in that time"
        assert served.get("/health") == {"status": "ok"}
