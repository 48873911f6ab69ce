"""Asking a peer which studies and series it has of one patient: C-FIND in the Study Root model."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset

from dicom_node.association.negotiation import negotiate
from dicom_node.association.peers import Peer
from dicom_node.association.presentation import (
    PLAIN,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from dicom_node.association.query_service import (
    aborted_by,
    check_service,
    no_answer,
    status_words,
)
from dicom_node.errors import (
    AssociationAbortedError,
    QueryRefusedError,
    UnaskablePatientError,
)
from pipeline.ct_series.header import MALFORMED

if TYPE_CHECKING:
    from pynetdicom.association import Association

_SUCCESS: Final = 0x0000
_PENDING: Final = frozenset({0xFF00, 0xFF01})

#: More answers than a patient has head scans in a few days; the rest is not waited for.
MOST_ANSWERS: Final = 200

#: A value with one of these would be a pattern (PS3.4, section C.2.2.2.4), or a list.
NOT_LITERAL: Final = frozenset("*?\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentity:
    """Whom to ask for. Never logged, never stored: read from the images when it is needed.

    Attributes
    ----------
    patient_id, issuer : str
        Patient ID and Issuer of Patient ID; the issuer is empty if there is none.
    birth_date, sex : str
        As the images write them, empty if they do not.
    character_set : str
        Specific Character Set of the identifier, values joined by backslashes.

    Raises
    ------
    UnaskablePatientError
        If there is no Patient ID, or it would be read as a pattern.
    """

    patient_id: str = field(repr=False)
    issuer: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    character_set: str = ""

    def __post_init__(self) -> None:
        if not self.patient_id:
            raise UnaskablePatientError("the images hold no Patient ID to ask for")
        if NOT_LITERAL & set(self.patient_id):
            raise UnaskablePatientError("the Patient ID holds a character that is a wildcard")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """Which studies are wanted.

    Attributes
    ----------
    patient : PatientIdentity
        Of whom.
    first_day, last_day : date
        Range of Study Date, both included.
    """

    patient: PatientIdentity
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSeries:
    """A CT series that a peer says it has.

    Attributes
    ----------
    study_instance_uid, series_instance_uid : str
        Which one.
    study_date, study_time : str
        As the peer writes them, ``YYYYMMDD`` and ``HHMMSS``; the time may be empty.
    description, body_part, protocol : str
        Empty where the peer does not tell.
    instances : int or None
        How many images, None where the peer does not tell.
    """

    study_instance_uid: str
    series_instance_uid: str
    study_date: str
    study_time: str
    description: str = ""
    body_part: str = ""
    protocol: str = ""
    instances: int | None = None


def find_ct_series(
    peer: Peer,
    query: StudyQuery,
    *,
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[RemoteSeries, ...]:
    """Return the CT series of one patient in a range of days, in the order the peer tells them.

    What the peer answers is checked again: some ignore keys that they do not support. A study with
    another Patient ID, issuer, birth date or sex than asked for is left out.

    Parameters
    ----------
    peer
        Who is asked.
    query
        For what.
    stop
        Aborts the association once it is set.
    timer
        Returns seconds on a clock that never goes back.

    Raises
    ------
    PeerError
        If there is no association, or it breaks.
    QueryRefusedError
        If the peer takes part, but not in queries, or answers with a failure.
    """
    found = find_series(
        peer,
        _study_keys(query),
        series_keys=partial(series_keys, modality="CT"),
        is_wanted=lambda study: _is_wanted(study, query),
        stop=stop,
        timer=timer,
    )
    return tuple(
        remote_series(study, answer)
        for study, answer in found
        if text_of(answer, "Modality") == "CT"
    )


def find_series(
    peer: Peer,
    study_keys: Dataset,
    *,
    series_keys: Callable[[Dataset], Dataset],
    is_wanted: Callable[[Dataset], bool],
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> list[tuple[Dataset, Dataset]]:
    """Return what a peer answers for each series of the studies that are wanted.

    One association serves for all of it.

    Parameters
    ----------
    peer
        Who is asked.
    study_keys
        Which studies are asked for.
    series_keys
        Returns what is asked for of the series of a study that was answered.
    is_wanted
        Judges the answer for a study once more.
    stop
        Aborts the association once it is set.
    timer
        Returns seconds on a clock that never goes back.

    Returns
    -------
    list of (Dataset, Dataset)
        Answers for study and series, in the order the peer tells them; every series has a UID.

    Raises
    ------
    PeerError
        If there is no association, or it breaks.
    QueryRefusedError
        If the peer takes part, but not in queries, or answers with a failure.
    """
    with _asking(peer, stop=stop, timer=timer) as ask:
        studies = [study for study in ask(study_keys, MOST_ANSWERS) if is_wanted(study)]
        return [
            (study, answer)
            for study in studies
            for answer in ask(series_keys(study), MOST_ANSWERS)
            if text_of(answer, "SeriesInstanceUID")
        ]


def find_answers(
    peer: Peer,
    keys: Dataset,
    *,
    most: int,
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> Sequence[Dataset]:
    """Return what a peer answers to one query, at most so many. Raises as `find_series`."""
    with _asking(peer, stop=stop, timer=timer) as ask:
        return ask(keys, most)


@contextmanager
def _asking(
    peer: Peer, *, stop: threading.Event, timer: Callable[[], float]
) -> Iterator[Callable[[Dataset, int], Sequence[Dataset]]]:
    """Open an association for queries; yields what asks over it, for at most so many answers."""
    contexts = [(str(STUDY_ROOT_FIND), str(syntax)) for syntax in PLAIN]
    with negotiate(peer, contexts, timer=timer) as negotiated:
        check_service(peer, negotiated, STUDY_ROOT_FIND)
        association = negotiated.association
        with aborted_by(stop, association):
            yield lambda keys, most: _answers(peer, association, keys, most=most, timer=timer)


def offers_retrieval(
    peer: Peer, *, by_move: bool, timer: Callable[[], float] = time.monotonic
) -> None:
    """Make sure that a peer takes part in C-FIND, and in C-MOVE or C-GET; nothing is asked.

    Raises
    ------
    PeerError
        If there is no association.
    QueryRefusedError
        If it does not.
    """
    services = (STUDY_ROOT_FIND, STUDY_ROOT_MOVE if by_move else STUDY_ROOT_GET)
    contexts = [(str(service), str(syntax)) for service in services for syntax in PLAIN]
    with negotiate(peer, contexts, timer=timer) as negotiated:
        for service in services:
            check_service(peer, negotiated, service)


def _answers(
    peer: Peer,
    association: "Association",
    keys: Dataset,
    *,
    most: int,
    timer: Callable[[], float],
) -> Sequence[Dataset]:
    """Return what a peer answers to a query, at most so many. Raises as `find_series`."""
    found: list[Dataset] = []
    asked = timer()
    try:
        answers = association.send_c_find(keys, STUDY_ROOT_FIND)
        for status, answer in answers:
            if "Status" not in status:
                raise no_answer(peer, "C-FIND", seconds=timer() - asked)
            asked = timer()
            if status.Status in _PENDING:
                if answer is not None and len(found) < most:
                    found.append(answer)
                continue
            if status.Status != _SUCCESS:
                raise QueryRefusedError(f"{peer.name}: {status_words(int(status.Status))}")
    except RuntimeError:  # pynetdicom's word for: no longer established
        raise AssociationAbortedError(f"{peer.name} ended the association early") from None
    return found


def _study_keys(query: StudyQuery) -> Dataset:
    keys = Dataset()
    if query.patient.character_set:
        keys.SpecificCharacterSet = query.patient.character_set.split("\\")
    keys.QueryRetrieveLevel = "STUDY"
    keys.PatientID = query.patient.patient_id
    keys.StudyDate = f"{query.first_day:%Y%m%d}-{query.last_day:%Y%m%d}"
    for name in (
        "StudyTime",
        "StudyInstanceUID",
        "ModalitiesInStudy",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
    ):
        setattr(keys, name, "")
    return keys


def series_keys(study: Dataset, *, modality: str | None = None) -> Dataset:
    """Return what is asked for of the series of a study, of whatever modality by default."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "SERIES"
    keys.StudyInstanceUID = text_of(study, "StudyInstanceUID")
    keys.Modality = modality
    for name in (
        "SeriesInstanceUID",
        "SeriesDescription",
        "BodyPartExamined",
        "ProtocolName",
        "NumberOfSeriesRelatedInstances",
    ):
        setattr(keys, name, None)
    return keys


def _is_wanted(study: Dataset, query: StudyQuery) -> bool:
    """Return whether an answer is a study of this patient in the range, with CT as far as told."""
    patient = query.patient
    if not text_of(study, "StudyInstanceUID") or text_of(study, "PatientID") != patient.patient_id:
        return False
    pairs = (
        (patient.issuer, text_of(study, "IssuerOfPatientID")),
        (patient.birth_date, text_of(study, "PatientBirthDate")),
        (patient.sex, text_of(study, "PatientSex")),
    )
    if any(ours and theirs and ours != theirs for ours, theirs in pairs):
        return False
    modalities = text_of(study, "ModalitiesInStudy")
    if modalities and "CT" not in modalities.split("\\"):
        return False
    first, last = f"{query.first_day:%Y%m%d}", f"{query.last_day:%Y%m%d}"
    return first <= text_of(study, "StudyDate").replace(".", "") <= last


def remote_series(study: Dataset, answer: Dataset) -> RemoteSeries:
    """Return a series as the answers for its study and for itself tell it."""
    count = text_of(answer, "NumberOfSeriesRelatedInstances")
    return RemoteSeries(
        study_instance_uid=text_of(study, "StudyInstanceUID"),
        series_instance_uid=text_of(answer, "SeriesInstanceUID"),
        study_date=text_of(study, "StudyDate").replace(".", ""),
        study_time=text_of(study, "StudyTime").replace(":", ""),
        description=text_of(answer, "SeriesDescription"),
        body_part=text_of(answer, "BodyPartExamined"),
        protocol=text_of(answer, "ProtocolName"),
        instances=int(count) if count.isdecimal() else None,
    )


def text_of(answer: Dataset, name: str) -> str:
    """Return a value as text, several joined by backslashes; empty if absent or unreadable."""
    try:
        value = answer.get(name)
        if value is None:
            return ""
        if isinstance(value, str | int):
            return str(value).strip()
        if isinstance(value, Iterable):
            return "\\".join(str(one).strip() for one in value)
        return str(value).strip()
    except MALFORMED:
        return ""
