"""The tables of the ledger.

Patients appear as `patient_key` only: a keyed hash that tells two patients apart. No table holds a
name, a number or a birth date of a patient. `JobRow.acquired_at` says when a scan was taken.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from dicom_node.jobs.column_types import LONG_TEXT, NUMBER, short_text
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SearchState, SeriesState

#: Version of the tables. A ledger with a lower one is brought up to it, with a higher one refused.
SCHEMA_VERSION = 2


class AwareTime(TypeDecorator[datetime]):
    """An aware time, stored as text in UTC with microseconds, so that it sorts as it reads."""

    impl = short_text(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text; a time without zone is a fault of the caller."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time in the ledger must be aware, got {value}")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401 - the signature of SQLAlchemy
        """Return the time."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


class StateText(TypeDecorator[Any]):
    """A state, stored by its value."""

    impl = short_text(16)
    cache_ok = True

    def __init__(self, states: type[StrEnum]) -> None:
        super().__init__()
        self.states = states

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ANN401 - the signature of SQLAlchemy
        """Return the value of the state."""
        del dialect
        return None if value is None else str(self.states(value).value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:  # noqa: ANN401 - the signature of SQLAlchemy
        """Return the state."""
        del dialect
        return None if value is None else self.states(value)


class Table(DeclarativeBase):
    """The declarative root of all tables."""

    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy at class creation
        int: NUMBER,
        datetime: AwareTime,
        SeriesState: StateText(SeriesState),
        JobState: StateText(JobState),
        JobKind: StateText(JobKind),
        SearchState: StateText(SearchState),
        DeliveryState: StateText(DeliveryState),
    }


class MetaRow(Table):
    """Facts about the ledger itself: version, salt."""

    __tablename__ = "ledger_meta"

    key: Mapped[str] = mapped_column(short_text(32), primary_key=True)
    value: Mapped[str] = mapped_column(LONG_TEXT)


class ProcessRow(Table):
    """A process of the node and when it was last seen alive."""

    __tablename__ = "processes"

    token: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    name: Mapped[str] = mapped_column(short_text(64))
    host: Mapped[str] = mapped_column(short_text(255))
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class AssociationRow(Table):
    """An association that brought at least one instance."""

    __tablename__ = "associations"

    association_id: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    process_token: Mapped[str] = mapped_column(short_text(64), index=True)
    calling_ae_title: Mapped[str] = mapped_column(short_text(16))
    called_ae_title: Mapped[str] = mapped_column(short_text(16))
    address: Mapped[str] = mapped_column(short_text(64))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    audited: Mapped[bool] = mapped_column(default=False, server_default="0")


class AssociationSeriesRow(Table):
    """Which series an association brought instances of."""

    __tablename__ = "association_series"

    association_id: Mapped[str] = mapped_column(
        ForeignKey("associations.association_id"), primary_key=True
    )
    series_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True, index=True)


class SeriesRow(Table):
    """A series and where it stands. `look_at` is when time alone may change that.

    `urgency` says why the series is urgent; empty if it is not. `purged_at` is when its images
    were last purged; they may have come again since.
    """

    __tablename__ = "series"

    series_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    study_uid: Mapped[str] = mapped_column(short_text(64), index=True)
    state: Mapped[SeriesState]
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    calling_ae_title: Mapped[str] = mapped_column(short_text(16), default="")
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    look_at: Mapped[datetime | None]
    complete_at: Mapped[datetime | None]
    eligible: Mapped[bool] = mapped_column(default=False)
    flags: Mapped[str] = mapped_column(LONG_TEXT, default="")
    urgency: Mapped[str] = mapped_column(LONG_TEXT, default="", server_default="")
    purged_at: Mapped[datetime | None]

    __table_args__ = (Index("series_due", "state", "look_at"),)


class HeaderVariantRow(Table):
    """What selection may know of the images of a series, once per distinct header."""

    __tablename__ = "header_variants"

    variant_id: Mapped[int] = mapped_column(primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.series_uid"), index=True)
    attributes: Mapped[str] = mapped_column(LONG_TEXT)


class InstanceRow(Table):
    """One instance in custody, one version of it. Only current versions are analysed.

    The row outlives the file: `purged_at` says that the file is to go or has gone, `erased` that
    it has. `committed_at` is when the node last committed itself to the instance.
    """

    __tablename__ = "instances"

    instance_id: Mapped[int] = mapped_column(primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.series_uid"))
    study_uid: Mapped[str] = mapped_column(short_text(64))
    sop_instance_uid: Mapped[str] = mapped_column(short_text(64))
    sop_class_uid: Mapped[str] = mapped_column(short_text(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(short_text(64))
    content_digest: Mapped[str] = mapped_column(short_text(64))
    patient_key: Mapped[str] = mapped_column(short_text(64))
    path: Mapped[str] = mapped_column(LONG_TEXT, unique=True)
    size_bytes: Mapped[int]
    received_at: Mapped[datetime]
    association_id: Mapped[str] = mapped_column(short_text(64))
    current: Mapped[bool]
    variant_id: Mapped[int] = mapped_column(ForeignKey("header_variants.variant_id"))
    instance_number: Mapped[int | None]
    position: Mapped[str] = mapped_column(LONG_TEXT, default="")
    orientation: Mapped[str] = mapped_column(LONG_TEXT, default="")
    frames: Mapped[int] = mapped_column(default=1)
    patient_id_key: Mapped[str] = mapped_column(short_text(64), default="", server_default="")
    issuer_key: Mapped[str] = mapped_column(short_text(64), default="", server_default="")
    accession_key: Mapped[str] = mapped_column(short_text(64), default="", server_default="")
    committed_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
    erased: Mapped[bool] = mapped_column(default=False, server_default="0")

    __table_args__ = (
        UniqueConstraint("series_uid", "sop_instance_uid", "content_digest"),
        Index("instances_of_series", "series_uid", "current"),
        Index("instances_to_erase", "erased", "purged_at"),
    )


class JobRow(Table):
    """What is done with one series as it was at one moment.

    A comparison names the analyses of both scans, `baseline_job_id` and `analysis_job_id`, and its
    series is the later one; a shadow job names the analysis that it repeats. `acquired_at` is when
    the scan was taken, as ISO 8601, with an offset only if the images have one. `patient_key` is
    made of the Patient ID alone, `issuer_key` of its issuer; each is empty if the images say none.
    `purged_at` and `erased` are about its summary, as in `InstanceRow`.
    """

    __tablename__ = "jobs"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.series_uid"), index=True)
    study_uid: Mapped[str] = mapped_column(short_text(64))
    input_digest: Mapped[str] = mapped_column(short_text(64))
    state: Mapped[JobState] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    flags: Mapped[str] = mapped_column(LONG_TEXT, default="")
    priority: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    available_at: Mapped[datetime]
    claimed_by: Mapped[str] = mapped_column(short_text(64), default="")
    lease_until: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("jobs.job_id"))
    result_set_id: Mapped[int | None] = mapped_column(ForeignKey("result_sets.result_set_id"))
    record: Mapped[str] = mapped_column(LONG_TEXT, default="")
    kind: Mapped[JobKind] = mapped_column(
        default=JobKind.ANALYSIS, server_default=JobKind.ANALYSIS.value
    )
    baseline_job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.job_id"))
    analysis_job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.job_id"))
    patient_key: Mapped[str] = mapped_column(
        short_text(64), default="", server_default="", index=True
    )
    issuer_key: Mapped[str] = mapped_column(short_text(64), default="", server_default="")
    acquired_at: Mapped[str | None] = mapped_column(LONG_TEXT)
    purged_at: Mapped[datetime | None]
    erased: Mapped[bool] = mapped_column(default=False, server_default="0")


class JobInstanceRow(Table):
    """The instances that a job was made of."""

    __tablename__ = "job_instances"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.job_id"), primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.instance_id"), primary_key=True)


class ResultSetRow(Table):
    """The results of one input, one model and one configuration: there is only one."""

    __tablename__ = "result_sets"

    result_set_id: Mapped[int] = mapped_column(primary_key=True)
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.series_uid"), index=True)
    input_digest: Mapped[str] = mapped_column(short_text(64))
    model_digest: Mapped[str] = mapped_column(short_text(64))
    configuration_digest: Mapped[str] = mapped_column(short_text(64))
    created_at: Mapped[datetime]
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("result_sets.result_set_id"))
    kind: Mapped[JobKind] = mapped_column(
        default=JobKind.ANALYSIS, server_default=JobKind.ANALYSIS.value
    )

    __table_args__ = (
        UniqueConstraint("series_uid", "input_digest", "model_digest", "configuration_digest"),
    )


class ObjectRow(Table):
    """One result object in the outbox; `purged_at` and `erased` as in `InstanceRow`."""

    __tablename__ = "objects"

    object_id: Mapped[int] = mapped_column(primary_key=True)
    result_set_id: Mapped[int] = mapped_column(ForeignKey("result_sets.result_set_id"), index=True)
    send_order: Mapped[int]
    kind: Mapped[str] = mapped_column(short_text(16))
    sop_class_uid: Mapped[str] = mapped_column(short_text(64))
    sop_instance_uid: Mapped[str] = mapped_column(short_text(64))
    series_instance_uid: Mapped[str] = mapped_column(short_text(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(short_text(64))
    path: Mapped[str] = mapped_column(LONG_TEXT)
    size_bytes: Mapped[int]
    content_digest: Mapped[str] = mapped_column(short_text(64))
    purged_at: Mapped[datetime | None]
    erased: Mapped[bool] = mapped_column(default=False, server_default="0")

    __table_args__ = (Index("objects_to_erase", "erased", "purged_at"),)


class DeliveryRow(Table):
    """One object on its way to one destination.

    `unreached` says that the last attempt did not get as far as an association, `negotiation` what
    the destination answered to each presentation context if that was the reason. `commitment_at`
    is when the destination is asked (again) for storage commitment; None if it is not.
    """

    __tablename__ = "deliveries"

    delivery_id: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(ForeignKey("objects.object_id"))
    result_set_id: Mapped[int] = mapped_column(ForeignKey("result_sets.result_set_id"), index=True)
    destination: Mapped[str] = mapped_column(short_text(64))
    state: Mapped[DeliveryState]
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    claimed_by: Mapped[str] = mapped_column(short_text(64), default="")
    lease_until: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    unreached: Mapped[bool] = mapped_column(default=False, server_default="0")
    negotiation: Mapped[str] = mapped_column(LONG_TEXT, default="", server_default="")
    commitment_at: Mapped[datetime | None]
    commitment_asks: Mapped[int] = mapped_column(default=0, server_default="0")
    audited: Mapped[bool] = mapped_column(default=False, server_default="0")

    __table_args__ = (
        UniqueConstraint("object_id", "destination"),
        Index("deliveries_due", "destination", "state", "next_attempt_at"),
    )


class EventRow(Table):
    """What happened to a series, in the order it happened."""

    __tablename__ = "events"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    series_uid: Mapped[str] = mapped_column(short_text(64), index=True)
    job_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(short_text(32))
    text: Mapped[str] = mapped_column(LONG_TEXT, default="")


class PriorSearchRow(Table):
    """A search at one peer for earlier scans of the patient of one study."""

    __tablename__ = "prior_searches"

    search_id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.job_id"))
    series_uid: Mapped[str] = mapped_column(ForeignKey("series.series_uid"), index=True)
    study_uid: Mapped[str] = mapped_column(short_text(64))
    peer: Mapped[str] = mapped_column(short_text(64))
    state: Mapped[SearchState]
    reason: Mapped[str] = mapped_column(LONG_TEXT, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("study_uid", "peer"),
        Index("prior_searches_due", "peer", "state", "next_attempt_at"),
    )


class PriorSeriesRow(Table):
    """A series that the node asked a peer for; it starts no search of its own."""

    __tablename__ = "prior_series"

    series_uid: Mapped[str] = mapped_column(short_text(64), primary_key=True)
    study_uid: Mapped[str] = mapped_column(short_text(64), index=True)
    search_id: Mapped[int] = mapped_column(ForeignKey("prior_searches.search_id"))
    asked_at: Mapped[datetime]
