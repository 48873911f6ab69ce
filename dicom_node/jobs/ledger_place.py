"""Where a ledger is: a file, or a database on a server."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlPlace:
    """A PostgreSQL database.

    Attributes
    ----------
    url : str
        ``postgresql://user@host:port/database``, without a password; parameters of libpq such as
        ``?sslmode=verify-full`` may follow.
    secret_file : Path or None
        File whose first line is the password; None leaves it to libpq (``PGPASSWORD``,
        ``PGPASSFILE``) or to a server that asks for none.
    """

    url: str
    secret_file: Path | None = None

    def __str__(self) -> str:
        return self.url.partition("?")[0]


#: A file of SQLite, or a database of PostgreSQL.
LedgerPlace = Path | PostgresqlPlace
