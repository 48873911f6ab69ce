"""What the page of uploads and pulls asks and tells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dicom_node.association.study_query import StudyWish
from dicom_node.manual_runs.book import Run
from dicom_node.manual_runs.standing import SeriesStanding


class RunSource(Protocol):
    """Runs that people asked for, and new ones."""

    @property
    def peers(self) -> Sequence[str]:
        """Names of the peers that can be asked."""

    def all(self) -> tuple[Run, ...]:
        """Return the runs since the start, the latest first."""

    def standings(self, run: Run) -> tuple[SeriesStanding, ...]:
        """Return how far the analysis of a run's series is. Raises LedgerError."""

    def check_room(self, length: int) -> None:
        """Make sure that an upload fits. Raises RunRefusedError."""

    def place(self) -> Path:
        """Return a new file for an upload."""

    def upload(self, path: Path, *, name: str, run_id: str, who: str, address: str) -> Run:
        """Take an upload into custody. Raises NodeError."""

    def pull(self, peer: str, wish: StudyWish, *, by: str, again: bool, who: str) -> Run:
        """Begin to fetch a study. Raises UnknownEntryError or RunRefusedError."""
