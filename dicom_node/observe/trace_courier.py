"""Sends traces to a collector of OpenTelemetry (OTLP over HTTP, as JSON)."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from dicom_node.errors import PeerError
from dicom_node.jobs.trace_ledger import EndedJob, TraceLedger
from dicom_node.observe.otlp import TRACES_PATH, export_request
from dicom_node.web_service import WebAnswer, WebService, refusal, request

LOGGER = logging.getLogger(__name__)

_KEY: Final = "traced"

_GOOD: Final = range(200, 300)

#: A request that the collector will never take: sending it again would stop all others.
_NEVER: Final = frozenset({400, 413, 422})


class Documents(Protocol):
    """Keeps JSON documents by key."""

    def read(self, key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return a document, None if there is none."""

    def write(self, key: str, document: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a document."""


class TraceCourier:
    """Looks into the ledger again and again and sends what has ended since.

    How far it came is in the ledger: a restart leaves nothing out, and at most sends the last jobs
    twice, with the same identifiers. It begins with what ends after it was turned on.

    Parameters
    ----------
    ledger
        What has ended.
    documents
        Where it remembers how far it came.
    collector
        Base address of the collector.
    node, version
        What the node is called, and its version.
    clock
        Returns the present as an aware time.
    first_retry_s, longest_wait_s
        Wait after a failure; it doubles up to the longest.
    """

    def __init__(
        self,
        *,
        ledger: TraceLedger,
        documents: Documents,
        collector: WebService,
        node: str,
        version: str,
        clock: Callable[[], datetime],
        first_retry_s: float = 10.0,
        longest_wait_s: float = 600.0,
    ) -> None:
        self._ledger = ledger
        self._documents = documents
        self._collector = collector
        self._node = node
        self._version = version
        self._clock = clock
        self._first_retry_s = first_retry_s
        self._longest_wait_s = longest_wait_s
        self._failures = 0
        self._next_at: datetime | None = None

    def tick(self) -> None:
        """Send what has ended, unless the collector was away a moment ago. Raises LedgerError."""
        known = self._documents.read(_KEY)
        if known is None:
            self._documents.write(_KEY, {"event": self._ledger.last_event()})
            return
        now = self._clock()
        if self._next_at is not None and now < self._next_at:
            return
        jobs = self._ledger.ended(known["event"])
        if not jobs:
            return
        try:
            self._send(jobs)
        except PeerError as error:
            self._failures += 1
            wait_s = self._first_retry_s * 2.0 ** min(self._failures - 1, 32)
            self._next_at = now + timedelta(seconds=min(wait_s, self._longest_wait_s))
            LOGGER.warning("Traces could not be sent: %s", error)
            return
        self._failures, self._next_at = 0, None
        self._documents.write(_KEY, {"event": jobs[-1].event_id})

    def _send(self, jobs: tuple[EndedJob, ...]) -> None:
        answer: WebAnswer = request(
            self._collector,
            "POST",
            TRACES_PATH,
            headers={"Content-Type": "application/json"},
            body=export_request(jobs, node=self._node, version=self._version),
        )
        if answer.status in _NEVER:
            LOGGER.error("The collector refused the traces of %s jobs for good", len(jobs))
        elif answer.status not in _GOOD:
            raise refusal(self._collector, answer.status)
