"""The build of torch that `.ci/install.py` chooses, without waiting for a dead network."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
import tomllib

import pytest

from tests.conftest import ROOT, full_only

SCRIPT = ROOT / ".ci" / "install.py"


@pytest.fixture(scope="module")
def install():
    spec = importlib.util.spec_from_file_location("install_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # required by dataclasses
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def machine(install, torch=False, plain="", wheel=False, index=False):
    """A machine with these answers; `questions` lists the questions in order."""
    questions = []

    def answer(question, value):
        return lambda: questions.append(question) or value

    answers = install.Machine(
        has_torch=answer("torch", torch),
        wants_plain=answer("plain", plain),
        has_wheel=answer("wheel", wheel),
        index_answers=answer("index", index),
    )
    return answers, questions


@pytest.mark.parametrize(
    ("facts", "questions", "arguments"),
    [
        ({"torch": True, "plain": "x", "wheel": True, "index": True}, 1, ()),
        ({"plain": "there is an NVIDIA GPU", "wheel": True, "index": True}, 2, ()),
        ({"wheel": True, "index": True}, 3, ("--no-deps", "--no-index", "torch==2.13.0+cpu")),
        ({}, 4, ()),
    ],
    ids=["installed", "gpu", "wheel on disk", "nothing to be had"],
)
def test_choice(install, facts, questions, arguments):
    answers, actual = machine(install, **facts)
    assert install.choose_torch("2.13.0", answers).pip == arguments
    assert actual == ["torch", "plain", "wheel", "index"][:questions]


def test_index_of_cpu_builds_is_used_for_torch_alone(install):
    answers, _ = machine(install, index=True)
    arguments = install.choose_torch("2.13.0", answers).pip
    assert arguments[0] == "--no-deps"
    assert arguments[-1] == "torch==2.13.0+cpu"
    assert arguments[arguments.index("--index-url") + 1] == install.CPU_INDEX
    assert arguments[arguments.index("--retries") + 1] == "0"


def test_the_extra_gpu_gets_cuda_on_a_machine_without_a_gpu(install):
    assert "gpu" in install.wants_plain("gpu,web")
    assert "gpu" not in install.wants_plain("cpu,web")


def test_the_large_download_is_announced(install):
    answers, _ = machine(install)
    assert "gigabytes" in install.choose_torch("2.13.0", answers).why


def test_a_question_that_hangs_or_fails_is_false(install):
    def refused():
        raise OSError("connection refused")

    start = time.monotonic()
    assert not install.in_time(lambda: time.sleep(5) or True, seconds=0.1)
    assert time.monotonic() - start < 2
    assert not install.in_time(refused)
    assert install.in_time(lambda: True)


def test_a_command_that_hangs_fails_or_is_missing_is_false(install):
    assert install.succeeds(sys.executable, "-c", "")
    assert not install.succeeds(sys.executable, "-c", "raise SystemExit(1)")
    assert not install.succeeds(sys.executable, "-c", "import time; time.sleep(9)", seconds=0.2)
    assert not install.succeeds("imgsearch-no-such-command")


@full_only
def test_the_wheel_on_disk_must_fit(install, tmp_path, monkeypatch):
    """With the real pip and a folder of empty wheels."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    write_empty_wheel(tmp_path, "torch", "2.13.0+cpu", "cp27-cp27m-any")
    assert not install.this_machine(sys.executable, "2.13.0", "cpu").has_wheel()
    write_empty_wheel(tmp_path, "torch", "2.13.0+cpu", "py3-none-any")
    assert install.this_machine(sys.executable, "2.13.0", "cpu").has_wheel()
    assert not install.this_machine(sys.executable, "2.99.0", "cpu").has_wheel()


def write_empty_wheel(folder, name, version, tag):
    import zipfile

    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_constraints_pin_torch_and_one_version_each(install):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = [line.partition("==")[0] for line in lines]
    assert all("==" in line and "+" not in line for line in lines)
    assert names == sorted(set(names))
    assert {"torch", "faiss-cpu", "faiss-gpu", "sentence-transformers", "pytest"} <= set(names)
    assert "torchvision" not in names
    assert install.pinned("torch", text) == "2.13.0"
    with pytest.raises(SystemExit):
        install.pinned("torchvision", text)


def test_an_environment_that_cannot_be_created_is_explained(install, tmp_path, capfd):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        install.make_venv(tmp_path / "file" / "venv")


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize(("extras", "lite"), [("cpu", True), ("gpu", False)])
def test_faiss_for_gpus_is_not_overwritten_by_a_package_for_tests(extras, lite, tmp_path):
    """milvus-lite needs faiss-cpu."""
    target = f"{tmp_path}/installed-{extras}-test"
    command = ["make", "-n", f"EXTRAS={extras}", f"VENV={tmp_path}", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("milvus-lite" in done.stdout) == lite and f"{extras}," in done.stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, requirements in project["optional-dependencies"].items():
        brings = any(each.startswith(("milvus-lite", "faiss-cpu")) for each in requirements)
        assert brings == (name in ("cpu", "milvus-lite")), name
