"""The port behind which it is decided whose turn it is among the jobs that may begin."""

from typing import Protocol

from sqlalchemy import Select
from sqlalchemy.orm import Session

from dicom_node.jobs.tables import JobRow


class Dispatch(Protocol):
    """Hands waiting jobs to workers, always within a transaction of the ledger.

    What waits, runs or has ended says the row of the job alone.
    """

    def attend(self, session: Session) -> None:
        """Take note of whatever this transaction does to jobs; it is kept if that is."""

    def next_of(self, session: Session, waiting: Select[JobRow]) -> JobRow | None:
        """Return the job whose turn it is, of those that may begin, the first one first."""

    def mend(self, session: Session) -> int:
        """Bring what was noted in step with the rows; return how much was out of step."""


class InOrder:
    """The first one of those that may begin: all that one machine needs."""

    def attend(self, session: Session) -> None:
        """Note nothing."""

    def next_of(self, session: Session, waiting: Select[JobRow]) -> JobRow | None:
        """Return the first one."""
        return session.scalar(waiting)

    def mend(self, session: Session) -> int:
        """Find nothing out of step."""
        del session
        return 0
