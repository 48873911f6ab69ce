"""The receiver's side of the ledger: instances, and the associations they come over."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dicom_node.association.store_request import Sender
from dicom_node.intake.instance import ReceivedInstance
from dicom_node.intake.recorder import Stored, Stream, stored_of
from dicom_node.jobs.arrival_book import ArrivalBook
from dicom_node.jobs.database import Database
from dicom_node.jobs.look_again import look_again
from dicom_node.jobs.process_identity import ProcessIdentity
from dicom_node.jobs.tables import AssociationRow, AssociationSeriesRow, InstanceRow, SeriesRow


class Arrivals:
    """Remembers instances; the `Register` of custody.

    An instance sent twice with the same bytes is one row. Sent again with other bytes it is
    another version: the newest version is analysed, as long as no worker has begun with the
    series. After that the other version is kept and noted, but does not start the analysis again:
    a SOP Instance UID stands for one content (PS3.3, section C.12.1), so the sender is at fault.
    New instances do open the series again, whatever its state.

    What was purged is not here: an instance of that kind that is sent again is received anew, and
    opens the series again.
    """

    def __init__(self, database: Database, process: ProcessIdentity) -> None:
        self._database = database
        self._process = process

    def add(self, instance: ReceivedInstance, path: Path) -> None:
        """Record an instance and its file. Raises LedgerUnavailableError."""
        self.add_all([stored_of(instance, path)])

    def add_all(self, batch: Sequence[Stored]) -> frozenset[Stream]:
        """Record instances in the order in which they came, in one transaction.

        Returns the streams whose series is being received and has never been purged: what comes
        next over them may be recorded a little later. Raises LedgerUnavailableError.
        """
        with self._database.write() as session:
            book = ArrivalBook(session, batch, self._process)
            for stored in batch:
                book.enter(stored)
            book.close()
            return book.streams_that_may_wait

    def close_association(self, sender: Sender, at: datetime) -> None:
        """Record the end of an association. Raises LedgerUnavailableError."""
        with self._database.write() as session:
            close_associations(session, [sender.association_id], at)

    def known_paths(self) -> frozenset[Path]:
        """Return the files that have a row, relative to the spool; purged ones until they go."""
        with self._database.read() as session:
            paths = session.scalars(select(InstanceRow.path).where(~InstanceRow.erased))
            return frozenset(Path(path) for path in paths)

    def condemned_paths(self) -> frozenset[Path]:
        """Return the files that are to be deleted, relative to the spool."""
        with self._database.read() as session:
            paths = session.scalars(
                select(InstanceRow.path).where(
                    ~InstanceRow.erased, InstanceRow.purged_at.is_not(None)
                )
            )
            return frozenset(Path(path) for path in paths)

    def condemn_again(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Have files deleted again that had been purged and are there; return which these are."""
        with self._database.write() as session:
            found = set()
            for path in paths:
                row = session.scalar(
                    select(InstanceRow).where(InstanceRow.path == str(path), InstanceRow.erased)
                )
                if row is not None:
                    row.erased = False
                    found.add(path)
            return frozenset(found)


def close_associations(session: Session, association_ids: list[str], at: datetime) -> None:
    """Mark associations as closed and have their series looked at."""
    session.execute(
        update(AssociationRow)
        .where(
            AssociationRow.association_id.in_(association_ids), AssociationRow.closed_at.is_(None)
        )
        .values(closed_at=at)
    )
    touched = select(AssociationSeriesRow.series_uid).where(
        AssociationSeriesRow.association_id.in_(association_ids)
    )
    look_again(session, SeriesRow.series_uid.in_(touched), at)
