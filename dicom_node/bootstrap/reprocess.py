"""Re-reads of archives, put together from the settings."""

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.fetching import custody_of
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.pull import pull_from
from dicom_node.errors import QueryRefusedError
from dicom_node.settings.schema import PriorsBy, Settings

if TYPE_CHECKING:
    from dicom_node.jobs.ledger import Ledger
    from dicom_node.jobs.reprocess_ledger import ReprocessLedger
    from dicom_node.jobs.reprocess_state import RunStatus
    from dicom_node.manual_runs.upload import Received
    from dicom_node.reprocessing.reprocessor import Reprocessor
    from dicom_node.reprocessing.source import Source

_MEGABYTE = 2**20

#: A run leaves this many times the floor of the disk to what is live.
_FLOORS = 2


def reprocess_ledger(ledger: "Ledger") -> "ReprocessLedger":
    """Return the runs of a ledger."""
    from dicom_node.jobs.reprocess_ledger import ReprocessLedger

    return ReprocessLedger(ledger.database)


def reprocessor(
    settings: Settings, *, ledger: "Ledger", clock: Callable[[], datetime]
) -> "Reprocessor":
    """Return whoever works off a re-read; without one it does nothing."""
    from dicom_node.reprocessing.reprocessor import Reprocessor, ReprocessRules

    runs = reprocess_ledger(ledger)
    limit_s = settings.follow_up.fetch_limit_s
    layout = DataLayout(root=settings.node.data_dir)

    def source_of(run: "RunStatus") -> "Source":
        if run.request.folder:
            return _folder(settings, Path(run.request.folder), ledger, runs, clock)
        return _archive(settings, run, ledger, runs, clock)

    def has_room() -> bool:
        floor = settings.node.free_space_floor_mb * _MEGABYTE
        return shutil.disk_usage(layout.root).free > _FLOORS * floor

    return Reprocessor(
        ledger=runs,
        source_of=source_of,
        has_room=has_room,
        clock=clock,
        # A study that is being fetched is not begun by anybody else meanwhile.
        rules=ReprocessRules(
            abandoned=timedelta(seconds=max(1800.0, 3 * limit_s)),
            again=timedelta(seconds=settings.follow_up.first_retry_s * 10),
            patience_s=settings.follow_up.first_retry_s * 5,
        ),
    )


def _archive(
    settings: Settings,
    run: "RunStatus",
    ledger: "Ledger",
    runs: "ReprocessLedger",
    clock: Callable[[], datetime],
) -> "Source":
    from dicom_node.association.study_listing import find_study_uids
    from dicom_node.reprocessing.archive import ArchiveSource

    name = run.request.peer
    peer = next((one for one in settings.peers if one.name == name), None)
    if peer is None:
        raise QueryRefusedError(f"the settings name no peer {name!r} any more")
    return ArchiveSource(
        ledger=runs,
        pull=pull_from(settings, peer, by=PriorsBy(run.request.by), ledger=ledger, clock=clock),
        list_day=find_study_uids,
        clock=clock,
    )


def _folder(
    settings: Settings,
    root: Path,
    ledger: "Ledger",
    runs: "ReprocessLedger",
    clock: Callable[[], datetime],
) -> "Source":
    from dicom_node.jobs.study_search import StudySearch
    from dicom_node.manual_runs.standing import Standings
    from dicom_node.manual_runs.upload import UploadDesk
    from dicom_node.reprocessing.folder import CALLING_TITLE, FolderSource

    desk = UploadDesk(
        intake=custody_of(settings, ledger),
        ae_title=settings.node.ae_title,
        longest=settings.node.max_object_mb * _MEGABYTE,
        clock=clock,
    )

    def take(paths: Sequence[Path]) -> "Received":
        return desk.take_files(paths, title=CALLING_TITLE, address="")

    return FolderSource(
        root,
        ledger=runs,
        take=take,
        standings=Standings(StudySearch(ledger.database)),
        rules=parts.selection_rules(settings),
        salt=ledger.patient_salt,
        clock=clock,
    )
