"""Version 1 of the ledger: arrival, analysis and delivery."""

import sqlalchemy as sa
from alembic import op

from dicom_node.jobs.column_types import LONG_TEXT, NUMBER, short_text

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables of version 1."""
    _processes()
    _history()
    _series()
    _instances()
    _jobs()
    _inputs()
    _deliveries()


def downgrade() -> None:
    """Drop them, and all that is in them."""
    for name in (
        "job_instances",
        "deliveries",
        "objects",
        "jobs",
        "instances",
        "result_sets",
        "header_variants",
        "association_series",
        "series",
        "processes",
        "ledger_meta",
        "events",
        "associations",
    ):
        op.drop_table(name)


def _processes() -> None:
    op.create_table(
        "ledger_meta",
        sa.Column("key", short_text(32), primary_key=True),
        sa.Column("value", LONG_TEXT, nullable=False),
    )
    op.create_table(
        "processes",
        sa.Column("token", short_text(64), primary_key=True),
        sa.Column("name", short_text(64), nullable=False),
        sa.Column("host", short_text(255), nullable=False),
        sa.Column("pid", NUMBER, nullable=False),
        sa.Column("started_at", short_text(32), nullable=False),
        sa.Column("seen_at", short_text(32), nullable=False),
        sa.Column("ended_at", short_text(32)),
    )


def _history() -> None:
    op.create_table(
        "events",
        sa.Column("event_id", NUMBER, primary_key=True),
        sa.Column("at", short_text(32), nullable=False),
        sa.Column("series_uid", short_text(64), nullable=False),
        sa.Column("job_id", NUMBER),
        sa.Column("kind", short_text(32), nullable=False),
        sa.Column("text", LONG_TEXT, nullable=False),
    )
    op.create_index("ix_events_series_uid", "events", ["series_uid"])
    op.create_table(
        "associations",
        sa.Column("association_id", short_text(64), primary_key=True),
        sa.Column("process_token", short_text(64), nullable=False),
        sa.Column("calling_ae_title", short_text(16), nullable=False),
        sa.Column("called_ae_title", short_text(16), nullable=False),
        sa.Column("address", short_text(64), nullable=False),
        sa.Column("opened_at", short_text(32), nullable=False),
        sa.Column("closed_at", short_text(32)),
    )
    op.create_index("ix_associations_process_token", "associations", ["process_token"])


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("series_uid", short_text(64), primary_key=True),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("calling_ae_title", short_text(16), nullable=False),
        sa.Column("first_received_at", short_text(32), nullable=False),
        sa.Column("last_received_at", short_text(32), nullable=False),
        sa.Column("look_at", short_text(32)),
        sa.Column("complete_at", short_text(32)),
        sa.Column("eligible", sa.Boolean(), nullable=False),
        sa.Column("flags", LONG_TEXT, nullable=False),
    )
    op.create_index("ix_series_study_uid", "series", ["study_uid"])
    op.create_index("series_due", "series", ["state", "look_at"])
    op.create_table(
        "association_series",
        sa.Column(
            "association_id",
            short_text(64),
            sa.ForeignKey("associations.association_id"),
            primary_key=True,
        ),
        sa.Column("series_uid", short_text(64), primary_key=True),
    )
    op.create_index("ix_association_series_series_uid", "association_series", ["series_uid"])
    op.create_table(
        "header_variants",
        sa.Column("variant_id", NUMBER, primary_key=True),
        sa.Column(
            "series_uid", short_text(64), sa.ForeignKey("series.series_uid"), nullable=False
        ),
        sa.Column("attributes", LONG_TEXT, nullable=False),
    )
    op.create_index("ix_header_variants_series_uid", "header_variants", ["series_uid"])


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("instance_id", NUMBER, primary_key=True),
        sa.Column(
            "series_uid", short_text(64), sa.ForeignKey("series.series_uid"), nullable=False
        ),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("sop_instance_uid", short_text(64), nullable=False),
        sa.Column("sop_class_uid", short_text(64), nullable=False),
        sa.Column("transfer_syntax_uid", short_text(64), nullable=False),
        sa.Column("content_digest", short_text(64), nullable=False),
        sa.Column("patient_key", short_text(64), nullable=False),
        sa.Column("path", LONG_TEXT, nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("received_at", short_text(32), nullable=False),
        sa.Column("association_id", short_text(64), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column(
            "variant_id", NUMBER, sa.ForeignKey("header_variants.variant_id"), nullable=False
        ),
        sa.Column("instance_number", NUMBER),
        sa.Column("position", LONG_TEXT, nullable=False),
        sa.Column("orientation", LONG_TEXT, nullable=False),
        sa.Column("frames", NUMBER, nullable=False),
        sa.UniqueConstraint("path"),
        sa.UniqueConstraint("series_uid", "sop_instance_uid", "content_digest"),
    )
    op.create_index("instances_of_series", "instances", ["series_uid", "current"])


def _jobs() -> None:
    op.create_table(
        "result_sets",
        sa.Column("result_set_id", NUMBER, primary_key=True),
        sa.Column(
            "series_uid", short_text(64), sa.ForeignKey("series.series_uid"), nullable=False
        ),
        sa.Column("input_digest", short_text(64), nullable=False),
        sa.Column("model_digest", short_text(64), nullable=False),
        sa.Column("configuration_digest", short_text(64), nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("supersedes", NUMBER, sa.ForeignKey("result_sets.result_set_id")),
        sa.UniqueConstraint("series_uid", "input_digest", "model_digest", "configuration_digest"),
    )
    op.create_index("ix_result_sets_series_uid", "result_sets", ["series_uid"])
    op.create_table(
        "jobs",
        sa.Column("job_id", NUMBER, primary_key=True),
        sa.Column(
            "series_uid", short_text(64), sa.ForeignKey("series.series_uid"), nullable=False
        ),
        sa.Column("study_uid", short_text(64), nullable=False),
        sa.Column("input_digest", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("flags", LONG_TEXT, nullable=False),
        sa.Column("priority", NUMBER, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("token", NUMBER, nullable=False),
        sa.Column("created_at", short_text(32), nullable=False),
        sa.Column("available_at", short_text(32), nullable=False),
        sa.Column("claimed_by", short_text(64), nullable=False),
        sa.Column("lease_until", short_text(32)),
        sa.Column("deadline_at", short_text(32)),
        sa.Column("started_at", short_text(32)),
        sa.Column("finished_at", short_text(32)),
        sa.Column("supersedes", NUMBER, sa.ForeignKey("jobs.job_id")),
        sa.Column("result_set_id", NUMBER, sa.ForeignKey("result_sets.result_set_id")),
        sa.Column("record", LONG_TEXT, nullable=False),
    )
    op.create_index("ix_jobs_series_uid", "jobs", ["series_uid"])
    op.create_index("ix_jobs_state", "jobs", ["state"])


def _inputs() -> None:
    op.create_table(
        "job_instances",
        sa.Column("job_id", NUMBER, sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("instance_id", NUMBER, sa.ForeignKey("instances.instance_id"), primary_key=True),
    )


def _deliveries() -> None:
    op.create_table(
        "objects",
        sa.Column("object_id", NUMBER, primary_key=True),
        sa.Column(
            "result_set_id", NUMBER, sa.ForeignKey("result_sets.result_set_id"), nullable=False
        ),
        sa.Column("send_order", NUMBER, nullable=False),
        sa.Column("kind", short_text(16), nullable=False),
        sa.Column("sop_class_uid", short_text(64), nullable=False),
        sa.Column("sop_instance_uid", short_text(64), nullable=False),
        sa.Column("series_instance_uid", short_text(64), nullable=False),
        sa.Column("transfer_syntax_uid", short_text(64), nullable=False),
        sa.Column("path", LONG_TEXT, nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.Column("content_digest", short_text(64), nullable=False),
    )
    op.create_index("ix_objects_result_set_id", "objects", ["result_set_id"])
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", NUMBER, primary_key=True),
        sa.Column("object_id", NUMBER, sa.ForeignKey("objects.object_id"), nullable=False),
        sa.Column(
            "result_set_id", NUMBER, sa.ForeignKey("result_sets.result_set_id"), nullable=False
        ),
        sa.Column("destination", short_text(64), nullable=False),
        sa.Column("state", short_text(16), nullable=False),
        sa.Column("reason", LONG_TEXT, nullable=False),
        sa.Column("attempts", NUMBER, nullable=False),
        sa.Column("refusals", NUMBER, nullable=False),
        sa.Column("token", NUMBER, nullable=False),
        sa.Column("next_attempt_at", short_text(32), nullable=False),
        sa.Column("claimed_by", short_text(64), nullable=False),
        sa.Column("lease_until", short_text(32)),
        sa.Column("accepted_at", short_text(32)),
        sa.UniqueConstraint("object_id", "destination"),
    )
    op.create_index("deliveries_due", "deliveries", ["destination", "state", "next_attempt_at"])
    op.create_index("ix_deliveries_result_set_id", "deliveries", ["result_set_id"])
