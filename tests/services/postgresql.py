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
        import psycopg

        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self.folder), user=self.user, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{self.user}@/{name}?host={self.folder}"


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """Start it, and end it whatever happens. PostgreSQL refuses root, so root uses the account postgres."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="visa-pg-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    account = pwd.getpwnam(user)
    if os.geteuid() == 0:
        os.chown(folder, account.pw_uid, account.pw_gid)
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", user, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        cwd=folder,
        **identity,
    )
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-k", str(folder)]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder, **identity
        )
    try:
        said = lambda: f"PostgreSQL's start ({(folder / 'log').read_text()[-500:]})"  # noqa: E731
        until((folder / ".s.PGSQL.5432").exists, what=said, process=server)
        yield PostgreSQL(folder, user)
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for clients
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
