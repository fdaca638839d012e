"""Saved searches: requests kept in the catalog by name, and answered from its present state.

A request is kept as `request_to_plain` writes it. Pictures in it are ids, or paths of files outside
the library; pixels and uploaded files are not kept. Case and accents of names do not matter.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imgsearch.errors import CatalogError, QueryError
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import all_of
from imgsearch.records import ImageRecord, SavedRecord
from imgsearch.searching.request import (
    MODES,
    SearchRequest,
    Term,
    request_from_plain,
    request_to_plain,
)
from imgsearch.searching.terms import EMPTY_QUERY, text_term

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog
    from imgsearch.catalog.overview import Overview
    from imgsearch.catalog.saved_searches import SavedWriter

MAX_NAME_CHARACTERS = 100
MAX_SAVED_SEARCHES = 1000
"""Saved searches of a library."""
MAX_REQUEST_BYTES = 64 << 10
"""Limit for one request as JSON."""
_JOINERS = "\u200c\u200d"
"""Zero-width characters that Persian and emojis need; other invisible ones are refused."""


class NoSuchSearch(QueryError):
    """There is no saved search of that name or id."""


class NameTaken(QueryError):
    """Another saved search has that name."""


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search by name.

    Attributes
    ----------
    id : int
        Does not change when the search is renamed or replaced.
    name : str
    request : SearchRequest
        For `Library.search`.
    saved_at : datetime
        Local time, without a zone.
    missing : tuple of str
        Its example pictures that are gone: paths, or "picture 7".
    """

    id: int
    name: str
    request: SearchRequest
    saved_at: datetime
    missing: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The search in words, on one line."""
        return described(self.request)

    def required(self) -> SearchRequest:
        """The request; raises `QueryError` if one of its example pictures is gone."""
        if self.missing:
            raise QueryError(
                f"the saved search {self.name!r} has an example picture that is gone:"
                f" {self.missing[0]}",
                "Save it again with another one (imgsearch saved add --replace), or remove it.",
            )
        return self.request


class SavedSearches:
    """The saved searches of a library, by name.

    Parameters
    ----------
    catalog : Catalog
    result_of : callable
        The picture of a result of the last search, by its rank.
    """

    def __init__(self, catalog: Catalog, result_of: Callable[[int], ImageRecord]) -> None:
        self._catalog, self._result_of = catalog, result_of

    def __iter__(self) -> Iterator[SavedSearch]:
        """All of them, by name; one that is damaged is left out."""
        return iter(listed(self._catalog)[0])

    def __len__(self) -> int:
        return len(self._catalog.saved_searches())

    def __getitem__(self, name: str) -> SavedSearch:
        """The saved search of that name; raises `NoSuchSearch`, which is a `QueryError`."""
        return saved_search(self._catalog, name)

    def add(self, name: str, request: SearchRequest | str, replace: bool = False) -> SavedSearch:
        """Save a search.

        Parameters
        ----------
        name : str
            Up to `MAX_NAME_CHARACTERS` characters on one line.
        request : SearchRequest or str
            Words, or a whole request. Results of the last search are kept as pictures.
        replace : bool
            Replace a search of that name.

        Raises
        ------
        NameTaken
            There is one of that name, and `replace` is false.
        QueryError
            The name cannot be used, the request searches for nothing, is too long, or has a
            picture that cannot be kept.
        """
        name, key = checked_name(name)
        if isinstance(request, str):
            request = SearchRequest([text_term(request)])
        text = self._stored(request)
        with self._catalog.saving() as writer:
            taken = writer.named(key)
            if taken is not None and not replace:
                raise _name_taken(taken.name, "To replace it: imgsearch saved add --replace")
            if taken is None and writer.count() >= MAX_SAVED_SEARCHES:
                raise QueryError(
                    f"this library has {MAX_SAVED_SEARCHES} saved searches, and takes no more",
                    "Remove some: imgsearch saved remove NAME",
                )
            writer.put(name, key, text)
        return self[name]

    def rename(self, name: str, new_name: str) -> SavedSearch:
        """Give a search another name; raises `NoSuchSearch` and `NameTaken`."""
        old_key = checked_name(name)[1]
        new_name, key = checked_name(new_name)
        with self._catalog.saving() as writer:
            found, taken = writer.named(old_key), writer.named(key)
            if found is None:
                raise _no_such(name)
            if taken is not None and taken.id != found.id:
                raise _name_taken(taken.name, "Choose another name.")
            writer.rename(found.id, new_name, key)
        return self[new_name]

    def remove(self, name: str) -> None:
        """Delete a search; no picture is touched. Raises `NoSuchSearch`."""
        key = checked_name(name)[1]
        with self._catalog.saving() as writer:
            found = writer.named(key)
            if found is None:
                raise _no_such(name)
            writer.remove(found.id)

    def name_of(self, saved_id: int) -> str:
        """The name of a search by its id; raises `NoSuchSearch`."""
        names = {each.id: each.name for each in self._catalog.saved_searches()}
        if saved_id not in names:
            raise NoSuchSearch(f"there is no saved search {saved_id}", _LIST_HINT)
        return names[saved_id]

    def _stored(self, request: SearchRequest) -> str:
        """A request in the form that the catalog keeps."""
        if not request.terms and request.where is None:
            if request.good or request.bad:
                raise QueryError(
                    "results alone refine the last search, which a saved search cannot refer to",
                    "Say what to look for as well, or use the results as examples: --like '#1'",
                )
            raise QueryError(*EMPTY_QUERY)
        text = _as_text(replace(_mapped(request, self._kept), remember=False))
        if len(text) > MAX_REQUEST_BYTES:
            raise QueryError(
                f"the search takes more than {MAX_REQUEST_BYTES >> 10} KiB, which is too much to"
                " save",
                "Use fewer or shorter terms.",
            )
        return text

    def _kept(self, term: Term) -> Term:
        """A term with its picture as an id or a path."""
        if term.data is not None or term.image is not None or term.vector is not None:
            raise QueryError(
                f"a saved search cannot keep {term.name or 'a picture that is not a file'}",
                "Name a picture file or a picture of the library.",
            )
        if term.result is not None:
            return self._of_image(term, self._result_of(term.result))
        if term.image_id is not None:
            record = self._catalog.get([term.image_id]).get(term.image_id)
            if record is None:
                raise QueryError(
                    f"there is no picture {term.image_id}",
                    "It may have left the library: search again.",
                )
            return self._of_image(term, record)
        return term if term.path is None else self._of_file(term, term.path)

    def _of_image(self, term: Term, record: ImageRecord) -> Term:
        path = record.file.absolute
        if term.fused:  # which is read from the file
            return replace(term, result=None, image_id=None, path=path, name=path)
        return replace(term, result=None, path=None, image_id=record.id, name=path)

    def _of_file(self, term: Term, path: str) -> Term:
        path = os.path.abspath(path)
        if not os.path.isfile(path):
            raise QueryError(
                f"the example picture {term.name or path} is not a file",
                "Name a picture file: --like beach.jpg",
            )
        record = self._catalog.locate(os.path.realpath(path))
        return (
            replace(term, path=path, name=path) if record is None else self._of_image(term, record)
        )


def _mapped(request: SearchRequest, change: Callable[[Term], Term]) -> SearchRequest:
    """A request with each of its terms changed."""
    terms, good, bad = (
        [change(term) for term in terms] for terms in (request.terms, request.good, request.bad)
    )
    return replace(request, terms=terms, good=good, bad=bad)


def _as_text(request: SearchRequest) -> str:
    return json.dumps(request_to_plain(request), separators=(",", ":"))


# From another library


def take_over(catalog: Catalog, other: Catalog) -> int:
    """Add the saved searches of another library; returns how many.

    If another search here has the name, a number is appended. Pictures in a search are found here
    by their paths, and searches that are here already are left out.
    """
    added = 0
    for each in listed(other)[0]:
        text = _as_text(_mapped(each.request, lambda term: _moved_term(term, catalog, other)))
        with catalog.saving() as writer:
            name = _free_name(writer, each.name, text)
            if name is not None and writer.count() < MAX_SAVED_SEARCHES:
                writer.put(*checked_name(name), text)
                added += 1
    return added


def _free_name(writer: SavedWriter, name: str, text: str) -> str | None:
    """The name, or the name with the first number that is free; None if one of these holds the
    same search."""
    for number in range(1, MAX_SAVED_SEARCHES + 2):
        ending = f" ({number})" if number > 1 else ""
        numbered = name[: MAX_NAME_CHARACTERS - len(ending)].rstrip() + ending
        taken = writer.named(checked_name(numbered)[1])
        if taken is None:
            return numbered
        if taken.request == text:
            return None
    return None


def _moved_term(term: Term, catalog: Catalog, other: Catalog) -> Term:
    if term.image_id is not None:
        theirs = other.get([term.image_id]).get(term.image_id)
        path = theirs.file.absolute if theirs else term.name
        term = replace(term, image_id=None, path=path, name=path)
    if term.path is None or term.fused:
        return term
    record = catalog.locate(term.path)
    return term if record is None else replace(term, path=None, image_id=record.id)


# Reading, also where only an `Overview` is open


def saved_search(catalog: Catalog | Overview, name: str) -> SavedSearch:
    """The saved search of that name.

    Raises
    ------
    NoSuchSearch
    CatalogError
        The stored request cannot be read.
    """
    record = catalog.saved_search(checked_name(name)[1])
    if record is None:
        raise _no_such(name)
    try:
        return _read(catalog, record)
    except _DAMAGE as error:
        raise CatalogError(
            f"the saved search {record.name!r} cannot be read: it is damaged, or was saved by a"
            " newer version of imgsearch",
            f"To remove it: imgsearch saved remove {record.name!r}",
        ) from error


def listed(catalog: Catalog | Overview) -> tuple[list[SavedSearch], list[str]]:
    """The saved searches by name, and the names of those that cannot be read."""
    found, damaged = [], []
    for record in catalog.saved_searches():
        try:
            found.append(_read(catalog, record))
        except _DAMAGE:
            damaged.append(record.name)
    return found, damaged


_DAMAGE = (LookupError, TypeError, ValueError, RecursionError, QueryError)


def _read(catalog: Catalog | Overview, record: SavedRecord) -> SavedSearch:
    request = request_from_plain(json.loads(record.request))
    pictures = [*request.terms, *request.good, *request.bad]
    ids = [term.image_id for term in pictures if term.image_id is not None]
    present = catalog.present(ids) if ids else set()
    missing = tuple(
        term.name or f"picture {term.image_id}" for term in pictures if _is_missing(term, present)
    )
    return SavedSearch(record.id, record.name, request, record.saved_at, missing)


def _is_missing(term: Term, present: set[int]) -> bool:
    if term.image_id is not None:
        return term.image_id not in present
    return term.path is not None and not os.path.isfile(term.path)


def combined(saved: SearchRequest, more: SearchRequest) -> SearchRequest:
    """A saved request with further terms and filters, which must hold as well.

    Options that `more` states replace those that were saved; the limit is that of `more`.

    Raises
    ------
    QueryError
        The filters together are too large.
    """
    filters = [each for each in (saved.where, more.where) if each is not None]
    own_cut_off = (more.min_score, more.min_strength, more.max_false_matches) != (None, None, None)
    cut_off = more if own_cut_off else saved
    return SearchRequest(
        [*saved.terms, *more.terms],
        more.limit,
        saved.mode if more.mode == MODES[0] else more.mode,
        all_of(filters),
        good=[*saved.good, *more.good],
        bad=[*saved.bad, *more.bad],
        min_score=cut_off.min_score,
        min_strength=cut_off.min_strength,
        max_false_matches=cut_off.max_false_matches,
        instruction=saved.instruction if more.instruction is None else more.instruction,
        unique=saved.unique or more.unique,
        apart=saved.apart or more.apart,
        federated=saved.federated or more.federated,
        sort=more.sort or saved.sort,
        remember=more.remember,
    )


def checked_name(name: str) -> tuple[str, str]:
    """A name with single spaces, and its key; raises `QueryError` for one that cannot be used."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name:
        raise QueryError(
            "the name of a saved search is empty", "Name it: imgsearch saved add beach"
        )
    if len(name) > MAX_NAME_CHARACTERS:
        raise QueryError(
            f"the name of a saved search has {len(name)} characters; the maximum is"
            f" {MAX_NAME_CHARACTERS}",
            "Use a shorter one.",
        )
    if not all(each.isprintable() or each in _JOINERS for each in name):
        raise QueryError(
            "the name of a saved search has an invisible character", "Type it again without it."
        )
    return name, folded(name) or name


def described(request: SearchRequest) -> str:
    """A request in words, on one line."""
    words = [term for term in request.terms if term.text]
    parts = [term.text or "" for term in words if term.weight > 0]
    parts += [f"without {term.text}" for term in words if term.weight < 0]
    pictures: Sequence[tuple[str, int]] = (
        ("like", sum(term.modality != "text" and term.weight > 0 for term in request.terms)),
        ("unlike", sum(term.modality == "image" and term.weight < 0 for term in request.terms)),
    )
    parts += [f"{word} {count} picture{'s' * (count > 1)}" for word, count in pictures if count]
    parts += [str(request.where)] if request.where is not None else []
    return re.sub(r"\s+", " ", ", ".join(parts))


def saved_to_plain(saved: SavedSearch) -> dict[str, Any]:
    """A saved search as values for JSON."""
    return {
        "id": saved.id,
        "name": saved.name,
        "text": saved.text,
        "missing": list(saved.missing),
        "saved_at": saved.saved_at.isoformat(timespec="seconds"),
        "request": request_to_plain(saved.request),
    }


_LIST_HINT = "'imgsearch saved list' lists those that there are."


def _no_such(name: str) -> NoSuchSearch:
    return NoSuchSearch(f"there is no saved search {name!r}", _LIST_HINT)


def _name_taken(name: str, hint: str) -> NameTaken:
    return NameTaken(f"there is a saved search {name!r} already", hint)
