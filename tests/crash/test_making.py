"""A library opens with all its rows after a kill at any step of its creation or upgrade.

Random steps are chosen, an eighth of `KILLS`, or all of them if there are fewer.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from imgsearch.catalog import open_catalog, schema
from imgsearch.catalog.rows import to_blob
from tests.conftest import full_only
from tests.crash import KILLS
from tests.crash.driver import count_steps
from tests.fakes import SPACE, held, vector_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def steps_of(act: Callable[[], object], fatal: int) -> int:
    """Run `act` in a process that dies at step `fatal`; returns the step count, 0 if it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            steps = count_steps(fatal)
            act()
            sys.setprofile(None)
            os.write(writing, str(steps()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        count = pipe.read()
    os.waitpid(child, 0)
    return int(count or 0)


def old_library(folder: str) -> None:
    """Create a library of the first schema, which is frozen, with ten pictures."""
    os.makedirs(folder)
    path = os.path.join(folder, "catalog.sqlite")
    from alembic import command

    with create_engine(f"sqlite:///{path}").begin() as connection:
        command.upgrade(schema.alembic_config(connection), "0001")
    day = "2026-01-01 00:00:00.000000"
    with sqlite3.connect(path) as db:
        names = ("model", "revision", "preprocessing", "dimension")
        space = {name: getattr(SPACE, name) for name in names}
        put(db, "spaces", id=1, key=SPACE.key, created_at=day, **space)
        row = {"uuid": "0" * 32, "revision": 10, "purge_floor": 0, "default_space_id": 1}
        put(db, "library", id=1, created_at=day, **row)
        put(db, "roots", id=1, path="/photos", exclude="[]", hidden=0, added_at=day)
        for n in range(1, 11):
            put(db, "images", id=n, root_id=1, path=f"{n}.jpg", size=n, mtime_ns=n,
                content_hash=f"{n}", width=1, height=1, format="JPEG", orientation=1,
                status="present", added_at=day)  # fmt: skip
            put(
                db,
                "embeddings",
                image_id=n,
                space_id=1,
                revision=n,
                vector=to_blob(vector_of(f"{n}")),
            )
    db.close()


def put(db: sqlite3.Connection, table: str, **values: object) -> None:
    places = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", [*values.values()])


def fatal_steps(total: int) -> list[int]:
    return sorted(random.sample(range(1, total + 1), min(KILLS // 8, total)))


@full_only
def test_a_kill_at_any_step_of_creating_a_library(tmp_path: Path) -> None:
    make = lambda n: lambda: open_catalog(str(tmp_path / str(n)), create=True)  # noqa: E731
    make("first")()  # the next ones take fewer steps, because modules are loaded
    total = steps_of(make(0), 0)
    steps = fatal_steps(total)
    for step in steps:
        assert steps_of(make(step), step) == 0
        catalog = open_catalog(str(tmp_path / str(step)), create=True)
        assert catalog.head() == (0, "") and catalog.check() == []
        catalog.close()
    print(f"killed at {len(steps)} of {total} steps")


@full_only
def test_a_kill_at_any_step_of_an_upgrade(tmp_path: Path) -> None:
    old_library(str(tmp_path / "old"))

    def upgrade(n: int | str) -> Callable[[], object]:
        folder = str(tmp_path / str(n))
        shutil.copytree(tmp_path / "old", folder)
        return lambda: open_catalog(folder)

    upgrade("first")()
    total = steps_of(upgrade(0), 0)
    steps = fatal_steps(total)
    for step in steps:
        assert steps_of(upgrade(step), step) == 0
        catalog = open_catalog(str(tmp_path / str(step)))
        assert set(held(catalog)) == {f"/photos/{n}.jpg" for n in range(1, 11)}
        assert catalog.head()[0] == 10 and catalog.check() == []
        catalog.close()
    print(f"killed at {len(steps)} of {total} steps")
