"""What the ledger says that the node holds, and whether the ledger itself is sound."""

from pathlib import Path

from sqlalchemy import select

from dicom_node.intake.inspection import HeldFile
from dicom_node.jobs.database import Database
from dicom_node.jobs.tables import InstanceRow, ObjectRow, ResultSetRow


class Holdings:
    """The files that the ledger knows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def images(self) -> tuple[HeldFile, ...]:
        """Return every instance in custody, all versions. Raises LedgerUnavailableError."""
        chosen = (
            select(
                InstanceRow.path,
                InstanceRow.content_digest,
                InstanceRow.size_bytes,
                InstanceRow.series_uid,
                InstanceRow.transfer_syntax_uid,
            )
            .where(InstanceRow.purged_at.is_(None))
            .order_by(InstanceRow.instance_id)
        )
        with self._database.read() as session:
            return tuple(
                HeldFile(
                    path=Path(path),
                    content_digest=digest,
                    size_bytes=size,
                    series_uid=series,
                    transfer_syntax_uid=syntax,
                )
                for path, digest, size, series, syntax in session.execute(chosen)
            )

    def image_of_study(self, study_uid: str) -> Path | None:
        """Return one image of a study that is still here; None if there is none.

        Raises LedgerUnavailableError.
        """
        chosen = (
            select(InstanceRow.path)
            .where(
                InstanceRow.study_uid == study_uid,
                InstanceRow.current,
                InstanceRow.purged_at.is_(None),
            )
            .limit(1)
        )
        with self._database.read() as session:
            path = session.scalar(chosen)
            return None if path is None else Path(path)

    def results(self) -> tuple[HeldFile, ...]:
        """Return every result object that was not purged. Raises LedgerUnavailableError."""
        chosen = (
            select(
                ObjectRow.path,
                ObjectRow.content_digest,
                ObjectRow.size_bytes,
                ResultSetRow.series_uid,
            )
            .join(ResultSetRow, ResultSetRow.result_set_id == ObjectRow.result_set_id)
            .where(ObjectRow.purged_at.is_(None))
            .order_by(ObjectRow.object_id)
        )
        with self._database.read() as session:
            return tuple(
                HeldFile(
                    path=Path(path), content_digest=digest, size_bytes=size, series_uid=series
                )
                for path, digest, size, series in session.execute(chosen)
            )

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with the ledger as a database; empty if it is sound.

        Raises
        ------
        LedgerUnavailableError
            If it is so broken that it cannot be read.
        """
        with self._database.read() as session:
            return self._database.engine.faults(session)
