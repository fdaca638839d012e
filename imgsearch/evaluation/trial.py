"""Tries a model on a sample of a library, beside the model in use; the library is only read."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from imgsearch.encoders.registry import canonical
from imgsearch.errors import QueryError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.library import Library
from imgsearch.ports import Encoder
from imgsearch.records import Encoded, ImageRecord
from imgsearch.searching import history
from imgsearch.searching.hits import Hit
from imgsearch.searching.request import Term
from imgsearch.searching.term_vectors import encode_term
from imgsearch.spaces import no_pictures, require_trained

MAX_CANDIDATES = 20_000
"""Pictures of a larger library, drawn at random, from which the sample is taken."""
MAX_PICTURES_PER_CALL = 32
BYTES_PER_NUMBER = 4
"""Bytes per number of a vector: two in the catalog, and two in the index."""
MIN_QUERIES = 4
MAX_OWN_QUERIES = 8
"""Maximum number of the user's queries; a longer page would not be read to its end."""
GENERAL_QUERIES = ("people", "an animal", "a street with cars", "food on a table")
"""General queries, added to those of the user."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Side:
    """The results of one model on the sample.

    Attributes
    ----------
    dimension : int
        Length of its vectors.
    encoded : int
        Pictures of the sample that it encoded.
    seconds_per_image : float
        Time for decoding and encoding one of them, loading the model not included.
    library_seconds, library_bytes : float, int
        Time to encode the whole library, and size of its vectors in catalog and index, both
        extrapolated.
    hits : sequence of list of Hit
        The best pictures of the sample for each query, with their inner products.
    """

    model: str
    dimension: int
    encoded: int
    seconds_per_image: float
    library_seconds: float
    library_bytes: int
    hits: Sequence[list[Hit]]


@dataclass(frozen=True, slots=True)
class Trial:
    """Two models on the same pictures and queries: the one in use, then the other."""

    images: int
    queries: Sequence[str]
    sides: tuple[Side, Side]


def try_model(
    library: Library,
    name: str,
    queries: Sequence[str] = (),
    max_images: int = 200,
    max_hits: int = 6,
    note: Callable[[str], None] = lambda text: None,
) -> Trial:
    """Encode a sample with the model in use and another one, and search in both.

    Parameters
    ----------
    name : str
        Name or folder of the other model, which must be on this machine.
    queries : sequence of str
        Words to search for; by default those of the last search and of saved ones, and
        some general ones.
    note : callable
        Gets a sentence before each model starts.

    Raises
    ------
    QueryError
        The library has no pictures, or the other model is the one in use.
    EncoderError
        A model is not on this machine or cannot be loaded.
    """
    if canonical(name) == library.model:
        raise QueryError(
            f"{library.model} is the model that this library uses",
            "Name another one: imgsearch models",
        )
    images = sample(library, max_images)
    queries = list(queries) or past_queries(library)
    library.models.revision(name)  # raises an error before the model in use is loaded
    sides = []
    for load in (library.encoder, lambda: library.models.encoder(name)):
        encoder = load()
        require_trained(encoder.space)
        note(f"Encoding {len(images)} pictures with {encoder.card.name} ...")
        sides.append(_side(library, encoder, images, queries, max_hits))
    return Trial(len(images), queries, (sides[0], sides[1]))


def past_queries(library: Library) -> list[str]:
    """The words of the last search and of saved ones, and general ones if they are few."""
    last = history.load(library.catalog.folder, library.catalog.uuid)
    searches = [last.terms] if last else []
    searches += [saved.request.terms for saved in library.saved]
    texts = [term.text for terms in searches for term in terms if term.text and term.weight > 0]
    own = list(dict.fromkeys(texts))[:MAX_OWN_QUERIES]
    return list(dict.fromkeys([*own, *GENERAL_QUERIES]))[: max(len(own), MIN_QUERIES)]


# The sample


def sample(library: Library, count: int) -> list[ImageRecord]:
    """Pictures drawn evenly from the folders and years of a library, the same ones each time."""
    chance = random.Random(0)  # noqa: S311 - nothing is secret
    ids = library.catalog.all_ids().tolist()
    if not ids:
        raise no_pictures()
    ids = chance.sample(ids, min(len(ids), MAX_CANDIDATES))
    records = library.catalog.get(ids)
    return fair([records[each] for each in ids if each in records], count)


def fair(images: Iterable[ImageRecord], count: int) -> list[ImageRecord]:
    """At most `count` of the pictures: each folder in turn, and in a folder each year in turn."""
    folders: dict[str, dict[int | None, list[ImageRecord]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        taken = image.metadata.taken_at
        years = folders[os.path.dirname(image.file.absolute)]
        years[taken.year if taken else None].append(image)
    return list(islice(_in_turn(_in_turn(years.values()) for years in folders.values()), count))


def _in_turn(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """One item of each group, then a second one of each, and so on until all are used up."""
    waiting = deque(iter(group) for group in groups)
    while waiting:
        group = waiting.popleft()
        for item in islice(group, 1):
            yield item
            waiting.append(group)


# A side


def _side(
    library: Library,
    encoder: Encoder,
    images: Sequence[ImageRecord],
    queries: Sequence[str],
    max_hits: int,
) -> Side:
    by_path = {image.file.absolute: image for image in images}
    pool = LocalPool(lambda: encoder, lambda size, _: library.decoder(size), MAX_PICTURES_PER_CALL)
    rows = [encode_term(encoder, Term(text=query)) for query in queries]
    encoder.encode_images([np.zeros((64, 64, 3), np.uint8)])  # a first picture takes longer
    start = time.monotonic()
    with closing(pool):
        results = list(pool.encode_files([image.file for image in images]))
    encoded = [each for each in results if isinstance(each, Encoded)]
    if not encoded:
        raise QueryError(
            "none of the pictures of the sample could be read", "Is their disk mounted?"
        )
    each = (time.monotonic() - start) / len(encoded)
    vectors = np.array([item.vector for item in encoded])
    shown = [by_path[item.file.absolute] for item in encoded]
    count = library.catalog.count()
    return Side(
        encoder.card.name,
        encoder.space.dimension,
        len(encoded),
        each,
        each * count,
        count * BYTES_PER_NUMBER * encoder.space.dimension,
        [_best(vectors @ row, shown, max_hits) for row in rows],
    )


def _best(scores: np.ndarray, images: Sequence[ImageRecord], count: int) -> list[Hit]:
    order = np.argsort(-scores, kind="stable")[:count]
    return [
        Hit(rank, float(scores[place]), images[place]) for rank, place in enumerate(order, start=1)
    ]
