"""What the node writes into a workitem: progress, performance, results, reasons (PS3.4, CC.2.5).

A sequence is replaced as a whole by each update, so every update carries all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicom_node.jobs.workitem_standing import DeliveredObject
from dicom_node.results.workitem_codes import ANALYSIS_WORKITEM, Discontinuation
from dicom_node.worklist.data_elements import Elements, code_item, element, moment, sequence
from dicom_node.worklist.workitem import StepState

TRANSACTION: Final = "00081195"

_PROGRESS, _PERCENT, _WORDS = "00741002", "00741004", "00741006"
_CANCELLED_AT, _REASON, _REASON_CODE = "00404052", "00741238", "0074100E"
_PERFORMED, _STATION, _WORKITEM_CODE = "00741216", "00404028", "00404019"
_START, _END, _DESCRIPTION, _OUTPUT = "00404050", "00404051", "00400254", "00404033"

_WHAT: Final = "Head CT hematoma analysis, research use only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a destination lets its objects be retrieved: by AE title, or below an address."""

    ae_title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Who does what, since when.

    Attributes
    ----------
    station : mapping
        Code of the station (``value``, ``scheme``, ``meaning``).
    code : mapping
        What is done; empty for the node's own code.
    began_at : datetime
        When it was claimed.
    """

    station: Mapping[str, str]
    code: Mapping[str, str]
    began_at: datetime


def state_change(to: StepState, transaction_uid: str) -> Elements:
    """Return the body of a change of state (PS3.4, table CC.2.1-1)."""
    return {"00741000": element("CS", str(to)), TRANSACTION: element("UI", transaction_uid)}


def progress(percent: int, words: str, performance: Performance) -> Elements:
    """Return how far it is."""
    return {
        _PROGRESS: sequence(_progress(percent, words)),
        _PERFORMED: sequence(_performed(performance)),
    }


def completion(
    performance: Performance,
    ended_at: datetime,
    outputs: Sequence[DeliveredObject],
    places: Mapping[str, Place],
) -> Elements:
    """Return what a workitem must say before it may be completed (table CC.2.5-3, codes P).

    Parameters
    ----------
    performance
        Who did it.
    ended_at
        When the last result was delivered.
    outputs
        The results that destinations have.
    places
        Where each destination, by its name, lets them be retrieved.
    """
    performed = _performed(performance)
    performed[_END] = element("DT", moment(ended_at))
    performed[_OUTPUT] = sequence(*_outputs(outputs, places))
    return {
        _PROGRESS: sequence(_progress(100, "results delivered")),
        _PERFORMED: sequence(performed),
    }


def discontinuation(
    performance: Performance, ended_at: datetime, code: Discontinuation, words: str
) -> Elements:
    """Return what a workitem must say before it may be cancelled (table CC.2.5-3, codes X)."""
    told = _progress(None, words)
    told[_CANCELLED_AT] = element("DT", moment(ended_at))
    told[_REASON] = element("LT", words)
    told[_REASON_CODE] = sequence(code_item(code.as_dict))
    performed = _performed(performance)
    performed[_END] = element("DT", moment(ended_at))
    return {_PROGRESS: sequence(told), _PERFORMED: sequence(performed)}


def _progress(percent: int | None, words: str) -> Elements:
    found = {_WORDS: element("ST", words)}
    if percent is not None:
        found[_PERCENT] = element("DS", percent)
    return found


def _performed(performance: Performance) -> Elements:
    return {
        _STATION: sequence(code_item(performance.station)),
        _START: element("DT", moment(performance.began_at)),
        _DESCRIPTION: element("LO", _WHAT),
        _WORKITEM_CODE: sequence(code_item(performance.code or ANALYSIS_WORKITEM)),
        _OUTPUT: sequence(),
    }


def _outputs(
    outputs: Sequence[DeliveredObject], places: Mapping[str, Place]
) -> Sequence[Elements]:
    """Return the Output Information, one item per series and set of destinations."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[DeliveredObject]] = {}
    for one in outputs:
        groups.setdefault((one.study_uid, one.series_uid, one.destinations), []).append(one)
    return [
        {
            "0040E020": element("CS", "DICOM"),
            "0020000D": element("UI", study_uid),
            "0020000E": element("UI", series_uid),
            "00081199": sequence(
                *(
                    {
                        "00081150": element("UI", one.sop_class_uid),
                        "00081155": element("UI", one.sop_instance_uid),
                    }
                    for one in group
                )
            ),
            **_retrieval(
                [places[name] for name in names if name in places], study_uid, series_uid
            ),
        }
        for (study_uid, series_uid, names), group in groups.items()
    ]


def _retrieval(places: Sequence[Place], study_uid: str, series_uid: str) -> Elements:
    """Return from where a series can be retrieved (PS3.3, table 10-3b)."""
    titles = [place.ae_title for place in places if place.ae_title]
    urls = [place.url.rstrip("/") for place in places if place.url]
    found: Elements = {}
    if titles:
        found["0040E021"] = sequence(*({"00080054": element("AE", title)} for title in titles))
    if urls:
        found["0040E025"] = sequence(
            *(
                {"00081190": element("UR", f"{url}/studies/{study_uid}/series/{series_uid}")}
                for url in urls
            )
        )
    return found
