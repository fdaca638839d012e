"""Install imgsearch from this checkout into a virtual environment, for `make`.

    python3 .ci/install.py VENV EXTRA[,EXTRA...]

The plain Linux package of torch brings gigabytes of CUDA libraries, which are useless without an
NVIDIA GPU. The script therefore chooses a build of torch, in this order:

1. torch is already in the environment: keep it.
2. The extra is `gpu`, or the machine has an NVIDIA GPU or runs macOS: the plain package.
3. pip finds a CPU wheel on disk (PIP_FIND_LINKS, or find-links in pip's settings): that wheel.
4. PyTorch's index of CPU builds is reachable: its wheel.
5. Otherwise the plain package, with a note that it is large.

Network requests time out after a few seconds. Uses only the standard library.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NETWORK_TIMEOUT_SECONDS = 6.0
"""Time limit of a network request."""


@dataclass(frozen=True)
class Machine:
    """Facts about the machine in the order of `choose_torch`, each determined on demand."""

    has_torch: Callable[[], bool]
    wants_plain: Callable[[], str]
    has_wheel: Callable[[], bool]
    index_answers: Callable[[], bool]


@dataclass(frozen=True)
class Choice:
    """A build of torch; `pip` is the arguments of a separate install, () for none."""

    why: str
    pip: tuple[str, ...] = ()


def choose_torch(version: str, machine: Machine) -> Choice:
    """Choose the build of torch; see the top of this file."""
    if machine.has_torch():
        return Choice("already installed")
    if reason := machine.wants_plain():
        return Choice(f"the plain package ({reason})")
    cpu = f"torch=={version}+cpu"
    if machine.has_wheel():
        return Choice("the CPU build, from a wheel on disk", ("--no-deps", "--no-index", cpu))
    if machine.index_answers():
        source = ("--index-url", CPU_INDEX, "--timeout", "20", "--retries", "0")
        return Choice("the CPU build, from PyTorch's index", ("--no-deps", *source, cpu))
    return Choice(
        "the plain package, because neither a CPU wheel on disk nor PyTorch's index of CPU builds\n"
        "  is available. On Linux it includes CUDA libraries, a download of several gigabytes"
    )


def pinned(name: str, constraints: str) -> str:
    """The version of a package in the text of a constraints file.

    Raises
    ------
    SystemExit
        The package is not pinned there.
    """
    match = re.search(rf"^{re.escape(name)}==(\S+)", constraints, re.MULTILINE)
    if not match:
        raise SystemExit(f"{CONSTRAINTS.name} does not pin {name}")
    return match[1]


def in_time(question: Callable[[], bool], seconds: float = NETWORK_TIMEOUT_SECONDS) -> bool:
    """The answer, or False if it fails or takes too long; DNS look-ups have no time limit."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            answers.append(question())
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])


def index_has(version: str) -> bool:
    """Whether PyTorch's index of CPU builds is reachable and has a wheel for this Python."""
    with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=NETWORK_TIMEOUT_SECONDS) as reply:
        page = reply.read().decode("utf-8", "replace")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().partition("-")[2]
    wheel = rf"torch-{re.escape(version)}(\+|%2B)cpu-{tag}-{tag}-[a-z0-9_]*{re.escape(platform)}"
    return re.search(wheel, page) is not None


def succeeds(*command: str, seconds: float = 60.0) -> bool:
    """Whether a command exits with 0, silently and in time."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def wants_plain(extras: str) -> str:
    """Why the plain torch package suits the extras or this machine; "" if it does not."""
    if "gpu" in extras.split(","):
        return "for the extra gpu"  # an image is built on a machine without a GPU
    if sys.platform == "darwin":
        return "no CUDA on macOS"
    if succeeds("nvidia-smi", "-L", seconds=NETWORK_TIMEOUT_SECONDS):
        return "there is an NVIDIA GPU"
    return ""


def this_machine(python: str, version: str, extras: str) -> Machine:
    """The facts of this machine, for the environment of `python` with these extras."""
    check = (
        f"import importlib.metadata as m; assert m.version('torch').split('+')[0] == '{version}'"
    )
    offline = ("--dry-run", "--ignore-installed", "--no-deps", "--no-index", "--timeout", "3")
    return Machine(
        has_torch=lambda: succeeds(python, "-c", check),
        wants_plain=lambda: wants_plain(extras),
        has_wheel=lambda: succeeds(
            python, "-m", "pip", "--retries=0", "install", *offline, f"torch=={version}+cpu"
        ),
        index_answers=lambda: in_time(lambda: index_has(version)),
    )


def pip(python: str, *arguments: str) -> bool:
    """Run pip's install in the environment of `python`, with the tested versions."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode == 0


def refuse_two_faiss(python: str, extras: str) -> None:
    """Keep faiss-cpu and faiss-gpu, which contain the same files, out of one environment."""
    other = "faiss-cpu" if "gpu" in extras.split(",") else "faiss-gpu"
    if succeeds(python, "-c", f"import importlib.metadata as m; m.version('{other}')"):
        raise SystemExit(
            f"{other} is installed, and the other faiss package would overwrite its files.\n"
            "Start with a fresh environment: make clean"
        )


def make_venv(folder: Path) -> str:
    """Create the environment if it is missing or broken; return the path of its Python."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not succeeds(str(python), "-m", "pip", "--version"):
        say(f"creating {folder} with Python {sys.version.split()[0]}")
        done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=False)
        if done.returncode:
            raise SystemExit(
                "Cannot create the virtual environment. If the lines above mention ensurepip:\n"
                "on Debian and Ubuntu it is a separate package: apt install python3-venv"
            )
    return str(python)


def install_torch(python: str, version: str, extras: str) -> None:
    """Put the chosen build of torch into the environment, or leave it to the main install."""
    choice = choose_torch(version, this_machine(python, version, extras))
    say(f"torch {version}: {choice.why}")
    if choice.pip and not pip(python, *choice.pip):
        say("that failed: using the plain package instead (several gigabytes on Linux)")


def say(line: str) -> None:
    """Report progress on stderr, like pip's errors."""
    print(f"install: {line}", file=sys.stderr, flush=True)


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python3 .ci/install.py VENV EXTRA[,EXTRA...]")
    folder, extras = Path(sys.argv[1]), sys.argv[2]
    python = make_venv(folder)
    refuse_two_faiss(python, extras)
    install_torch(python, pinned("torch", CONSTRAINTS.read_text(encoding="utf-8")), extras)
    say(f"imgsearch[{extras}], editable, with the versions in {CONSTRAINTS.name} (takes minutes)")
    if not pip(python, "--constraint", str(CONSTRAINTS), "--editable", f".[{extras}]"):
        raise SystemExit("The installation failed; see pip's message above.")


if __name__ == "__main__":
    main()
