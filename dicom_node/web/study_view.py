"""A study as people read it: one row in a list, and everything on its own page."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dicom_node.jobs.study_search import StudyStatus
from dicom_node.status_view import SeriesRow, series_row


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """What a person wants to know about one study. Holds no attribute of the patient.

    Attributes
    ----------
    study_instance_uid : str
        Which one.
    callers : tuple of str
        AE titles that sent it.
    first_received_at, last_received_at : datetime
        When its first and its last image came.
    images : int
        Of all series.
    main : SeriesRow
        The series that stands for the study: the one that was analysed last, else the latest.
    series : tuple of SeriesRow
        All of them, in the order they came.
    """

    study_instance_uid: str
    callers: tuple[str, ...]
    first_received_at: datetime
    last_received_at: datetime
    images: int
    main: SeriesRow
    series: tuple[SeriesRow, ...]

    @property
    def urgency(self) -> str:
        """Why it goes before others; empty if it does not."""
        return next((one.urgency for one in self.series if one.urgency), "")

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        facts = asdict(self)
        del facts["main"]
        facts["main_series_instance_uid"] = self.main.series_instance_uid
        facts["urgency"] = self.urgency
        return facts


def study_row(study: StudyStatus, *, has_picture: Callable[[int], bool]) -> StudyRow:
    """Return the row of a study; it has at least one series."""
    rows = tuple(series_row(one, has_picture=has_picture) for one in study.series)
    main = max(rows, key=lambda row: (row.job_id or 0, row.received_at))
    return StudyRow(
        study_instance_uid=study.study_instance_uid,
        callers=tuple(dict.fromkeys(one.calling_ae_title for one in study.series)),
        first_received_at=min(one.first_received_at for one in study.series),
        last_received_at=max(one.last_received_at for one in study.series),
        images=sum(one.images for one in study.series),
        main=main,
        series=rows,
    )
