"""imgsearch serve-model: usage, and what is missing. The server is in test_triton_server.py."""

from __future__ import annotations

import pytest

from imgsearch.encoders import triton_server
from tests.cli.calls import call
from tests.encoders.kserve_peer import free_port


@pytest.fixture
def ports() -> tuple[str, ...]:
    return "--http-port", str(free_port()), "--grpc-port", str(free_port())


def test_two_servers_on_one_port_are_refused(tmp_path):
    ports = ("--http-port", 8000, "--grpc-port", 8000)
    result = call("--library", tmp_path, "serve-model", "builtin", *ports)
    assert result.status == 2 and "must differ" in result.err


def test_without_pytriton_the_commands_to_install_it_are_shown(tmp_path, ports):
    place = tmp_path / "nowhere"
    result = call("--library", tmp_path, "serve-model", "builtin", *ports, "--pytriton", place)
    assert result.status == 1
    assert f"-m venv {place}" in result.err and triton_server.PYTRITON in result.err


def test_an_unknown_model_is_refused(tmp_path, ports):
    result = call("--library", tmp_path, "serve-model", "buildin", *ports)
    assert result.status == 1 and "builtin" in result.err


def test_an_address_of_another_machine_is_refused(tmp_path, ports):
    host = ("--host", "192.0.2.1")
    result = call("--library", tmp_path, "serve-model", "builtin", *ports, *host)
    assert result.status == 1 and "192.0.2.1" in result.err and "Traceback" not in result.err


def test_a_triton_that_does_not_start_is_a_sentence():
    class Broken:
        """pytriton, with a server that ends at once."""

        def run(self):
            raise TimeoutError("no server\nafter some minutes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton_server, "_bind", lambda triton, model: None)
        with pytest.raises(triton_server.ModelServerError, match=r"start: no server$") as caught:
            triton_server._start(Broken(), None)
    assert "-v" in caught.value.hint
