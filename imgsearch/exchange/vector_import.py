"""Imports vectors that another machine has made, for pictures with the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsearch.catalog.lock import LOCK_TIMEOUT_SECONDS
from imgsearch.errors import EncoderError, SpaceMismatch
from imgsearch.exchange.exported_files import Batch, ExportedFiles
from imgsearch.spaces import Spaces, require_trained
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter

MAX_LISTED_PATHS = 1000


@dataclass(slots=True)
class Import:
    """The result of an import.

    Attributes
    ----------
    rows : int
        Pictures in the files.
    added : int
        Pictures of the library that got a vector.
    known : int
        Rows whose pictures are in the library, with or without a vector before.
    unknown : int
        Rows whose pictures are not in the library.
    unknown_paths : list of str
        Paths of the first 1000 of these.
    unsound : int
        Rows left out: no content hash, or a vector that is not finite or not of unit norm.
    notes : list of str
        Sentences for the user.
    """

    rows: int = 0
    added: int = 0
    known: int = 0
    unknown: int = 0
    unknown_paths: list[str] = field(default_factory=list)
    unsound: int = 0
    notes: list[str] = field(default_factory=list)


OnBatch = Callable[[int, int], None]
"""Called after each commit with the number of rows read and the total."""


def import_vectors(
    catalog: Catalog,
    spaces: Spaces,
    path: str,
    on_batch: OnBatch = lambda done, total: None,
) -> Import:
    """Import the vectors of an export for the present pictures that have none in their space.

    Each batch is one transaction, and existing vectors are kept. Run an import again if it was
    stopped.

    Raises
    ------
    ExchangeError
        The files are not an export, or damaged.
    SpaceMismatch
        The model on this machine makes vectors of another space.
    LibraryBusy
        Another process is writing to this library.
    """
    files = ExportedFiles(path)
    space = _usable(catalog, spaces, files.space)
    report = Import()
    with catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS) as writer:
        for batch in files.batches():
            _add(writer, space, batch, report)
            on_batch(report.rows, files.rows)
    default = catalog.default_space()
    if report.known and default != space:
        report.notes.append(
            f"Searches go on with {default.model if default else 'no model'}. To use these vectors,"
            f" and make those that are missing: imgsearch index --model {space.model}"
        )
    return report


def _usable(catalog: Catalog, spaces: Spaces, space: EmbeddingSpace) -> EmbeddingSpace:
    """The space, if the library has it or the model on this machine makes vectors of it."""
    require_trained(space)
    if space in catalog.known_spaces():
        return space
    try:
        spaces.encoder_for(space)
    except (SpaceMismatch, EncoderError) as error:
        present = [str(each) for each in catalog.known_spaces()]
        raise SpaceMismatch(
            f"these vectors do not fit this library:\n  vectors  {space}\n  library  "
            + "\n           ".join(present or ["none yet"])
            + f"\n  model    {error}",
            "Use the same version of the model on both machines ('imgsearch models' lists those"
            " here), or export vectors of a model that this library has.",
        ) from error
    return space


def _add(writer: CatalogWriter, space: EmbeddingSpace, batch: Batch, report: Import) -> None:
    """Commit a batch and count its rows."""
    sound = [place for place, good in enumerate(batch.sound.tolist()) if good]
    hashes = [str(batch.hashes[place]) for place in sound]
    known, added = writer.add_vectors(space, hashes, batch.vectors[sound])
    unknown = [place for place, each in zip(sound, hashes, strict=True) if each not in known]
    report.rows += len(batch.sound)
    report.added += added
    report.known += len(sound) - len(unknown)
    report.unknown += len(unknown)
    report.unsound += len(batch.sound) - len(sound)
    room = MAX_LISTED_PATHS - len(report.unknown_paths)
    report.unknown_paths += [batch.paths[place] or "(no path)" for place in unknown[:room]]
