"""Targets that read or write what is kept: model cards, answers to queries, audit, log lines."""

import contextlib
import json
import logging
import tempfile
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

from fuzz.campaign import Target
from fuzz.edges import ROOT
from fuzz.log_watch import LogWatch
from fuzz.mutation import HOSTILE, blind, elements, tokens
from node_builders import START, encoded, small_series
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as decode_data_set
from pynetdicom.dsutils import encode as encode_data_set

from dicom_node.association import query
from dicom_node.audit import events
from dicom_node.audit.message import AccessPoint, AuditSource, Outcome, encode_message
from dicom_node.audit.syslog import frame
from dicom_node.errors import UnaskablePatientError
from dicom_node.intake.patient_identity import read_patient_identity
from pipeline.card_json import card_from_json, card_to_json
from pipeline.errors import ModelBundleError

_VALUES = (
    *(None, True, False, -1, 0, 1, 2**31, 2**63, 10**400, 1e308, -1e-320),
    *("", "x", "nan", "../..", "\0", "\ud800", [], [[]], {}, {"": None}),
)
_JSON = tokens((b"[" * 5000, b"{", b"}", b'"', b"NaN", b"1e999", b"9" * 5000, b"\xff", b"null"))


def structure(data: bytes, random: Random) -> bytes:
    """Change one value of a JSON document, wherever it stands."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return blind(data, random)
    places = list(_places(document))
    if not places:
        return data
    holder, key = random.choice(places)
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1:
            holder[key] = random.choice(random.choice(places)[0:1] or [None])  # another part
            if _depth_is_endless(document):
                holder[key] = None
        case 2 if isinstance(holder, dict):
            holder[random.choice(("", "name", "x" * 500))] = random.choice(_VALUES)
        case _:
            holder[key] = random.choice(_VALUES)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _depth_is_endless(document: object) -> bool:
    try:
        json.dumps(document)
    except ValueError:
        return True
    return False


def _places(node: object):
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])


def _card(data: bytes) -> None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    with contextlib.suppress(ModelBundleError):
        card = card_from_json(text, where="card")
        assert card_from_json(card_to_json(card), where="again") == card


def _found(data: bytes) -> None:
    try:
        answer = decode_data_set(BytesIO(data), False, True)
    except Exception:  # noqa: BLE001 - pynetdicom's part; the answer is left out
        return
    patient = query.PatientIdentity(patient_id="P1", birth_date="19500101", sex="F")
    asked = query.StudyQuery(
        patient=patient, first_day=date(2026, 1, 1), last_day=date(2026, 1, 9)
    )
    query._is_wanted(answer, asked)
    query.remote_series(answer, answer)
    encode_data_set(query.series_keys(answer), False, True)


def _identity(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(UnaskablePatientError):
            read_patient_identity(Path(file.name))


def _words(data: bytes) -> list[str]:
    """Return texts such as a hostile caller, a configuration or a file system may give."""
    texts = [part.decode("utf-8", "surrogateescape") for part in data.split(b"\x1f")]
    return [*texts, *[""] * 6]


def _audit(data: bytes) -> None:
    title, address, reason, site, user, uid, *_ = _words(data)
    node = events.Party(ae_title="ICHNODE", address="127.0.0.1")
    other = events.Party(ae_title=title, address=address, point=AccessPoint.NAME)
    part = events.StudyPart(study_uid=uid, instances={uid: 3}, patient=user)
    for message in (
        events.application(other, user, START, starts=True),
        events.transferred(other, node, part, START, source_began=True),
        events.queried(node, other, uid, START, outcome=Outcome.MINOR_FAILURE),
        events.refused(node, other, reason, 3, START),
        events.configured(node, [reason, user], START),
        events.exported(node, user, reason, 2, START),
    ):
        xml = encode_message(message, AuditSource(source_id=title, site_id=site))
        assert ET.fromstring(xml).tag == "AuditMessage"  # noqa: S314 - our own words
        header = frame(xml, host=title, at=START)[: -len(xml)]
        assert b"\n" not in header
        assert len(header) < 400


@cache
def _watch() -> LogWatch:
    return LogWatch()


def _log_line(data: bytes) -> None:
    title, address, *_ = _words(data)
    error = ValueError(title)
    record = logging.LogRecord(
        "dicom_node", logging.WARNING, __file__, 1, "Refused %r from %s: %s",
        (title, address, error), (ValueError, error, None),
    )  # fmt: skip
    _watch().handle(record)
    _watch().check()


_TITLES = tokens((*HOSTILE, b"\x1f", b"\0", b"\x1b[2J", b"\r\n", b"]]>", b"&#0;", b"\xed\xa0\x80"))


def _texts(data: bytes, random: Random) -> bytes:
    return _TITLES(data, random)[:2000]


def _cards() -> list[bytes]:
    return [path.read_bytes() for path in sorted(ROOT.glob("pipeline/bundles/*/card.json"))]


def _answer() -> bytes:
    answer = Dataset()
    answer.QueryRetrieveLevel = "STUDY"
    answer.SpecificCharacterSet = "ISO_IR 100"
    answer.StudyInstanceUID, answer.PatientID, answer.StudyDate = "1.2.3", "P1", "20260105"
    answer.StudyTime, answer.ModalitiesInStudy = "080000", ["CT", "MR"]
    answer.PatientBirthDate, answer.PatientSex = "19500101", "F"
    answer.SeriesInstanceUID, answer.SeriesDescription = "1.2.3.4", "Head"
    answer.NumberOfSeriesRelatedInstances = 12
    return encoded(answer)


def _file() -> bytes:
    buffer = BytesIO()
    small_series(1)[0].save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def targets() -> list[Target]:
    """Return the targets of this module."""
    words = b"\x1f".join((b"CT1", b"10.0.0.1", b"unknown", b"Hospital", b"operator", b"1.2.3"))
    file = _file()
    return [
        Target(
            name="cards",
            seeds=_cards(),
            check=_card,
            mutations=(structure, structure, structure, _JSON, blind),
            watched=("pipeline/card_json.py", "pipeline/model_card.py"),
        ),
        Target(
            name="found",
            seeds=[_answer()],
            check=_found,
            mutations=(elements, elements, blind),
        ),
        Target(
            name="identity",
            seeds=[file],
            check=_identity,
            mutations=(elements, blind),
        ),
        Target(
            name="audit",
            seeds=[words],
            check=_audit,
            mutations=(_texts, _texts, blind),
        ),
        Target(
            name="log_lines",
            seeds=[words],
            check=_log_line,
            mutations=(_texts, _texts, blind),
        ),
    ]
