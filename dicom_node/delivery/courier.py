"""The courier: takes results from the outbox to their destinations, until they are accepted."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import OutgoingFile, SendOutcome
from dicom_node.delivery.outbox import Outbox
from dicom_node.errors import LedgerError, LostLeaseError, PeerError, describe_error, stack_of
from dicom_node.jobs.delivery_ledger import DeliveryLedger, Parcel, ParcelItem
from dicom_node.jobs.retry import RetryPolicy, next_attempt

LOGGER = logging.getLogger(__name__)

#: The peer has no room for now: true for the next object too (PS3.4, table B.2-1).
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


class Send(Protocol):
    """Whatever sends files to a peer; `dicom_node.association.storage_scu.send_files`."""

    def __call__(
        self,
        peer: Peer,
        files: Sequence[OutgoingFile],
        *,
        on_outcome: Callable[[SendOutcome], None],
    ) -> tuple[SendOutcome, ...]:
        """Send files in order and tell the fate of each at once; raise PeerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRules:
    """How often a delivery is tried.

    Attributes
    ----------
    lease_s : float
        A courier that was not heard of for so long has lost its parcel. Must be longer than one
        object can take: connection, association and DIMSE time-outs together.
    network : RetryPolicy
        When the peer did not take part or had no room.
    refusal : RetryPolicy
        When the peer took part and refused this object: an administrator may mend that, so it is
        tried again, but not as often.

    Raises
    ------
    ValueError
        If the lease is not positive.
    """

    lease_s: float = 300.0
    network: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(max_attempts=50, first_delay_s=5.0)
    )
    refusal: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(max_attempts=5, first_delay_s=60.0, factor=4.0)
    )

    def __post_init__(self) -> None:
        if self.lease_s <= 0:
            raise ValueError(f"lease_s must be positive, got {self.lease_s}")


class Courier:
    """Serves every destination in a thread of its own, so that one that is down holds up none.

    Captures, segmentation and report of an analysis travel in this order over one association. An
    object that the peer refuses does not keep back the others; a peer that is away or full does.
    An association that breaks after the peer stored an object but before its answer came is the
    one case in which an object is sent twice, with the same UID and content.

    Parameters
    ----------
    name
        Who claims.
    ledger
        What is due.
    outbox
        Where the files are.
    peers
        Destinations by name.
    rules
        Attempts and waits.
    clock
        Returns the present as an aware time.
    send
        Sends files.
    poll_s
        Pause when nothing is due.
    """

    def __init__(
        self,
        *,
        name: str,
        ledger: DeliveryLedger,
        outbox: Outbox,
        peers: Mapping[str, Peer],
        rules: DeliveryRules,
        clock: Callable[[], datetime],
        send: Send,
        poll_s: float = 1.0,
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._outbox = outbox
        self._peers = dict(peers)
        self._rules = rules
        self._clock = clock
        self._send = send
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._wakers = {destination: threading.Event() for destination in self._peers}
        self._threads = [
            threading.Thread(
                target=self._serve, args=(destination,), name=f"courier-{destination}", daemon=True
            )
            for destination in self._peers
        ]

    def start(self) -> None:
        """Begin to serve all destinations."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for due deliveries now."""
        for waker in self._wakers.values():
            waker.set()

    def stop(self) -> None:
        """End; objects in hand are brought to their end."""
        self._stop.set()
        self.wake()
        for thread in self._threads:
            thread.join()

    def deliver_once(self, destination: str) -> bool:
        """Take one parcel to a destination; return whether there was one. Raises LedgerError."""
        parcel = self._ledger.claim(
            destination, self._name, now=self._clock(), lease_s=self._rules.lease_s
        )
        if parcel is None:
            return False
        waiting = {item.sop_instance_uid: item for item in parcel.items}
        try:
            self._carry(parcel, waiting)
        except PeerError as error:
            self._postpone(waiting, str(error))
        except LostLeaseError as error:
            LOGGER.warning("%s lost a parcel: %s", self._name, error)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - third of three: a delivery must have a state
            LOGGER.error("Delivery to %s failed: %s", destination, stack_of(error))  # noqa: TRY400
            self._postpone(waiting, describe_error(error))
        return True

    def _serve(self, destination: str) -> None:
        waker = self._wakers[destination]
        while not self._stop.is_set():
            waker.clear()
            try:
                busy = self.deliver_once(destination)
            except LedgerError as error:
                LOGGER.warning("The courier cannot reach the ledger: %s", error)
                busy = False
            if not busy:
                waker.wait(self._poll_s)

    def _carry(self, parcel: Parcel, waiting: dict[str, ParcelItem]) -> None:
        """Send what is in `waiting`; what has found its end is taken out of it."""

        def on_outcome(outcome: SendOutcome) -> None:
            self._note(parcel.destination, waiting, outcome)
            if waiting:
                self._ledger.renew(parcel, now=self._clock(), lease_s=self._rules.lease_s)

        files = [self._file(item) for item in parcel.items]
        self._send(self._peers[parcel.destination], files, on_outcome=on_outcome)

    def _note(
        self, destination: str, waiting: dict[str, ParcelItem], outcome: SendOutcome
    ) -> None:
        if outcome.status is not None and outcome.status in _OUT_OF_RESOURCES:
            raise PeerError(outcome.message)
        item = waiting.pop(outcome.file.sop_instance_uid)
        if outcome.accepted:
            LOGGER.info("%s delivered: %s", outcome.file.sop_instance_uid, outcome.message)
            self._ledger.accept(
                item,
                outcome.message,
                now=self._clock(),
                wants_commitment=self._peers[destination].commitment,
            )
            return
        LOGGER.warning("%s not delivered: %s", outcome.file.sop_instance_uid, outcome.message)
        self._give_up_or_wait(item, outcome.message, refused=True)

    def _postpone(self, waiting: Mapping[str, ParcelItem], reason: str) -> None:
        LOGGER.warning("%s objects wait: %s", len(waiting), reason)
        try:
            for item in waiting.values():
                self._give_up_or_wait(item, reason, refused=False)
        except LostLeaseError as error:
            LOGGER.warning("%s lost a parcel: %s", self._name, error)

    def _give_up_or_wait(self, item: ParcelItem, reason: str, *, refused: bool) -> None:
        now = self._clock()
        policy = self._rules.refusal if refused else self._rules.network
        failures = item.refusals + 1 if refused else item.attempts
        again_at = next_attempt(policy, failures=failures, now=now)
        self._ledger.postpone(item, reason, refused=refused, again_at=again_at, now=now)

    def _file(self, item: ParcelItem) -> OutgoingFile:
        return OutgoingFile(
            path=self._outbox.path(item.path),
            sop_class_uid=item.sop_class_uid,
            sop_instance_uid=item.sop_instance_uid,
            transfer_syntax_uid=item.transfer_syntax_uid,
        )
