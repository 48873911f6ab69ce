"""How much and how slowly the receiver lets itself be sent, and data sets that keep to it."""

import io
import threading
from dataclasses import dataclass

from dicom_node.association.peers import MAX_PDU
from dicom_node.association.refusals import RefusalKind

_GIGABYTE = 2**30

#: Longest command set: the node's messages have a few hundred bytes (PS3.7, section 9.3).
LONGEST_COMMAND_SET = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveLimits:
    """What a caller may take of the node's time and memory.

    Attributes
    ----------
    request_s : float
        From the connection to the complete association request; the TLS handshake before it has
        the same time again.
    pdu_s : float
        From the first to the last byte of a PDU, and for a piece of an answer to be taken.
    message_s : float
        From the first to the last PDU of a DIMSE message.
    max_pdu : int
        Longest P-DATA-TF in bytes, as it is negotiated.
    max_object_bytes : int
        Longest data set.
    max_unfinished_bytes : int
        Data sets that are being received, of all associations together.

    Raises
    ------
    ValueError
        If one of them is not positive.
    """

    request_s: float = 15.0
    pdu_s: float = 30.0
    message_s: float = 600.0
    max_pdu: int = MAX_PDU
    max_object_bytes: int = _GIGABYTE
    max_unfinished_bytes: int = 4 * _GIGABYTE

    def __post_init__(self) -> None:
        for field in (
            "request_s",
            "pdu_s",
            "message_s",
            "max_pdu",
            "max_object_bytes",
            "max_unfinished_bytes",
        ):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} must be positive, got {getattr(self, field)}")


class ByteBudget:
    """Bytes that may be in memory at the same time; shared by the threads of all associations.

    Parameters
    ----------
    limit
        How many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """How many bytes are claimed now."""
        return self._used

    def claim(self, count: int) -> bool:
        """Claim bytes; returns whether there was room for them."""
        with self._lock:
            if self._used + count > self._limit:
                return False
            self._used += count
            return True

    def give_back(self, count: int) -> None:
        """Return bytes that had been claimed."""
        with self._lock:
            self._used -= count


class MeasuredDataSet(io.BytesIO):
    """An encoded data set on its way in, which keeps nothing once it has become too much.

    The rest of such a data set is still taken from the network and thrown away, so that the
    sender hears the refusal and can go on with its next object.

    Parameters
    ----------
    max_bytes
        Longest data set.
    budget
        What all data sets together may take.
    """

    def __init__(self, *, max_bytes: int, budget: ByteBudget) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._budget = budget
        self._claimed = 0
        self.refusal: RefusalKind | None = None

    def write(self, piece: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # what pynetdicom writes
        """Add a piece, or drop it if the data set has been refused."""
        count = len(piece)
        if self.refusal is not None:
            return count
        if self._claimed + count > self._max_bytes:
            self._refuse(RefusalKind.OBJECT_TOO_LARGE)
        elif not self._budget.claim(count):
            self._refuse(RefusalKind.OUT_OF_MEMORY)
        else:
            self._claimed += count
            super().write(piece)
        return count

    def close(self) -> None:
        """Forget the data set and give its memory back."""
        super().close()
        self._give_back()

    def _refuse(self, kind: RefusalKind) -> None:
        self.refusal = kind
        self.seek(0)
        self.truncate()
        self._give_back()

    def _give_back(self) -> None:
        claimed, self._claimed = self._claimed, 0
        self._budget.give_back(claimed)


class BoundedCommandSet(io.BytesIO):
    """An encoded command set on its way in, that breaks off when it becomes absurdly long."""

    def write(self, piece: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # what pynetdicom writes
        """Add a piece.

        Raises
        ------
        ValueError
            If it has become longer than any command set is.
        """
        if self.tell() + len(piece) > LONGEST_COMMAND_SET:
            raise ValueError(f"A command set is longer than {LONGEST_COMMAND_SET} bytes")
        return super().write(piece)
