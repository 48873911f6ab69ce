"""Which series will be analysed next, though nobody has said so yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from dicom_node.intake.assembly import SeriesAssembly, is_of_one_patient, looks_complete
from dicom_node.intake.selection import SelectionRules
from dicom_node.intake.selection import select as select_series
from dicom_node.jobs.database import Database
from dicom_node.jobs.reprocess_lane import is_asked_for
from dicom_node.jobs.series_ledger import assembly_of, candidate_of, chosen_before
from dicom_node.jobs.state import JobKind, JobState, SeriesState
from dicom_node.jobs.tables import InstanceRow, JobRow, SeriesRow

#: A sender that keeps its association open has paused, not finished, before this.
_PAUSE_S = 1.0

_ARRIVING = (SeriesState.RECEIVING, SeriesState.COMPLETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A series that will probably be analysed as it is.

    Attributes
    ----------
    series_instance_uid : str
        Which one.
    files : tuple of Path
        Its images, relative to the spool, in the order of a task's.
    """

    series_instance_uid: str
    files: tuple[Path, ...]


class Foresight:
    """Looks for series that wait for nothing but time.

    Parameters
    ----------
    database
        Of the ledger; nothing in it is changed.
    selection
        Rules of the site: what they leave out is not foreseen.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self, database: Database, selection: SelectionRules, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._selection = selection
        self._clock = clock

    def next(self, done: Mapping[str, int], *, most: int) -> Foreseen | None:
        """Return the series that is to be begun with, urgent ones first, or None.

        Parameters
        ----------
        done
            How often each series was begun with; those with `most` are left out.
        most
            How often that is worth while.

        Raises
        ------
        LedgerUnavailableError
            If the ledger does not answer.
        """
        spent = [uid for uid, times in done.items() if times >= most]
        seems_whole = partial(looks_complete, now=self._clock(), pause_s=_PAUSE_S)
        return self._first(_to_come().where(SeriesRow.series_uid.not_in(spent)), seems_whole)

    def arriving(self, before: str | None) -> Foreseen | None:
        """Return a series that goes on coming, as far as it is there, or None.

        Parameters
        ----------
        before
            The one that was returned before: as long as it is wanted, no other one is.

        Raises
        ------
        LedgerUnavailableError
            If the ledger does not answer.
        """
        is_the_same = SeriesRow.series_uid == before
        return self._first(_to_come().order_by(is_the_same.desc()), is_of_one_patient)

    def is_unchanged(self, foreseen: Foreseen) -> bool:
        """Return whether the series has the images that it had. Raises LedgerUnavailableError."""
        current = _current(foreseen.series_instance_uid)
        with self._database.read() as session:
            images = session.scalar(select(func.count()).select_from(InstanceRow).where(current))
            return images == len(foreseen.files)

    def others_wait(self, foreseen: Foreseen) -> bool:
        """Return whether a job of another series waits. Raises LedgerUnavailableError."""
        other = exists().where(
            JobRow.state == JobState.QUEUED,
            JobRow.available_at <= self._clock(),
            JobRow.priority >= 0,
            JobRow.series_uid != foreseen.series_instance_uid,
        )
        with self._database.read() as session:
            return bool(session.scalar(select(other)))

    def may_come(self, series_uid: str) -> bool:
        """Return whether a job of a series waits or may still be made.

        Raises LedgerUnavailableError.
        """
        queued = exists().where(
            JobRow.series_uid == SeriesRow.series_uid,
            JobRow.state == JobState.QUEUED,
            JobRow.kind == JobKind.ANALYSIS,
        )
        with self._database.read() as session:
            found = session.scalar(
                select(SeriesRow.series_uid).where(
                    SeriesRow.series_uid == series_uid,
                    or_(SeriesRow.state.in_(_ARRIVING), queued),
                )
            )
            return found is not None

    def _first(
        self, ranked: Select[SeriesRow], fits: Callable[[SeriesAssembly], bool]
    ) -> Foreseen | None:
        """Return the first series that fits and would be selected as things stand."""
        first_come = ((SeriesRow.urgency != "").desc(), SeriesRow.first_received_at)
        with self._database.read() as session:
            for series in session.scalars(ranked.order_by(*first_come)):
                if self._wanted(session, series, fits):
                    return _as_it_is(session, series)
        return None

    def _wanted(
        self, session: Session, series: SeriesRow, fits: Callable[[SeriesAssembly], bool]
    ) -> bool:
        """Return whether a series would be selected if its study were what fits of it now."""
        study = session.scalars(
            select(SeriesRow).where(
                SeriesRow.study_uid == series.study_uid, SeriesRow.state.in_(_ARRIVING)
            )
        )
        there = [one for one in study if fits(assembly_of(session, one))]
        if series not in there:
            return False
        selection = select_series(
            [candidate_of(session, one) for one in there],
            self._selection,
            already_chosen=chosen_before(session, series.study_uid, there),
        )
        return series.series_uid in selection.chosen


def _to_come() -> Select[SeriesRow]:
    """Return what selects the series that are on their way to their first job.

    A repeat of what was analysed before may change nothing. A re-read is not waited for.
    """
    analysed = exists().where(
        JobRow.series_uid == SeriesRow.series_uid, JobRow.kind == JobKind.ANALYSIS
    )
    return select(SeriesRow).where(
        SeriesRow.state.in_(_ARRIVING), ~analysed, ~is_asked_for(SeriesRow.series_uid)
    )


def _current(series_uid: str) -> ColumnElement[bool]:
    return and_(
        InstanceRow.series_uid == series_uid,
        InstanceRow.current,
        InstanceRow.purged_at.is_(None),
    )


def _as_it_is(session: Session, series: SeriesRow) -> Foreseen:
    paths = session.scalars(
        select(InstanceRow.path)
        .where(_current(series.series_uid))
        .order_by(InstanceRow.instance_id)
    )
    return Foreseen(
        series_instance_uid=series.series_uid, files=tuple(Path(path) for path in paths)
    )
