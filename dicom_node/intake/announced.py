"""Telling others that a sender has finished."""

from collections.abc import Callable
from datetime import datetime

from dicom_node.association.store_request import Intake, Sender, StoreRequest


class AnnouncedIntake:
    """An `Intake` that tells when an association is over and recorded.

    Parameters
    ----------
    intake
        Takes custody.
    on_closed
        Called after the end of each association; must neither raise nor wait.
    """

    def __init__(self, intake: Intake, on_closed: Callable[[], None]) -> None:
        self._intake = intake
        self._on_closed = on_closed

    def accept(self, request: StoreRequest) -> None:
        """Take custody of an instance. Raises what the other intake raises."""
        self._intake.accept(request)

    def association_closed(self, sender: Sender, at: datetime) -> None:
        """Record that nothing more will come over an association. Raises LedgerError."""
        self._intake.association_closed(sender, at)
        self._on_closed()
