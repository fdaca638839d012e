"""Plug-ins of somebody else, as pip would install them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, source: str, **entries: str
) -> Iterator[None]:
    """Within it there is a distribution in `folder` with one module.

    Parameters
    ----------
    entries : name = module
        Of the group `imgsearch.encoders`.
    """
    info = folder / f"{module}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
    (info / "entry_points.txt").write_text(f"[imgsearch.encoders]\n{lines}")
    (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop(module, None)
