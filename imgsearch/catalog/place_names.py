"""Names of places: images whose position is not named yet, and the names in use."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from imgsearch.catalog import rows
from imgsearch.catalog.tables import images, labels
from imgsearch.filters.fields import PLACE_FIELDS
from imgsearch.records import ImageMetadata

_WRITTEN = (*PLACE_FIELDS, "country_code", "gazetteer_fields", "gazetteer_version")
_PUT = (
    update(images)
    .where(images.c.id == bindparam("image_id"))
    .values({name: bindparam(name, type_=images.c[name].type) for name in _WRITTEN})
)
_METADATA = [images.c[name] for name in rows.METADATA_COLUMNS]


def unnamed(connection: Connection, version: int, limit: int) -> list[tuple[int, ImageMetadata]]:
    """Images whose position no gazetteer has named, or an older one."""
    query = (
        select(images.c.id, *_METADATA)
        .where(images.c.latitude.is_not(None), images.c.gazetteer_version < version)
        .order_by(images.c.gazetteer_version, images.c.id)  # the order of an index
        .limit(limit)
    )
    return [(row.id, rows.image_metadata(row)) for row in connection.execute(query)]


def put(connection: Connection, found: Sequence[tuple[int, ImageMetadata]]) -> None:
    """Write the names of images, with the words and labels that follow from them."""
    if found:
        values = [
            {"image_id": key, **{name: getattr(each, name) for name in _WRITTEN}}
            for key, each in found
        ]
        connection.execute(_PUT, values)


def known(connection: Connection, keys: Sequence[str]) -> set[str]:
    """The given folded texts that are the city, state or country of an image."""
    found: set[str] = set()
    for chunk in rows.chunks(list(keys)):
        query = select(labels.c.key).where(
            labels.c.field.in_(PLACE_FIELDS), labels.c.key.in_(chunk)
        )
        found.update(connection.execute(query.distinct()).scalars())
    return found
