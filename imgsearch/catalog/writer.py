"""Changes the catalog; each public method is one transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Connection,
    Engine,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from imgsearch.catalog import (
    clusters,
    comparison,
    image_measures,
    ocr_texts,
    place_names,
    reference_scores,
    rows,
    takeover,
)
from imgsearch.catalog.commit import Commit
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.engine import writing
from imgsearch.catalog.ledger import changing
from imgsearch.catalog.tables import (
    commits,
    images,
    library,
    roots,
    runs,
    skipped,
    spaces,
    tombstones,
)
from imgsearch.records import (
    Clustering,
    ClusterTree,
    CommitResult,
    Encoded,
    ForeignImages,
    ImageMetadata,
    Known,
    Measures,
    Reference,
    Revision,
    RootRecord,
    Skipped,
    TakenOver,
    TextFound,
    TextVectors,
    Unvisited,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids


class CatalogWriter:
    """The writing half of a catalog; exists only while the writer lock is held.

    Call `begin_run` first: it sets the space that receives the vectors and the decoders that read
    the files.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._run = 0
        self._space = 0
        self._decoder = ""
        self._since = datetime.min

    # Runs

    def begin_run(self, space: EmbeddingSpace, decoder: str, precision: str) -> None:
        """Record the start of a run; the library's first space becomes its default.

        Parameters
        ----------
        decoder : str
            The versions of the decoders; files that other versions failed on are tried again.
        precision : str
            Compute precision of the encoder; recorded only.
        """
        self._since = datetime.now()
        with writing(self._engine) as connection:
            self._space = _put_space(connection, space)
            self._run = connection.execute(
                insert(runs)
                .values(
                    space_id=self._space,
                    precision=precision,
                    started_at=self._since,
                    outcome="running",
                    counts={},
                )
                .returning(runs.c.id)
            ).scalar_one()
        self._decoder = decoder

    def end_run(self, outcome: str, counts: dict[str, float]) -> None:
        """Record how the run ended."""
        with writing(self._engine) as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == self._run)
                .values(finished_at=datetime.now(), outcome=outcome, counts=counts)
            )

    def add_vectors(
        self, space: EmbeddingSpace, hashes: Sequence[str], vectors: NDArray[np.float16]
    ) -> tuple[set[str], int]:
        """Add vectors, by content hash, for present images that have none in a space.

        Parameters
        ----------
        hashes : sequence of str
        vectors : ndarray of shape (n, dimension), float16
            Of unit norm, up to rounding.

        Returns
        -------
        known, added
            The hashes of present images, and the number of images that got a vector.
        """
        blobs = {key: rows.to_blob(each) for key, each in zip(hashes, vectors, strict=True)}
        with changing(self._engine) as ledger:
            known = takeover.present(ledger.connection, list(blobs))
            if not known:
                return known, 0
            space_id = _put_space(ledger.connection, space)
            wanted = {key: blobs[key] for key in known}
            return known, takeover.add_vectors(ledger, space_id, wanted)

    def take_over(
        self, root: str, below: str, foreign: ForeignImages, spaces: Sequence[EmbeddingSpace]
    ) -> TakenOver:
        """Add pictures of another library below a root, with their vectors and texts.

        Parameters
        ----------
        below : str
            Path of the other root below this one: "" or a path that ends with "/".
        spaces : sequence of EmbeddingSpace
            Those of the other library. The first becomes the default if there is none.
        """
        with changing(self._engine) as ledger:
            connection = ledger.connection
            space_ids = {space.key: _put_space(connection, space) for space in spaces}
            root_id = rows.root_id(connection, root)
            return takeover.take_over(ledger, root_id, below, foreign, space_ids)

    def set_default_space(self, space: EmbeddingSpace) -> None:
        """Make `space` the one that is searched if no model is named."""
        space_id = select(spaces.c.id).where(spaces.c.key == space.key).scalar_subquery()
        with writing(self._engine) as connection:
            connection.execute(update(library).values(default_space_id=space_id))

    def drop_space(self, space: EmbeddingSpace) -> int:
        """Delete all vectors of a space and its references; returns the number of vectors.

        The space stays known, because past runs name it.
        """
        with changing(self._engine) as ledger:
            connection = ledger.connection
            space_id = connection.execute(
                select(spaces.c.id).where(spaces.c.key == space.key)
            ).scalar_one()
            reference_scores.forget(connection, space_id)
            return ledger.drop_space(space_id)

    def put_references(self, references: Sequence[Reference]) -> None:
        """Replace the scores of unrelated queries in the space of this run."""
        with writing(self._engine) as connection:
            reference_scores.put_scores(connection, self._space, references)

    def put_reference_texts(self, digest: str, texts: TextVectors) -> None:
        """Replace the reference texts in the space of this run."""
        with writing(self._engine) as connection:
            reference_scores.put_texts(connection, self._space, digest, texts)

    # Clusters

    def put_clusters(
        self,
        space: EmbeddingSpace,
        made_of: Clustering,
        trees: Sequence[ClusterTree],
        outliers: Ids,
        digest: str,
        vectors: Embeddings,
    ) -> None:
        """Replace the clusters of a space, with the vectors of the words that named them; see
        `clusters.replace`."""
        with writing(self._engine) as connection:
            clusters.replace(connection, space, made_of, trees, outliers, digest, vectors)

    def join_clusters(
        self, space: EmbeddingSpace, revision: Revision, joined: Mapping[int, Ids]
    ) -> None:
        """Put images of changes up to a revision into clusters by id; 0 is that of outliers."""
        with writing(self._engine) as connection:
            clusters.join(connection, space, revision, joined)

    def drop_clusters(self, space: EmbeddingSpace) -> None:
        """Delete the clusters of a space."""
        with writing(self._engine) as connection:
            clusters.drop(connection, space)

    # Roots

    def put_root(self, root: RootRecord) -> None:
        """Add or update a root; roots that it takes in become part of it."""
        values = {
            "exclude": list(root.exclude),
            "hidden": root.hidden,
            "mounts": list(root.mounts),
            "scanned_at": root.scanned_at,
        }
        with writing(self._engine) as connection:
            change = update(roots).where(roots.c.path == root.path).values(**values)
            if not connection.execute(change).rowcount:
                added = {"path": root.path, "added_at": datetime.now()}
                connection.execute(insert(roots).values(**added, **values))
            self._absorb(connection, root)

    def _absorb(self, connection: Connection, root: RootRecord) -> None:
        target = rows.root_id(connection, root.path)
        for inner in connection.execute(select(roots.c.id, roots.c.path)).all():
            if not root.takes_in(inner.path):
                continue
            below = os.path.relpath(inner.path, root.path).replace(os.sep, "/") + "/"
            for table in (images, skipped):
                connection.execute(
                    update(table)
                    .where(table.c.root_id == inner.id)
                    .values(root_id=target, path=literal(below, table.c.path.type) + table.c.path)
                )
            connection.execute(delete(roots).where(roots.c.id == inner.id))

    def forget_root(self, path: str) -> int:
        """Delete a root and everything about its images; return how many were present."""
        with changing(self._engine) as ledger:
            connection = ledger.connection
            root_id = rows.root_id(connection, path)
            below_root = images.c.root_id == root_id
            ids = connection.execute(select(images.c.id).where(below_root)).scalars().all()
            present = connection.execute(
                select(func.count()).where(below_root, images.c.status == "present")
            ).scalar_one()
            ledger.bury(ids)
            connection.execute(delete(images).where(below_root))
            connection.execute(delete(skipped).where(skipped.c.root_id == root_id))
            connection.execute(delete(roots).where(roots.c.id == root_id))
        return int(present)

    # Files

    def commit(self, items: Sequence[Encoded | Known | Skipped]) -> CommitResult:
        """Write the results for a batch of files; each file may occur only once."""
        with changing(self._engine) as ledger:
            commit = Commit(ledger, self._space, self._run, self._since, self._decoder)
            commit.put(items)
        return commit.result

    def put_texts(self, readings: Sequence[TextFound]) -> None:
        """Write texts, replacing those of the same content hashes."""
        with writing(self._engine) as connection:
            ocr_texts.put(connection, readings)

    def put_measures(self, found: Mapping[str, Measures]) -> None:
        """Write measures by content hash, replacing those of the same hashes."""
        with writing(self._engine) as connection:
            image_measures.put(connection, found)

    def put_place_names(self, found: Sequence[tuple[int, ImageMetadata]]) -> None:
        """Write the names of the places of images, by id."""
        with writing(self._engine) as connection:
            place_names.put(connection, found)

    def set_ocr_mode(self, mode: str) -> None:
        """Store which images the indexer reads: "auto", "on" or "off"."""
        with writing(self._engine) as connection:
            ocr_texts.set_mode(connection, mode)

    def retire(
        self,
        root: str,
        scope: str,
        image_ids: Ids,
        skipped_ids: Ids,
        unvisited: Sequence[Unvisited],
    ) -> int:
        """Declare absent the rows that a scan of `scope` did not see, outside `unvisited` folders.

        Parameters
        ----------
        image_ids, skipped_ids : ndarrays of shape (n,), int64
            The rows that were seen.

        Returns
        -------
        int
            The number of present images that are now absent. Their vectors are kept until
            `purge`, in case they come back.
        """
        with changing(self._engine) as ledger:
            connection = ledger.connection
            root_id = rows.root_id(connection, root)
            missing = comparison.missing(connection, images, root_id, scope, image_ids, unvisited)
            retired = 0
            for chunk in rows.chunks(missing):
                ledger.bury(chunk)
                in_chunk = images.c.id.in_(chunk)
                retired += connection.execute(
                    select(func.count()).where(in_chunk, images.c.status == "present")
                ).scalar_one()
                connection.execute(
                    update(images).where(in_chunk).values(status="gone", gone_at=datetime.now())
                )
            unseen = comparison.missing(connection, skipped, root_id, scope, skipped_ids, unvisited)
            for chunk in rows.chunks(unseen):
                connection.execute(
                    delete(skipped).where(skipped.c.id.in_(chunk), skipped.c.run_id != self._run)
                )
        return retired

    def purge(self, flushed: Revision, keep: timedelta) -> None:
        """Delete images that have been absent for longer than `keep`, and old tombstones.

        Parameters
        ----------
        flushed : int
            Tombstones up to this revision are in the index on disk; an older index will be
            rebuilt. 0 keeps all.
        """
        old = datetime.now() - keep
        with writing(self._engine) as connection:
            connection.execute(
                delete(images).where(images.c.status == "gone", images.c.gone_at < old)
            )
            connection.execute(delete(tombstones).where(tombstones.c.revision <= flushed))
            connection.execute(delete(commits).where(commits.c.revision < flushed))
            higher = case((library.c.purge_floor < flushed, flushed), else_=library.c.purge_floor)
            connection.execute(update(library).values(purge_floor=higher))


def _put_space(connection: Connection, space: EmbeddingSpace) -> int:
    """The id of a space, added if it is new; the library's first becomes its default."""
    connection.execute(
        upsert(spaces)
        .values(
            key=space.key,
            model=space.model,
            revision=space.revision,
            preprocessing=space.preprocessing,
            dimension=space.dimension,
            instruction=space.instruction,
            created_at=datetime.now(),
        )
        .on_conflict_do_nothing()
    )
    space_id = connection.execute(select(spaces.c.id).where(spaces.c.key == space.key)).scalar_one()
    connection.execute(
        update(library)
        .where(library.c.default_space_id.is_(None))
        .values(default_space_id=space_id)
    )
    return int(space_id)
