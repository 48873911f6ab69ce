"""Audit messages have the structure of the schema in PS3.15, A.5.1, and the codes of A.5.3.

The schema itself is RELAX NG (compact) in the standard's text. To check the messages against it,
copy it from section A.5.1 of PS3.15, turn it into XML syntax with `rnc2rng` or `trang`, and run
lxml's RelaxNG over `encode_message` of the messages in `MESSAGES`.
"""

import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from pydicom.sr.codedict import codes

from dicom_node.audit.codes import Event, EventType, RoleCode
from dicom_node.audit.events import (
    Party,
    StudyPart,
    application,
    configured,
    deleted,
    exported,
    queried,
    refused,
    transferred,
)
from dicom_node.audit.message import Action, AuditSource, Outcome, encode_message
from dicom_node.audit.people import (
    Person,
    accessed,
    account_changed,
    authenticated,
    downloaded,
    intervened,
    reconfigured,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NODE = Party(ae_title="ICHNODE", address="10.0.0.5")
SCANNER = Party(ae_title="CT1", address="10.0.0.21")
CT = "1.2.840.10008.5.1.4.1.1.2"
PART = StudyPart(study_uid="1.2.3", instances={CT: 30}, patient="4711")
ANNE = Person(user_id="anne", address="10.0.0.70")
SOURCE = AuditSource(source_id="ICHNODE", site_id="Hospital")

MESSAGES = {
    "start": application(NODE, "receiver", NOON, starts=True),
    "stop": application(NODE, "receiver", NOON, starts=False),
    "received": transferred(SCANNER, NODE, PART, NOON, source_began=True),
    "query": queried(NODE, SCANNER, "1.2.840.10008.5.1.4.1.2.2.1", NOON, outcome=Outcome.SUCCESS),
    "refused": refused(NODE, Party(ae_title="", address="10.9.9.9"), "not known", 3, NOON),
    "configured": configured(NODE, ["peers", "tls"], NOON),
    "exported": exported(NODE, "operator", "/exports/a", 12, NOON),
    "login": authenticated(NODE, ANNE, NOON, logs_in=True),
    "no login": authenticated(NODE, ANNE, NOON, logs_in=True, outcome=Outcome.MINOR_FAILURE),
    "logout": authenticated(NODE, ANNE, NOON, logs_in=False),
    "reconfigured": reconfigured(NODE, ANNE, "changed: peers", NOON, change="17"),
    "account": account_changed(NODE, ANNE, "ben", "role operator", NOON),
    "intervened": intervened(NODE, ANNE, "made urgent", ["1.2.3", "1.2.4"], NOON),
    "intervened nowhere": intervened(NODE, ANNE, "pacs held", [], NOON),
    "accessed": accessed(NODE, ANNE, PART, NOON),
    "deleted": deleted(NODE, PART, NOON, user="", is_whole_study=False),
    "study deleted": deleted(NODE, PART, NOON, user="anne@ct", is_whole_study=True),
    "updated": accessed(NODE, ANNE, PART, NOON, action=Action.UPDATE),
    "downloaded": downloaded(NODE, ANNE, PART, NOON),
}

CODE = {"csd-code", "codeSystemName", "originalText"}

#: Children in their order (with the least and the largest number), and attributes: all that the
#: schema allows of what the node writes, with those that it requires marked by "!".
SCHEMA = {
    "AuditMessage": (
        [
            ("EventIdentification", 1, 1),
            ("ActiveParticipant", 1, 99),
            ("AuditSourceIdentification", 1, 1),
            ("ParticipantObjectIdentification", 0, 99),
        ],
        set(),
    ),
    "EventIdentification": (
        [("EventID", 1, 1), ("EventTypeCode", 0, 99)],
        {"EventActionCode", "!EventDateTime", "!EventOutcomeIndicator"},
    ),
    "ActiveParticipant": (
        [("RoleIDCode", 0, 99), ("MediaIdentifier", 0, 1)],
        {
            *("!UserID", "AlternativeUserID", "!UserIsRequestor"),
            *("NetworkAccessPointID", "NetworkAccessPointTypeCode"),
        },
    ),
    "MediaIdentifier": ([("MediaType", 1, 1)], set()),
    "AuditSourceIdentification": (
        [("AuditSourceTypeCode", 0, 99)],
        {"AuditEnterpriseSiteID", "!AuditSourceID"},
    ),
    "AuditSourceTypeCode": ([], {"!csd-code"}),
    "ParticipantObjectIdentification": (
        [
            ("ParticipantObjectIDTypeCode", 1, 1),
            ("ParticipantObjectName", 0, 1),
            ("ParticipantObjectQuery", 0, 1),
            ("ParticipantObjectDetail", 0, 99),
            ("ParticipantObjectDescription", 0, 99),
        ],
        {"!ParticipantObjectID", "ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"},
    ),
    "ParticipantObjectName": ([], set()),
    "ParticipantObjectQuery": ([], set()),
    "ParticipantObjectDetail": ([], {"!type", "!value"}),
    "ParticipantObjectDescription": ([("SOPClass", 0, 99), ("Anonymized", 0, 1)], set()),
    "SOPClass": ([], {"UID", "!NumberOfInstances"}),
    "Anonymized": ([], set()),
    **{
        name: ([], {f"!{key}" for key in CODE})
        for name in (
            *("EventID", "EventTypeCode", "RoleIDCode", "MediaType"),
            "ParticipantObjectIDTypeCode",
        )
    },
}


def check(element):
    """Hold an element and what is in it to the table."""
    children, attributes = SCHEMA[element.tag]
    assert {key for key in attributes if key[0] == "!"} <= {f"!{key}" for key in element.attrib}
    assert set(element.attrib) <= {key.lstrip("!") for key in attributes}
    names = [child.tag for child in element]
    order = [name for name, _, _ in children]
    assert names == sorted(names, key=order.index)
    for name, least, most in children:
        assert least <= names.count(name) <= most, name
    if element.tag == "ParticipantObjectIdentification":
        assert names.count("ParticipantObjectName") + names.count("ParticipantObjectQuery") == 1
    for child in element:
        check(child)


def parsed(message):
    return ET.fromstring(encode_message(message, SOURCE))  # noqa: S314 - our own words


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_the_structure_of_the_schema(name):
    """Elements, their order and number, required attributes; a name or a query, never both."""
    check(parsed(MESSAGES[name]))


@pytest.mark.parametrize(
    ("name", "event", "kind", "action", "outcome"),
    [
        ("start", "110100", "110120", "E", "0"),
        ("stop", "110100", "110121", "E", "0"),
        ("received", "110104", None, "C", "0"),
        ("query", "110112", None, "E", "0"),
        ("refused", "110113", "110126", "E", "4"),
        ("configured", "110113", "110131", "E", "0"),
        ("exported", "110106", None, "R", "0"),
        ("login", "110114", "110122", "E", "0"),
        ("no login", "110114", "110122", "E", "4"),
        ("logout", "110114", "110123", "E", "0"),
        ("reconfigured", "110113", "110131", "E", "0"),
        ("account", "110113", "110137", "E", "0"),
        ("intervened", "110113", "110132", "E", "0"),
        ("accessed", "110103", None, "R", "0"),
        ("updated", "110103", None, "U", "0"),
        ("deleted", "110103", None, "D", "0"),
        ("study deleted", "110105", None, "D", "0"),
        ("downloaded", "110106", None, "R", "0"),
    ],
)
def test_an_event_has_the_codes_of_its_table(name, event, kind, action, outcome):
    """PS3.15, A.5.3.1 to A.5.3.12, with the codes of PS3.16, CID 400 and 401."""
    root = parsed(MESSAGES[name])
    identification = root.find("EventIdentification")

    assert identification.find("EventID").get("csd-code") == event
    types = [one.get("csd-code") for one in identification.findall("EventTypeCode")]
    assert types == ([] if kind is None else [kind])
    assert identification.get("EventActionCode") == action
    assert identification.get("EventOutcomeIndicator") == outcome
    assert identification.get("EventDateTime") == "2026-01-05T12:00:00.000+00:00"
    began = [one.get("UserIsRequestor") for one in root.findall("ActiveParticipant")]
    assert began.count("true") <= 1


def test_a_transfer_names_sender_receiver_study_and_patient():
    """A.5.3.7: source 110153, destination 110152, study 110180, patient number 2."""
    root = parsed(MESSAGES["received"])
    roles = {
        one.find("RoleIDCode").get("csd-code"): one for one in root.findall("ActiveParticipant")
    }
    study, patient = root.findall("ParticipantObjectIdentification")

    assert roles["110153"].get("AlternativeUserID") == "AETITLES=CT1"
    assert roles["110153"].get("NetworkAccessPointID") == "10.0.0.21"
    assert roles["110152"].get("UserID") == "ICHNODE"
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert study.find("ParticipantObjectIDTypeCode").get("csd-code") == "110180"
    assert study.find(".//SOPClass").attrib == {"UID": CT, "NumberOfInstances": "30"}
    assert patient.get("ParticipantObjectID") == "4711"
    assert patient.get("ParticipantObjectTypeCode") == "1"


PEOPLE = (
    *("login", "no login", "logout", "reconfigured", "account", "intervened"),
    *("accessed", "downloaded"),
)


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_is_the_requestor_and_told_with_an_address(name):
    """A.5.3.12 demands the address of whoever logs in; the others have it, too."""
    (person,) = [
        one
        for one in parsed(MESSAGES[name]).findall("ActiveParticipant")
        if one.get("UserIsRequestor") == "true"
    ]

    assert person.get("UserID") == "anne"
    assert person.get("NetworkAccessPointID") == "10.0.0.70"
    assert person.get("NetworkAccessPointTypeCode") == "2"


@pytest.mark.parametrize(
    ("name", "requestors"), [("deleted", ["NODE"]), ("study deleted", ["anne@ct"])]
)
def test_who_wanted_a_purge_is_its_requestor(name, requestors):
    """The node's own retention, or a person beside the node (PS3.15, A.5.3.8: one or two)."""
    people = parsed(MESSAGES[name]).findall("ActiveParticipant")

    wanted = [one.get("UserID") for one in people if one.get("UserIsRequestor") == "true"]
    assert [one.replace(NODE.ae_title, "NODE") for one in wanted] == requestors


def test_an_intervention_names_each_study():
    """And what was done, at each of them; without a study, the node itself."""
    studies = parsed(MESSAGES["intervened"]).findall("ParticipantObjectIdentification")
    (node,) = parsed(MESSAGES["intervened nowhere"]).findall("ParticipantObjectIdentification")

    assert [one.get("ParticipantObjectID") for one in studies] == ["1.2.3", "1.2.4"]
    for one in studies:
        detail = one.find("ParticipantObjectDetail")
        assert base64.b64decode(detail.get("value")) == b"made urgent"
    assert node.get("ParticipantObjectID") == "ICHNODE"
    assert node.find("ParticipantObjectIDTypeCode").get("csd-code") == "110182"


def test_what_identifies_no_patient_names_none():
    """An empty number stands for: the site does not want it."""
    part = StudyPart(study_uid="1.2.3", instances={CT: 1})
    (study,) = parsed(transferred(SCANNER, NODE, part, NOON, source_began=True)).findall(
        "ParticipantObjectIdentification"
    )

    assert study.get("ParticipantObjectTypeCode") == "2"


def test_a_refusal_says_why_in_base64():
    """Details are xsd:base64Binary in the schema, so that nothing in them can be markup."""
    details = parsed(MESSAGES["refused"]).findall(".//ParticipantObjectDetail")

    assert {one.get("type"): base64.b64decode(one.get("value")) for one in details} == {
        "Alert Description": b"not known",
        "Associations": b"3",
    }


@pytest.mark.parametrize("title", ['<A b="1">&', "A\x00B\x1b\ud800", "\ufffe", ""])
def test_no_caller_can_break_the_message(title):
    """A stranger may send any bytes as its AE title."""
    root = parsed(refused(NODE, Party(ae_title=title, address=""), "no", 1, NOON))

    check(root)


@pytest.mark.parametrize("code", [*Event, *EventType, *RoleCode], ids=lambda code: code.name)
def test_a_code_is_that_of_the_dictionary(code):
    """Pydicom's copy of PS3.16, annex D, by the keyword of the meaning."""
    value, meaning = code.value

    known = getattr(codes.DCM, "".join(word[0].upper() + word[1:] for word in meaning.split()))

    assert (known.value, known.meaning) == (value, meaning)
