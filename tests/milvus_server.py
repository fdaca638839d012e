"""A real Milvus for tests: the server of the wheel `milvus-lite`, on the loopback only.

IMGSEARCH_TEST_MILVUS names a folder with the wheel `milvus` instead, a whole Milvus 2.3.5. It
listens on all interfaces, so it runs only where there is no other one than the loopback:

    pip install --no-deps --target /tmp/milvus milvus==2.3.5
    export IMGSEARCH_TEST_SERVERS=1 IMGSEARCH_TEST_MILVUS=/tmp/milvus
    unshare -n sh -c 'ip link set lo up; .venv/bin/python -m pytest tests -k milvus'
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

WHEEL = "milvus_lite"
WHOLE = os.environ.get("IMGSEARCH_TEST_MILVUS", "")
START_SECONDS = 400.0 if WHOLE else 60.0


def require(package: str) -> None:
    """Skip the test without a package, fail it in CI."""
    if importlib.util.find_spec(package) is None:
        reason = f"needs Milvus: pip install {package.replace('_', '-')}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class MilvusServer:
    """A server with a data folder of its own.

    Attributes
    ----------
    write_seconds : float
        Duration of a flush of a few hundred vectors, then a build.
    """

    write_seconds = 60.0 if WHOLE else 3.0

    def __init__(self) -> None:
        require("pymilvus")
        if WHOLE and len(socket.if_nameindex()) > 1:
            pytest.skip("Milvus listens on all interfaces: run it with the loopback only")
        if not WHOLE:
            require(WHEEL)
        self.folder = Path(tempfile.mkdtemp(prefix="imgsearch-milvus-", dir="/tmp"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, database: str = "") -> str:
        return f"milvus://{self.address}/{database}"

    def client(self, database: str = ""):
        """A connection to a database."""
        from pymilvus import MilvusClient

        where = f"http://{self.address}"
        return MilvusClient(where, db_name=database, timeout=5, dedicated=True)

    def _command(self) -> list[str]:
        data, port = str(self.folder / "data"), str(self.port)
        if WHOLE and (self.folder / "data" / "bin" / "milvus").exists():  # else the port changes
            return [str(self.folder / "data" / "bin" / "milvus"), "run", "standalone"]
        if WHOLE:
            program = os.path.join(WHOLE, "bin", "milvus-server")
            return [sys.executable, program, "--data", data, "--proxy-port", port]
        where = ["--host", "127.0.0.1", "--port", port, "--data-dir", data]
        return [sys.executable, "-m", WHEEL, "server", *where]

    def _environment(self) -> dict[str, str]:
        if not WHOLE:
            return dict(os.environ)
        data = str(self.folder / "data")
        own = {"DEPLOY_MODE": "STANDALONE", "MILVUS_RUN_DIR": f"{data}/run"}
        return {**os.environ, **own, "PYTHONPATH": WHOLE, "LD_LIBRARY_PATH": f"{data}/bin"}

    def start(self) -> None:
        """Start it and wait until it answers."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                cwd=data,
                env=self._environment(),
                start_new_session=True,  # the wheel `milvus` has a process that starts the server
            )
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                client = self.client()
                client.list_collections(timeout=5)
                client.close()
                return
            except Exception:
                assert self._process is not None and self._process.poll() is None, self.log()
                assert time.monotonic() < until, self.log()
                time.sleep(0.05)

    def log(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text()[-2000:]

    def signal(self, number: int) -> None:
        """Send a signal to its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def database(self, name: str) -> str:
        """The URL of a database without collections."""
        client = self.client()
        if name not in client.list_databases():
            client.create_database(name)
        client.close()
        client = self.client(name)
        for each in client.list_collections():
            client.drop_collection(each)
        client.close()
        return self.url(name)

    def states(self, name: str) -> list[dict[str, object]]:
        """The rows of the collection of states in a database."""
        fields = ["owner", "number", "state"]
        client = self.client(name)
        client.load_collection("imgsearch_states")
        rows = client.query(
            "imgsearch_states",
            filter="number >= 0",
            output_fields=fields,
            consistency_level="Strong",
        )
        client.close()
        return list(rows)

    def close(self) -> None:
        """Stop it and remove its files."""
        with suppress(ProcessLookupError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
