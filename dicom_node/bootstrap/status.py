"""The state of the node, read from its ledger and its disk."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from dicom_node.bootstrap.certificate_alarm import certificate_state
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.model_faults import model_faults
from dicom_node.bootstrap.parts import destination_names
from dicom_node.bootstrap.retention import custody_alarms
from dicom_node.bootstrap.signs_of_life import (
    FULL_BELOW_MB,
    SEEN_WITHIN_S,
    cannot_write_its_sign,
    free_mb,
    is_alive,
    seen_ages,
)
from dicom_node.delivery_alarms import commitment_alarms, delivery_alarms
from dicom_node.jobs.reports import Reports
from dicom_node.processes import Role
from dicom_node.settings.schema import Settings
from dicom_node.status_view import EventRow, SeriesRow, event_row, series_row, series_rows
from dicom_node.web.source import Health
from pipeline import __version__


class LedgerStatus:
    """Answers what the status page and the command ``status`` show.

    Parameters
    ----------
    reports : Reports
        Read side of the ledger.
    settings : Settings
        Says where the data lie and how much room must be left.
    clock : Callable
        Returns the present as an aware time.
    limit : int
        How many series are shown, newest first.
    configuration : Callable
        Returns what is wrong with the settings file, so that older settings are in force.
    """

    def __init__(
        self,
        reports: Reports,
        *,
        settings: Settings,
        clock: Callable[[], datetime],
        limit: int = 100,
        configuration: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._reports = reports
        self._settings = settings
        self._clock = clock
        self._limit = limit
        self._configuration = configuration
        self._layout = DataLayout(root=settings.node.data_dir)

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    def rows(self) -> Sequence[SeriesRow]:
        """Return the newest series first."""
        return series_rows(
            self._reports.overview(limit=self._limit), has_picture=self._has_picture
        )

    def row(self, series_instance_uid: str) -> SeriesRow | None:
        """Return one series, None if the ledger does not know it."""
        series = self._reports.series(series_instance_uid)
        return None if series is None else series_row(series, has_picture=self._has_picture)

    def timeline(self, series_instance_uid: str) -> Sequence[EventRow]:
        """Return what happened to a series, oldest first."""
        return [event_row(event) for event in self._reports.timeline(series_instance_uid)]

    def picture(self, job_id: int) -> Path | None:
        """Return the summary picture of an analysis, None if there is none."""
        return self._layout.picture(job_id)

    def health(self) -> Health:
        """Return whether every kind of process lives and the disk has room."""
        now = self._clock()
        processes = self._reports.processes()
        seen = seen_ages(processes, now)
        room_mb = free_mb(self._layout.root)
        floor_mb = max(self._settings.node.free_space_floor_mb, FULL_BELOW_MB)
        faults = [*self._silent(seen)]
        if room_mb < floor_mb:
            faults.append(
                f"{room_mb} MB free on the disk of {self._layout.root}, at least {floor_mb} MB "
                "are needed: images are refused"
            )
        certificates = certificate_state(self._settings, now)
        faults += certificates.faults
        overview = self._reports.overview(limit=1)
        return Health(
            healthy=not faults,
            faults=tuple(faults),
            processes={name: round(age, 1) for name, age in seen.items()},
            free_space_mb=room_mb,
            jobs={str(state): count for state, count in overview.jobs_by_state.items()},
            deliveries={
                str(state): count for state, count in overview.deliveries_by_state.items()
            },
            version=__version__,
            warnings=(
                *(f"settings not in force: {fault}" for fault in self._configuration()),
                *model_faults(
                    self._reports.document,
                    processes=(process.name for process in processes),
                    seen=seen,
                ),
                *delivery_alarms(
                    self._reports.destinations(), known=destination_names(self._settings)
                ),
                *commitment_alarms(self._reports.untold_commitments()),
                *custody_alarms(self._reports.document),
                *certificates.alarms,
            ),
            certificate_days=certificates.days_left,
        )

    def _silent(self, seen: Mapping[str, float]) -> Iterator[str]:
        """Return which kinds of process have not been seen, and whether it is the disk's fault."""
        for role in Role:
            if is_alive(role, seen):
                continue
            if cannot_write_its_sign(self._settings, role):
                yield (
                    f"{role} lives, but cannot write its sign of life: the disk of "
                    f"{self._layout.root} is full"
                )
            else:
                yield f"{role} has not been seen for {SEEN_WITHIN_S:.0f} s"

    def _has_picture(self, job_id: int) -> bool:
        return self._layout.picture(job_id) is not None
