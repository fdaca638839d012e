"""One file at a time into the catalog: new, changed, moved, copied, touched, back, or broken."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import rows
from imgsearch.catalog.ledger import Ledger
from imgsearch.catalog.tables import embeddings, images, skipped
from imgsearch.records import CommitResult, Encoded, ImageFile, Known, Skipped


class Commit:
    """Results for some files, within one transaction.

    Parameters
    ----------
    space, run : int
        Ids of the space that vectors go into, and of the present run.
    since : datetime
        When the run began.
    decoder : str
        The decoders that read the files.
    """

    def __init__(self, ledger: Ledger, space: int, run: int, since: datetime, decoder: str) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._space = space
        self._run = run
        self._since = since
        self._decoder = decoder
        self._root_ids: dict[str, int] = {}
        self.result = CommitResult()

    def put(self, item: Encoded | Known | Skipped) -> None:
        """Write the result for one file."""
        if isinstance(item, Encoded):
            self._put_encoded(item)
        elif isinstance(item, Known):
            self._put_known(item)
        else:
            self._put_skipped(item)

    def _put_encoded(self, item: Encoded) -> None:
        row = self._image_row(item.file)
        metadata = rows.metadata_values(item.metadata)
        if row is None:
            image_id = self._insert_image(item, metadata)
            self.result.added += 1
        else:
            image_id = row.id
            if row.content_hash != item.content_hash:
                self._ledger.drop_vectors(image_id)
            self._update_image(image_id, item, metadata)
            if row.status != "present":
                self._ledger.revive(image_id)
            self.result.added += row.status == "gone"
            self.result.updated += row.status != "gone"
        self._ledger.put_vector(self._space, image_id, rows.to_blob(item.vector))
        self._forget_skipped(item.file)

    def _put_known(self, item: Known) -> None:
        row = self._image_row(item.file)
        if row is not None and row.content_hash == item.content_hash:
            image_id = self._refresh(row, item)
        else:
            donor = self._donor(item.content_hash)
            if donor is None:
                self.result.unresolved.append(item.file)
                return
            image_id = self._take_over(item, row, donor)
        self._forget_skipped(item.file)
        if not self._ledger.has_vector(self._space, image_id):
            self.result.unresolved.append(item.file)

    def _refresh(self, row: Row[Any], item: Known) -> int:
        """A file that was touched, or that has come back."""
        self._update_image(row.id, item, {})
        if row.status == "present":
            self.result.unchanged += 1
        else:
            self._ledger.revive(row.id)
            self.result.added += 1
        return int(row.id)

    def _take_over(self, item: Known, row: Row[Any] | None, donor: Row[Any]) -> int:
        """A new name for a picture that is gone from its old one, or a copy of one that is not."""
        if row is None and donor.status == "gone":
            moved = {
                "root_id": self._root_id(item.file.root),
                **rows.path_values(item.file.path),
            }
            self._update_image(donor.id, item, moved)
            self._ledger.revive(donor.id)
            self.result.moved += 1
            self.result.moved_now += donor.gone_at is not None and donor.gone_at >= self._since
            return int(donor.id)
        metadata = rows.metadata_values(donor)
        if row is None:
            image_id = self._insert_image(item, metadata)
            self.result.added += 1
        else:
            image_id = row.id
            self._ledger.drop_vectors(image_id)
            self._update_image(image_id, item, metadata)
            self.result.updated += 1
        self._copy_vectors(donor.id, image_id)
        return image_id

    def _copy_vectors(self, source_id: int, target_id: int) -> None:
        query = select(embeddings.c.space_id, embeddings.c.vector).where(
            embeddings.c.image_id == source_id
        )
        for space_id, vector in self._connection.execute(query).all():
            self._ledger.put_vector(space_id, target_id, vector)

    def _put_skipped(self, item: Skipped) -> None:
        file = item.file
        values = {
            "size": file.size,
            "mtime_ns": file.mtime_ns,
            "reason": item.reason,
            "transient": item.transient,
            "decoder": self._decoder,
            "run_id": self._run,
        }
        self._connection.execute(
            upsert(skipped)
            .values(root_id=self._root_id(file.root), path=file.path, **values)
            .on_conflict_do_update(index_elements=["root_id", "path"], set_=values)
        )
        self.result.skipped += 1
        row = self._image_row(file)
        looked_at = (file.size, file.mtime_ns) != (0, 0)
        changed = row is not None and (row.size, row.mtime_ns) != (file.size, file.mtime_ns)
        if row is not None and row.status == "present" and changed and looked_at:
            # The picture that the vector came from is no longer in this file. Nothing is lost:
            # the vector stays for the case that the picture comes back.
            self._ledger.bury([row.id])
            self._connection.execute(
                update(images).where(images.c.id == row.id).values(status="unreadable")
            )

    def _donor(self, content_hash: str) -> Row[Any] | None:
        """A picture with these bytes: best one with a vector in this space, and that is gone."""
        same = select(images).where(images.c.content_hash == content_hash).limit(1)
        has_vector = (
            select(embeddings.c.id)
            .where(embeddings.c.image_id == images.c.id, embeddings.c.space_id == self._space)
            .exists()
        )
        gone = images.c.status == "gone"
        # One small query after the other: a sort would look at every copy of the picture.
        for wanted in (and_(gone, has_vector), has_vector, gone, true()):
            row = self._connection.execute(same.where(wanted)).first()
            if row is not None:
                return row
        return None

    def _root_id(self, path: str) -> int:
        if path not in self._root_ids:
            self._root_ids[path] = rows.root_id(self._connection, path)
        return self._root_ids[path]

    def _image_row(self, file: ImageFile) -> Row[Any] | None:
        root_id = self._root_id(file.root)
        query = select(images).where(images.c.root_id == root_id, images.c.path == file.path)
        return self._connection.execute(query).first()

    def _insert_image(self, item: Encoded | Known, metadata: dict[str, Any]) -> int:
        values = {
            "root_id": self._root_id(item.file.root),
            **rows.path_values(item.file.path),
            "added_at": datetime.now(),
        }
        inserted = self._connection.execute(
            insert(images).values(**values, **_state(item), **metadata).returning(images.c.id)
        )
        return int(inserted.scalar_one())

    def _update_image(self, image_id: int, item: Encoded | Known, more: dict[str, Any]) -> None:
        self._connection.execute(
            update(images).where(images.c.id == image_id).values(**_state(item), **more)
        )

    def _forget_skipped(self, file: ImageFile) -> None:
        root_id = self._root_id(file.root)
        self._connection.execute(
            delete(skipped).where(skipped.c.root_id == root_id, skipped.c.path == file.path)
        )


def _state(item: Encoded | Known) -> dict[str, Any]:
    return {
        "size": item.file.size,
        "mtime_ns": item.file.mtime_ns,
        "content_hash": item.content_hash,
        "status": "present",
        "gone_at": None,
    }
