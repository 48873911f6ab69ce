"""The studies of a tree of files, folder by folder, as if a peer had them.

Names of folders and files may be patients': none is stored or logged. The ledger remembers which
folders are done with by a keyed hash.
"""

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from dicom_node.association.file_format import split_file
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import FoundSeries
from dicom_node.errors import QueryRefusedError, UnreadableInstanceError
from dicom_node.intake.header import HeaderTag, read_beginning
from dicom_node.intake.selection import SelectionRules
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import RunStatus, StudyEntry, StudyState
from dicom_node.manual_runs.offer import Offer, judge
from dicom_node.manual_runs.standing import Standings
from dicom_node.manual_runs.upload import Received

#: Who an image came from that was read from a folder.
CALLING_TITLE: Final = "REPROCESS"

#: Studies are told apart by the beginning of a file; the pixels come later.
_BEGINNING: Final = 2**16

#: Pause before the tree is walked once more for studies that were put off.
_WALK_AGAIN: Final = timedelta(seconds=60)

_WANTED: Final = frozenset({str(CTImageStorage), str(EnhancedCTImageStorage)})

GONE: Final = "its files are no longer in the folder"

#: Takes files into custody.
Take = Callable[[Sequence[Path]], Received]


@dataclass(kw_only=True)
class _Series:
    header: Mapping[HeaderTag, bytes]
    files: list[Path] = field(default_factory=list)


#: Series of a study by UID, by study.
_Studies = dict[str, dict[str, _Series]]


class FolderSource:
    """Reads a tree one folder after the other, in the order of their names.

    Neighbouring folders that hold one study each, and the same, are taken together.

    Parameters
    ----------
    root
        The tree.
    ledger
        Where the studies are listed, and what is done with.
    take
        Takes files into custody.
    standings
        Knows what is here.
    rules
        What the site analyses.
    salt
        Key of the hash of names.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        root: Path,
        *,
        ledger: ReprocessLedger,
        take: Take,
        standings: Standings,
        rules: SelectionRules,
        salt: bytes,
        clock: Callable[[], datetime],
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._take = take
        self._standings = standings
        self._rules = rules
        self._salt = salt
        self._clock = clock
        self._walk: Iterator[tuple[str, dict[str, _Series]]] | None = None
        self._walk_at: datetime | None = None
        self._current: tuple[str, dict[str, _Series]] = ("", {})
        self._is_walked = False

    def next_study(
        self, run: RunStatus, *, now: datetime, again_at: datetime, stop: threading.Event
    ) -> StudyEntry | None:
        """Return the next study of the tree that is due.

        Raises
        ------
        OSError
            If the tree cannot be read.
        """
        if self._walk is None:
            if self._walk_at is not None and now < self._walk_at:
                return None
            self._walk = self._studies(run)
        for study_uid, series in self._walk:
            entry = self._ledger.studies.this_study(
                run.run_id, study_uid, now=now, again_at=again_at
            )
            if entry is not None:
                self._current = (study_uid, series)
                return entry
            if stop.is_set():
                return None
        self._walk, self._walk_at = None, now + _WALK_AGAIN
        self._end_the_gone(run, now, again_at)
        self._is_walked = not self._ledger.studies.has_open(run.run_id, only_fetched=True)
        return None

    def is_listed(self, run: RunStatus) -> bool:
        """Return whether every folder was read, and no study of them was put off."""
        del run
        return self._is_walked

    def look(self, study_uid: str, *, stop: threading.Event) -> Offer:
        """Return what of the study was found, and what of it is wanted."""
        del stop
        found_uid, series = self._current
        if found_uid != study_uid:
            raise QueryRefusedError(GONE)
        found = [_found(study_uid, uid, one) for uid, one in series.items()]
        return judge(found, self._rules, images_here=self._standings.images({study_uid}))

    def bring(
        self, series: Sequence[RemoteSeries], *, stop: threading.Event
    ) -> Sequence[Retrieval]:
        """Take the files of series. Raises OSError."""
        _, found = self._current
        done = []
        for one in series:
            if stop.is_set():
                break
            taken = self._take(sorted(found[one.series_instance_uid].files))
            reasons = dict.fromkeys(refused.reason for refused in taken.named)
            done.append(
                Retrieval(
                    series=one,
                    completed=taken.accepted,
                    failed=taken.refused,
                    status=0,
                    message="; ".join(f"a file {reason}" for reason in reasons),
                )
            )
        return tuple(done)

    def _studies(self, run: RunStatus) -> Iterator[tuple[str, dict[str, _Series]]]:
        """Yield every study of the folders that are not done with."""
        if not run.units:
            self._ledger.note_units(run.run_id, sum(1 for _ in self._folders()))
        together: _Studies = {}
        places: list[str] = []
        for folder, names in self._folders():
            place = self._key(folder)
            if not self._ledger.studies.places_left(run.run_id, [place]):
                continue
            found = _read(folder, names)
            if len(found) != 1 or found.keys() != together.keys():
                yield from together.items()
                self._ledger.studies.leave_places(run.run_id, places, studies=list(together))
                together, places = {}, []
            for study, series in found.items():
                for uid, one in series.items():
                    known = together.setdefault(study, {}).setdefault(uid, one)
                    if known is not one:
                        known.files += one.files
            places.append(place)
        yield from together.items()
        self._ledger.studies.leave_places(run.run_id, places, studies=list(together))

    def _folders(self) -> Iterator[tuple[Path, list[str]]]:
        """Yield the folders that hold files, in the order of their names. Raises OSError."""
        for folder, subfolders, names in os.walk(self._root, onerror=_raise):
            subfolders.sort()
            if names:
                yield Path(folder), sorted(names)

    def _key(self, folder: Path) -> str:
        name = os.fsencode(folder.relative_to(self._root))
        return hmac.new(self._salt, name, hashlib.sha256).hexdigest()

    def _end_the_gone(self, run: RunStatus, now: datetime, again_at: datetime) -> None:
        """End what is due although the whole tree was walked: it was found nowhere."""
        studies = self._ledger.studies
        while entry := studies.next_study(run.run_id, now=now, again_at=again_at):
            studies.end(entry, StudyState.FAILED, GONE, now=self._clock())


def _raise(error: OSError) -> NoReturn:
    raise error


def _read(folder: Path, names: Sequence[str]) -> _Studies:
    """Return the CT images of a folder by study and series."""
    studies: _Studies = {}
    for name in names:
        path = folder / name
        header = _header(path)
        if header is None:
            continue
        study, series = (
            _text(header, tag)
            for tag in (HeaderTag.STUDY_INSTANCE_UID, HeaderTag.SERIES_INSTANCE_UID)
        )
        if study and series:
            known = studies.setdefault(study, {}).setdefault(series, _Series(header=header))
            known.files.append(path)
    return studies


def _header(path: Path) -> Mapping[HeaderTag, bytes] | None:
    """Return what the beginning of a CT image says; None if it is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    try:
        meta, offset = split_file(beginning)
        if meta.sop_class_uid not in _WANTED:
            return None
        return read_beginning(beginning[offset:], meta.transfer_syntax_uid)
    except (ValueError, UnreadableInstanceError):
        return None


def _found(study_uid: str, series_uid: str, series: _Series) -> FoundSeries:
    header = series.header
    return FoundSeries(
        series=RemoteSeries(
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            study_date="",
            study_time="",
            description=_text(header, HeaderTag.SERIES_DESCRIPTION),
            body_part=_text(header, HeaderTag.BODY_PART_EXAMINED),
            protocol=_text(header, HeaderTag.PROTOCOL_NAME),
            instances=len(series.files),
        ),
        modality=_text(header, HeaderTag.MODALITY),
        study_description=_text(header, HeaderTag.STUDY_DESCRIPTION),
    )


def _text(header: Mapping[HeaderTag, bytes], tag: HeaderTag) -> str:
    return header.get(tag, b"").strip(b" \0").decode("latin-1")
