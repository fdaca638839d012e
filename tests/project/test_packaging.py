"""The contents of the sdist and the wheel, and the wheel's operation outside the checkout.

Nothing is downloaded: the build runs without isolation, and the clean environment uses the
requirements of the test environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, ROOT, full_only

INPUTS = ["pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt"]
FOLDERS = ["imgsearch", "migrations", "tests", "data"]

pytestmark = pytest.mark.slow


def run(*command, cwd, **environment) -> str:
    """Run a command and return its standard output; failures include its standard error."""
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, out: Path, *formats: str) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", *formats, "-o", out, source, cwd=source)


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """Folder with the sdist and the wheel that was built from it.

    In the full form, those of the script that built the wheel under test.
    """
    if "IMGSEARCH_DIST" in os.environ:
        return Path(os.environ["IMGSEARCH_DIST"])
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    source.mkdir()
    for name in INPUTS:
        shutil.copy2(CHECKOUT / name, source)
    for name in FOLDERS:
        litter = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(CHECKOUT / name, source / name, ignore=litter)
    build(source, folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_files(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist_files(dist) -> set[str]:
    """File names in the sdist, relative to its top folder."""
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}


def sources(folder: str, pattern: str) -> set[str]:
    names = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / folder).rglob(pattern)}
    return {name for name in names if "__pycache__" not in name}


@full_only
def test_the_wheel_has_every_module_and_migration(wheel_files):
    expected = sources("imgsearch", "*.py")
    expected |= {f"imgsearch/{name}" for name in sources("migrations", "*.py")}
    assert expected <= wheel_files
    assert {name for name in wheel_files if name.endswith(".py")} == expected


def test_the_wheel_has_the_data_files(wheel_files):
    expected = sources("imgsearch", "*.npz") | sources("imgsearch", "*.md") | {"imgsearch/py.typed"}
    expected |= {name for name in sources("imgsearch/web/static", "*") if "." in Path(name).name}
    expected |= {f"imgsearch/{name}" for name in sources("migrations", "*.mako")}
    assert expected <= wheel_files


def test_the_wheel_has_the_licences(wheel_files):
    licences = {name.rpartition("/")[2] for name in wheel_files if ".dist-info/licenses/" in name}
    assert {"LICENSE", "NOTICE.md"} <= licences


def test_the_wheel_has_nothing_else_at_the_top(wheel_files):
    top = {name.partition("/")[0] for name in wheel_files}
    assert {name for name in top if not name.endswith(".dist-info")} == {"imgsearch"}


def test_the_sdist_has_what_the_wheel_needs_and_no_tests_or_photos(sdist_files):
    assert sources("imgsearch", "*.py") | sources("migrations", "*.py") <= sdist_files
    assert {"LICENSE", "README.md", "pyproject.toml", "constraints.txt"} <= sdist_files
    top = {name.partition("/")[0] for name in sdist_files if "/" in name}
    assert top == {"imgsearch", "migrations", "imgsearch_local.egg-info"}


def test_the_metadata_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode("utf-8").splitlines()
    assert "Name: imgsearch-local" in metadata
    assert "Requires-Python: <3.14,>=3.11" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert {"Provides-Extra: cpu", "Provides-Extra: gpu"} <= set(metadata)


@full_only
def test_a_wheel_of_the_checkout_is_the_wheel_of_the_sdist(dist, wheel_files, tmp_path):
    build(dist.parent / "source", tmp_path, "--wheel")
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        assert set(archive.namelist()) == wheel_files


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    """The bin folder of an environment with the wheel and the requirements of this environment."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    # Only now, or pip would mistake an editable imgsearch there for an older installation. The .pth
    # files in that folder are not processed, so the checkout stays invisible.
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "requirements.pth").write_text("\n".join([*here, ""]), encoding="utf-8")
    return programs


@full_only
def test_the_wheel_is_what_is_imported(clean, tmp_path):
    code = "import imgsearch, imgsearch.migrations as m; print(imgsearch.__file__, m.__file__)"
    for path in run(clean / "python", "-c", code, cwd=tmp_path).split():
        assert Path(path).is_relative_to(clean.parent)


def test_the_command_of_the_wheel_says_its_version(clean, tmp_path):
    import imgsearch

    assert imgsearch.__version__ in run(clean / "imgsearch", "--version", cwd=tmp_path)


@full_only
def test_the_wheel_indexes_and_finds(clean, tmp_path):
    """A new library, including migrations; the demo searches find the expected pictures."""
    command = [clean / "imgsearch", "--library", tmp_path / "library"]
    environment = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    photos = ROOT / "data" / "photos"
    report = json.loads(run(*command, "index", photos, "--json", cwd=tmp_path, **environment))
    assert report["added"] == len(list(photos.iterdir()))
    assert report["skipped"] == 0

    query = ["search", "a polar bear in the snow", "--format", "json"]
    hits = json.loads(run(*command, *query, cwd=tmp_path, **environment))
    assert Path(hits[0]["path"]) == photos / "polar_bear.jpg"

    query = ["similar", photos / "tabby_cat_face.jpg", "--format", "json"]
    hits = json.loads(run(*command, *query, cwd=tmp_path, **environment))
    assert photos / "kitten_with_wool.jpg" in [Path(hit["path"]) for hit in hits[:3]]
