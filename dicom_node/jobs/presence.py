"""Which processes of the node live, so that the dead ones hold nothing up."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.errors import LedgerError
from dicom_node.jobs.arrivals import close_associations
from dicom_node.jobs.database import Database
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.tables import AssociationRow, ProcessRow
from dicom_node.lasting_thread import LastingThread
from dicom_node.processes import Role

LOGGER = logging.getLogger(__name__)


class PresenceLedger:
    """Remembers when each process was last seen.

    The associations of a receiver that died are closed: nothing more comes over them, and a
    series must not wait for them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def enter(self, process: ProcessIdentity, now: datetime) -> None:
        """Note the start of a process; whoever had its name on this host before is dead."""
        with self._database.write() as session:
            before = select(ProcessRow).where(
                ProcessRow.name == process.name,
                ProcessRow.host == process.host,
                ProcessRow.ended_at.is_(None),
                ProcessRow.token != process.token,
            )
            for row in session.scalars(before):
                _end(session, row, now)
            session.merge(
                ProcessRow(
                    token=process.token,
                    name=process.name,
                    host=process.host,
                    pid=process.pid,
                    started_at=now,
                    seen_at=now,
                    ended_at=None,
                )
            )

    def beat(self, process: ProcessIdentity, now: datetime) -> None:
        """Note that a process lives, even if it had been taken for dead."""
        with self._database.write() as session:
            row = session.get(ProcessRow, process.token)
            if row is not None:
                row.seen_at = now
                row.ended_at = None

    def leave(self, process: ProcessIdentity, now: datetime) -> None:
        """Note the orderly end of a process."""
        with self._database.write() as session:
            row = session.get(ProcessRow, process.token)
            if row is not None:
                _end(session, row, now)

    def workers_on(self, host: str) -> int:
        """Return how many workers of a host are not known to have ended.

        Raises LedgerUnavailableError.
        """
        living = select(func.count()).where(
            ProcessRow.host == host,
            ProcessRow.name.startswith(Role.WORKER),
            ProcessRow.ended_at.is_(None),
        )
        with self._database.read() as session:
            return session.scalar(living) or 0

    def sweep(self, now: datetime, *, silent_s: float) -> int:
        """End the processes that were not seen for so long; return how many."""
        with self._database.write() as session:
            silent = session.scalars(
                select(ProcessRow).where(
                    ProcessRow.ended_at.is_(None),
                    ProcessRow.seen_at < now - timedelta(seconds=silent_s),
                )
            ).all()
            for row in silent:
                LOGGER.warning("%s on %s was not seen for %s s", row.name, row.host, silent_s)
                _end(session, row, now)
            return len(silent)


class Presence:
    """The heart-beat of one process.

    Parameters
    ----------
    ledger
        Where it is noted.
    process
        Who lives.
    clock
        Returns the present as an aware time.
    every_s
        Time between two beats.
    """

    def __init__(
        self,
        *,
        ledger: PresenceLedger,
        process: ProcessIdentity,
        clock: Callable[[], datetime],
        every_s: float = 5.0,
    ) -> None:
        self._ledger = ledger
        self._process = process
        self._clock = clock
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = LastingThread(target=self._run, name="presence")

    def start(self) -> None:
        """Enter, and beat in the background. Raises LedgerUnavailableError."""
        self._ledger.enter(self._process, self._clock())
        self._thread.start()

    def stop(self) -> None:
        """Leave."""
        self._stop.set()
        self._thread.join()
        try:
            self._ledger.leave(self._process, self._clock())
        except LedgerError as error:
            LOGGER.warning("The end of %s was not noted: %s", self._process.name, error)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._ledger.beat(self._process, self._clock())
            except LedgerError as error:
                LOGGER.warning("A heart-beat of %s was not noted: %s", self._process.name, error)


def _end(session: Session, row: ProcessRow, now: datetime) -> None:
    row.ended_at = now
    still_open = session.scalars(
        select(AssociationRow.association_id).where(
            AssociationRow.process_token == row.token, AssociationRow.closed_at.is_(None)
        )
    ).all()
    close_associations(session, list(still_open), now)
