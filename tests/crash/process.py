"""Starts the real command line in a separate process, and kills it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLUGIN = HERE / "plugin"
DRIVER = HERE / "driver.py"
CLI = ("-c", "from imgsearch.cli import main; main()")
ORPHAN_TIMEOUT_SECONDS = 20.0
RUN_TIMEOUT_SECONDS = 300.0


@dataclass
class Exit:
    """The end of a process.

    Attributes
    ----------
    killed : bool
        By SIGKILL, before it ended.
    seconds : float
        From `started` to the end.
    facts : list of dict
        Reports of the driver.
    """

    killed: bool
    status: int
    seconds: float
    facts: list[dict[str, Any]] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""

    @property
    def committed(self) -> dict[str, str]:
        return {path: each for fact in self.facts for path, each in fact.get("committed", [])}

    def last(self, name: str) -> int:
        return max((fact[name] for fact in self.facts if name in fact), default=0)


def environment(**more: str) -> dict[str, str]:
    """Environment with the cheap encoder as a plug-in."""
    path = os.pathsep.join(p for p in (str(PLUGIN), os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start the real command line, `imgsearch ARGUMENT...`, with the cheap encoder available."""
    return subprocess.Popen(
        [sys.executable, *CLI, *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def imgsearch(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line to its end."""
    process = start(*arguments, **more)
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def drive(arguments: list[str], after: float | None = None, facts: int = 1, **more: str) -> Exit:
    """Run the driver; kill it `after` seconds, counted from its report number `facts`.

    Returns when it and all its child processes have ended. The first report follows the imports.
    """
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), *arguments],
        env=environment(DRIVER_REPORT=str(writing), **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[writing],
    )
    os.close(writing)
    with os.fdopen(reading, "r") as report:
        lines = [report.readline() for _ in range(facts)]
        started = time.monotonic()
        status = _wait(process, after)
        seconds = time.monotonic() - started
        lines += report.readlines()
    reports = [json.loads(line) for line in lines if line.endswith("\n")]
    return Exit(status == -signal.SIGKILL, status, seconds, reports, _rest(process))


def _wait(process: subprocess.Popen[bytes], after: float | None) -> int:
    timer = threading.Timer(RUN_TIMEOUT_SECONDS if after is None else after, process.kill)
    timer.start()
    try:
        return process.wait()
    finally:
        timer.cancel()


def _rest(process: subprocess.Popen[bytes]) -> str:
    """The output. The pipe closes when the last process that inherited it ends."""
    assert process.stdout is not None
    descriptor, output = process.stdout.fileno(), b""
    deadline = time.monotonic() + ORPHAN_TIMEOUT_SECONDS
    while True:
        left = deadline - time.monotonic()
        assert left > 0, "decoder processes outlive their indexer"
        if select.select([descriptor], [], [], left)[0]:
            chunk = os.read(descriptor, 1 << 16)
            if not chunk:
                process.stdout.close()
                return output.decode("utf-8", "replace")
            output += chunk
