"""The notary: asks destinations for storage commitment, and reports to senders that asked."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest
from dicom_node.association.peers import Peer
from dicom_node.errors import (
    CommitmentRefusedError,
    LedgerError,
    PeerError,
    describe_error,
    stack_of,
)
from dicom_node.jobs.commitment_ledger import CommitmentLedger, CommitmentRules
from dicom_node.jobs.commitment_requests import CommitmentRequests, DueReport
from dicom_node.jobs.destination_ledger import DestinationLedger, Gate
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.lasting_thread import LastingThread

LOGGER = logging.getLogger(__name__)

#: How long the association of a request is kept open for the report. Most archives report over one
#: of their own; the notary serves a destination in its own thread, so this holds up no delivery.
REPORT_WAIT_S = 5.0


class Ask(Protocol):
    """Whatever asks a peer; `dicom_node.association.commitment.ask_commitment`."""

    def __call__(
        self,
        peer: Peer,
        request: CommitmentRequest,
        *,
        on_report: Callable[[CommitmentReport], None],
        wait_s: float,
    ) -> None:
        """Ask, and hand over a report that comes at once."""


class Notary:
    """Asks for the commitment of what was accepted, a thread per destination.

    Parameters
    ----------
    ledger
        What is due.
    destinations
        Who may be served: one that is held or out of reach is not asked.
    peers
        Destinations that commit themselves, by name.
    rules
        How patiently they are asked.
    clock
        Returns the present as an aware time.
    new_uid
        Returns a new transaction UID.
    ask
        Asks a peer.
    poll_s
        Pause when nothing is due.
    """

    def __init__(
        self,
        *,
        ledger: CommitmentLedger,
        destinations: DestinationLedger,
        peers: Mapping[str, Peer],
        rules: CommitmentRules,
        clock: Callable[[], datetime],
        new_uid: Callable[[], str],
        ask: Ask,
        poll_s: float = 2.0,
    ) -> None:
        self._ledger = ledger
        self._destinations = destinations
        self._peers = dict(peers)
        self._rules = rules
        self._clock = clock
        self._new_uid = new_uid
        self._ask = ask
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._threads = [
            LastingThread(target=self._serve, args=(destination,), name=f"notary-{destination}")
            for destination in self._peers
        ]

    def start(self) -> None:
        """Begin to serve all destinations. Raises LedgerError."""
        resumed = self._ledger.resume(self._peers, rules=self._rules, now=self._clock())
        if resumed:
            LOGGER.info("%s deliveries wait for their commitment; it is asked for again", resumed)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; a request in hand is brought to its end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ask_once(self, destination: str) -> bool:
        """Ask a destination what is due; return whether there was anything. Raises LedgerError."""
        if self._destinations.gate(destination, self._clock()) is not Gate.OPEN:
            return False
        request = self._ledger.claim(
            destination, transaction_uid=self._new_uid(), rules=self._rules, now=self._clock()
        )
        if request is None:
            return False
        try:
            self._ask(
                self._peers[destination],
                request,
                on_report=lambda report: self._note(report, destination),
                wait_s=REPORT_WAIT_S,
            )
        except CommitmentRefusedError as error:
            LOGGER.warning("Storage commitment was refused: %s", error)
            self._ledger.refused(
                request.transaction_uid, str(error), rules=self._rules, now=self._clock()
            )
        except PeerError as error:
            LOGGER.warning("Storage commitment waits: %s", error)
            self._ledger.unreached(
                request.transaction_uid, str(error), rules=self._rules, now=self._clock()
            )
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - the request is made again in any case
            LOGGER.error("Storage commitment failed: %s", stack_of(error))  # noqa: TRY400
        return True

    def _note(self, report: CommitmentReport, destination: str) -> None:
        self._ledger.report(
            report, destinations=(destination,), rules=self._rules, now=self._clock()
        )

    def _serve(self, destination: str) -> None:
        while not self._stop.is_set():
            try:
                busy = self.ask_once(destination)
            except LedgerError as error:
                LOGGER.warning("The notary cannot reach the ledger: %s", error)
                busy = False
            if not busy:
                self._stop.wait(self._poll_s)


class Reporter:
    """Reports to senders that asked the node and have hung up since.

    Parameters
    ----------
    requests
        Reports that are due.
    peers
        Who can be called, by AE title.
    retry
        How often a sender is called.
    clock
        Returns the present as an aware time.
    tell
        Reports to a peer; `dicom_node.association.commitment.report_commitment`.
    """

    def __init__(
        self,
        *,
        requests: CommitmentRequests,
        peers: Mapping[str, Peer],
        retry: RetryPolicy,
        clock: Callable[[], datetime],
        tell: Callable[[Peer, CommitmentReport], None],
    ) -> None:
        self._requests = requests
        self._peers = dict(peers)
        self._retry = retry
        self._clock = clock
        self._tell = tell

    def tick(self) -> None:
        """Report whatever is due. Raises LedgerError."""
        for due in self._requests.due(self._clock()):
            peer = self._peers.get(due.calling_ae_title)
            if peer is None:
                reason = f"no peer has the AE title {due.calling_ae_title}"
                LOGGER.warning("Storage commitment was not reported: %s", reason)
                self._requests.postpone(due.request_id, reason, again_at=None)
                continue
            self._report(due, peer)

    def _report(self, due: DueReport, peer: Peer) -> None:
        try:
            self._tell(peer, due.report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender is called again
            reason = describe_error(error)
            LOGGER.warning("Storage commitment was not reported: %s", reason)
            again_at = next_attempt(self._retry, failures=due.attempts + 1, now=self._clock())
            self._requests.postpone(due.request_id, reason, again_at=again_at)
            return
        self._requests.answered(
            due.report.transaction_uid, calling_ae_title=due.calling_ae_title, now=self._clock()
        )
