"""A real Triton for tests, on the loopback only: that of 'imgsearch serve-model', or one alone.

It needs pytriton in an environment of its own:

    python -m venv .venv/pytriton && .venv/pytriton/bin/pip install nvidia-pytriton==0.7.0
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from contextlib import suppress
from pathlib import Path

import pytest

from imgsearch.encoders.triton_server import PYTRITON, default_environment
from tests.conftest import ROOT
from tests.encoders.kserve_peer import free_port

PLACE = os.environ.get("IMGSEARCH_TEST_PYTRITON") or default_environment()
START_SECONDS = 120.0


def require_pytriton() -> None:
    """Skip a test without pytriton, and fail it in CI."""
    if not os.path.isdir(PLACE):
        reason = f"needs {PYTRITON} in {PLACE}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class TritonServer:
    """A server of a model."""

    def __init__(self, folder: Path, model: str, *options: str) -> None:
        require_pytriton()
        self.folder, self.model, self.options = folder, model, options
        self.grpc_port, self.http_port = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def urls(self) -> dict[str, str]:
        return {
            "grpc": f"triton://127.0.0.1:{self.grpc_port}",
            "http": f"triton+http://127.0.0.1:{self.http_port}",
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        ports = ["--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port)]
        run = [sys.executable, "-m", "imgsearch", "--library", str(self.folder / "none")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*run, "serve-model", self.model, *ports, "--pytriton", PLACE, "-v", *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "IMGSEARCH_DEVICE": "cpu", "IMGSEARCH_PRECISION": "fp32"},
            )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith(f"Serving {self.model} on triton://127.0.0.1:"), self.log()

    def log(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text()[-4000:]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


class TritonAlone:
    """The tritonserver of pytriton's wheel, without pytriton, for a model repository.

    Its Python backend is older than NumPy 2 and reads texts wrongly with it. So the Python of the
    models finds the packages of pytriton's environment, with NumPy 1, before ours.
    """

    def __init__(self, folder: Path, repository: Path) -> None:
        require_pytriton()
        packages = Path(sysconfig.get_path("purelib", vars={"base": PLACE, "platbase": PLACE}))
        given = packages / "pytriton" / "tritonserver"
        backends = folder / "backends"
        shutil.copytree(given / "backends", backends)
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        stub = given / "python_backend_stubs" / python / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
        self._log = folder / "log"
        self.grpc_port, self.http_port = free_port(), free_port()
        options = {
            "model-repository": repository,
            "backend-directory": backends,
            "grpc-address": "127.0.0.1",
            "grpc-port": self.grpc_port,
            "http-address": "127.0.0.1",
            "http-port": self.http_port,
            "allow-metrics": "false",
            "exit-timeout-secs": 1,  # it would wait for clients to close their connections
        }
        libraries = [
            str(sysconfig.get_config_var("LIBDIR")),
            str(packages / "nvidia_pytriton.libs"),
        ]
        # The Python backend takes the environment of the first Python in PATH, and no PYTHONPATH.
        venv.create(folder / "python", symlinks=True)
        own = sysconfig.get_path("purelib", vars={"base": str(folder / "python")})
        ours = [each for each in sys.path if "site-packages" in each or each == str(ROOT)]
        Path(own, "packages.pth").write_text("\n".join([str(packages), *ours, ""]))
        environment = {
            **os.environ,
            "PATH": f"{folder / 'python' / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": ":".join(libraries),
        }
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [given / "bin" / "tritonserver", *(f"--{k}={v}" for k, v in options.items())],
                stdout=log,
                stderr=log,
                env=environment,
            )
        self._wait()

    @property
    def urls(self) -> tuple[str, str]:
        host = "127.0.0.1"
        return f"triton://{host}:{self.grpc_port}", f"triton+http://{host}:{self.http_port}"

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError):
                ready = f"http://127.0.0.1:{self.http_port}/v2/health/ready"
                urllib.request.urlopen(ready, timeout=5).close()
                return
            time.sleep(0.2)
        self.stop()
        pytest.fail(self.log())

    def log(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-4000:]

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
