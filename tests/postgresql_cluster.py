"""A PostgreSQL server for one run of the tests, in its own folder; a database for each test."""

import atexit
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dicom_node.jobs.database import Database
from dicom_node.jobs.ledger_place import LedgerPlace, PostgresqlPlace

HAS_PACKAGES = all(importlib.util.find_spec(name) for name in ("psycopg", "procrastinate"))
if HAS_PACKAGES:
    import psycopg

#: Who may run a server if the tests are run by root, whom it refuses.
_ACCOUNTS = ("postgres", "nobody")

#: Owner of all databases; it needs no password but for those called like this.
USER = "ichnode"
GUARDED = "guarded"
PASSWORD = "a password of the tests"  # noqa: S105 - of a server that lives as long as they

_TEMPLATE = "ichnode_template"

#: Nothing survives the run, so nothing needs to be synced.
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=200",
    "shared_buffers=32MB",
)


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Cluster:
    """A running server, reached over a socket in its folder."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ichnode-pg-", dir="/tmp"))
        self._as_other = _as_other(self.folder)
        self._programs = programs
        self._numbers = itertools.count(1)
        self.is_up = False

    def start(self) -> None:
        """Make its files, start it and wait until it answers."""
        self._make_files()
        self.launch()
        self.is_up = True

    def _make_files(self) -> None:
        data = self.folder / "data"
        self._run(
            "initdb",
            *("--pgdata", str(data), "--username", USER, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        (data / "pg_hba.conf").write_text(
            f"local {GUARDED} all scram-sha-256\nlocal all all trust\n"
        )

    def launch(self) -> None:
        """Start it on the files that it has, and wait until it answers."""
        data = self.folder / "data"
        settings = [word for one in _SETTINGS for word in ("-c", one)]
        program = str(self._programs / "postgres")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._as_other, program, "-D", str(data), "-k", str(self.folder), *settings],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        pause, deadline = threading.Event(), time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, "the server did not start in time"
            pause.wait(0.05)

    def crash(self) -> None:
        """End it at once, in the midst of everything (``pg_ctl stop -m immediate``)."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=60)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            self.sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def place(self, database: str) -> PostgresqlPlace:
        """Return where a database is."""
        return PostgresqlPlace(url=f"postgresql://{USER}@/{database}?host={self.folder}")

    def name_of(self, place: PostgresqlPlace) -> str:
        """Return the name of a database of this server."""
        return urlsplit(place.url).path.strip("/")

    def empty(self, name: str | None = None) -> PostgresqlPlace:
        """Return a new database without tables."""
        name = name or f"empty_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.place(name)

    def fresh(self) -> PostgresqlPlace:
        """Return a new database with the tables of a ledger."""
        self._make_template()
        name = f"ledger_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.place(name)

    def twin(self, place: PostgresqlPlace) -> PostgresqlPlace:
        """Return a copy of a database to which nobody is connected."""
        name = f"ledger_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {self.name_of(place)}")
        return self.place(name)

    def drop(self, place: PostgresqlPlace) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE {self.name_of(place)} WITH (FORCE)")

    @cache  # noqa: B019 - a cluster lives as long as the run
    def _make_template(self) -> None:
        Database(self.empty(_TEMPLATE)).close()

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run SQL outside of a transaction; return what it says."""
        place = f"host={self.folder} user={USER} dbname={database}"
        with closing(psycopg.connect(place, autocommit=True)) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def stop(self) -> None:
        """End the server, whoever is still connected, and remove its folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_other, str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"


def _as_other(folder: Path) -> list[str]:
    """Return what runs a program by another account if this one is root; it gets the folder."""
    if os.geteuid() != 0:
        return []
    for name in _ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, account.pw_uid, account.pw_gid)
        folder.chmod(0o755)
        return [
            "setpriv",
            f"--reuid={account.pw_uid}",
            f"--regid={account.pw_gid}",
            "--clear-groups",
            *("--pdeathsig", "INT"),
        ]
    pytest.skip("a PostgreSQL server refuses root, and there is no account to run it by")


@cache
def running_cluster() -> Cluster:
    """Return the server of this run, started when it is first needed; skips without PostgreSQL."""
    cluster = _started()
    assert cluster.is_up, f"the PostgreSQL server in {cluster.folder} did not start"
    return cluster


@cache
def _started() -> Cluster:
    if not HAS_PACKAGES:
        pytest.skip("psycopg or procrastinate is missing: pip install 'ichnode[postgresql]'")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    cluster = Cluster(programs)
    try:
        cluster.start()
    finally:
        atexit.register(cluster.stop)
    return cluster


class Places:
    """Which place a test means by the path of a ledger."""

    def __init__(self) -> None:
        self.on_postgresql = False
        self._databases: dict[Path, PostgresqlPlace] = {}

    def of(self, path: Path) -> LedgerPlace:
        """Return the file, or a database that stands for it in a run on PostgreSQL."""
        if not self.on_postgresql:
            return path
        if path not in self._databases:
            self._databases[path] = running_cluster().fresh()
        return self._databases[path]


#: Set by the option ``--ledger`` of pytest.
PLACES = Places()
