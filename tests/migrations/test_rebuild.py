"""A migration that rebuilds a table must keep the rows that refer to it."""

from __future__ import annotations

import sqlite3

from alembic import command, op

from imgsearch.catalog import open_catalog, schema
from tests.fakes import held
from tests.migrations.test_migrations import make_0001


def test_a_rebuilt_table_keeps_the_rows_that_refer_to_it(tmp_path, monkeypatch):
    make_0001(tmp_path)
    upgrade = command.upgrade

    def and_rebuild(config, revision):
        upgrade(config, revision)
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        context = MigrationContext.configure(config.attributes["connection"])
        with Operations.context(context), op.batch_alter_table("images", recreate="always"):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", and_rebuild)
        catalog = open_catalog(str(tmp_path))
    assert len(held(catalog)) == 2
    assert catalog.check() == []


def test_a_database_of_another_program_is_left_alone(tmp_path):
    import pytest

    from imgsearch.errors import CatalogError

    path = tmp_path / "catalog.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogError, match="another program"):
        open_catalog(str(tmp_path), create=True)
    assert path.read_bytes() == before, "not even its journal mode"
    assert schema.HEAD
