"""Pages without JavaScript: whatever a script does can be done without one, too."""

import re
from pathlib import Path

import pytest
from node_builders import file_bytes, small_series
from web_builder import csrf_of

from dicom_node import web

TEMPLATES = sorted((Path(web.__file__).parent / "templates").glob("*.html"))
#: htmx alone loads a page anew, or a part of it.
RELOADS = {"hx-get", "hx-select", "hx-target", "hx-swap", "hx-trigger", "hx-preserve"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_htmx_does_nothing_but_load_a_page_anew(path):
    """Every few seconds: whoever has no script presses the browser's own button."""
    text = path.read_text(encoding="utf-8")

    assert set(re.findall(r"\bhx-[a-z-]+", text)) <= RELOADS
    assert [one for one in re.findall(r'hx-trigger="([^"]*)"', text) if "every" not in one] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_button_is_part_of_a_form(path):
    """Or copies a text, which can be marked and copied by hand."""
    text = re.sub(r"<form\b.*?</form>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert [one for one in re.findall(r"<button\b[^>]*>", text) if "data-copies" not in one] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_form_can_be_sent(path):
    """It has a button, and says where it goes."""
    for form in re.findall(r"<form\b.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL):
        assert "<button" in form
        assert re.search(r'<form\b[^>]*\baction="[^"]+"', form)


def tried(node, content, *, name="otto", secret=None):
    """Send a file to the trial of the rules as a form has it."""
    client = node.client(name)
    found = csrf_of(client.get("/routing").text) if secret is None else secret
    return client.post("/routing/file", data={"csrf": found}, files={"file": ("x.dcm", content)})


def test_a_file_is_tried_by_a_plain_form(node):
    """The page of the rules comes back with what they say of it."""
    image = small_series(seed=5)[0]
    content = file_bytes(image)

    answer = tried(node, content + b"\0" * 400_000)

    assert answer.status_code == 200
    assert image.SeriesInstanceUID in answer.text
    assert 'name="study"' in answer.text


@pytest.mark.parametrize("content", [b"", b"no DICOM at all"])
def test_a_file_that_cannot_be_tried_says_why(node, content):
    """On the same page, with the rules."""
    answer = tried(node, content)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_a_file_from_elsewhere_is_not_looked_at(node):
    """The form's secret comes first."""
    assert tried(node, b"x", secret="0" * 64).status_code == 403
    assert node.client("otto").post("/routing/file", content=b"x").status_code == 403


def test_the_rules_are_shown_though_the_file_is_gone(node):
    """Those that are in force."""
    node.desk.path.unlink()

    answer = node.client("anna").get("/routing")

    assert answer.status_code == 200
    assert "scout" in answer.text
