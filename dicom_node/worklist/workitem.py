"""A workitem as the server tells it, and whether it is one for this node. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dicom_node.jobs.worklist_ledger import InputSeries
from dicom_node.worklist.data_elements import code, is_uid, items, text

#: SOP classes that the node can analyse (CT, Enhanced CT).
_CT: Final = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"})

_UID, _STUDY, _SERIES = "00080018", "0020000D", "0020000E"
_STATE, _PRIORITY, _LABEL, _READY = "00741000", "00741200", "00741204", "00404041"
_CODES, _STATIONS, _INPUTS = "00404018", "00404025", "00404021"
_SOPS, _SOP_CLASS, _START = "00081199", "00081150", "00404005"
_PROGRESS, _CANCELLED_AT, _CANCEL_REASON = "00741002", "00404052", "00741238"
_DISCONTINUATION = "0074100E"

#: A workitem with more inputs than this is none for one analysis.
_MOST_INPUTS: Final = 200


class StepState(StrEnum):
    """Procedure Step State (PS3.4, section CC.1.1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workitem:
    """What the node reads of a workitem. Nothing of the patient is read.

    Attributes
    ----------
    uid : str
        SOP Instance UID.
    state : str
        Procedure Step State.
    label : str
        Procedure Step Label.
    ready : str
        Input Readiness State.
    high : bool
        Whether its priority is HIGH.
    starts : str
        Scheduled start, VR DT.
    code : mapping
        First Scheduled Workitem Code, empty if there is none.
    stations : tuple of str
        Codes of the stations it is scheduled for; empty for any.
    inputs : tuple of InputSeries
        The CT images it is about.
    cancel_reason : str
        Why somebody wants it cancelled, as far as the server shows that; empty if nobody does.
    """

    uid: str
    state: str
    label: str
    ready: str
    high: bool
    starts: str
    code: Mapping[str, str]
    stations: tuple[str, ...]
    inputs: tuple[InputSeries, ...]
    cancel_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Which workitems are for this node.

    Attributes
    ----------
    codes : frozenset of str
        Scheduled Workitem Codes (Code Value).
    labels : tuple of re.Pattern
        Searched in the Procedure Step Label.
    station : str
        Code of this station.
    """

    codes: frozenset[str]
    labels: tuple[re.Pattern[str], ...]
    station: str


def read_workitem(data_set: Mapping[str, Any], uid: str = "") -> Workitem:
    """Return what a data set says; `uid` is what was asked for, for servers that leave it out."""
    codes = [code(item) for item in items(data_set, _CODES)]
    stations = (code(item)["value"] for item in items(data_set, _STATIONS))
    return Workitem(
        uid=uid or text(data_set, _UID),
        state=text(data_set, _STATE),
        label=text(data_set, _LABEL),
        ready=text(data_set, _READY),
        high=text(data_set, _PRIORITY) == "HIGH",
        starts=text(data_set, _START),
        code=next((one for one in codes if one["value"]), {}),
        stations=tuple(one for one in stations if one),
        inputs=_inputs(data_set),
        cancel_reason=_cancel_reason(data_set),
    )


def is_wanted(workitem: Workitem, rules: ClaimRules) -> bool:
    """Return whether a workitem may be claimed: scheduled, ready, fitting, for this station."""
    fits = workitem.code.get("value") in rules.codes or any(
        pattern.search(workitem.label) for pattern in rules.labels
    )
    return (
        fits
        and is_uid(workitem.uid)
        and workitem.state == StepState.SCHEDULED
        and workitem.ready in {"", "READY"}
        and (not workitem.stations or rules.station in workitem.stations)
    )


def _inputs(data_set: Mapping[str, Any]) -> tuple[InputSeries, ...]:
    """Return the series of CT images, or the study where no series is named."""
    found: dict[InputSeries, None] = {}
    others = 0
    for item in items(data_set, _INPUTS):
        classes = {text(one, _SOP_CLASS) for one in items(item, _SOPS)} - {""}
        study, series = text(item, _STUDY), text(item, _SERIES)
        if classes and not classes & _CT:
            others += 1
        elif is_uid(study) and (not series or is_uid(series)):
            found[InputSeries(study_uid=study, series_uid=series)] = None
    study = text(data_set, _STUDY)
    if not found and not others and is_uid(study):
        found[InputSeries(study_uid=study)] = None
    return tuple(found)[:_MOST_INPUTS]


def _cancel_reason(data_set: Mapping[str, Any]) -> str:
    """Return in words that a cancellation is asked for, as some servers show it."""
    for item in items(data_set, _PROGRESS):
        if (
            text(item, _CANCELLED_AT)
            or text(item, _CANCEL_REASON)
            or any(items(item, _DISCONTINUATION))
        ):
            return "a cancellation was requested"
    return ""
