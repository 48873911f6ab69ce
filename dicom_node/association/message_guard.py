"""The DIMSE messages of one incoming association: bounded in size and time, garbage contained."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pynetdicom.dimse_messages import DIMSEMessage

from dicom_node.association.receive_limits import (
    BoundedCommandSet,
    ByteBudget,
    MeasuredDataSet,
    ReceiveLimits,
)
from dicom_node.association.refusals import RefusalKind
from dicom_node.errors import stack_of

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import P_DATA

LOGGER = logging.getLogger(__name__)

#: pynetdicom's event for "unrecognised or invalid PDU": it answers with A-ABORT.
_INVALID = "Evt19"


class MessageGuard:
    """Stands between the PDUs of an association and pynetdicom's assembly of messages.

    Parameters
    ----------
    association
        Whose messages they are.
    limits
        How much and how slowly may be sent.
    budget
        Memory of all associations.
    on_violation
        Told when the association is given up.
    timer
        Returns seconds on a clock that never goes back.
    """

    def __init__(
        self,
        association: "Association",
        *,
        limits: ReceiveLimits,
        budget: ByteBudget,
        on_violation: Callable[[RefusalKind, str], None],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._association = association
        self._limits = limits
        self._budget = budget
        self._on_violation = on_violation
        self._timer = timer
        self._assemble = association.dimse.receive_primitive
        self._begun = 0.0

    def receive(self, primitive: "P_DATA") -> None:
        """Add a PDU to the message that is being received; give the association up if it must."""
        dimse = self._association.dimse
        if dimse.message is None:
            dimse.message = self._new_message()
            self._begun = self._timer()
        if self._timer() - self._begun > self._limits.message_s:
            self._give_up(
                RefusalKind.TOO_SLOW, f"a message took longer than {self._limits.message_s:g} s"
            )
            return
        try:
            self._assemble(primitive)
        except Exception as error:  # noqa: BLE001 - whatever garbage does, the node lives on
            LOGGER.info("A message that cannot be understood: %s", stack_of(error))
            self._give_up(RefusalKind.MALFORMED, type(error).__name__)

    def _new_message(self) -> DIMSEMessage:
        message = DIMSEMessage()
        message.encoded_command_set = BoundedCommandSet()
        message.data_set = MeasuredDataSet(
            max_bytes=self._limits.max_object_bytes, budget=self._budget
        )
        return message

    def _give_up(self, kind: RefusalKind, detail: str) -> None:
        self._on_violation(kind, detail)
        self._association.dimse.message = None
        self._association.dul.event_queue.put(_INVALID)


def guard_messages(
    association: "Association",
    *,
    limits: ReceiveLimits,
    budget: ByteBudget,
    on_violation: Callable[[RefusalKind, str], None],
) -> None:
    """Put a guard in front of the messages of an association; see `MessageGuard`.

    A data set that comes is a `MeasuredDataSet` from now on.
    """
    guard = MessageGuard(association, limits=limits, budget=budget, on_violation=on_violation)
    # Assigned to the instance: pynetdicom has no place for a guard of its own.
    association.dimse.receive_primitive = guard.receive  # type: ignore[method-assign]
