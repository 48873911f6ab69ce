"""Asking a peer which studies it has of a range of days: names only, nobody's."""

import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Final

from pydicom.dataset import Dataset

from dicom_node.association.peers import Peer
from dicom_node.association.query import find_answers, text_of
from dicom_node.errors import QueryRefusedError

#: Answers of one query; a day that has more is asked for in parts.
MOST_STUDIES: Final = 4000

_DAY_S: Final = 24 * 3600
#: A part of a day that is not divided any more.
_SHORTEST_S: Final = 60


def find_study_uids(
    peer: Peer,
    day: date,
    *,
    modality: str,
    stop: threading.Event,
    most: int = MOST_STUDIES,
    timer: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Return the Study Instance UIDs of one day, in the order the peer tells them.

    A day of more studies than `most` is asked for in halves, by Study Time. What the peer answers
    is checked again, for some ignore keys that they do not support.

    Parameters
    ----------
    peer
        Who is asked.
    day
        Study Date.
    modality
        One of Modalities in Study; empty: of whatever modality.
    stop
        Aborts the association once it is set.
    most
        Answers of one query.
    timer
        Returns seconds on a clock that never goes back.

    Raises
    ------
    PeerError
        If there is no association, or it breaks.
    QueryRefusedError
        If the peer takes part, but not in queries, answers with a failure, or has more studies in
        one minute than can be asked for.
    """

    def ask(first_s: int, last_s: int) -> list[str]:
        whole = (first_s, last_s) == (0, _DAY_S - 1)
        keys = _keys(day, modality, times="" if whole else f"{_clock(first_s)}-{_clock(last_s)}")
        answers = find_answers(peer, keys, most=most + 1, stop=stop, timer=timer)
        if len(answers) <= most:
            return [text_of(one, "StudyInstanceUID") for one in answers if fits(one)]
        if last_s - first_s < _SHORTEST_S:
            raise QueryRefusedError(
                f"{peer.name} has more than {most} studies of one minute of {day}, or does not "
                "heed Study Time in queries; give a list of studies instead"
            )
        middle = (first_s + last_s) // 2
        return [*ask(first_s, middle), *ask(middle + 1, last_s)]

    def fits(answer: Dataset) -> bool:
        if not text_of(answer, "StudyInstanceUID"):
            return False
        modalities = text_of(answer, "ModalitiesInStudy")
        if modality and modalities and modality not in modalities.split("\\"):
            return False
        return text_of(answer, "StudyDate").replace(".", "") in {"", f"{day:%Y%m%d}"}

    return tuple(dict.fromkeys(ask(0, _DAY_S - 1)))


def _keys(day: date, modality: str, *, times: str) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyDate = f"{day:%Y%m%d}"
    keys.StudyTime = times
    keys.ModalitiesInStudy = modality
    keys.StudyInstanceUID = ""
    return keys


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
