"""What a worklist server may answer, and what the node makes of it."""

import http.server
import json
from datetime import UTC, datetime

import pytest
from served import served
from ups_server import UpsServer, element, workitem

from dicom_node.errors import PeerError, PeerUnreachableError
from dicom_node.web_service import Secret, WebService
from dicom_node.worklist.data_elements import code, code_item, is_uid, moment
from dicom_node.worklist.service import WorkitemRefusedError, WorklistService
from dicom_node.worklist.workitem import StepState, read_workitem


class Fixed:
    """Answers every request with the same bytes."""

    def __init__(self):
        self.status, self.body, self.headers = 200, b"[]", {}

    def serve(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def do_GET(self):
                self.answer()

            def do_PUT(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer()

            def log_message(self, *_):
                pass

        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def fixed():
    fixed = Fixed()
    with served(fixed.serve()) as server:
        fixed.worklist = at(server.server_address[1])
        yield fixed


def at(port, **options):
    url = f"http://127.0.0.1:{port}/dicom-web"
    return WorklistService(service=WebService(name="tasks", url=url, **options))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"7", b'"x"', b"\xff"])
def test_an_answer_that_is_no_dicom_json_is_the_servers_fault(fixed, body):
    """Not a crash, and not an empty worklist."""
    fixed.body = body

    with pytest.raises(PeerError, match="does not answer in DICOM JSON"):
        list(fixed.worklist.search(["A"]))


@pytest.mark.parametrize(
    "data_set",
    [
        {},
        {"00741000": "SCHEDULED"},
        {"00741000": {"Value": "SCHEDULED"}},
        {"00741000": {"vr": "CS", "Value": [{"a": 1}]}},
        {"00404018": {"vr": "SQ", "Value": [7, None, "x"]}},
        {"00404021": {"vr": "SQ", "Value": [{"0020000D": {"Value": [[]]}}]}},
    ],
)
def test_a_data_set_of_wrong_kinds_is_an_empty_workitem(data_set):
    """Whatever it says instead: nothing is claimed of it."""
    found = read_workitem(data_set)

    assert (found.uid, found.state, found.inputs) == ("", "", ())


@pytest.mark.parametrize("uid", ["../../x", "1.2/3", "1.2?x=1", "1..2", "", "1." * 40, "1.²"])
def test_what_is_no_uid_never_gets_into_an_address(uid):
    """PS3.5, section 9.1: digits and single dots, 64 characters."""
    assert not is_uid(uid)
    inputs = element("SQ", {"0020000D": element("UI", uid)})
    assert read_workitem({"00404021": inputs}).inputs == ()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the node's user or token"),
        (403, "the node has no right to that"),
        (302, "redirections are not followed"),
        (503, "HTTP 503"),
    ],
)
def test_a_server_that_takes_no_part_is_told_from_one_that_refuses(fixed, status, words):
    """The first is about all workitems, the second about one."""
    fixed.status, fixed.headers = status, {"Location": "http://127.0.0.1:1/"}

    with pytest.raises(PeerError, match=words):
        fixed.worklist.retrieve("1.2")


@pytest.mark.parametrize(
    ("status", "gone"), [(400, False), (409, False), (404, True), (410, True)]
)
def test_a_refusal_says_whether_the_workitem_is_gone(fixed, status, gone):
    """Known sentences of PS3.18 are passed on; others are not, for they may say anything."""
    fixed.status = status
    fixed.headers = {"Warning": "299 tasks: POISON^NAME. The Transaction UID is incorrect."}

    with pytest.raises(WorkitemRefusedError) as caught:
        fixed.worklist.change_state("1.2", StepState.IN_PROGRESS, "2.25.1")

    assert caught.value.is_gone is gone
    assert "The Transaction UID is incorrect" in str(caught.value)
    assert "POISON" not in str(caught.value)


def test_a_secret_is_shown_to_the_server():
    """Bearer token, as for STOW-RS; without it the server refuses the node."""
    server = UpsServer()
    server.authorization = "Bearer abc"
    server.add(workitem("1.2.77.1"))
    with server.listening() as port:
        found = list(at(port, secret=Secret(value="abc")).search(["ICH-CT"]))
        with pytest.raises(PeerError, match="user or token"):
            list(at(port).search(["ICH-CT"]))

    assert [one.uid for one in found] == ["1.2.77.1"]


def test_nobody_there_is_no_connection():
    """The port is closed again."""
    with UpsServer().listening() as port:
        pass

    with pytest.raises(PeerUnreachableError):
        at(port).retrieve("1.2")


def test_a_single_data_set_need_not_be_wrapped(fixed):
    """Some servers leave out the brackets of PS3.18, annex F."""
    fixed.body = json.dumps(workitem("1.2.77.1")).encode()

    assert fixed.worklist.retrieve("1.2.77.1").label == "hematoma analysis"


def test_a_long_code_stays_a_code():
    """More than 16 characters stand in Long Code Value (PS3.3, table 8.8-1)."""
    told = {"value": "A-CODE-OF-MORE-THAN-16", "scheme": "99X", "meaning": ""}

    found = code_item(told)

    assert "00080100" not in found
    assert code(found) == {**told, "meaning": told["value"]}


def test_times_carry_their_zone():
    """VR DT, PS3.5, table 6.2-1; a time without zone is a fault of the caller."""
    at_noon = datetime(2026, 1, 5, 12, tzinfo=UTC)

    assert moment(at_noon) == "20260105120000.000000+0000"
    with pytest.raises(ValueError, match="aware"):
        moment(at_noon.replace(tzinfo=None))
