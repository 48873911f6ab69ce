"""Pulls and uploads of the pages, put together from the settings."""

import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from dicom_node.association.study_query import StudyWish
from dicom_node.bootstrap.fetching import custody_of
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.pull import pull_from
from dicom_node.errors import LedgerError, NodeError, UnknownEntryError, describe_error
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.study_search import StudySearch
from dicom_node.manual_runs.book import Run, RunBook, RunKind, RunRefusedError, RunStep
from dicom_node.manual_runs.pull import Pull, advice
from dicom_node.manual_runs.standing import SeriesStanding, Standings
from dicom_node.manual_runs.upload import UploadDesk
from dicom_node.settings.schema import PriorsBy, Settings

LOGGER = logging.getLogger(__name__)

#: Pulls at the same time; each holds an association to a peer.
MOST_PULLS: Final = 3

_MEGABYTE: Final = 2**20

_PREFIX: Final = "upload-"
_SUFFIX: Final = ".part"


class ManualRuns:
    """What the page of uploads and pulls asks and tells; a `dicom_node.web.run_source.RunSource`.

    Parameters
    ----------
    settings, ledger, clock
        Of the node.
    """

    def __init__(
        self, settings: Settings, *, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._book = RunBook()
        self._standings = Standings(StudySearch(ledger.database))

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    @property
    def peers(self) -> tuple[str, ...]:
        """Names of the peers that can be asked."""
        return tuple(peer.name for peer in self._settings.peers)

    def all(self) -> tuple[Run, ...]:
        """Return the runs since the start, the latest first."""
        return self._book.all()

    def standings(self, run: Run) -> tuple[SeriesStanding, ...]:
        """Return how far the analysis of a run's series is. Raises LedgerError."""
        return self._standings.of(run.series)

    def check_room(self, length: int) -> None:
        """Make sure that an upload fits. Raises RunRefusedError."""
        root = DataLayout(root=self._settings.node.data_dir).root
        floor = self._settings.node.free_space_floor_mb * _MEGABYTE
        if shutil.disk_usage(root).free - length < floor:
            raise RunRefusedError("the disk has no room for it")

    def place(self) -> Path:
        """Return a new file for an upload, for the node's own account only."""
        folder = DataLayout(root=self._settings.node.data_dir).root
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
        os.close(handle)
        return Path(name)

    def tidy(self) -> None:
        """Delete what uploads left that a crash broke off; call before anybody uploads."""
        folder = DataLayout(root=self._settings.node.data_dir).root
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def upload(self, path: Path, *, name: str, run_id: str, who: str, address: str) -> Run:
        """Take an upload into custody; return how its run stands.

        Raises
        ------
        NodeError
            If it is an archive that is not read, or the run is somebody else's.
        OSError
            If the disk refuses.
        """
        desk = UploadDesk(
            intake=custody_of(self._settings, self._ledger),
            ae_title=self._settings.node.ae_title,
            longest=self._settings.node.max_object_mb * _MEGABYTE,
            clock=self._clock,
        )
        run = Run(
            run_id=run_id or secrets.token_hex(8),
            kind=RunKind.UPLOAD,
            step=RunStep.RECEIVED,
            who=who,
            at=self._clock(),
        )
        return self._book.add(run, desk.take(path, name=name, address=address))

    def pull(self, peer: str, wish: StudyWish, *, by: str, again: bool, who: str) -> Run:
        """Begin to fetch a study in the background; return its run.

        Raises
        ------
        UnknownEntryError
            If there is no such peer, or no such way.
        RunRefusedError
            If too many are under way.
        """
        setting = next((one for one in self._settings.peers if one.name == peer), None)
        if setting is None:
            raise UnknownEntryError("the settings name no such peer")
        if by not in set(PriorsBy):
            raise UnknownEntryError("images come by move or get")
        run = Run(
            run_id=secrets.token_hex(8),
            kind=RunKind.PULL,
            step=RunStep.LOOKING,
            who=who,
            at=self._clock(),
            peer=peer,
        )
        pull = pull_from(
            self._settings, setting, by=PriorsBy(by), ledger=self._ledger, clock=self._clock
        )
        self._book.begin(run, most_open=MOST_PULLS)
        threading.Thread(
            target=self._bring,
            args=(run.run_id, pull, wish),
            kwargs={"again": again, "who": who},
            name=f"pull-{run.run_id}",
            daemon=True,
        ).start()
        return run

    def _bring(self, run_id: str, pull: Pull, wish: StudyWish, *, again: bool, who: str) -> None:
        """Look, fetch, and note in the run how far it is."""
        stop = threading.Event()
        title = self._settings.node.ae_title
        try:
            offer = pull.look(wish, stop=stop)
            series = tuple(
                (one.study_instance_uid, one.series_instance_uid)
                for one in (*offer.wanted, *offer.here)
            )
            self._book.change(
                run_id,
                lambda run: replace(
                    run, step=RunStep.FETCHING, offered=offer.series, series=series
                ),
            )
            done = pull.bring(offer, stop=stop)
            fault = advice(done, node_title=title, peer_title=pull.peer.ae_title)
            if again:
                fault = "; ".join(filter(None, (fault, *self._again(offer.here_studies, who))))
            came = sum(one.completed for one in done)
            step = RunStep.RECEIVED if came or offer.here else RunStep.REFUSED
            self._book.change(
                run_id, lambda run: replace(run, step=step, fault=fault, accepted=came)
            )
        except Exception as error:  # noqa: BLE001 - a run must have an end, whatever happens
            words = describe_error(error, trusted=(NodeError,))
            LOGGER.warning("A pull from %s failed: %s", pull.peer.name, words)
            self._book.change(run_id, lambda run: replace(run, step=RunStep.REFUSED, fault=words))

    def _again(self, studies: tuple[str, ...], who: str) -> list[str]:
        """Have studies analysed again that are here; return why some are not."""
        faults = []
        for study in studies:
            try:
                Rerun(database=self._ledger.database).study(study, by=who, now=self._clock())
            except LedgerError as error:
                faults.append(str(error))
        return faults
