"""How values travel to PostgreSQL and back where the driver and the ledger differ."""

from typing import Any

from psycopg import Connection
from psycopg.adapt import Buffer
from psycopg.types.numeric import NumericLoader
from psycopg.types.string import StrBinaryDumper, StrDumper

#: Stands for what no text of PostgreSQL can hold. Senders do write it.
_NOTHING = "\x00"
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


class _Text(StrDumper):
    """Text without U+0000, which PostgreSQL refuses and SQLite keeps."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace(_NOTHING, _INSTEAD))


class _BinaryText(StrBinaryDumper):
    """The same in the other format."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace(_NOTHING, _INSTEAD))


class _Number(NumericLoader):
    """Sums of whole numbers come as NUMERIC; they are whole numbers again."""

    def load(self, data: Buffer) -> Any:  # noqa: ANN401 - the ledger has no decimals, the signature wants one
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdecimal() else float(text)


def teach(connection: Connection[Any]) -> None:
    """Have a connection use these."""
    connection.adapters.register_dumper(str, _BinaryText)
    connection.adapters.register_dumper(str, _Text)
    connection.adapters.register_loader("numeric", _Number)
