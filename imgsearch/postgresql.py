"""A PostgreSQL database: its address without the password, and its errors in sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from imgsearch.errors import CatalogError

CONNECT_TIMEOUT_SECONDS = 4
"""Unless the URL or PGCONNECT_TIMEOUT has another one."""
_PRIVILEGES = (
    "Let an administrator of the database grant what is missing, for example: GRANT CREATE ON"
    " DATABASE name TO user. docs/SCALE.md has the commands."
)
SLOW = (
    "Check that the server is not overloaded. If a search takes longer than this, allow more time:"
    " ?options=-c%20statement_timeout%3D60s at the end of the URL."
)
Row = tuple[Any, ...]
Connection: TypeAlias = "psycopg.Connection[Row]"


class Database:
    """A database that holds a part of a library.

    Parameters
    ----------
    url : str
        As libpq takes it. Password and certificates are libpq's matter: `~/.pgpass`, the PG*
        variables, or the URL.
    part : str
        "index" or "catalog", for messages.
    failure : type of CatalogError
        The class of the errors.
    kept : str
        What a full disk does not cost, for a hint.

    Attributes
    ----------
    address : str
        The URL without the password, for messages.
    """

    def __init__(self, url: str, part: str, failure: type[CatalogError], kept: str) -> None:
        self._url, self._part, self._failure, self._kept = url, part, failure, kept
        self._password, self.address = "", "the PostgreSQL server"
        with self.translated():
            parts = conninfo_to_dict(url)
        self._password, self.address = str(parts.get("password") or ""), _address(parts)
        self.options = str(parts.get("options") or os.environ.get("PGOPTIONS") or "")
        self._timeout: dict[str, Any] = {}
        if "connect_timeout" not in parts and not os.environ.get("PGCONNECT_TIMEOUT"):
            self._timeout["connect_timeout"] = CONNECT_TIMEOUT_SECONDS

    def connect(self, **options: Any) -> Connection:
        """A new connection; raises psycopg's errors."""
        connection: Connection = psycopg.connect(self._url, **self._timeout, **options)
        return connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within it, errors of the server are `failure`, with the address and a hint."""
        try:
            yield
        except Exception as error:
            cause = getattr(error, "orig", error)  # SQLAlchemy wraps them
            if not isinstance(cause, psycopg.Error):
                raise
            raise self._error(cause) from None

    def _error(self, error: psycopg.Error) -> CatalogError:
        if isinstance(error, psycopg.ProgrammingError) and not error.sqlstate:
            # The URL is not valid, and the message has parts of it.
            return self._failure(
                f"the URL of the {self._part} server is not valid",
                "Write postgresql://user@host:5432/database; characters such as @ : / # % in a"
                " name are written in percent-encoding.",
            )
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if self._password:
            text = text.replace(self._password, "***")
        return self._failure(f"{self.address} cannot be used: {text}", self._hint(error))

    def _hint(self, error: psycopg.Error) -> str:
        if isinstance(error, errors.InsufficientPrivilege):
            return _PRIVILEGES
        if isinstance(error, errors.DiskFull):
            return f"Free some space on the server; {self._kept}."
        if isinstance(error, errors.QueryCanceled):
            return SLOW
        if isinstance(error, psycopg.OperationalError):
            return (
                "Check that the server is running, and that address, user and password are right;"
                " the password is read from ~/.pgpass, PGPASSWORD, or the URL in the settings."
            )
        return "'imgsearch doctor' checks it."


def _address(parts: dict[str, Any]) -> str:
    """A URL without a password, from the parts of a connection string."""
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    host = parts.get("host") or parts.get("hostaddr") or ""
    return f"postgresql://{user}{host}{port}/{parts.get('dbname') or ''}"
