"""Laws of indexes on servers, whatever the engine."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from imgsearch import plugins
from imgsearch.errors import IndexServerError
from imgsearch.indexes.served_index import ServedIndex
from imgsearch.vectors import Embeddings, EmbeddingSpace
from tests.fakes import SPACE, batch


def refusal(url: str, space: EmbeddingSpace = SPACE, kind: str = "") -> IndexServerError:
    """The error of opening an index at a URL: it has a hint, and comes within five seconds.

    The kind of index is that of the URL unless another one is given.
    """
    started = time.monotonic()
    with pytest.raises(IndexServerError) as caught:
        plugins.index_class(kind or url)(url, "library", space)
    assert time.monotonic() - started < 5
    assert caught.value.hint
    return caught.value


def require_copies_apart(make: Callable[[], ServedIndex], row: Embeddings) -> None:
    """Two copies of a library do not mix.

    Parameters
    ----------
    make : callable
        Opens the index of one library, as a process would.
    row : ndarray of shape (1, dimension)
    """
    one, other = make(), make()
    one.apply(batch([1], row, token="one"))
    one.flush()
    other = make()
    other.apply(batch([2], row, since=1, revision=2, token="other"))
    other.flush()
    one.apply(batch([3], row, since=1, revision=2, token="one"))
    with pytest.raises(IndexServerError, match="another process has changed") as caught:
        one.flush()
    assert "two copies" in caught.value.hint
    assert make().ids().tolist() == [1, 2]
