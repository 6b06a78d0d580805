"""A real PostgreSQL in a temporary folder, on a unix socket, for the length of the test run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.services.waiting import until


def _programs() -> Path:
    """The folder with initdb and postgres."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None:
        raise RuntimeError("PostgreSQL is not installed; `make test` installs it when run as root")
    return Path(found).resolve().parent


class PostgreSQL:
    """A running server; `database` makes a new, empty one and gives its SQLAlchemy URL."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder, self.user = folder, user

    def database(self) -> str:
        """URL of a database of its own."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self.folder), user=self.user, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{self.user}@/{name}?host={self.folder}"


class OwnServer:
    """A server of a test's own, which is stopped, started and frozen. PostgreSQL refuses root: root uses postgres."""

    def __init__(self) -> None:
        self.programs, self.folder = _programs(), Path(tempfile.mkdtemp(prefix="visa-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        account = pwd.getpwnam(self.user)
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        what = ["-U", self.user, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [self.programs / "initdb", "-D", self.folder / "data", *what],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._identity,
        )
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Until it takes connections."""
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-k", str(self.folder)]
        with open(self.folder / "log", "ab") as log:
            self._server = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._identity,
            )
        said = lambda: f"PostgreSQL's start ({(self.folder / 'log').read_text()[-500:]})"  # noqa: E731
        until(self._answers, what=said, process=self._server)

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, *statements: str) -> None:
        """As the superuser, each on its own."""
        with psycopg.connect(host=str(self.folder), user=self.user, dbname="postgres", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def stop(self) -> None:
        """With all its connections, as at a failover."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # SIGTERM would wait for clients
            self._server.wait(60)
            self._server = None

    def end(self) -> None:
        """Leave nothing."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """Start it, and end it whatever happens."""
    server = OwnServer()
    try:
        server.start()
        yield PostgreSQL(server.folder, server.user)
    finally:
        server.end()
