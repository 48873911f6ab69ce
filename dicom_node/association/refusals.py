"""Whom the receiver turned away and why: counted, and logged without flooding the log."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LOGGER = logging.getLogger(__name__)

#: The same refusal of the same caller is logged once in this time, with the number of the others.
_REPEAT_S = 60.0

#: Callers that are told apart; a stranger may invent titles without end.
_MOST_CALLERS = 1000


class RefusalKind(StrEnum):
    """Why something was turned away; the values are stored and shown."""

    UNKNOWN_ADDRESS = "unknown_address"  #: no caller may call from this address
    UNKNOWN_CALLER = "unknown_caller"  #: calling AE title not in the settings
    WRONG_ADDRESS = "wrong_address"  #: the title is known, but from another address
    WRONG_CERTIFICATE = "wrong_certificate"  #: the title is known, with another certificate
    WRONG_CALLED_TITLE = "wrong_called_title"  #: somebody else was called
    NODE_LIMIT = "node_limit"  #: as many associations as the node allows
    CALLER_LIMIT = "caller_limit"  #: as many associations as the caller is allowed
    CONNECTION_LIMIT = "connection_limit"  #: too many connections without an association
    TLS_FAILED = "tls_failed"  #: no TLS connection came about
    TLS_ON_PLAIN_PORT = "tls_on_plain_port"  #: TLS was spoken to the port without
    NOT_DICOM = "not_dicom"  #: bytes that are no DICOM upper layer protocol
    TOO_SLOW = "too_slow"  #: a request, PDU or message was not complete in its time
    PDU_TOO_LONG = "pdu_too_long"  #: a PDU longer than agreed
    MALFORMED = "malformed"  #: a message that cannot be understood
    OBJECT_TOO_LARGE = "object_too_large"  #: a data set above the limit
    OUT_OF_MEMORY = "out_of_memory"  #: too much is being received at the same time


#: The same in the words of a log line.
REFUSAL_WORDS: dict[RefusalKind, str] = {
    RefusalKind.UNKNOWN_ADDRESS: "no caller of the settings has this address",
    RefusalKind.UNKNOWN_CALLER: "calling AE title not in the settings",
    RefusalKind.WRONG_ADDRESS: "calling AE title known, but not from this address",
    RefusalKind.WRONG_CERTIFICATE: "calling AE title known, but not with this certificate",
    RefusalKind.WRONG_CALLED_TITLE: "called AE title is not the node's",
    RefusalKind.NODE_LIMIT: "the node has as many associations as it may",
    RefusalKind.CALLER_LIMIT: "the caller has as many associations as it may",
    RefusalKind.CONNECTION_LIMIT: "too many connections without an association",
    RefusalKind.TLS_FAILED: "no TLS connection",
    RefusalKind.TLS_ON_PLAIN_PORT: "TLS spoken to the port without TLS",
    RefusalKind.NOT_DICOM: "what was sent is not DICOM",
    RefusalKind.TOO_SLOW: "not complete in time",
    RefusalKind.PDU_TOO_LONG: "PDU longer than agreed",
    RefusalKind.MALFORMED: "message cannot be understood",
    RefusalKind.OBJECT_TOO_LARGE: "object larger than allowed",
    RefusalKind.OUT_OF_MEMORY: "too much is being received at the same time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCount:
    """How often somebody was turned away for one reason.

    Attributes
    ----------
    kind : RefusalKind
        Why.
    address : str
        IP address of the caller; empty for those that were not told apart any more.
    ae_title : str
        Calling AE title, empty if it came not that far.
    count : int
        How often.
    last_at : datetime
        When last, aware.
    """

    kind: RefusalKind
    address: str
    ae_title: str
    count: int
    last_at: datetime


class Refusals:
    """Counts and logs refusals; used by the threads of all associations.

    Parameters
    ----------
    clock
        Returns the present as an aware time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[RefusalKind, str, str], RefusalCount] = {}
        self._logged: dict[tuple[RefusalKind, str, str], tuple[datetime, int]] = {}
        self._totals: Counter[RefusalKind] = Counter()
        self._admitted = 0

    def admit(self) -> None:
        """Count an association that was accepted."""
        with self._lock:
            self._admitted += 1

    def take_admitted(self) -> int:
        """Return how many were accepted since the last call, and begin anew."""
        with self._lock:
            admitted, self._admitted = self._admitted, 0
        return admitted

    def note(
        self, kind: RefusalKind, *, address: str, ae_title: str = "", detail: str = ""
    ) -> None:
        """Count a refusal, and log it unless the same was logged a moment ago.

        `detail` is the node's own words, never something that the caller sent.
        """
        now = self._clock()
        with self._lock:
            key = self._key(kind, address, ae_title)
            before = self._counts.get(key)
            count = (before.count if before else 0) + 1
            self._counts[key] = RefusalCount(
                kind=kind, address=key[1], ae_title=key[2], count=count, last_at=now
            )
            self._totals[kind] += 1
            unlogged = self._due(key, now)
        if unlogged is None:
            return
        LOGGER.warning(
            "Association refused (%s%s): %r from %s%s",
            REFUSAL_WORDS[kind],
            f"; {detail}" if detail else "",
            ae_title,
            address,
            f"; {unlogged} more since the last such line" if unlogged else "",
        )

    def totals(self) -> dict[RefusalKind, int]:
        """Return how often each kind happened since the start."""
        with self._lock:
            return dict(self._totals)

    def take(self) -> tuple[RefusalCount, ...]:
        """Return what was counted since the last call, and begin anew."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return tuple(counts.values())

    def _key(self, kind: RefusalKind, address: str, ae_title: str) -> tuple[RefusalKind, str, str]:
        key = (kind, address, ae_title)
        if key in self._counts or len(self._counts) < _MOST_CALLERS:
            return key
        return (kind, "", "")

    def _due(self, key: tuple[RefusalKind, str, str], now: datetime) -> int | None:
        """Return how many were not logged since the last line; None if this is none either."""
        last = self._logged.get(key)
        if last is not None and (now - last[0]).total_seconds() < _REPEAT_S:
            self._logged[key] = (last[0], last[1] + 1)
            return None
        if len(self._logged) >= _MOST_CALLERS:
            self._logged.clear()
        self._logged[key] = (now, 0)
        return last[1] if last else 0
