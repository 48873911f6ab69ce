"""Version 2: comparisons, earlier scans, commitment, urgency, worklists, purges, users, counts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from dicom_node.jobs.column_types import LONG_TEXT, NUMBER, short_text
from dicom_node.jobs.procrastinate_dispatch import install, remove

revision = "2"
down_revision = "1"

_INDICES = (
    ("ix_jobs_patient_key", "jobs", ["patient_key"]),
    ("instances_to_erase", "instances", ["erased", "purged_at"]),
    ("objects_to_erase", "objects", ["erased", "purged_at"]),
)

#: What version 1 cannot read goes: it knows analyses only.
_FORGET = """
UPDATE jobs SET supersedes = NULL, baseline_job_id = NULL, analysis_job_id = NULL WHERE kind <>
  'analysis';
UPDATE result_sets SET supersedes = NULL WHERE kind <> 'analysis';
DELETE FROM deliveries WHERE result_set_id IN (SELECT result_set_id FROM result_sets WHERE kind
  <> 'analysis');
DELETE FROM objects WHERE result_set_id IN (SELECT result_set_id FROM result_sets WHERE kind <>
  'analysis');
DELETE FROM events WHERE job_id IN (SELECT job_id FROM jobs WHERE kind <> 'analysis');
DELETE FROM job_instances WHERE job_id IN (SELECT job_id FROM jobs WHERE kind <> 'analysis');
DELETE FROM jobs WHERE kind <> 'analysis';
DELETE FROM result_sets WHERE kind <> 'analysis';
UPDATE deliveries SET state = 'accepted' WHERE state = 'committed';
UPDATE deliveries SET state = 'dead' WHERE state = 'cancelled';
DELETE FROM events WHERE kind IN ('urgent', 'routine', 'paired', 'not_compared', 'priors',
  'committed', 'not_committed', 'cancelled', 'hold', 'unhold', 'purged')
"""


def upgrade() -> None:
    """Add what version 2 has.

    Analyses of version 1 keep no time of acquisition, so they are in no comparison; the keys of
    patient, issuer and accession stay empty for the same reason. SQLite adds columns without
    touching the rows (its documentation, "ALTER TABLE ADD COLUMN"), PostgreSQL does so, too.
    """
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column, inline_references=True)
    for name, table, keys in _INDICES:
        op.create_index(name, table, keys)
    _earlier_scans()
    _destinations()
    _requests()
    _worklists()
    _purges()
    _users()
    _re_reads()
    _re_read_studies()
    if op.get_context().dialect.name == "postgresql":
        install(op.get_bind())


def downgrade() -> None:
    """Go back to version 1: comparisons, searches, commitments, purges, counts and users go."""
    if op.get_context().dialect.name == "postgresql":
        remove(op.get_bind())
    for name in (
        "reprocess_series",
        "reprocess_studies",
        "reprocess_jobs",
        "reprocess_places",
        "reprocess_runs",
        "prior_series",
        "commitment_items",
        "prior_searches",
        "user_sessions",
        "worklists",
        "workitems",
        "users",
        "user_tokens",
        "tallies",
        "study_holds",
        "sign_ins",
        "purges",
        "destinations",
        "commitments",
        "commitment_requests",
    ):
        op.drop_table(name)
    for statement in _FORGET.split(";"):
        op.execute(statement)
    for name, table, _ in _INDICES:
        op.drop_index(name, table_name=table)
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in reversed(columns):
                batch.drop_column(column.name)


def _columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    """Return new columns by table, each with what it holds in rows of version 1."""
    return {
        "jobs": (
            sa.Column("kind", short_text(16), server_default="analysis", nullable=False),
            sa.Column("baseline_job_id", NUMBER, sa.ForeignKey("jobs.job_id")),
            sa.Column("analysis_job_id", NUMBER, sa.ForeignKey("jobs.job_id")),
            sa.Column("patient_key", short_text(64), server_default="", nullable=False),
            sa.Column("issuer_key", short_text(64), server_default="", nullable=False),
            sa.Column("acquired_at", LONG_TEXT),
            sa.Column("purged_at", short_text(32)),
            sa.Column("erased", sa.Boolean(), server_default="0", nullable=False),
        ),
        "instances": (
            sa.Column("patient_id_key", short_text(64), server_default="", nullable=False),
            sa.Column("issuer_key", short_text(64), server_default="", nullable=False),
            sa.Column("accession_key", short_text(64), server_default="", nullable=False),
            sa.Column("committed_at", short_text(32)),
            sa.Column("purged_at", short_text(32)),
            sa.Column("erased", sa.Boolean(), server_default="0", nullable=False),
        ),
        "result_sets": (
            sa.Column("kind", short_text(16), server_default="analysis", nullable=False),
        ),
        "deliveries": (
            sa.Column("unreached", sa.Boolean(), server_default="0", nullable=False),
            sa.Column("negotiation", LONG_TEXT, server_default="", nullable=False),
            sa.Column("commitment_at", short_text(32)),
            sa.Column("commitment_asks", NUMBER, server_default="0", nullable=False),
            sa.Column("audited", sa.Boolean(), server_default="0", nullable=False),
        ),
        "associations": (sa.Column("audited", sa.Boolean(), server_default="0", nullable=False),),
        "series": (
            sa.Column("urgency", LONG_TEXT, server_default="", nullable=False),
            sa.Column("purged_at", short_text(32)),
        ),
        "objects": (
            sa.Column("purged_at", short_text(32)),
            sa.Column("erased", sa.Boolean(), server_default="0", nullable=False),
        ),
    }


def _earlier_scans() -> None:
    op.create_table(
        "prior_searches",
        sa.Column("search_id", NUMBER, primary_key=True),
        sa.Column("job_id", NUMBER, sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column(
            "series_uid", short_text(64), sa.ForeignKey("series.series_uid"), nullable=False
        ),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("peer", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("next_attempt_at", short_text(32), nullable=False),
        sa.Column("finished_at", short_text(32)),
        sa.UniqueConstraint("study_uid", "peer"),
    )
    op.create_index("ix_prior_searches_series_uid", "prior_searches", ["series_uid"])
    op.create_index("prior_searches_due", "prior_searches", ["peer", "state", "next_attempt_at"])
    op.create_table(
        "prior_series",
        sa.Column("series_uid", short_text(64), primary_key=True),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("search_id", NUMBER, sa.ForeignKey("prior_searches.search_id"), nullable=False),
        sa.Column("asked_at", short_text(32), nullable=False),
    )
    op.create_index("ix_prior_series_study_uid", "prior_series", ["study_uid"])


def _destinations() -> None:
    op.create_table(
        "destinations",
        sa.Column("name", short_text(64), primary_key=True),
        sa.Column("held_at", short_text(32)),
        sa.Column("held_reason", LONG_TEXT, nullable=False),
        sa.Column("failures", NUMBER, nullable=False),
        sa.Column("probes", NUMBER, nullable=False),
        sa.Column("opened_at", short_text(32)),
        sa.Column("probe_at", short_text(32)),
        sa.Column("reason", LONG_TEXT, nullable=False),
    )
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", short_text(64), primary_key=True),
        sa.Column("destination", short_text(64), nullable=False),
        sa.Column("asked_at", short_text(32), nullable=False),
        sa.Column("answered_at", short_text(32)),
    )
    op.create_table(
        "commitment_items",
        sa.Column(
            "transaction_uid",
            short_text(64),
            sa.ForeignKey("commitments.transaction_uid"),
            primary_key=True,
        ),
        sa.Column(
            "delivery_id", NUMBER, sa.ForeignKey("deliveries.delivery_id"), primary_key=True
        ),
    )
    op.create_index("ix_commitment_items_delivery_id", "commitment_items", ["delivery_id"])


def _requests() -> None:
    op.create_table(
        "commitment_requests",
        sa.Column("request_id", NUMBER, primary_key=True),
        sa.Column("calling_ae_title", short_text(16), nullable=False),
        sa.Column("transaction_uid", short_text(64), nullable=False),
        sa.Column("report", LONG_TEXT, nullable=False),
        sa.Column("received_at", short_text(32), nullable=False),
        sa.Column("next_attempt_at", short_text(32)),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("answered_at", short_text(32)),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.UniqueConstraint("calling_ae_title", "transaction_uid"),
    )
    op.create_index("commitment_requests_due", "commitment_requests", ["next_attempt_at"])
    op.create_table(
        "tallies",
        sa.Column("name", short_text(32), primary_key=True),
        sa.Column("labels", LONG_TEXT, primary_key=True),
        sa.Column("value", sa.Float(), nullable=False),
    )


def _worklists() -> None:
    op.create_table(
        "worklists",
        sa.Column("name", short_text(64), primary_key=True),
        sa.Column("look_at", short_text(32), nullable=False),
        sa.Column("failures", NUMBER, nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("reached_at", short_text(32)),
    )
    op.create_table(
        "workitems",
        sa.Column("workitem_id", NUMBER, primary_key=True),
        sa.Column("worklist", short_text(64), nullable=False),
        sa.Column("workitem_uid", short_text(64), nullable=False),
        sa.Column("transaction_uid", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("inputs", LONG_TEXT, nullable=False),
        sa.Column("code", LONG_TEXT, nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("claimed_at", short_text(32)),
        sa.Column("look_at", short_text(32), nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("fetching", sa.Boolean(), nullable=False),
        sa.Column("fetched", sa.Boolean(), nullable=False),
        sa.Column("told", LONG_TEXT, nullable=False),
        sa.Column("cancel_reason", LONG_TEXT, nullable=False),
        sa.Column("ending", LONG_TEXT, nullable=False),
        sa.Column("finished_at", short_text(32)),
        sa.Column("audited", NUMBER, nullable=False),
        sa.UniqueConstraint("worklist", "workitem_uid"),
    )
    op.create_index("workitems_open", "workitems", ["worklist", "state"])
    op.create_index("workitems_fetching", "workitems", ["fetching", "state"])


def _purges() -> None:
    op.create_table(
        "study_holds",
        sa.Column("study_uid", short_text(64), primary_key=True),
        sa.Column("why", LONG_TEXT, nullable=False),
        sa.Column("by", short_text(128), nullable=False),
        sa.Column("since", short_text(32), nullable=False),
    )
    op.create_table(
        "purges",
        sa.Column("purge_id", NUMBER, primary_key=True),
        sa.Column("at", short_text(32), nullable=False),
        sa.Column("kind", short_text(16), nullable=False),
        sa.Column("cause", short_text(16), nullable=False),
        sa.Column("by", short_text(128), nullable=False),
        sa.Column("series_uid", short_text(64), nullable=False),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("patient_key", short_text(64), nullable=False),
        sa.Column("instances", LONG_TEXT, nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("was_last", sa.Boolean(), nullable=False),
        sa.Column("audited", sa.Boolean(), nullable=False),
    )
    op.create_index("purges_to_audit", "purges", ["audited", "at"])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("name", short_text(64), primary_key=True),
        sa.Column("role", short_text(16), nullable=False),
        sa.Column("password", LONG_TEXT, nullable=False),
        sa.Column("code", short_text(64), nullable=False),
        sa.Column("code_until", short_text(32)),
        sa.Column("created_by", short_text(64), nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("password_at", short_text(32)),
        sa.Column("subject", short_text(64), nullable=False, server_default=""),
    )
    op.create_table(
        "user_sessions",
        sa.Column("digest", short_text(64), primary_key=True),
        sa.Column("name", short_text(64), sa.ForeignKey("users.name"), nullable=False),
        sa.Column("address", short_text(64), nullable=False),
        sa.Column("opened_at", short_text(32), nullable=False),
        sa.Column("seen_at", short_text(32), nullable=False),
    )
    op.create_index("ix_user_sessions_name", "user_sessions", ["name"])
    op.create_table(
        "user_tokens",
        sa.Column("token_id", NUMBER, primary_key=True),
        sa.Column("name", short_text(64), nullable=False),
        sa.Column("role", short_text(16), nullable=False),
        sa.Column("digest", short_text(64), nullable=False),
        sa.Column("created_by", short_text(64), nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("expires_at", short_text(32), nullable=False),
        sa.Column("used_at", short_text(32)),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("sign_in_id", NUMBER, primary_key=True),
        sa.Column("at", short_text(32), nullable=False),
        sa.Column("name", short_text(64), nullable=False),
        sa.Column("address", short_text(64), nullable=False),
        sa.Column("outcome", short_text(16), nullable=False),
        sa.Column("audited", sa.Boolean(), nullable=False, server_default="0"),
    )
    op.create_index("sign_ins_recent", "sign_ins", ["at"])


def _re_reads() -> None:
    op.create_table(
        "reprocess_runs",
        sa.Column("run_id", NUMBER, primary_key=True),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("note", LONG_TEXT, nullable=False),
        sa.Column("request", LONG_TEXT, nullable=False),
        sa.Column("most_analysing", NUMBER, nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("created_by", short_text(255), nullable=False),
        sa.Column("begun_at", short_text(32)),
        sa.Column("finished_at", short_text(32)),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("cursor", LONG_TEXT, nullable=False),
        sa.Column("units", NUMBER, nullable=False),
        sa.Column("units_done", NUMBER, nullable=False),
    )
    op.create_table(
        "reprocess_places",
        sa.Column("run_id", NUMBER, sa.ForeignKey("reprocess_runs.run_id"), primary_key=True),
        sa.Column("place_key", short_text(64), primary_key=True),
    )
    op.create_table(
        "reprocess_jobs",
        sa.Column("job_id", NUMBER, sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("run_id", NUMBER, sa.ForeignKey("reprocess_runs.run_id"), nullable=False),
    )
    op.create_index("ix_reprocess_jobs_run_id", "reprocess_jobs", ["run_id"])


def _re_read_studies() -> None:
    op.create_table(
        "reprocess_studies",
        sa.Column("entry_id", NUMBER, primary_key=True),
        sa.Column("run_id", NUMBER, sa.ForeignKey("reprocess_runs.run_id"), nullable=False),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("images", NUMBER, nullable=False),
        sa.Column("job_id", NUMBER, sa.ForeignKey("jobs.job_id")),
        sa.Column("again_at", short_text(32), nullable=False),
        sa.Column("began_at", short_text(32)),
        sa.Column("queued_at", short_text(32)),
        sa.Column("finished_at", short_text(32)),
        sa.UniqueConstraint("run_id", "study_uid"),
    )
    op.create_index("reprocess_studies_due", "reprocess_studies", ["run_id", "state", "again_at"])
    op.create_index("reprocess_studies_ended", "reprocess_studies", ["run_id", "finished_at"])
    op.create_table(
        "reprocess_series",
        sa.Column("run_id", NUMBER, sa.ForeignKey("reprocess_runs.run_id"), primary_key=True),
        sa.Column("series_uid", short_text(64), primary_key=True),
        sa.Column("entry_id", NUMBER, sa.ForeignKey("reprocess_studies.entry_id"), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_reprocess_series_entry_id", "reprocess_series", ["entry_id"])
    op.create_index("ix_reprocess_series_series_uid", "reprocess_series", ["series_uid"])
