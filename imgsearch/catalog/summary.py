"""What is in a library, in one record."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from imgsearch.catalog.store import SqlCatalog
from imgsearch.records import RunRecord
from imgsearch.text_records import TextCounts


def summary(catalog: SqlCatalog) -> dict[str, Any]:
    """Plain values for JSON; times are ISO 8601, local, without zone; sizes are bytes."""
    with catalog.snapshot():
        roots, run = catalog.roots(), catalog.last_run()
        return {
            "library": catalog.folder,
            "bytes": _folder_bytes(catalog.folder),
            "images": sum(root.images for root in roots),
            "roots": len(roots),
            "skipped": catalog.skipped_count(),
            "spaces": [
                {
                    "model": record.space.model,
                    "revision": record.space.revision,
                    "dimension": record.space.dimension,
                    "instruction": record.space.instruction,
                    "images": record.vectors,
                    "default": record.default,
                }
                for record in catalog.spaces()
            ],
            "texts": _texts(catalog.texts()),
            "last_run": _run(run) if run else None,
        }


def _texts(counts: TextCounts) -> dict[str, Any]:
    return asdict(counts) | {"engines": list(counts.engines)}


def _run(run: RunRecord) -> dict[str, Any]:
    finished = run.finished_at
    return {
        # Nothing tells a run that goes on from one that was killed.
        "outcome": "running or killed" if run.outcome == "running" else run.outcome,
        "model": run.model,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "finished_at": finished.isoformat(timespec="seconds") if finished else None,
        **run.counts,
    }


def _folder_bytes(folder: str) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.path.getsize(os.path.join(path, name))
    return total
