"""A real Triton for tests: 'imgsearch serve-model' in a process of its own, on the loopback only.

It needs pytriton in an environment of its own:

    python -m venv .venv/pytriton && .venv/pytriton/bin/pip install nvidia-pytriton==0.7.0
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.encoders.triton_server import PYTRITON, default_environment
from tests.encoders.kserve_peer import free_port

PLACE = os.environ.get("IMGSEARCH_TEST_PYTRITON") or default_environment()
START_SECONDS = 120.0


class TritonServer:
    """A server of a model."""

    def __init__(self, folder: Path, model: str, *options: str) -> None:
        if not os.path.isdir(PLACE):
            reason = f"needs {PYTRITON} in {PLACE}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
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
