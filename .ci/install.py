"""Install imgsearch from this checkout into a virtual environment: what `make` runs.

    python3 .ci/install.py VENV EXTRA[,EXTRA...]

torch needs a choice of its own. The plain Linux package brings gigabytes of CUDA libraries, which a
machine without an NVIDIA GPU has no use for. In this order:

1. torch is in the environment already: keep it.
2. The machine has an NVIDIA GPU, or runs macOS: the plain package is the right one.
3. pip finds a CPU wheel on disk (PIP_FIND_LINKS, or find-links in pip's settings): that one.
4. PyTorch's index of CPU builds answers: from there.
5. Otherwise the plain package, saying that it is large.

Every question that goes out to the network has a limit of a few seconds. The standard library only.
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
PATIENCE = 6.0
"""Seconds that a question to the network may take."""


@dataclass(frozen=True)
class Machine:
    """What is asked about the machine, in the order of `choose_torch`; each only when needed."""

    has_torch: Callable[[], bool]
    wants_plain: Callable[[], str]
    has_wheel: Callable[[], bool]
    index_answers: Callable[[], bool]


@dataclass(frozen=True)
class Choice:
    """Which torch: `pip` holds the arguments of an install of its own, () for none."""

    why: str
    pip: tuple[str, ...] = ()


def choose_torch(version: str, machine: Machine) -> Choice:
    """Decide where torch comes from; see the top of this file."""
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
        "  could be had. On Linux it brings CUDA libraries: a download of some gigabytes"
    )


def pinned(name: str, constraints: str) -> str:
    """The version of a package in the text of a constraints file.

    Raises
    ------
    SystemExit
        The package is not pinned there.
    """
    found = re.search(rf"^{re.escape(name)}==(\S+)", constraints, re.MULTILINE)
    if not found:
        raise SystemExit(f"{CONSTRAINTS.name} does not pin {name}")
    return found[1]


def in_time(question: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """The answer, or False where it fails or takes too long; name look-ups know no time limit."""
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
    """Whether PyTorch's index of CPU builds can be reached and has a wheel for this Python."""
    with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=PATIENCE) as reply:
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


def wants_plain() -> str:
    """Why the plain torch package suits this machine, "" where it does not."""
    if sys.platform == "darwin":
        return "on macOS it has no CUDA"
    if succeeds("nvidia-smi", "-L", seconds=PATIENCE):
        return "there is an NVIDIA GPU"
    return ""


def this_machine(python: str, version: str) -> Machine:
    """The questions as this machine answers them, for the environment of `python`."""
    found = (
        f"import importlib.metadata as m; assert m.version('torch').split('+')[0] == '{version}'"
    )
    offline = ("--dry-run", "--ignore-installed", "--no-deps", "--no-index", "--timeout", "3")
    return Machine(
        has_torch=lambda: succeeds(python, "-c", found),
        wants_plain=wants_plain,
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
    """Stop before faiss-cpu and faiss-gpu, which write the same files, meet in one environment."""
    other = "faiss-cpu" if "gpu" in extras.split(",") else "faiss-gpu"
    if succeeds(python, "-c", f"import importlib.metadata as m; m.version('{other}')"):
        raise SystemExit(
            f"{other} is installed here, and the other faiss would overwrite its files.\n"
            "Start with a fresh environment: make clean"
        )


def make_venv(folder: Path) -> str:
    """Make the environment if it is not there or broken; return the path of its Python."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not succeeds(str(python), "-m", "pip", "--version"):
        say(f"making {folder} with Python {sys.version.split()[0]}")
        done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=False)
        if done.returncode:
            raise SystemExit(
                "The virtual environment could not be made. If the lines above name ensurepip:\n"
                "on Debian and Ubuntu it is a package of its own: apt install python3-venv"
            )
    return str(python)


def install_torch(python: str, version: str) -> None:
    """Put the chosen build of torch into the environment, or leave it to the main install."""
    choice = choose_torch(version, this_machine(python, version))
    say(f"torch {version}: {choice.why}")
    if choice.pip and not pip(python, *choice.pip):
        say("that failed: taking the plain package instead (on Linux some gigabytes)")


def say(line: str) -> None:
    """Tell what is being done; stderr, because pip's own errors go there too."""
    print(f"install: {line}", file=sys.stderr, flush=True)


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python3 .ci/install.py VENV EXTRA[,EXTRA...]")
    folder, extras = Path(sys.argv[1]), sys.argv[2]
    python = make_venv(folder)
    refuse_two_faiss(python, extras)
    install_torch(python, pinned("torch", CONSTRAINTS.read_text(encoding="utf-8")))
    say(f"imgsearch[{extras}], editable, with the versions of {CONSTRAINTS.name} (minutes)")
    if not pip(python, "--constraint", str(CONSTRAINTS), "--editable", f".[{extras}]"):
        raise SystemExit("The installation failed; pip's message is above.")


if __name__ == "__main__":
    main()
