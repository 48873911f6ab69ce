"""Asking a peer for studies that a person names: by patient, by study, by accession number."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.association.peers import Peer
from dicom_node.association.query import (
    NOT_LITERAL,
    RemoteSeries,
    find_series,
    remote_series,
    series_keys,
    text_of,
)
from dicom_node.errors import UnaskablePatientError

#: Longest LO (PS3.5, section 6.2).
_LONGEST: Final = 64

_UID_CHARACTERS: Final = frozenset("0123456789.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyWish:
    """What a person asks for: exactly one of the three. Never logged, never stored.

    Attributes
    ----------
    patient_id, study_uid, accession : str
        Patient ID, Study Instance UID, Accession Number.

    Raises
    ------
    UnaskablePatientError
        If there is not exactly one of them, or it would be read as a pattern.
    """

    patient_id: str = field(default="", repr=False)
    study_uid: str = ""
    accession: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        given = [value for value in (self.patient_id, self.study_uid, self.accession) if value]
        if len(given) != 1:
            raise UnaskablePatientError(
                "one thing is asked for: a Patient ID, a Study Instance UID or an Accession Number"
            )
        if NOT_LITERAL & set(given[0]):
            raise UnaskablePatientError("what is asked for holds a character that is a wildcard")
        if len(given[0]) > _LONGEST or not given[0].isprintable():
            raise UnaskablePatientError("what is asked for is too long or not printable")
        if self.study_uid and not _UID_CHARACTERS.issuperset(self.study_uid):
            raise UnaskablePatientError("a Study Instance UID has digits and dots only")

    @property
    def words(self) -> str:
        """What kind of thing is asked for; not of whom."""
        if self.study_uid:
            return f"study {self.study_uid}"
        return "a Patient ID" if self.patient_id else "an Accession Number"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series of any modality that a peer says it has.

    Attributes
    ----------
    series : RemoteSeries
        Which one.
    modality : str
        As the peer writes it, empty if it does not.
    study_description : str
        Of its study.
    """

    series: RemoteSeries
    modality: str
    study_description: str = ""


def find_studies(
    peer: Peer,
    wish: StudyWish,
    *,
    stop: threading.Event,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[FoundSeries, ...]:
    """Return every series of the studies that are asked for, in the order the peer tells them.

    What the peer answers is checked again, for some ignore keys that they do not support.

    Peer, stop and timer, and what is raised, are as in `find_series`; `wish` says for what.
    """
    found = find_series(
        peer,
        _study_keys(wish),
        series_keys=series_keys,
        is_wanted=lambda study: _is_wanted(study, wish),
        stop=stop,
        timer=timer,
    )
    return tuple(
        FoundSeries(
            series=remote_series(study, answer),
            modality=text_of(answer, "Modality"),
            study_description=text_of(study, "StudyDescription"),
        )
        for study, answer in found
    )


def _study_keys(wish: StudyWish) -> Dataset:
    keys = Dataset()
    keys.SpecificCharacterSet = "ISO_IR 192"
    keys.QueryRetrieveLevel = "STUDY"
    keys.PatientID = wish.patient_id
    keys.StudyInstanceUID = wish.study_uid
    keys.AccessionNumber = wish.accession
    for name in ("StudyDate", "StudyTime", "StudyDescription", "ModalitiesInStudy"):
        setattr(keys, name, "")
    return keys


def _is_wanted(study: Dataset, wish: StudyWish) -> bool:
    """Return whether an answer is what was asked for."""
    asked = (
        ("PatientID", wish.patient_id),
        ("StudyInstanceUID", wish.study_uid),
        ("AccessionNumber", wish.accession),
    )
    if not text_of(study, "StudyInstanceUID"):
        return False
    return all(not value or text_of(study, name) == value.strip() for name, value in asked)
