"""The token of a server that others can reach: made and shown once, kept as a hash.

It has 256 random bits, so a plain SHA-256 of it cannot be turned back, and needs no salt.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections import OrderedDict

from imgsearch.errors import ImgSearchError
from imgsearch.writing import replace_file

FILE = "server-token.json"
COOKIE = "imgsearch_session"
MOST_SESSIONS = 1000
SESSION_SECONDS = 30 * 86_400


def new_token(library: str) -> str:
    """Make a token, and keep its hash in the library folder in place of an older one."""
    token = secrets.token_urlsafe(32)
    try:
        os.makedirs(library, mode=0o700, exist_ok=True)
        told = json.dumps({"sha256": _hash(token)}).encode()
        replace_file(os.path.join(library, FILE), told, private=True)
    except OSError as error:
        raise ImgSearchError(
            f"the token cannot be kept in {library}: {error.strerror}",
            "Check the permissions of the library folder.",
        ) from error
    return token


def stored_hash(library: str) -> str:
    """The hash of the token of this library; "" if there is none."""
    try:
        with open(os.path.join(library, FILE), encoding="ascii") as file:
            found = json.load(file)["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return found if isinstance(found, str) and len(found) == 64 else ""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Door:
    """Who may come in: whoever has the token, or a session that was opened with it.

    Parameters
    ----------
    token_hash : str
        SHA-256 of the token in hex; "" lets everybody in.
    """

    def __init__(self, token_hash: str) -> None:
        self._hash = token_hash
        self._sessions: OrderedDict[str, float] = OrderedDict()

    @property
    def locked(self) -> bool:
        """True if a token is asked for."""
        return bool(self._hash)

    def fits(self, token: str) -> bool:
        """True for the token; how long that takes says nothing about it."""
        return self.locked and hmac.compare_digest(_hash(token), self._hash)

    def open_session(self) -> str:
        """The secret of a new session."""
        session = secrets.token_urlsafe(32)
        self._sessions[_hash(session)] = time.monotonic()
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def knows(self, session: str) -> bool:
        """True for a session that is open. Only hashes are compared, which nobody can steer."""
        opened = self._sessions.get(_hash(session))
        return opened is not None and time.monotonic() - opened < SESSION_SECONDS
