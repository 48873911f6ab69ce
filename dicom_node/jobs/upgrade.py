"""Bringing the tables of an earlier version of the node up to date, in place."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection

from dicom_node.jobs.delivery_tables import (
    CommitmentItemRow,
    CommitmentRequestRow,
    CommitmentRow,
    DestinationRow,
)
from dicom_node.jobs.reprocess_tables import (
    ReprocessJobRow,
    ReprocessPlaceRow,
    ReprocessRunRow,
    ReprocessSeriesRow,
    ReprocessStudyRow,
)
from dicom_node.jobs.retention_tables import PurgeRow, StudyHoldRow
from dicom_node.jobs.tables import PriorSearchRow, PriorSeriesRow, Table
from dicom_node.jobs.tally_tables import TallyRow
from dicom_node.jobs.user_tables import SignInRow, UserRow, UserSessionRow, UserTokenRow
from dicom_node.jobs.worklist_tables import WorkitemRow, WorklistRow

#: Version 2: kinds of jobs, what a comparison is made of, searches for earlier scans, storage
#: commitment, counts, what was audited, what is urgent, worklists, users.
#: SQLite adds columns without touching the rows (its documentation, "ALTER TABLE ADD COLUMN").
_NEW_COLUMNS: Final = (
    "ALTER TABLE jobs ADD COLUMN kind VARCHAR(16) DEFAULT 'analysis' NOT NULL",
    "ALTER TABLE jobs ADD COLUMN baseline_job_id INTEGER REFERENCES jobs (job_id)",
    "ALTER TABLE jobs ADD COLUMN analysis_job_id INTEGER REFERENCES jobs (job_id)",
    "ALTER TABLE jobs ADD COLUMN patient_key VARCHAR(64) DEFAULT '' NOT NULL",
    "ALTER TABLE jobs ADD COLUMN issuer_key VARCHAR(64) DEFAULT '' NOT NULL",
    "ALTER TABLE jobs ADD COLUMN acquired_at TEXT",
    "ALTER TABLE instances ADD COLUMN patient_id_key VARCHAR(64) DEFAULT '' NOT NULL",
    "ALTER TABLE instances ADD COLUMN issuer_key VARCHAR(64) DEFAULT '' NOT NULL",
    "ALTER TABLE result_sets ADD COLUMN kind VARCHAR(16) DEFAULT 'analysis' NOT NULL",
    "CREATE INDEX ix_jobs_patient_key ON jobs (patient_key)",
    "ALTER TABLE deliveries ADD COLUMN unreached BOOLEAN DEFAULT '0' NOT NULL",
    "ALTER TABLE deliveries ADD COLUMN negotiation TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE deliveries ADD COLUMN commitment_at VARCHAR(32)",
    "ALTER TABLE deliveries ADD COLUMN commitment_asks INTEGER DEFAULT '0' NOT NULL",
    "ALTER TABLE associations ADD COLUMN audited BOOLEAN DEFAULT '0' NOT NULL",
    "ALTER TABLE deliveries ADD COLUMN audited BOOLEAN DEFAULT '0' NOT NULL",
    "ALTER TABLE series ADD COLUMN urgency TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE series ADD COLUMN purged_at VARCHAR(32)",
    "ALTER TABLE instances ADD COLUMN committed_at VARCHAR(32)",
    "ALTER TABLE instances ADD COLUMN purged_at VARCHAR(32)",
    "ALTER TABLE instances ADD COLUMN erased BOOLEAN DEFAULT '0' NOT NULL",
    "CREATE INDEX instances_to_erase ON instances (erased, purged_at)",
    "ALTER TABLE objects ADD COLUMN purged_at VARCHAR(32)",
    "ALTER TABLE objects ADD COLUMN erased BOOLEAN DEFAULT '0' NOT NULL",
    "CREATE INDEX objects_to_erase ON objects (erased, purged_at)",
    "ALTER TABLE jobs ADD COLUMN purged_at VARCHAR(32)",
    "ALTER TABLE jobs ADD COLUMN erased BOOLEAN DEFAULT '0' NOT NULL",
)

_NEW_TABLES: Final = (
    PriorSearchRow,
    PriorSeriesRow,
    DestinationRow,
    CommitmentRow,
    CommitmentItemRow,
    CommitmentRequestRow,
    TallyRow,
    WorklistRow,
    WorkitemRow,
    StudyHoldRow,
    PurgeRow,
    UserRow,
    UserSessionRow,
    UserTokenRow,
    SignInRow,
    ReprocessRunRow,
    ReprocessStudyRow,
    ReprocessSeriesRow,
    ReprocessJobRow,
    ReprocessPlaceRow,
)


def upgrade(connection: Connection, found: int) -> None:
    """Run every step from version `found` to the present one, in the caller's transaction."""
    for version in sorted(_STEPS):
        if version >= found:
            _STEPS[version](connection)


def can_upgrade(found: str | None) -> bool:
    """Return whether there is a way from this version."""
    return found is not None and found.isdecimal() and int(found) in _STEPS


def _from_version_1(connection: Connection) -> None:
    """Add what version 2 has.

    Analyses of version 1 keep no time of acquisition, so they are in no comparison; the keys of
    patient and issuer stay empty for the same reason.
    """
    for statement in _NEW_COLUMNS:
        connection.exec_driver_sql(statement)
    Table.metadata.create_all(
        connection,
        tables=[Table.metadata.tables[row.__tablename__] for row in _NEW_TABLES],
    )


_STEPS: Mapping[int, Callable[[Connection], None]] = {1: _from_version_1}
