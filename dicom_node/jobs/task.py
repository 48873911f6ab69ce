"""What a worker is given, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dicom_node.jobs.state import JobKind


class ObjectKind(StrEnum):
    """What a result object is. The values are stored; never rename one."""

    CAPTURE = "captures"  #: secondary capture
    SEGMENTATION = "segmentation"  #: DICOM SEG
    REPORT = "report"  #: structured report
    UNCERTAINTY_MAP = "uncertainty-map"  #: Parametric Map of the segmentation's doubt
    FORECAST = "forecast"  #: DICOM SEG of the hematoma as it is forecast at follow-up
    PDF = "pdf"  #: the report as a page, Encapsulated PDF
    KEY_OBJECTS = "key-objects"  #: Key Object Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultObject:
    """One encoded result, made by the analyst.

    Attributes
    ----------
    kind : ObjectKind
        What it is.
    sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid : str
        Its identity and encoding.
    encoded : bytes
        The whole DICOM file.
    """

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One result whose file is durable in the outbox.

    Attributes
    ----------
    kind, sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid
        As in `ResultObject`.
    path : Path
        Relative to the outbox.
    size_bytes : int
        Length of the file.
    content_digest : str
        SHA-256 of the file, hexadecimal.
    """

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size_bytes: int
    content_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredecessorObject:
    """A result of an earlier analysis of the same series, which the new one supersedes."""

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTask:
    """The earlier of two scans that are compared.

    Attributes
    ----------
    job_id : int
        Job of its analysis.
    series_instance_uid, study_instance_uid : str
        Which series it is.
    input_digest : str
        SHA-256 over its instances, hexadecimal.
    files : tuple of Path
        The instances, in no particular order.
    """

    job_id: int
    series_instance_uid: str
    study_instance_uid: str
    input_digest: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisTask:
    """One series to analyse, or to compare with an earlier one.

    Attributes
    ----------
    job_id : int
        Job in the ledger.
    kind : JobKind
        What is to be done.
    series_instance_uid, study_instance_uid : str
        What is analysed; of a comparison the later scan.
    input_digest : str
        SHA-256 over the instances, hexadecimal; of a comparison over those of both scans.
    files : tuple of Path
        The instances, in no particular order.
    arrival_flags : frozenset of str
        Values of `dicom_node.intake.assembly.ArrivalFlag`.
    predecessors : tuple of PredecessorObject
        What the results will supersede; empty for a first analysis.
    baseline : BaselineTask or None
        The earlier scan of a comparison.
    association_id : str
        By which the last image came; ties log lines together.
    calling_ae_title : str
        Who sent the first image.
    """

    job_id: int
    series_instance_uid: str
    study_instance_uid: str
    input_digest: str
    files: tuple[Path, ...]
    arrival_flags: frozenset[str]
    predecessors: tuple[PredecessorObject, ...]
    kind: JobKind = JobKind.ANALYSIS
    baseline: BaselineTask | None = None
    association_id: str = ""
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyzed:
    """The analysis came to an opinion.

    Attributes
    ----------
    objects : tuple of ResultObject
        In the order they are to be sent.
    record : mapping
        The summary for status and web page: plain JSON, no patient attribute.
    model_digest, configuration_digest : str
        What made these results, if it is not what the analyst says of itself: models on trial,
        for instance. Empty: as the analyst says.
    """

    objects: tuple[ResultObject, ...]
    record: Mapping[str, Any] = field(default_factory=dict)
    model_digest: str = ""
    configuration_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The series cannot be analysed.

    Attributes
    ----------
    reason : str
        What was found and what was needed.
    record : mapping
        As in `Analyzed`.
    objects : tuple of ResultObject
        What is sent nevertheless: a report that says so, where a site wants it.
    """

    reason: str
    record: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[ResultObject, ...] = ()


AnalysisOutcome = Analyzed | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaflet:
    """What is sent about a series that was not analysed.

    Attributes
    ----------
    objects : tuple of StoredObject
        The report, in the outbox.
    model_digest, configuration_digest : str
        What refused the series.
    destinations : tuple of str
        Where it goes.
    """

    objects: tuple[StoredObject, ...]
    model_digest: str
    configuration_digest: str
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right of one worker to finish one job.

    Attributes
    ----------
    task : AnalysisTask
        What is to be done; paths are relative to the spool.
    worker : str
        Who holds the claim.
    token : int
        Rises with every claim of the job: an older one can change nothing any more.
    attempts : int
        Which attempt this is, counted from 1.
    lease_until : datetime
        When the claim ends unless it is renewed.
    deadline_at : datetime
        When it ends in any case.
    """

    task: AnalysisTask
    worker: str
    token: int
    attempts: int
    lease_until: datetime
    deadline_at: datetime
