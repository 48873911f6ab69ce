"""What a worker does while no job waits."""

from collections.abc import Callable
from typing import Protocol


class IdleWork(Protocol):
    """What a worker does while no job waits; `dicom_node.early_analysis`."""

    def pause_s(self) -> float:
        """Return how long to leave what waits to others, who may be quicker with it."""

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Do something useful; return whether there may be more. Raises LedgerError."""

    def begun(self, series_uid: str) -> None:
        """Take note that a job of a series begins."""

    def ended(self, series_uid: str) -> None:
        """Take note that a job of a series has come to an end."""


class Idleness:
    """Nothing is done while no job waits."""

    def pause_s(self) -> float:
        """Leave nothing to others."""
        return 0.0

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Do nothing."""
        del is_over
        return False

    def begun(self, series_uid: str) -> None:
        """Take no note."""

    def ended(self, series_uid: str) -> None:
        """Take no note."""


IDLENESS = Idleness()
