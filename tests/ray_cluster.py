"""A real Ray cluster for tests, in namespaces of its own: it listens on all interfaces.

It has a network with the loopback only, and process numbers of its own, so that all of it ends with
the first process. Each node is a raylet, with an environment and mounts of its own if need be.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.calls import Outcome
from tests.crash.process import CLI, PLUGIN

TRIAL = Path(__file__).parent / "indexing" / "ray_plugin"
GCS, CLIENT = 6379, 10001
ADDRESS = f"ray://127.0.0.1:{CLIENT}"
FIRST_PROCESS = """
import os, subprocess, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
print("up", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.1)
"""
RAYLET = b"/raylet/raylet\0"
CLIENT_SERVER = b"ray.util.client.server"
OBJECT_STORE_BYTES = 80 << 20


def _unshare() -> list[str] | None:
    """The command for new namespaces, if this machine allows it."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return None
    command = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if done.returncode == 0 else None


def _require() -> list[str]:
    """The command for new namespaces; skips the test without it or Ray, and fails it in CI."""
    command = _unshare()
    reasons = ["Ray: pip install 'ray[client]'"] * (importlib.util.find_spec("ray") is None)
    reasons += ["network namespaces: unshare, nsenter and ip, as root"] * (command is None)
    if reasons and os.environ.get("CI") == "true":
        pytest.fail(f"needs {reasons[0]}")
    if reasons:
        pytest.skip(f"needs {reasons[0]}")
    assert command is not None
    return command


class RayCluster:
    """A head without processors, and nodes that tests add."""

    def __init__(self) -> None:
        command = [*_require(), sys.executable, "-c", FIRST_PROCESS]
        self.folder = Path(tempfile.mkdtemp(prefix="imgsearch-ray-", dir="/tmp"))
        self._first = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._first.stdout is not None and self._first.stdout.readline() == b"up\n"
        children = f"/proc/{self._first.pid}/task/{self._first.pid}/children"
        child = Path(children).read_text().split()[0]
        self._namespace = os.readlink(f"/proc/{child}/ns/pid")
        self._inside = ["nsenter", "--target", child, "--net", "--pid", "--mount"]
        head = ["--head", f"--port={GCS}", f"--ray-client-server-port={CLIENT}"]
        self._start(*head, "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self.folder}")
        self.head = self._processes(b"") - {int(child)}
        """The processes of the head."""

    def _environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join(map(str, (TRIAL, PLUGIN)))
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        return {**os.environ, **own, **more}

    def _start(self, *options: str, hidden: str = "", **environment: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
        command += ["--node-ip-address=127.0.0.1", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        if hidden:  # an empty mount point in its place, for this node
            mount = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", mount, hidden, *command]
        done = subprocess.run(
            [*self._inside, *command],
            env=self._environment(GRPC_ENABLE_FORK_SUPPORT="0", **environment),  # docs/SCALE.md
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _processes(self, *programs: bytes) -> set[int]:
        """Processes of this cluster with one of these texts in their command line."""
        found = set()
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                ours = os.readlink(each / "ns" / "pid") == self._namespace
                command = (each / "cmdline").read_bytes()
                if ours and any(program in command for program in programs):
                    found.add(int(each.name))
        return found

    def add(self, cpus: int = 1, hidden: str = "", **environment: str) -> int:
        """Add a node; returns the process number of its raylet."""
        before = self._processes(RAYLET)
        address = f"--address=127.0.0.1:{GCS}"
        self._start(address, f"--num-cpus={cpus}", hidden=hidden, **environment)
        [added] = self._processes(RAYLET) - before
        return added

    def kill(self, raylet: int) -> None:
        """End a node with SIGKILL."""
        os.kill(raylet, signal.SIGKILL)

    def kill_head(self) -> None:
        """End all processes of the head with SIGKILL."""
        for number in self.head & self._processes(b"") | self._processes(CLIENT_SERVER):
            os.kill(number, signal.SIGKILL)

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
        """Start imgsearch on this machine of the cluster."""
        command = [*self._inside, sys.executable, *CLI, *map(str, arguments)]
        environment = self._environment(RAY_ADDRESS=f"127.0.0.1:{GCS}", **environment)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe)

    def call(self, *arguments: object, **environment: str) -> Outcome:
        """Run imgsearch on this machine of the cluster."""
        return self.end(self.start(*arguments, **environment))

    @contextmanager
    def program(self, module: str, *arguments: object) -> Iterator[None]:
        """Run a module on this machine of the cluster, from the line on that says it is ready."""
        inside = [each for each in self._inside if each != "--pid"]  # with it, nsenter forks
        command = [*inside, sys.executable, "-m", module, *map(str, arguments)]
        root = str(Path(__file__).parents[1])  # nsenter changes to another folder
        environment = {**os.environ, "PYTHONPATH": root}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            try:
                assert process.stdout is not None and process.stdout.readline()
                yield
            finally:
                process.kill()

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> Outcome:
        """The outcome of a process that was started."""
        out, err = process.communicate(timeout=300)
        return Outcome(process.returncode, out, os.fsdecode(err))

    def close(self) -> None:
        """End all processes, and remove the files."""
        self._first.kill()
        self._first.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
