"""The position of a verification, from which the next run continues after a stop or a kill.

The position is a file in the library folder and not part of the truth: without it, the next
verification starts from the beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime

from imgsearch.writing import replace_file

FILE = "verification.json"


@dataclass(slots=True)
class _Position:
    """Attributes: `started` is the time of the first run, `done` maps the absolute path of each
    scanned folder to the last path below its root that was verified there."""

    library: str
    started: str
    done: dict[str, str] = field(default_factory=dict)


class Verification:
    """The files that a verification still has to hash.

    Parameters
    ----------
    folder, uuid : str
        Folder of the library and its uuid.

    Attributes
    ----------
    resumed : str
        Start of the verification that is continued; "" for a new one.
    """

    def __init__(self, folder: str, uuid: str) -> None:
        self._path = os.path.join(folder, FILE)
        position = self._load(uuid)
        self.resumed = position.started if position else ""
        self._position = position or _Position(uuid, f"{datetime.now():%Y-%m-%d %H:%M}")
        self._start = dict(self._position.done)
        self._last: dict[str, str] = {}

    def _load(self, uuid: str) -> _Position | None:
        with suppress(OSError, ValueError, TypeError):
            with open(self._path, encoding="ascii") as file:
                position = _Position(**json.load(file))
            if position.library == uuid and isinstance(position.done, dict):
                return position
        return None

    def pending(self, place: str, paths: Sequence[str]) -> frozenset[str]:
        """The next scanned paths, without those that an earlier run has verified.

        Only files behind links are out of path order, at the end of a scan; all of them are
        verified again.
        """
        start = self._start.get(place, "")
        return frozenset(p for p in paths if not self._is_in_order(place, p) or p > start)

    def _is_in_order(self, place: str, path: str) -> bool:
        ascending = path >= self._last.get(place, "")
        if ascending:
            self._last[place] = path
        return ascending

    def save(self, place: str, path: str) -> None:
        """Record that all files of a place up to this path are verified."""
        if path > self._position.done.get(place, ""):
            self._position.done[place] = path
            with suppress(OSError):  # a full disk: only the position is lost
                self._write()

    def finish(self, places: Iterable[str]) -> None:
        """Forget the positions in these places: their next verification starts at the beginning."""
        for place in places:
            self._position.done.pop(place, None)
        with suppress(OSError):
            if self._position.done:
                self._write()
            else:
                os.remove(self._path)

    def _write(self) -> None:
        data = json.dumps(asdict(self._position)).encode("ascii")
        replace_file(self._path, data, private=True, durable=False)
