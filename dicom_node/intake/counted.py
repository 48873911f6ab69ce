"""Counting what the ledger cannot: instances that were refused."""

import threading
from collections import Counter
from datetime import datetime

from dicom_node.association.store_request import Intake, Sender, StoreRequest
from dicom_node.errors import IntakeError

#: What an error that nobody foresaw counts as.
_UNFORESEEN = "UnforeseenError"


class CountedIntake:
    """An `Intake` that counts what another one refuses, by the type of its error.

    What is taken is counted in the ledger, in the transaction that records it.

    Parameters
    ----------
    intake
        Takes custody.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()

    def accept(self, request: StoreRequest) -> None:
        """Take custody of an instance. Raises what the other intake raises."""
        try:
            self._intake.accept(request)
        except IntakeError as error:
            self._count(type(error).__name__)
            raise
        except Exception:
            self._count(_UNFORESEEN)
            raise

    def association_closed(self, sender: Sender, at: datetime) -> None:
        """Record that nothing more will come over an association. Raises LedgerError."""
        self._intake.association_closed(sender, at)

    def take(self) -> dict[str, int]:
        """Return how often each error came since the last call, and begin anew."""
        with self._lock:
            refused, self._refused = self._refused, Counter()
        return dict(refused)

    def _count(self, name: str) -> None:
        with self._lock:
            self._refused[name] += 1
