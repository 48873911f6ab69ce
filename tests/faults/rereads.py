"""Lives of the node that read an archive again: a PACS that is out of order at first, a folder."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from functools import cache, partial

from ct_builder import save_series
from faults.outside import PACS, append, hand_over, lines_of
from faults.roles import World, custody_of, opened, until_idle
from node_builders import small_series
from pydicom.dataset import Dataset

from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import FoundSeries, StudyWish
from dicom_node.errors import AssociationAbortedError, IllegalTransitionError, PeerUnreachableError
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import ReprocessRequest, RunStatus
from dicom_node.jobs.study_search import StudySearch
from dicom_node.manual_runs.pull import Pull
from dicom_node.manual_runs.standing import Standings
from dicom_node.manual_runs.upload import UploadDesk
from dicom_node.reprocessing.archive import ArchiveSource
from dicom_node.reprocessing.folder import CALLING_TITLE, FolderSource
from dicom_node.reprocessing.reprocessor import Reprocessor
from dicom_node.reprocessing.source import Source

_SLICES = 11

#: By Study Date: two studies that the node does not have, and one that it has analysed.
_DAYS = {date(2019, 3, 4): ("1.2.5",), date(2019, 3, 5): ("1.2.6", "1.2.2")}

#: In the folder: one that it does not have, and one that came by the re-read of the PACS.
_IN_FOLDER = ("1.2.7", "1.2.5")

#: Below what lies outside of the node: a copy of a node has a copy of it.
_FOLDER = "files"

_SEEDS = {"1.2.2": 2, "1.2.5": 5, "1.2.6": 6, "1.2.7": 7}


@cache
def scan(study_uid: str) -> tuple[Dataset, ...]:
    """Return the images of a study that an archive has."""
    return tuple(small_series(_SLICES, seed=_SEEDS[study_uid], study_uid=study_uid))


#: When the scan of each series was taken: too long ago to be compared with anything.
TAKEN = {
    str(scan(uid)[0].SeriesInstanceUID): f"2019-03-0{number}T08:00:00"
    for number, uid in enumerate(("1.2.5", "1.2.6", "1.2.7"), start=4)
}


def archived() -> dict[str, frozenset[str]]:
    """Return the SOP Instance UIDs of every study that may be read again."""
    return {uid: frozenset(str(one.SOPInstanceUID) for one in scan(uid)) for uid in _SEEDS}


def begin_archive(world: World) -> None:
    """Have the PACS read again, unless somebody did before, or another re-read is under way."""
    request = ReprocessRequest(
        peer=PACS.name, by="get", first_day=min(_DAYS), last_day=max(_DAYS), most_analysing=2
    )
    _begin(world, request)


def begin_folder(world: World) -> None:
    """Have a folder read again that holds each study in two folders."""
    root = world.outside / _FOLDER
    for uid in _IN_FOLDER:
        images = scan(uid)
        for half, part in (("a", images[:6]), ("b", images[6:])):
            save_series(part, root / uid / half)
    _begin(world, ReprocessRequest(folder=_FOLDER))


def _begin(world: World, request: ReprocessRequest) -> None:
    with opened(world, "operator") as ledger, suppress(IllegalTransitionError):
        runs = ReprocessLedger(ledger.database)
        if all(run.request != request for run in runs.runs(world.clock())):
            runs.begin(request, by="campaign", now=world.clock())


def reader(world: World) -> None:
    """Do what is due of the run that is under way, as the thread of the office does."""
    with opened(world, "office-reader") as ledger:
        runs = ReprocessLedger(ledger.database)
        hand = Reprocessor(
            ledger=runs,
            source_of=partial(_source, world, ledger, runs),
            has_room=lambda: True,
            clock=world.clock,
        )
        until_idle(hand.work_once)


def _source(world: World, ledger: Ledger, runs: ReprocessLedger, run: RunStatus) -> Source:
    standings = Standings(StudySearch(ledger.database))
    custody = custody_of(world, ledger, ledger.arrivals)
    if run.request.folder:
        desk = UploadDesk(intake=custody, ae_title="ICHNODE", longest=2**24, clock=world.clock)
        return FolderSource(
            world.outside / run.request.folder,
            ledger=runs,
            take=partial(desk.take_files, title=CALLING_TITLE, address=""),
            standings=standings,
            rules=DEFAULT_RULES,
            salt=ledger.patient_salt,
            clock=world.clock,
        )
    pacs = UnsteadyArchive(world, custody)
    return ArchiveSource(
        ledger=runs,
        pull=Pull(
            peer=PACS,
            find=pacs.find,
            fetch=pacs.fetch,
            standings=standings,
            rules=DEFAULT_RULES,
        ),
        list_day=pacs.list_day,
        clock=world.clock,
    )


class UnsteadyArchive:
    """A PACS that is away at the first query, and hangs up in the midst of the first fetch."""

    def __init__(self, world: World, custody: Custody) -> None:
        self._world = world
        self._custody = custody

    def list_day(
        self, peer: Peer, day: date, *, modality: str, stop: threading.Event
    ) -> tuple[str, ...]:
        """Return the studies of a day."""
        del modality, stop
        if self._is_first("query"):
            raise PeerUnreachableError(f"{peer.name}: no connection")
        return _DAYS.get(day, ())

    def find(
        self, peer: Peer, wish: StudyWish, *, stop: threading.Event
    ) -> tuple[FoundSeries, ...]:
        """Return the one series of a study."""
        del peer, stop
        first = scan(wish.study_uid)[0]
        series = RemoteSeries(
            study_instance_uid=str(first.StudyInstanceUID),
            series_instance_uid=str(first.SeriesInstanceUID),
            study_date="20190304",
            study_time="080000",
            description="Head",
            instances=_SLICES,
        )
        return (FoundSeries(series=series, modality="CT"),)

    def fetch(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> tuple[Retrieval, ...]:
        """Hand over the images, as by C-GET; the first time only half of them."""
        del stop
        for one in series:
            images = scan(one.study_instance_uid)
            if self._is_first("fetch"):
                self._hand_over(images[: _SLICES // 2])
                raise AssociationAbortedError(f"{PACS.name}: aborted")
            self._hand_over(images)
        return tuple(
            Retrieval(series=one, completed=_SLICES, failed=0, status=0, message="")
            for one in series
        )

    def _hand_over(self, images: Sequence[Dataset]) -> None:
        log = self._world.outside / "acknowledged"
        hand_over(images, custody=self._custody, log=log, now=self._world.clock())

    def _is_first(self, what: str) -> bool:
        log = self._world.outside / f"asked-{what}"
        is_first = not lines_of(log)
        append(log, asked=True)
        return is_first
