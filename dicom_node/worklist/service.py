"""The worklist server: search, retrieve, claim, update and end workitems (PS3.18, section 11)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from dicom_node.errors import NodeError, PeerError
from dicom_node.web_service import WebAnswer, WebService, refusal, request
from dicom_node.worklist.data_elements import Elements
from dicom_node.worklist.reports import TRANSACTION, state_change
from dicom_node.worklist.workitem import StepState, Workitem, read_workitem

_JSON: Final = "application/dicom+json"

#: Answers that speak about one workitem (PS3.18, sections 11.5.3 to 11.7.3). Any other refusal is
#: about the node or the server.
_ABOUT_THE_WORKITEM: Final = frozenset({400, 404, 409, 410, 413})

_FOUND: Final = frozenset({200, 206})
_DONE: Final = frozenset({200, 201, 202, 204})
_NOTHING: Final = 204
_GONE: Final = frozenset({404, 410})

#: The attributes that `read_workitem` reads of a search.
_WANTED: Final = (
    *("00080018", "00741000", "00741200", "00741204", "00404041"),
    *("00404018", "00404025", "00404005"),
)

_PAGE: Final = 100

#: More pages are not read at a time: what is behind them comes next time.
_MOST_PAGES: Final = 10

#: Sentences of table 11.7.3-2. Words of a server are not passed on: they may say anything.
_SENTENCES: Final = (
    "The Transaction UID is missing",
    "The Transaction UID is incorrect",
    "The submitted request is inconsistent with the state of the UPS Instance",
    "The UPS is already in the requested state of CANCELED",
    "The UPS is already in the requested state of COMPLETED",
    "The UPS is already COMPLETED",
)


class WorkitemRefusedError(NodeError):
    """The server takes part, but refuses what was asked of one workitem.

    Attributes
    ----------
    is_gone : bool
        Whether there is no such workitem any more.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.is_gone = status in _GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistService:
    """A UPS-RS server.

    Every method raises PeerError if it takes no part, and all but `search` raise
    WorkitemRefusedError if it refuses what is asked of one workitem.

    Attributes
    ----------
    service : WebService
        Where it is.
    """

    service: WebService

    def search(self, codes: Sequence[str]) -> Iterator[Workitem]:
        """Yield scheduled workitems, page by page; no codes stand for all of them."""
        for code in codes or ("",):
            for page in range(_MOST_PAGES):
                found = self._page(code, page)
                for data_set in found:
                    yield read_workitem(data_set)
                if len(found) < _PAGE:
                    break

    def retrieve(self, workitem_uid: str) -> Workitem:
        """Return a workitem."""
        answer = self._ask("GET", f"/workitems/{quote(workitem_uid)}", None, good=_FOUND)
        found = self._data_sets(answer)
        if not found:
            raise PeerError(f"{self.service.name} answered with no workitem")
        return read_workitem(found[0], workitem_uid)

    def change_state(self, workitem_uid: str, to: StepState, transaction_uid: str) -> None:
        """Claim, complete or cancel a workitem."""
        path = f"/workitems/{quote(workitem_uid)}/state"
        self._ask("PUT", path, state_change(to, transaction_uid), good=_DONE)

    def update(self, workitem_uid: str, changes: Elements, transaction_uid: str) -> None:
        """Write into a workitem that the node has claimed.

        The key stands in the address, as PS3.18, section 11.6.1, has it, and in the body, where
        servers look that treat it like N-SET (PS3.4, section CC.2.6).
        """
        key = urlencode({"transaction-uid": transaction_uid})
        path = f"/workitems/{quote(workitem_uid)}?{key}"
        body = {TRANSACTION: {"vr": "UI", "Value": [transaction_uid]}, **changes}
        self._ask("POST", path, body, good=_DONE)

    def _page(self, code: str, page: int) -> Sequence[Mapping[str, Any]]:
        query = [("00741000", str(StepState.SCHEDULED))]
        if code:
            query.append(("00404018.00080100", code))
        query += [("includefield", ",".join(_WANTED))]
        query += [("limit", str(_PAGE)), ("offset", str(page * _PAGE))]
        answer = request(
            self.service, "GET", f"/workitems?{urlencode(query)}", headers={"Accept": _JSON}
        )
        if answer.status == _NOTHING:
            return ()
        if answer.status not in _FOUND:
            raise refusal(self.service, answer.status)
        return self._data_sets(answer)

    def _ask(
        self, method: str, path: str, body: Elements | None, *, good: frozenset[int]
    ) -> WebAnswer:
        headers = {"Accept": _JSON}
        content = None
        if body is not None:
            content = json.dumps([body]).encode()
            headers |= {"Content-Type": _JSON, "Content-Length": str(len(content))}
        answer = request(self.service, method, path, headers=headers, body=content)
        if answer.status in good:
            return answer
        if answer.status in _ABOUT_THE_WORKITEM:
            raise WorkitemRefusedError(
                f"{self.service.name} answered HTTP {answer.status}{_sentence(answer)}",
                status=answer.status,
            )
        raise refusal(self.service, answer.status)

    def _data_sets(self, answer: WebAnswer) -> Sequence[Mapping[str, Any]]:
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise PeerError(f"{self.service.name} does not answer in DICOM JSON") from None
        if isinstance(found, dict):  # some servers do not wrap a single one
            found = [found]
        if not isinstance(found, list):
            raise PeerError(f"{self.service.name} does not answer in DICOM JSON")
        return [one for one in found if isinstance(one, dict)]


def _sentence(answer: WebAnswer) -> str:
    told = " ".join(answer.warnings).lower()
    return next((f": {one}" for one in _SENTENCES if one.lower() in told), "")
