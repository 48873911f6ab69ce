"""What a DICOMweb server says became of each object: the answer to STOW-RS.

PS3.18, section 10.5.3 (status codes) and annex I (the response), as DICOM JSON (annex F) or XML
(PS3.19, section A.1), whatever the server chose to send.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dicom_node.association.storage_scu import OutgoingFile, SendKind, SendOutcome
from dicom_node.delivery.native_xml import read_native_xml

#: Tags of the response data set, as DICOM JSON spells them.
_REFERENCED, _FAILED = "00081199", "00081198"
_CLASS_UID, _INSTANCE_UID = "00081150", "00081155"
_WARNING_REASON, _FAILURE_REASON = "00081196", "00081197"

_ALL_STORED = 200

#: What may stand before the first character: blanks, and the mark of UTF-8.
_BLANK = b" \t\r\n\xef\xbb\xbf"

#: What a reason may be: an unsigned number of two bytes (VR US).
_REASON_CODES = range(0x10000)

#: Failure Reason (PS3.18, table I.2-2).
_REASONS: tuple[tuple[range, str], ...] = (
    (range(0x0110, 0x0111), "processing failure"),
    (range(0x0122, 0x0123), "SOP class not supported"),
    (range(0x0124, 0x0125), "not authorised"),
    (range(0xA700, 0xA800), "out of resources"),
    (range(0xA900, 0xAA00), "data set does not match SOP class"),
    (range(0xC000, 0xD000), "cannot understand"),
)


def outcomes(
    name: str, files: Sequence[OutgoingFile], *, status: int, body: bytes
) -> tuple[SendOutcome, ...]:
    """Return the fate of each file that one request held.

    Parameters
    ----------
    name
        Of the destination, for the messages.
    files
        What was sent.
    status
        HTTP status: 200, 202, 409, or another one that refuses the request as a whole.
    body
        The response. One that cannot be read leaves the status alone to say what happened: 200
        is success for all of them, anything else for none.
    """
    answer = _data_set(body)
    stored = dict(_items(answer, _REFERENCED, _WARNING_REASON))
    failed = dict(_items(answer, _FAILED, _FAILURE_REASON))
    says_nothing = not stored and not failed
    return tuple(
        _failure(name, file, failed[uid], status)
        if (uid := file.sop_instance_uid) in failed
        else _success(name, file, stored.get(uid))
        if uid in stored or (says_nothing and status == _ALL_STORED)
        else _failure(name, file, None, status)
        for file in files
    )


def _success(name: str, file: OutgoingFile, warning: int | None) -> SendOutcome:
    if warning:
        return SendOutcome(
            file=file,
            kind=SendKind.WARNING,
            status=warning,
            message=f"{name}: stored with a warning (0x{warning:04X})",
        )
    return SendOutcome(file=file, kind=SendKind.ACCEPTED, status=0, message=f"{name}: accepted")


def _failure(name: str, file: OutgoingFile, reason: int | None, status: int) -> SendOutcome:
    if reason is None:
        words = f"not stored, and no reason given (HTTP {status})"
    else:
        meaning = next((text for span, text in _REASONS if reason in span), "failed")
        words = f"{meaning} (0x{reason:04X})"
    return SendOutcome(file=file, kind=SendKind.REFUSED, status=reason, message=f"{name}: {words}")


def _data_set(body: bytes) -> Mapping[str, Any]:
    """Return the data set of a response, empty if it cannot be read."""
    if body.lstrip(_BLANK)[:1] == b"<":
        return read_native_xml(body)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(answer, list):  # some servers wrap it
        answer = answer[0] if answer else {}
    return answer if isinstance(answer, dict) else {}


def _items(
    answer: Mapping[str, Any], sequence: str, reason: str
) -> Iterator[tuple[str, int | None]]:
    """Return SOP Instance UID and reason of every item of a sequence."""
    items = _values(answer, sequence)
    for item in items:
        if isinstance(item, dict):
            uids, reasons = _values(item, _INSTANCE_UID), _values(item, reason)
            if uids and isinstance(uids[0], str):
                number = reasons[0] if reasons else None
                is_code = isinstance(number, int) and number in _REASON_CODES
                yield uids[0], number if is_code else None


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
