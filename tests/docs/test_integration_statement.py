"""The IHE statement is current, and what it claims is shown by tests that exist."""

import re
from pathlib import Path

import pytest

from dicom_node.conformance.integration import ACTORS, Met, integration_statement

ROOT = Path(__file__).parents[2]
ANSWERS = [answer for actor in ACTORS for answer in actor.answers]


def test_the_committed_file_is_this_statement():
    """``make conformance`` writes it."""
    committed = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")

    assert committed == integration_statement()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.key)
def test_a_claim_is_shown_by_tests(answer):
    """Each named test is a function of that file; who claims nothing names none."""
    if answer.met is not Met.NO:
        assert answer.shown_by
    for test in answer.shown_by:
        name, function = test.split("::")
        text = (ROOT / "tests" / name).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), test


def test_requirements_are_numbered_without_a_gap():
    """None is left out in silence."""
    for actor in ACTORS:
        numbers = [int(answer.key.rsplit("-", 1)[1]) for answer in actor.answers]
        assert numbers == list(range(1, len(numbers) + 1))
