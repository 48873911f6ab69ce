"""The state of the node as people read it: one row per series, in words and round numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dicom_node.follow_up_view import ComparisonRow, SearchRow, comparison_row, search_row
from dicom_node.jobs.state import DeliveryState
from dicom_node.jobs.status import DeliveryStatus, Overview, SeriesStatus, TimelineEntry
from dicom_node.results.wording import blood_elsewhere, volume_words
from pipeline.finding import Compartment
from pipeline.prediction import HeLabel

#: What a label says to people who do not know its name.
EXPANSION_WORDS = {
    HeLabel.HE.name: "expansion predicted",
    HeLabel.NHE.name: "no expansion predicted",
}


#: States of objects that a destination has.
_THERE = frozenset({DeliveryState.ACCEPTED, DeliveryState.COMMITTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One object on its way to one destination."""

    kind: str
    destination: str
    state: str
    attempts: int
    reason: str
    next_attempt_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One thing that happened to a series."""

    at: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """What a person wants to know about one series. Holds no attribute of the patient.

    Attributes
    ----------
    series_instance_uid, study_instance_uid : str
        Identity.
    state, reason : str
        Where it stands and why: state of the job once there is one, of the series before.
    series_state, job_state : str
        Both states as they are stored; `job_state` is empty before there is a job.
    outcome : str
        ``hematoma_found``, ``no_hematoma_found``, ``rejected`` or empty.
    images, attempts : int
        Images received, analyses started.
    job_id : int or None
        Number of the analysis.
    received_at, finished_at : str
        Last image received, analysis finished; ISO 8601 to the second, empty if not yet.
    volume_ml, he_probability : float or None
        The opinion.
    volume_range_ml : tuple of float or None
        Ends of the 95 % range of the volume.
    compartments_ml : mapping of str to float
        Volumes of what else the network tells apart.
    he_label : str
        ``HE`` or ``NHE``, empty if there is no opinion.
    flags : tuple of str
        Doubts about the quality of the input.
    door_to_result_s : float or None
        From the last image received to the last result accepted.
    deliveries : tuple of DeliveryRow
        In send order.
    has_picture : bool
        Whether there is a summary picture to look at.
    comparison : ComparisonRow or None
        The comparison with an earlier scan of the patient.
    searches : tuple of SearchRow
        For earlier scans than this one.
    urgency : str
        Why it goes before others; empty if it does not.
    hold : str
        Why its study is on legal hold; empty if it is not.
    purged_at : str
        When its images were purged; empty if they are here.
    """

    series_instance_uid: str
    study_instance_uid: str
    state: str
    reason: str
    series_state: str
    job_state: str
    outcome: str
    images: int
    attempts: int
    job_id: int | None
    received_at: str
    finished_at: str
    volume_ml: float | None
    volume_range_ml: tuple[float, float] | None
    compartments_ml: Mapping[str, float]
    he_probability: float | None
    he_label: str
    flags: tuple[str, ...]
    door_to_result_s: float | None
    deliveries: tuple[DeliveryRow, ...]
    has_picture: bool
    comparison: ComparisonRow | None = None
    searches: tuple[SearchRow, ...] = ()
    urgency: str = ""
    hold: str = ""
    purged_at: str = ""

    @property
    def custody(self) -> tuple[str, ...]:
        """What an operator decided or did about it, a line each."""
        urgent = (f"urgent: {self.urgency}",) if self.urgency else ()
        held = (f"on hold: {self.hold}",) if self.hold else ()
        purged = (f"images purged at {self.purged_at}",) if self.purged_at else ()
        return (*urgent, *held, *purged)

    @property
    def follow_up(self) -> tuple[str, ...]:
        """What came of comparison and searches, a line each."""
        compared = () if self.comparison is None else (self.comparison.words,)
        return (*compared, *(search.words for search in self.searches))

    @property
    def opinion(self) -> str:
        """Outcome, volume and probability in a few words; empty if there is no opinion."""
        words = [self.outcome.replace("_", " ")] if self.outcome else []
        if self.volume_ml:
            words.append(volume_words(self.volume_ml, self.volume_range_ml))
        volumes = {Compartment(name): volume for name, volume in self.compartments_ml.items()}
        words += blood_elsewhere(volumes)
        if self.he_probability is not None:
            words.append(f"{EXPANSION_WORDS[self.he_label]} ({self.he_probability:.2f})")
        return ", ".join(words)

    @property
    def delivered(self) -> tuple[str, ...]:
        """How many objects each destination has, and why it lacks the others."""
        lines = []
        for name in dict.fromkeys(one.destination for one in self.deliveries):
            here = [one for one in self.deliveries if one.destination == name]
            missing = [one for one in here if one.state not in _THERE]
            reasons = dict.fromkeys(one.reason for one in missing if one.reason)
            committed = sum(one.state == DeliveryState.COMMITTED for one in here)
            count = f"{name}: {len(here) - len(missing)} of {len(here)} accepted"
            if committed:
                count += f", {committed} committed"
            lines.append("; ".join([count, *reasons]))
        return tuple(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


def series_rows(
    overview: Overview, *, has_picture: Callable[[int], bool]
) -> tuple[SeriesRow, ...]:
    """Return one row per series, in the order of the overview."""
    return tuple(series_row(series, has_picture=has_picture) for series in overview.series)


def series_row(series: SeriesStatus, *, has_picture: Callable[[int], bool]) -> SeriesRow:
    """Return the row of one series; `has_picture` knows which analyses have a picture."""
    job = series.job
    record: Mapping[str, Any] = job.record if job else {}
    return SeriesRow(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        state=str(job.state if job else series.state),
        reason=(job.reason if job and job.reason else series.reason) or "",
        series_state=str(series.state),
        job_state=str(job.state) if job else "",
        outcome=str(record.get("status", "")),
        images=series.images,
        attempts=job.attempts if job else 0,
        job_id=job.job_id if job else None,
        received_at=_moment(series.last_received_at),
        finished_at=_moment(job.finished_at if job else None),
        volume_ml=record.get("volume_ml"),
        volume_range_ml=_range(record.get("volume_range_ml")),
        compartments_ml=record.get("compartments_ml") or {},
        he_probability=record.get("he_probability"),
        he_label=str(record.get("he_label") or ""),
        flags=tuple(str(flag) for flag in record.get("flags", ())),
        door_to_result_s=series.turnaround_s,
        deliveries=tuple(_delivery_row(delivery) for delivery in series.deliveries),
        has_picture=job is not None and has_picture(job.job_id),
        comparison=comparison_row(
            series.comparison,
            deliveries=tuple(_delivery_row(one) for one in series.comparison_deliveries),
            has_picture=has_picture,
        ),
        searches=tuple(
            search_row(search, next_attempt_at=_moment(search.next_attempt_at))
            for search in series.searches
        ),
        urgency=series.urgency,
        hold=series.hold,
        purged_at=_moment(series.purged_at),
    )


def event_row(event: TimelineEntry) -> EventRow:
    """Return one line of the history of a series."""
    return EventRow(at=_moment(event.at), kind=str(event.kind), text=event.text)


def _delivery_row(delivery: DeliveryStatus) -> DeliveryRow:
    return DeliveryRow(
        kind=str(delivery.kind),
        destination=delivery.destination,
        state=str(delivery.state),
        attempts=delivery.attempts,
        reason=delivery.reason or "",
        next_attempt_at=_moment(delivery.next_attempt_at),
    )


def _range(stored: Sequence[float] | None) -> tuple[float, float] | None:
    """Return both ends; None in records of earlier versions, too."""
    return None if stored is None else (float(stored[0]), float(stored[1]))


def _moment(moment: datetime | None) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else ""
