"""A client that openapi-python-client generates from our document, used against a server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from imgsearch.web.tokens import new_token
from tests.cli.calls import Place
from tests.conftest import full_only
from tests.web.server_process import serving

GENERATOR = shutil.which("openapi-python-client") or ""
"""It needs an older typer than we test with, so it lives in an environment of its own, whose Python
runs the client: `pipx install openapi-python-client`."""

pytestmark = [
    full_only,
    pytest.mark.slow,
    pytest.mark.skipif(not GENERATOR, reason="openapi-python-client is not on the PATH"),
]

PROGRAM = """
import sys
from client import AuthenticatedClient, Client
from client.api.pictures import get_image, get_vector
from client.api.search import search, search_batch
from client.api.server import get_health
from client.models import BatchParameters, BatchSearch

url, token = sys.argv[1:]
assert get_health.sync_detailed(client=Client(base_url=url)).status_code == 200
refused = search.sync_detailed(client=Client(base_url=url), q=["a crab"])
print(int(refused.status_code), type(refused.parsed).__name__, bool(refused.parsed.hint))
client = AuthenticatedClient(base_url=url, token=token)
found = search.sync(client=client, q=["a crab"])
print(found.hits[0].name, get_image.sync(found.hits[0].id, client=client).name)
print(len(search.sync(client=client, limit=5).hits))
problem = search.sync(client=client, q=["a crab"], limit=100000)
print(type(problem).__name__, problem.status, problem.detail)
vector = get_vector.sync(found.hits[0].id, client=client)
by_vector = BatchSearch(vector=vector.vector, space=vector.space)
both = BatchParameters(searches=[BatchSearch(q="an owl"), by_vector])
print([each.hits[0].name for each in search_batch.sync(client=client, body=both).answers])
"""


def test_a_generated_client_searches_lists_and_gets_typed_errors(
    demo: Place, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    shutil.copytree(demo.library, library, ignore=shutil.ignore_patterns("daemon"))
    token = new_token(str(library))
    document, output = tmp_path / "openapi.json", tmp_path / "client"
    with serving(library, "--require-token") as server:
        reply = server.ask("/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"})
        document.write_text(json.dumps(reply.json))
        options = ("--path", document, "--output-path", output, "--meta", "none")
        subprocess.run([GENERATOR, "generate", *options], check=True, capture_output=True)
        python = Path(GENERATOR).resolve().with_name("python")
        done = subprocess.run(
            [python, "-c", PROGRAM, server.url.rstrip("/"), token],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.stdout.splitlines() == [
        "401 Problem True",
        "crab.jpg crab.jpg",
        "5",
        "Problem 400 limit can be at most 500",
        "['owl.jpg', 'crab.jpg']",
    ], done.stderr
