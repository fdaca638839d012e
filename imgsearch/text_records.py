"""Records of the texts in pictures: what was read of one, and what a run or a library has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextFound:
    """What was read in the picture with these bytes.

    Attributes
    ----------
    content_hash : str
        xxh3-128 of the file, in hex.
    engine : str
        Name and revision of what has read it.
    text : str
        A line per text box; "" where there is none.
    reason : str
        Why it could not be read; "" where it could.
    """

    content_hash: str
    engine: str
    text: str = ""
    reason: str = ""


@dataclass(slots=True)
class TextReport:
    """What a run has read, counted in pictures of different bytes.

    Attributes
    ----------
    read : int
        `with_text` of them have any.
    failed : int
        Their text could not be read, and will not be tried again with this engine.
    put_off : int
        The file could not be read, or is not what was indexed: the next run tries again.
    """

    read: int = 0
    with_text: int = 0
    failed: int = 0
    put_off: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TextCounts:
    """The texts of a library, counted in present pictures.

    Attributes
    ----------
    wanted : bool
        True if the indexer reads the texts of new pictures.
    engines : tuple of str
        What has read them, by name.
    """

    wanted: bool
    read: int
    with_text: int
    failed: int
    engines: tuple[str, ...]
