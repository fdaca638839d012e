"""The tables of the catalog. Migrations create them; `alembic check` proves that both agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from imgsearch.catalog.dialects import BIG, MOMENT, VALUES
from imgsearch.catalog.sqlite_file import from_stored, to_stored

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class PathText(TypeDecorator[str]):
    """A path as UTF-8 text; names that are not UTF-8 are escaped (`sqlite_file.to_stored`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else to_stored(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else from_stored(value)


class Lines(TypeDecorator[tuple[str, ...]]):
    """Short texts stored as the lines of one text, so that a full-text index can read them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        return "\n".join(value) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value.split("\n")) if value else ()


library = Table(
    "library",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("uuid", Text, nullable=False),
    Column("revision", BIG, nullable=False),
    Column("purge_floor", BIG, nullable=False),
    Column("default_space_id", ForeignKey("spaces.id")),
    Column("created_at", MOMENT, nullable=False),
    Column("ocr", Text, nullable=False, server_default=""),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row. `revision` is the latest one assigned; tombstones up to `purge_floor` have been purged.
`ocr` is "auto", "on" or "off", or "" before the first choice."""

commits = Table(
    "commits",
    metadata,
    Column("revision", BIG, primary_key=True),
    Column("token", Text, nullable=False),
)
"""The last revision of every transaction that changed vectors, with a random token: an index whose
(revision, token) is missing here was built from another history."""

roots = Table(
    "roots",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("path", PathText, nullable=False, unique=True),
    Column("exclude", VALUES, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("mounts", VALUES, nullable=False),
    Column("added_at", MOMENT, nullable=False),
    Column("scanned_at", MOMENT),
)

images = Table(
    "images",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("root_id", ForeignKey("roots.id"), nullable=False),
    Column("path", PathText, nullable=False),
    Column("size", BIG, nullable=False),
    Column("mtime_ns", BIG, nullable=False),
    Column("ctime_ns", BIG, nullable=False, server_default="0"),
    Column("inode", BIG, nullable=False, server_default="0"),
    Column("sidecar_stamp", BIG, nullable=False, server_default="0"),
    Column("content_hash", Text, nullable=False),
    Column("width", BIG, nullable=False),
    Column("height", BIG, nullable=False),
    Column("format", Text, nullable=False),
    Column("orientation", BIG, nullable=False),
    Column("taken_at", MOMENT),
    Column("taken_precision", Text),
    Column("taken_source", Text),
    Column("utc_offset_minutes", BIG),
    Column("camera_make", Text),
    Column("camera_model", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("title", Text),
    Column("description", Text),
    Column("keywords", Lines),
    Column("people", Lines),
    Column("city", Text),
    Column("state", Text),
    Column("country", Text),
    Column("rating", BIG),
    Column("note", Text),
    Column("metadata_version", BIG, nullable=False, server_default="0"),
    Column("country_code", Text),
    Column("gazetteer_fields", Lines),
    Column("gazetteer_version", BIG, nullable=False, server_default="0"),
    Column("name_key", Text, nullable=False),
    Column("camera_key", Text),
    Column("status", Text, nullable=False),
    Column("added_at", MOMENT, nullable=False),
    Column("gone_at", MOMENT),
    UniqueConstraint("root_id", "path"),
    CheckConstraint("status IN ('present', 'gone', 'unreadable')", name="status"),
    Index("ix_images_content_hash_status", "content_hash", "status"),
    Index("ix_images_size", "size"),
    Index("ix_images_status_gone_at", "status", "gone_at"),
    # For filters. Each starts with the status, so that the index alone yields the ids of present
    # images that pass a filter on one field, without reading the table.
    Index("ix_images_status_taken_at", "status", "taken_at", "mtime_ns"),
    Index("ix_images_status_name_key", "status", "name_key"),
    Index("ix_images_status_camera_key", "status", "camera_key"),
    Index("ix_images_status_format", "status", "format"),
    Index("ix_images_status_width_height", "status", "width", "height"),
    Index("ix_images_status_latitude_longitude", "status", "latitude", "longitude"),
    Index("ix_images_status_rating", "status", "rating"),
    # For the positions that are to be named; it holds no picture without one. The migration says so
    # to PostgreSQL, too: an option of it here would load its dialect at every start.
    Index(
        "ix_images_gazetteer_version",
        "gazetteer_version",
        "id",
        sqlite_where=text("latitude IS NOT NULL"),
    ),
    # AUTOINCREMENT: an id is never reused, not even after its row is deleted.
    sqlite_autoincrement=True,
)
"""`gone`: absent at the last complete scan; `unreadable`: present, but changed and no longer
decodable. Both keep their vectors for a while, in case the image comes back. `name_key` is the file
name and `camera_key` the make and model, both folded by `filters.text_keys.folded`.
`metadata_version` is that of the reader of the metadata: an older one knew fewer tags.
`gazetteer_fields` names those of `city`, `state` and `country` that come from the position and not
from the file; `gazetteer_version` is that of the data and rules that named it."""

labels = Table(
    "labels",
    metadata,
    Column("field", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_labels_image_id", "image_id"),
    sqlite_with_rowid=False,
)
"""Labels of images, for filters: each keyword, person, title and so on, folded.
Triggers write it."""

spaces = Table(
    "spaces",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("model", PathText, nullable=False),
    Column("revision", Text, nullable=False),
    Column("preprocessing", Text, nullable=False),
    Column("dimension", BIG, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("instruction", Text, nullable=False, server_default=""),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("space_id", ForeignKey("spaces.id"), nullable=False),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
    Column("revision", BIG, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    UniqueConstraint("image_id", "space_id"),
    Index("ix_embeddings_space_id_revision", "space_id", "revision"),
)
"""`vector` holds `dimension` little-endian float16 numbers of unit norm."""

tombstones = Table(
    "tombstones",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("image_id", BIG, primary_key=True),
    Column("revision", BIG, nullable=False),
    Index("ix_tombstones_space_id_revision", "space_id", "revision"),
)

skipped = Table(
    "skipped",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("root_id", ForeignKey("roots.id"), nullable=False),
    Column("path", PathText, nullable=False),
    Column("size", BIG, nullable=False),
    Column("mtime_ns", BIG, nullable=False),
    Column("ctime_ns", BIG, nullable=False, server_default="0"),
    Column("inode", BIG, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False),
    Column("transient", Boolean, nullable=False),
    Column("decoder", Text, nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    UniqueConstraint("root_id", "path"),
)
"""`decoder` names the versions of the decoders that failed; other versions try the file again."""

runs = Table(
    "runs",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("space_id", ForeignKey("spaces.id"), nullable=False),
    Column("precision", Text, nullable=False),
    Column("started_at", MOMENT, nullable=False),
    Column("finished_at", MOMENT),
    Column("outcome", Text, nullable=False),
    Column("counts", VALUES, nullable=False),
    sqlite_autoincrement=True,
)
"""`outcome` is "running" (or killed), "done", "interrupted" or "failed"."""

reference_scores = Table(
    "reference_scores",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("modality", Text, primary_key=True),
    Column("location", Float, nullable=False),
    Column("scale", Float, nullable=False),
    Column("pictures", BIG, nullable=False),
)
"""The scores of a modality's queries against unrelated images; may be empty."""

reference_texts = Table(
    "reference_texts",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("digest", Text, nullable=False),
    Column("vectors", LargeBinary, nullable=False),
    Column("priors", LargeBinary),
)
"""The vectors of the texts whose hash is `digest`, so that scores can be measured again without a
model. `vectors` concatenates them in the format of `embeddings.vector`; `priors` holds a
little-endian float32 number for each text, its log-odds of an answer by the model."""

texts = Table(
    "texts",
    metadata,
    Column("content_hash", Text, primary_key=True),
    Column("engine", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""The text in the images with these bytes, "" if there is none; `reason` says why it could not be
read. Triggers delete a row together with the last image that has its bytes."""

measures = Table(
    "measures",
    metadata,
    Column("content_hash", Text, primary_key=True),
    Column("sharpness", Float, nullable=False),
    Column("brightness", Float, nullable=False),
    Column("shadows", Float, nullable=False),
    Column("highlights", Float, nullable=False),
    Column("contrast", Float, nullable=False),
    Column("colourfulness", Float, nullable=False),
    Column("kind", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Measures of the pixels of the images with these bytes: the fields of `records.Measures`. Images
that an older version has read have no row until they are decoded again. Triggers delete a row
together with the last image that has its bytes."""

clusterings = Table(
    "clusterings",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("revision", BIG, nullable=False),
    Column("pictures", BIG, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("words_digest", Text, nullable=False),
    Column("words", LargeBinary, nullable=False),
)
"""The last clustering of each space. `revision`: images of later ones have not joined yet;
`pictures`: the number of images that were grouped; `threshold`: the least mean inner product of an
image with its cluster; `words`: the vectors of the words for names, concatenated in the format of
`embeddings.vector`, whose texts have the hash `words_digest`."""

clusters = Table(
    "clusters",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("space_id", ForeignKey("spaces.id"), nullable=False),
    Column("parent_id", ForeignKey("clusters.id")),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("medoid_id", BIG, nullable=False),
    Column("mean", LargeBinary, nullable=False),
    Index("ix_clusters_name_key", "name_key"),
    Index("ix_clusters_parent_id", "parent_id"),
    # AUTOINCREMENT: an id that was in a script must not become another cluster.
    sqlite_autoincrement=True,
)
"""`mean` is the mean vector of the images, `dimension` little-endian float16 numbers, norm up to 1.
`name_key` is the name, folded. A cluster with others below it has no images of its own."""

cluster_members = Table(
    "cluster_members",
    metadata,
    Column("space_id", ForeignKey("spaces.id"), primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("cluster_id", ForeignKey("clusters.id")),
    Index("ix_cluster_members_cluster_id", "cluster_id"),
    Index("ix_cluster_members_image_id", "image_id"),
    sqlite_with_rowid=False,
)
"""The innermost cluster of each image; NULL for an outlier."""

saved_searches = Table(
    "saved_searches",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("request", Text, nullable=False),
    Column("saved_at", MOMENT, nullable=False),
    # AUTOINCREMENT: an id that a page shows must not become another search.
    sqlite_autoincrement=True,
)
"""Searches that the user saved. `request` is JSON of `searching.request.request_to_plain`;
`name_key` is the name, folded."""
