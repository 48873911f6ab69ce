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

#: Headings of the template (PS3.2, Annex N) from the first to the last, as far as the statement
#: has them; "<AE1>" is "ichnode AE". Compared with pages of the standard's editions 2023a to 2025a
#: (dicom.nema.org, chtml/part02/sect_N..., some of them excerpts): 5.2.5, 5.2.5.1, 5.2.5.1.1,
#: 5.2.5.2, 5.2.7, 5.2.7.1, 5.7, 6, 6.1, 6.2, most below 7.2 and 7.3, A.A, A.A.1, A.C.2.2, and that
#: the fourth transaction of a web service is Search. The others with a statement of another
#: product, which says that it follows edition 2026d; 5.2.6.1, 5.2.6.2, 5.2.7.2 and 5.2.7.3 are
#: named after their neighbours.
HEADINGS = (
    "1 Overview",
    "1.1 Content and Transfer",
    "1.1.1 Structured Reporting Root Template IDs",
    "1.2 DIMSE Services",
    "1.3 DICOM Web Services",
    "1.4 Media Services",
    "1.5 Real-Time Video Service",
    "1.6 De-identification Profiles",
    "1.7 Specific Character Sets",
    "2 Table of Contents",
    "3 Introduction",
    "3.1 Revision History",
    "3.2 Audience",
    "3.3 Remarks",
    "3.4 Terms and Definitions",
    "3.5 Abbreviations",
    "3.6 References",
    "4 Implementation Model",
    "4.1 Application Entities and Data Flow",
    "4.1.1 Functional Definition of ichnode AE",
    "5 Service and Interoperability Description",
    "5.1 Mapping of Services to Application Entities",
    "5.2 DIMSE Services",
    "5.2.1 Basic Worklist Management Service",
    "5.2.2 Modality Performed Procedure Step Service",
    "5.2.3 Unified Worklist and Procedure Step Service",
    "5.2.4 Instance Availability Notification Service",
    "5.2.5 Storage Service",
    "5.2.5.1 SCU of the Storage SOP Classes",
    "5.2.5.1.1 Transcoding of Transfer Syntaxes",
    "5.2.5.2 SCP of the Storage SOP Classes",
    "5.2.6 Storage Commitment Service",
    "5.2.6.1 SCU of the Storage Commitment Push Model SOP Class",
    "5.2.6.2 SCP of the Storage Commitment Push Model SOP Class",
    "5.2.7 Query/Retrieve Service Class",
    "5.2.7.1 SCU of the Study Root Q/R Information Model - FIND SOP Class",
    "5.2.7.2 SCU of the Study Root Q/R Information Model - MOVE SOP Class",
    "5.2.7.3 SCU of the Study Root Q/R Information Model - GET SOP Class",
    "5.2.8 Print Management Service",
    "5.3 DICOM Web Services",
    "5.3.1 URI Web Service",
    "5.3.2 Studies Web Service",
    "5.3.2.1 Media Types",
    "5.3.2.2 Retrieve Transaction",
    "5.3.2.3 Store Transaction",
    "5.3.2.4 Search Transaction",
    "5.3.3 Worklist Web Service",
    "5.3.4 Non-Patient Instance Web Service",
    "5.3.5 Notification Web Service",
    "5.3.6 Storage Commitment Web Service",
    "5.3.7 Modality Scheduled Procedure Step Web Service",
    "5.3.8 Modality Performed Procedure Step Web Service",
    "5.4 Media Services",
    "5.5 Real-Time Video Services",
    "5.6 Cross-Service Considerations",
    "5.7 Specific Character Sets",
    "6 Configuration",
    "6.1 General Configuration Parameters",
    "6.2 Configuration of DIMSE Services",
    "6.3 Configuration of DICOM Web Services",
    "6.4 Configuration of Media Storage Service",
    "6.5 Configuration of Real-Time Video Service",
    "6.6 Configuration of Audit Trail - Syslog",
    "7 Network and Media Communication Details",
    "7.1 General",
    "7.1.1 General Association Parameters",
    "7.2 Specifications",
    "7.2.1 ichnode Application Entity",
    "7.2.1.1 Sequencing of Real-World Activities for ichnode AE",
    "7.2.1.2 Association Parameters of ichnode AE",
    "7.2.1.3 Association Initiation",
    "7.2.1.4 Association Acceptance",
    "7.3 Status Codes",
    "7.3.1 General AE Communication and Failure Behavior and Handling",
    "7.3.1.1 Communication Failure Behavior as Association Initiator",
    "7.3.1.2 Communication Failure Handling as Association Acceptor",
    "7.3.2 DIMSE Services",
    "7.3.2.5 Storage Service",
    "7.3.2.5.1 SCU of the Storage SOP Classes - C-STORE",
    "7.3.2.5.2 SCP of the Storage SOP Classes - C-STORE",
    "7.3.2.6 Storage Commitment Service",
    "7.3.2.7 Query/Retrieve Service",
    "7.3.3 DICOM Web Services",
    "8 Security",
    "8.1 Introduction",
    "8.2 External Network Requirements",
    "8.3 TCP Port Configuration",
    "8.4 DICOM Security Profiles Support",
    "8.5 User Identity Negotiation Support",
    "8.6 Web Services Security Features",
    "8.7 Other Security Features",
    "Annex A.A Information Object Definitions (IODs)",
    "A.A.1 Information Shared Across Multiple IODs",
    "Annex A.B Structured Report Content Encoding",
    "Annex A.C Security Details",
    "A.C.1 External Network Requirement Details",
    "A.C.2 DICOM Security Profile Details",
    "A.C.2.2 Audit Trail Messages",
    "Annex A.D Mapping of Attributes",
    "Annex A.E Code Set Usage",
)


@pytest.fixture(scope="module")
def statement():
    return conformance_statement()


def section(statement, title):
    after = statement.split(f"## {title}", 1)[1]
    return after.split("\n## ", 1)[0]


def test_the_headings_are_those_of_the_template(statement):
    """In their order, each once; below A.A and A.B stand the objects and reports of the node."""
    found = re.findall(r"^#{2,6} (.*)$", statement, re.MULTILINE)
    own = re.compile(r"A\.A\.[2-9] |A\.B\.\d ")

    assert tuple(each for each in found if not own.match(each)) == HEADINGS


def test_the_subsections_of_a_section_rise(statement):
    """5.2.6 stands before 5.2.7, wherever its text is written."""
    numbers = [
        tuple(int(part) for part in number.split("."))
        for number in re.findall(r"^#{3,6} (\d(?:\.\d)+) ", statement, re.MULTILINE)
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
    table = section(statement, "7 Network and Media Communication Details")

    for status in StoreStatus:
        assert f"| {status:04X}H |" in table, status


def test_every_code_of_the_encoders_stands_in_it(statement):
    """Those in dictionaries, too."""
    table = section(statement, "Annex A.E Code Set Usage")

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
