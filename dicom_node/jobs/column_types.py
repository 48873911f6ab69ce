"""The types of the ledger's columns: the same values, in the same order, on both engines.

SQLite keeps texts of any length, compares them byte by byte, and has numbers of 64 bits.
PostgreSQL is told to do so, too: by itself it refuses a text that is longer than the column says,
sorts as the language of the database wants it, and counts in 32 bits.
"""

from typing import Final

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.types import TypeEngine

#: Order of code points, whatever language the database was made with.
BYTEWISE: Final = "C"

LONG_TEXT: Final[TypeEngine[str]] = Text().with_variant(Text(collation=BYTEWISE), "postgresql")

NUMBER: Final[TypeEngine[int]] = Integer().with_variant(BigInteger(), "postgresql")


def short_text(length: int) -> TypeEngine[str]:
    """Return the type of a text that is not expected to be longer than `length`."""
    return String(length).with_variant(String(collation=BYTEWISE), "postgresql")
