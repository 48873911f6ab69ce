"""The courier: takes results from the outbox to their destinations, until they are accepted."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dicom_node.association.storage_scu import OutgoingFile, SendOutcome
from dicom_node.delivery.carrier import Carrier
from dicom_node.delivery.outbox import Outbox
from dicom_node.errors import LedgerError, LostLeaseError, PeerError, describe_error, stack_of
from dicom_node.jobs.delivery_ledger import DeliveryLedger, Failure, Parcel, ParcelItem
from dicom_node.jobs.destination_ledger import BreakerRules, DestinationLedger, Gate
from dicom_node.jobs.retry import RetryPolicy, next_attempt
from dicom_node.jobs.task import ObjectKind
from dicom_node.lasting_thread import LastingThread
from dicom_node.trace import tracing

LOGGER = logging.getLogger(__name__)

#: The peer has no room for now: true for the next object too (PS3.4, table B.2-1).
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


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
    breaker : BreakerRules
        When a destination counts as out of reach, and how often it is tried then.

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
    breaker: BreakerRules = field(default_factory=BreakerRules)

    def __post_init__(self) -> None:
        if self.lease_s <= 0:
            raise ValueError(f"lease_s must be positive, got {self.lease_s}")


class Courier:
    """Serves every destination in a thread of its own, so that one that is down holds up none.

    Captures, segmentation and report of an analysis travel in this order over one association,
    which may be kept open for those of the next. An object that the peer refuses does not keep
    back the others; a peer that is away or full does. An association that breaks after the peer
    stored an object but before its answer came is the one case in which an object is sent twice,
    with the same UID and content.

    A destination that cannot be reached several times in a row is left alone: its deliveries wait
    without using up attempts, and a probe finds out when it is back. One that an operator holds is
    left alone, too.

    Parameters
    ----------
    name
        Who claims.
    ledger
        What is due.
    destinations
        Who may be served.
    outbox
        Where the files are.
    carriers
        The ways to the destinations, by name.
    rules
        Attempts and waits.
    clock
        Returns the present as an aware time.
    poll_s
        Pause when nothing is due.
    """

    def __init__(
        self,
        *,
        name: str,
        ledger: DeliveryLedger,
        destinations: DestinationLedger,
        outbox: Outbox,
        carriers: Mapping[str, Carrier],
        rules: DeliveryRules,
        clock: Callable[[], datetime],
        poll_s: float = 1.0,
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._destinations = destinations
        self._outbox = outbox
        self._carriers = dict(carriers)
        self._rules = rules
        self._clock = clock
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._wakers = {destination: threading.Event() for destination in self._carriers}
        self._threads = [
            LastingThread(target=self._serve, args=(destination,), name=f"courier-{destination}")
            for destination, carrier in self._carriers.items()
            for _ in range(carrier.manners.associations)
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
        if not self._may_serve(destination):
            return False
        parcel = self._ledger.claim(
            destination,
            self._name,
            now=self._clock(),
            lease_s=self._rules.lease_s,
            parallel=self._carriers[destination].manners.associations,
        )
        if parcel is None:
            return False
        with tracing(parcel.association_id):
            self._deliver(parcel)
        return True

    def _deliver(self, parcel: Parcel) -> None:
        destination = parcel.destination
        waiting = {item.sop_instance_uid: item for item in parcel.items}
        try:
            self._carry(parcel, waiting)
            self._destinations.reached(destination, self._clock())
        except PeerError as error:
            self._note_peer(destination, error)
            failure = Failure.BROKEN_OFF if error.reached else Failure.UNREACHED
            self._postpone(waiting, str(error), failure)
        except LostLeaseError as error:
            LOGGER.warning("%s lost a parcel: %s", self._name, error)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - third of three: a delivery must have a state
            LOGGER.error("Delivery to %s failed: %s", destination, stack_of(error))  # noqa: TRY400
            self._postpone(waiting, describe_error(error), Failure.BROKEN_OFF)

    def _serve(self, destination: str) -> None:
        waker, carrier = self._wakers[destination], self._carriers[destination]
        while not self._stop.is_set():
            waker.clear()
            try:
                busy = self.deliver_once(destination)
            except LedgerError as error:
                LOGGER.warning("The courier cannot reach the ledger: %s", error)
                busy = False
            if not busy:
                carrier.rest()
                waker.wait(self._poll_s)
            elif pause_s := carrier.manners.pause_s:
                self._stop.wait(pause_s)
        carrier.close()

    def _may_serve(self, destination: str) -> bool:
        """Return whether a destination may be served; one that was out of reach is probed."""
        gate = self._destinations.gate(destination, self._clock())
        if gate is not Gate.PROBE:
            return gate is Gate.OPEN
        try:
            self._carriers[destination].probe()
        except PeerError as error:
            LOGGER.warning("%s is still out of reach: %s", destination, error)
            self._destinations.failed(
                destination, str(error), rules=self._rules.breaker, now=self._clock()
            )
            return False
        waiting = self._destinations.reached(destination, self._clock())
        LOGGER.info("%s is back; %s objects waited for it", destination, waiting)
        return True

    def _note_peer(self, destination: str, error: PeerError) -> None:
        """Count failures of the connection; whoever takes part has a closed circuit."""
        if error.reached:
            self._destinations.reached(destination, self._clock())
        else:
            self._destinations.failed(
                destination, str(error), rules=self._rules.breaker, now=self._clock()
            )

    def _carry(self, parcel: Parcel, waiting: dict[str, ParcelItem]) -> None:
        """Send what is in `waiting`; what has found its end is taken out of it."""
        carrier = self._carriers[parcel.destination]

        def on_outcome(outcome: SendOutcome) -> None:
            self._note(carrier, waiting, outcome)
            if waiting:
                self._ledger.renew(parcel, now=self._clock(), lease_s=self._rules.lease_s)

        items: Iterable[ParcelItem] = parcel.items
        if carrier.manners.report_first:
            items = sorted(items, key=lambda item: item.kind != ObjectKind.REPORT)
        carrier.send(
            [self._file(item) for item in items],
            on_outcome=on_outcome,
            on_progress=lambda: self._ledger.renew(
                parcel, now=self._clock(), lease_s=self._rules.lease_s
            ),
        )

    def _note(
        self, carrier: Carrier, waiting: dict[str, ParcelItem], outcome: SendOutcome
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
                wants_commitment=carrier.manners.commitment,
            )
            return
        LOGGER.warning("%s not delivered: %s", outcome.file.sop_instance_uid, outcome.message)
        self._give_up_or_wait(item, outcome.message, Failure.REFUSED, outcome.negotiation)

    def _postpone(self, waiting: Mapping[str, ParcelItem], reason: str, failure: Failure) -> None:
        LOGGER.warning("%s objects wait: %s", len(waiting), reason)
        try:
            for item in waiting.values():
                self._give_up_or_wait(item, reason, failure)
        except LostLeaseError as error:
            LOGGER.warning("%s lost a parcel: %s", self._name, error)

    def _give_up_or_wait(
        self, item: ParcelItem, reason: str, failure: Failure, negotiation: str = ""
    ) -> None:
        now = self._clock()
        refused = failure is Failure.REFUSED
        policy = self._rules.refusal if refused else self._rules.network
        failures = item.refusals + 1 if refused else item.attempts
        again_at = next_attempt(policy, failures=failures, now=now)
        self._ledger.postpone(
            item, reason, failure=failure, again_at=again_at, now=now, negotiation=negotiation
        )

    def _file(self, item: ParcelItem) -> OutgoingFile:
        return OutgoingFile(
            path=self._outbox.path(item.path),
            sop_class_uid=item.sop_class_uid,
            sop_instance_uid=item.sop_instance_uid,
            transfer_syntax_uid=item.transfer_syntax_uid,
        )
