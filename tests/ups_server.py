"""A worklist server for tests: UPS-RS as PS3.18, section 11, and PS3.4, annex CC, have it.

It holds performers to the letter: the state machine of table CC.1.1-2, the transaction UID as the
key to a claimed workitem, the final state requirements of table CC.2.5-3 (codes P and X), and no
answer without the Accept header. It also gives images by WADO-RS, so that one server is enough.
"""

import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from served import served

JSON = "application/dicom+json"

STATE, TRANSACTION, PROGRESS, PERFORMED = "00741000", "00081195", "00741002", "00741216"

#: What is needed before COMPLETED: station, workitem code, start, end, output.
NEEDED_TO_COMPLETE = ("00404028", "00404019", "00404050", "00404051", "00404033")
#: What is needed before CANCELED: when, and why in a code.
NEEDED_TO_CANCEL = ("00404052", "0074100E")

#: What a change of state with the right key leads to (PS3.4, table CC.1.1-2): wanted, present.
CHANGES = {
    "IN PROGRESS": {
        "SCHEDULED": "",
        "IN PROGRESS": "C302",
        "COMPLETED": "C300",
        "CANCELED": "C300",
    },
    "COMPLETED": {"SCHEDULED": "C310", "IN PROGRESS": "", "COMPLETED": "B306", "CANCELED": "C300"},
    "CANCELED": {"SCHEDULED": "C310", "IN PROGRESS": "", "COMPLETED": "C300", "CANCELED": "B304"},
}

#: Reasons by code (PS3.4, table CC.2.1-2), in the words of PS3.18, table 11.7.3-2.
WORDS = {
    "C300": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C301": "The Transaction UID is incorrect.",
    "C302": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C304": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C310": "The submitted request is inconsistent with the state of the UPS Instance.",
    "missing": "The Transaction UID is missing.",
    "B304": "The UPS is already in the requested state of CANCELED.",
    "B306": "The UPS is already in the requested state of COMPLETED.",
}


def element(vr, *values):
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(value, scheme="99TEST", meaning="test"):
    return {
        "00080100": element("SH", value),
        "00080102": element("SH", scheme),
        "00080104": element("LO", meaning),
    }


def value_of(data_set, tag):
    """Return the first value of an element, None if it has none."""
    return next(iter(data_set.get(tag, {}).get("Value", [])), None)


def workitem(uid, *, series=(), study="1.2.3", **changes):
    """Return a scheduled workitem about series of a study, as a requester creates it."""
    inputs = [
        {
            "0040E020": element("CS", "DICOM"),
            "0020000D": element("UI", study),
            "0020000E": element("UI", series_uid),
            "00081199": element(
                "SQ",
                {
                    "00081150": element("UI", sop_class),
                    "00081155": element("UI", f"{series_uid}.1"),
                },
            ),
        }
        for series_uid, sop_class in series
    ]
    found = {
        "00080016": element("UI", "1.2.840.10008.5.1.4.34.6.1"),
        "00080018": element("UI", uid),
        "00100010": element("PN", {"Alphabetic": "POISON^WORKLIST"}),
        "00100020": element("LO", "POISON-4711"),
        STATE: element("CS", "SCHEDULED"),
        "00741200": element("CS", "MEDIUM"),
        "00741204": element("LO", "hematoma analysis"),
        "00404041": element("CS", "READY"),
        "00404005": element("DT", "20260105080000"),
        "00404018": element("SQ", code("ICH-CT")),
        "00404021": element("SQ", *inputs),
        "0020000D": element("UI", study),
        PROGRESS: element("SQ"),
        PERFORMED: element("SQ"),
    }
    return found | {tag.removeprefix("t"): value for tag, value in changes.items()}


class UpsServer:
    """Workitems by UID, what was asked, and faults to order.

    Attributes
    ----------
    items : dict of str to dict
        The workitems; keys of claimed ones are in `keys`.
    history : list of (str, str)
        Every change of state: workitem UID and state.
    updates : list of (str, dict)
        Every accepted update.
    refusals : list of (str, str)
        What was refused: path and code.
    images : dict of (str, str) to list of bytes
        DICOM files by study and series.
    status : int or None
        Answer to every request, instead of doing anything.
    drop : set of str
        Kinds of requests ("state", "update") that are done but never answered.
    shows_cancel : bool
        Whether a requested cancellation is shown in the workitem.
    """

    def __init__(self):
        self.items, self.keys, self.images = {}, {}, {}
        self.history, self.updates, self.refusals, self.requests = [], [], [], []
        self.status, self.drop, self.shows_cancel = None, set(), True
        self.authorization = None
        self.lock = threading.Lock()

    def add(self, item):
        self.items[value_of(item, "00080018")] = item

    def state(self, uid):
        return value_of(self.items[uid], STATE)

    def request_cancel(self, uid):
        """Ask for a cancellation as a requester does; return the code of the answer."""
        with self.lock:
            state = self.state(uid)
            if state == "SCHEDULED":
                self._move(uid, "IN PROGRESS")
                self._move(uid, "CANCELED")
            elif state == "IN PROGRESS" and self.shows_cancel:
                (told,) = self.items[uid][PROGRESS].get("Value") or [{}]
                told["00741238"] = element("LT", "POISON not wanted any more")
                self.items[uid][PROGRESS] = element("SQ", told)
            return {"COMPLETED": "C311", "CANCELED": "B304"}.get(state, "")

    def _move(self, uid, state):
        self.items[uid][STATE] = element("CS", state)
        self.history.append((uid, state))

    def change_state(self, uid, body):
        """Return a code of table CC.1.1-2, empty for success."""
        state, to, key = self.state(uid), value_of(body, STATE), value_of(body, TRANSACTION)
        if not key:
            return "missing"
        if state != "SCHEDULED" and self.keys.get(uid) != key:
            return "C301"
        reason = CHANGES[to][state]
        if not reason and to != "IN PROGRESS" and not self._may_end(uid, to):
            reason = "C304"
        if not reason:
            self.keys[uid] = key
            self._move(uid, to)
        return reason

    def _may_end(self, uid, to):
        sequence, needed = {
            "COMPLETED": (PERFORMED, NEEDED_TO_COMPLETE),
            "CANCELED": (PROGRESS, NEEDED_TO_CANCEL),
        }[to]
        content = value_of(self.items[uid], sequence) or {}
        return all(value_of(content, tag) is not None for tag in needed)

    def update(self, uid, body, key):
        state = self.state(uid)
        keys = {key, value_of(body, TRANSACTION)} - {None}
        if state in {"COMPLETED", "CANCELED"}:
            return "C300"
        if state == "IN PROGRESS" and keys != {self.keys.get(uid)}:
            return "C301" if keys else "missing"
        if STATE in body:
            return "C300"
        changes = {tag: value for tag, value in body.items() if tag != TRANSACTION}
        performed = value_of(changes, PERFORMED)
        assert performed is None or "00404033" in performed  # type 2 in N-SET
        self.items[uid] |= changes
        self.updates.append((uid, changes))
        return ""

    def search(self, query):
        """Return the workitems that match, a page of them."""
        state = query.get(STATE, [None])[0]
        wanted = query.get("00404018.00080100", [None])[0]
        found = [
            item
            for item in self.items.values()
            if state in {None, value_of(item, STATE)}
            and (
                wanted is None or wanted == value_of(value_of(item, "00404018") or {}, "00080100")
            )
        ]
        start = int(query.get("offset", ["0"])[0])
        return found[start : start + int(query.get("limit", ["1000"])[0])]

    @contextmanager
    def listening(self, port=0):
        """Serve on the loopback address; yields the port."""
        outer = self

        class Handler(_Handler):
            server_state = outer

        with served(http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)) as server:
            yield server.server_address[1]


class _Handler(http.server.BaseHTTPRequestHandler):
    server_state: UpsServer

    def log_message(self, *_):
        pass

    def _begin(self):
        outer = self.server_state
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else []
        outer.requests.append((self.command, self.path))
        if outer.authorization not in {None, self.headers.get("Authorization")}:
            self._answer(401)
            return None
        if outer.status is not None:
            self._answer(outer.status)
            return None
        path = url.path.removeprefix("/dicom-web").strip("/").split("/")
        return path, parse_qs(url.query), body[0] if body else {}

    def do_GET(self):
        begun = self._begin()
        if begun is None:
            return
        path, query, _ = begun
        outer = self.server_state
        with outer.lock:
            if path[0] == "studies":
                self._images(path)
            elif len(path) == 1:
                found = outer.search(query)
                self._answer(200 if found else 204, found or None)
            elif path[1] in outer.items:
                self._answer(200, [outer.items[path[1]]])
            else:
                self._answer(404)

    def do_PUT(self):
        begun = self._begin()
        if begun is None:
            return
        path, _, body = begun
        outer = self.server_state
        with outer.lock:
            known = path[1] in outer.items and path[2] == "state"
            self._settle(outer.change_state(path[1], body) if known else None, "state")

    def do_POST(self):
        begun = self._begin()
        if begun is None:
            return
        path, query, body = begun
        outer = self.server_state
        key = query.get("transaction-uid", [None])[0]
        with outer.lock:
            known = path[1] in outer.items
            self._settle(outer.update(path[1], body, key) if known else None, "update")

    def _settle(self, reason, kind):
        outer = self.server_state
        if kind in outer.drop:
            outer.drop.discard(kind)
            self.connection.close()
            return
        if reason is None:
            self._answer(404)
        elif not reason:
            self._answer(200)
        else:
            outer.refusals.append((self.path, reason))
            status = {"missing": 400, "B304": 200, "B306": 200}.get(reason, 409)
            self._answer(status, warning=f"299 127.0.0.1: {WORDS[reason]}")

    def _images(self, path):
        study, series = path[1], path[3] if len(path) > 3 else None
        found = [
            one
            for (study_uid, series_uid), images in self.server_state.images.items()
            if study_uid == study and series in {None, series_uid}
            for one in images
        ]
        if not found:
            self._answer(404)
            return
        body = b"".join(
            b"--part\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in found
        )
        self.send_response(200)
        kind = 'multipart/related; type="application/dicom"; boundary=part'
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body + b"--part--\r\n")

    def _answer(self, status, content=None, warning=None):
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if warning:
            self.send_header("Warning", warning)
        if status != 204:
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)
