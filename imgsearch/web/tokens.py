"""The access token of a server that other machines can reach: shown once, stored as a hash.

The token has 256 random bits, so its plain SHA-256 cannot be reversed and needs no salt.
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
from imgsearch.writing import private_folder, replace_file

FILE = "server-token.json"
COOKIE = "imgsearch_session"
MAX_SESSIONS = 1000
MIN_TOKEN_CHARACTERS = 20
MAX_TOKEN_CHARACTERS = 200
"""The page sends no longer ones."""
SESSION_SECONDS = 30 * 86_400


def new_token(library: str) -> str:
    """Create a token and store its hash in the library folder, replacing any older one."""
    token = secrets.token_urlsafe(32)
    try:
        private_folder(library)
        record = json.dumps({"sha256": _hash(token)}).encode()
        replace_file(os.path.join(library, FILE), record, private=True)
    except OSError as error:
        raise ImgSearchError(
            f"cannot store the token in {library}: {error.strerror}",
            "Check the permissions of the library folder.",
        ) from error
    return token


def hash_in(path: str) -> str:
    """The hash of the token in a file, such as a secret of a container.

    Raises
    ------
    ImgSearchError
        The file cannot be read, or its token is too short to keep anybody out.
    """
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read(MAX_TOKEN_CHARACTERS + 2).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ImgSearchError(
            f"cannot read the token in {path}: {reason}",
            f"Create one: openssl rand -base64 32 > {path}",
        ) from error
    if not MIN_TOKEN_CHARACTERS <= len(token) <= MAX_TOKEN_CHARACTERS or not token.isprintable():
        raise ImgSearchError(
            f"the token in {path} must be one line of {MIN_TOKEN_CHARACTERS} to"
            f" {MAX_TOKEN_CHARACTERS} characters",
            f"Create one: openssl rand -base64 32 > {path}",
        )
    return _hash(token)


def stored_hash(library: str) -> str:
    """The hash of the token of this library; "" if there is none."""
    try:
        with open(os.path.join(library, FILE), encoding="ascii") as file:
            stored = json.load(file)["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return stored if isinstance(stored, str) and len(stored) == 64 else ""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Door:
    """Access check: admits requests with the token, or with a session opened by it.

    Parameters
    ----------
    token_hash : str
        SHA-256 of the token in hex; "" admits every request.
    """

    def __init__(self, token_hash: str) -> None:
        self._hash = token_hash
        self._sessions: OrderedDict[str, float] = OrderedDict()

    @property
    def locked(self) -> bool:
        """True if a token is required."""
        return bool(self._hash)

    def fits(self, token: str) -> bool:
        """True for the right token; compares in constant time."""
        return self.locked and hmac.compare_digest(_hash(token), self._hash)

    def open_session(self) -> str:
        """Open a session and return its secret."""
        session = secrets.token_urlsafe(32)
        self._sessions[_hash(session)] = time.monotonic()
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def knows(self, session: str) -> bool:
        """True for an open session. Only hashes are compared, so timing reveals nothing."""
        start = self._sessions.get(_hash(session))
        return start is not None and time.monotonic() - start < SESSION_SECONDS
