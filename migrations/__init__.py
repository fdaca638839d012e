"""Alembic migrations of the catalog; installed as `imgsearch.migrations`."""
