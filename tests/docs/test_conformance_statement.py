"""The conformance statement has the sections of PS3.2 Annex N and says what the node does."""

import json
import re
from pathlib import Path

import made_objects
import pytest

from dicom_node.association.presentation import ACCEPTED, PROPOSED, QUERIED
from dicom_node.association.store_answer import StoreStatus
from dicom_node.conformance.statement import conformance_statement
from dicom_node.results import codes

#: Sections of the template (PS3.2, Annex N) from the first to the last, without their subsections.
SECTIONS = (
    "1 Overview",
    "2 Table of contents",
    "3 Introduction",
    "4 Implementation model",
    "5 Service and interoperability description",
    "6 Configuration",
    "7 Network and media communication details",
    "8 Security",
    "Annex A.A Information Object Definitions",
    "Annex A.B Structured Report content encoding",
    "Annex A.C Security details",
    "Annex A.D Mapping of attributes",
    "Annex A.E Code set usage",
)


@pytest.fixture(scope="module")
def statement():
    return conformance_statement()


def section(statement, title):
    after = statement.split(f"## {title}", 1)[1]
    return after.split("\n## ", 1)[0]


def test_the_sections_are_those_of_the_template(statement):
    """In their order, each once."""
    assert tuple(re.findall(r"^## (.*)$", statement, re.MULTILINE)) == SECTIONS


def test_the_subsections_of_a_section_rise(statement):
    """5.2.6 stands before 5.2.7, wherever its text is written."""
    numbers = [
        tuple(int(part) for part in number.split("."))
        for number in re.findall(r"^#{3,5} (\d(?:\.\d)+) ", statement, re.MULTILINE)
    ]

    assert numbers == sorted(set(numbers))


def test_every_context_that_is_negotiated_stands_in_it(statement):
    """The pairs of SOP class and transfer syntax, in the section on associations or queries."""
    for context in (*ACCEPTED, *PROPOSED, *QUERIED):
        for syntax in context.transfer_syntaxes:
            row = f"| {context.name} | {context.sop_class_uid} | {syntax.name} | {syntax} |"
            assert row in statement


def test_every_status_that_is_answered_stands_in_it(statement):
    """Of C-STORE."""
    table = section(statement, "7 Network and media communication details")

    for status in StoreStatus:
        assert f"| {status:04X}H |" in table, status


def test_every_code_of_the_encoders_stands_in_it(statement):
    """Those in dictionaries, too."""
    table = section(statement, "Annex A.E Code set usage")

    assert f"| SCT | `{codes.BRAIN.value}` | {codes.BRAIN.meaning} |" in table
    for code in (*codes.QUALITY_FLAG.values(), *codes.FOLLOW_UP_FLAG.values()):
        assert f"| {codes.PRIVATE_SCHEME} | `{code.value}` | {code.meaning} |" in table


def test_the_tables_of_objects_are_those_of_objects_made_now():
    """``make conformance`` writes them; private attributes would have stopped it."""
    committed = json.loads(made_objects.TARGET.read_text(encoding="utf-8"))

    assert made_objects.tables() == committed


def test_no_report_holds_a_concept_without_a_code(statement):
    """Every content item of the tables names its concept; key objects have none (TID 2010)."""
    rows = re.findall(
        r"^\| &gt;[^|]*\|(?! IMAGE \| CONTAINS)", section(statement, "Annex A.B"), re.MULTILINE
    )

    assert len(rows) > 100
    assert [row for row in rows if "(" not in row] == []


def test_the_committed_file_is_this_statement(statement):
    """The same is asked in the house tests; here it is near its tables."""
    committed = Path(__file__).parents[2] / "docs" / "conformance.md"

    assert committed.read_text(encoding="utf-8") == statement
