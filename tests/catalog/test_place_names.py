"""Names of places in the catalog."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event

from imgsearch.catalog import open_catalog


def test_positions_without_names_are_found_by_an_index(tmp_path: Path) -> None:
    """Every run asks for them, also in a library that has none."""
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    seen = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        if "LIMIT" in statement:
            seen.append((statement, parameters))

    event.listen(catalog._engine, "before_cursor_execute", note)
    assert catalog.unnamed_places(1, 5) == []
    event.remove(catalog._engine, "before_cursor_execute", note)
    with catalog._engine.connect() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + seen[0][0], seen[0][1]).all()
    catalog.close()
    steps = " ".join(row[-1] for row in plan)
    assert "ix_images_gazetteer_version" in steps and "ORDER BY" not in steps
