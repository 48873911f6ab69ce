"""The node's side of the audit trail: write down, send when the repository takes it."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dicom_node.audit.message import AuditMessage, AuditSource, encode_message
from dicom_node.audit.spool import AuditSpool
from dicom_node.audit.syslog import AuditNotSentError, Repository
from dicom_node.jobs.tally import Tallied, Tally

LOGGER = logging.getLogger(__name__)


class AuditTrail:
    """Takes messages; without a spool it takes none, so that callers need not ask.

    Parameters
    ----------
    spool
        Where they wait; None if the site wants no audit trail.
    source
        Who writes.
    """

    def __init__(self, spool: AuditSpool | None, source: AuditSource) -> None:
        self._spool = spool
        self._source = source

    @property
    def is_on(self) -> bool:
        """Whether messages are kept."""
        return self._spool is not None

    def write(self, message: AuditMessage) -> bool:
        """Keep a message until it was sent; return False if the disk refused.

        That holds up nobody's work: it is logged.
        """
        if self._spool is None:
            return True
        try:
            self._spool.put(encode_message(message, self._source))
        except OSError as error:
            LOGGER.error("An audit message could not be kept: %s", type(error).__name__)  # noqa: TRY400 - the disk's words say no more
            return False
        return True


class AuditCourier:
    """Sends what waits, oldest first; whatever was not taken stays.

    A process that dies between sending and deleting sends one message twice.

    Parameters
    ----------
    spool
        Where messages wait.
    repository
        Where they go.
    clock
        Returns the present as an aware time.
    count
        Takes counts of what was sent or dropped.
    noted
        Is told why messages could not be sent, and an empty text at the first that could.
    first_retry_s, longest_wait_s
        Wait after a failure; it doubles up to the longest.
    """

    def __init__(
        self,
        *,
        spool: AuditSpool,
        repository: Repository,
        clock: Callable[[], datetime],
        count: Callable[[Sequence[Tallied]], None],
        noted: Callable[[str], None] = lambda _: None,
        first_retry_s: float = 10.0,
        longest_wait_s: float = 600.0,
    ) -> None:
        self._spool = spool
        self._repository = repository
        self._clock = clock
        self._count = count
        self._noted = noted
        self._first_retry_s = first_retry_s
        self._longest_wait_s = longest_wait_s
        self._failures = 0
        self._is_told = False  # whoever looks may still read what the last process met
        self._next_at: datetime | None = None

    def tick(self) -> None:
        """Send what waits, unless the repository was away a moment ago. Raises LedgerError."""
        dropped = self._spool.cut()
        if dropped:
            LOGGER.error("%s audit messages dropped: the repository was away too long", dropped)
            self._tell("dropped", dropped)
        if self._next_at is not None and self._clock() < self._next_at:
            return
        waiting = self._spool.waiting()
        if waiting:
            self._send(waiting)

    def _send(self, waiting: Sequence[Path]) -> None:
        left = iter(waiting)
        number = 0

        def sent() -> None:
            nonlocal number
            next(left).unlink(missing_ok=True)
            number += 1

        try:
            self._repository.send((path.read_bytes() for path in waiting), sent)
        except AuditNotSentError as error:
            self._failures += 1
            wait_s = self._first_retry_s * 2.0 ** min(self._failures - 1, 32)
            self._next_at = self._clock() + timedelta(seconds=min(wait_s, self._longest_wait_s))
            LOGGER.warning("The audit repository did not answer: %s", error)
            self._noted(str(error))
            self._is_told = False
            self._tell("failed", 1)
        else:
            if not self._is_told:
                self._noted("")
                self._is_told = True
            self._failures, self._next_at = 0, None
        if number:
            self._tell("sent", number)

    def _tell(self, outcome: str, number: int) -> None:
        self._count([Tallied(tally=Tally.AUDIT, labels={"outcome": outcome}, value=number)])
