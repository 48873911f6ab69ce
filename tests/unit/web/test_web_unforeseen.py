"""A page that fails in a way that nobody foresaw: what is said of it, and what the log knows."""

import re

import pytest
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from dicom_node.users.role import UserRole
from dicom_node.web.unforeseen import Unforeseen

POISON = "DOE^JANE"


@pytest.fixture
def failing(node):
    """Return the pages with one more, which fails, for people and for programs."""
    door = node.pages.app.state.door

    @door.page("/fails/{name}", UserRole.VIEWER)
    def page(name: str):
        raise KeyError(name, POISON)

    @door.answer("/fails/{name}", UserRole.VIEWER)
    def answer(name: str):
        raise KeyError(name, POISON)

    return node


def reference_in(words):
    return re.search(r"\b[0-9A-F]{8}\b", words)[0]


def lines_of(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_page_that_fails_names_what_stands_in_the_log(failing, caplog):
    """Title, what to do, the reference; the log has it with the place, and nobody's name."""
    answer = failing.client("vera").get("/fails/SMITH")

    assert answer.status_code == 500
    assert "<h1>This should not have happened</h1>" in answer.text
    assert "RESEARCH USE ONLY" in answer.text
    assert "Content-Security-Policy" in answer.headers
    assert POISON not in answer.text
    (line,) = lines_of(caplog)
    assert reference_in(line) == reference_in(answer.text)
    assert "GET /fails/{name} failed: KeyError" in line
    assert re.search(r"test_web_unforeseen\.py:\d+ in page$", line)
    assert POISON not in line
    assert "SMITH" not in line


def test_a_page_that_fails_is_told_in_the_visitors_language(failing):
    """Nothing of it is left in English but names."""
    client = failing.client("vera")
    client.headers["accept-language"] = "zh"

    page = client.get("/fails/x").text

    assert '<html lang="zh"' in page
    assert "This should not have happened" not in page
    assert "Reference for the log" not in page
    assert reference_in(page)


def test_a_program_gets_the_reference_as_json(failing, caplog):
    """Below ``/api``."""
    answer = failing.client().get("/api/v1/fails/x", headers=failing.token(UserRole.VIEWER))

    assert answer.status_code == 500
    assert set(answer.json()) == {"detail", "reference"}
    (line,) = lines_of(caplog)
    assert line.startswith(f"Reference {answer.json()['reference']}: GET /api/v1/fails/")


async def broken(*_):
    raise ValueError(POISON)


def test_where_no_page_can_be_made_the_reference_is_sent_as_text(caplog):
    """What failed may be what every page needs; both places are in the log."""

    def no_page(*_):
        raise RuntimeError(POISON)

    answer = TestClient(Unforeseen(broken, answer=no_page)).get("/")

    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/plain")
    first, second = lines_of(caplog)
    assert "ValueError" in first
    assert "RuntimeError" in second
    assert {reference_in(first), reference_in(second)} == {reference_in(answer.text)}
    assert POISON not in first + second + answer.text


def test_an_answer_that_breaks_off_is_in_the_log(caplog):
    """Its head is sent already, so nothing can be said in its place."""

    async def pieces():
        yield b"begun"
        raise ValueError(POISON)

    async def breaking(scope, receive, send):
        await StreamingResponse(pieces())(scope, receive, send)

    answer = TestClient(Unforeseen(breaking, answer=broken)).get("/")

    assert answer.content == b"begun"
    (line,) = lines_of(caplog)
    assert "ValueError" in line
