"""Answers to STOW-RS as XML mean what they mean as JSON, and strangers' XML does no harm."""

import pytest
from pydicom.dataset import Dataset
from validator_programs import run

from dicom_node.association.storage_scu import OutgoingFile, SendKind
from dicom_node.delivery.native_xml import read_native_xml
from dicom_node.delivery.stow_answer import outcomes

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: The form of PS3.19, A.1.6, written by hand: one stored, one with a warning, one failed.
ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
  <DicomAttribute keyword="RetrieveURL" tag="00081190" vr="UR">
    <Value number="1">https://vna.example/studies/1.2</Value>
  </DicomAttribute>
  <DicomAttribute keyword="ReferencedSOPSequence" tag="00081199" vr="SQ">
    <Item number="1">
      <DicomAttribute keyword="ReferencedSOPInstanceUID" tag="00081155" vr="UI">
        <Value number="1">1.2.1</Value>
      </DicomAttribute>
    </Item>
    <Item number="2">
      <DicomAttribute keyword="ReferencedSOPInstanceUID" tag="00081155" vr="UI">
        <Value number="1">1.2.2</Value>
      </DicomAttribute>
      <DicomAttribute keyword="WarningReason" tag="00081196" vr="US">
        <Value number="1">45056</Value>
      </DicomAttribute>
    </Item>
  </DicomAttribute>
  <DicomAttribute keyword="FailedSOPSequence" tag="00081198" vr="SQ">
    <Item number="1">
      <DicomAttribute keyword="ReferencedSOPInstanceUID" tag="00081155" vr="UI">
        <Value number="1">1.2.3</Value>
      </DicomAttribute>
      <DicomAttribute keyword="FailureReason" tag="00081197" vr="US">
        <Value number="1">290</Value>
      </DicomAttribute>
    </Item>
  </DicomAttribute>
</NativeDicomModel>
"""


@pytest.fixture
def files(tmp_path):
    """Return three files that were sent."""
    return [
        OutgoingFile(
            path=tmp_path / str(number),
            sop_class_uid=CAPTURE,
            sop_instance_uid=f"1.2.{number}",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        for number in (1, 2, 3)
    ]


def fates(files, body, status=202):
    return [(one.kind, one.status) for one in outcomes("vna", files, status=status, body=body)]


EXPECTED = [(SendKind.ACCEPTED, 0), (SendKind.WARNING, 0xB000), (SendKind.REFUSED, 0x0122)]


@pytest.mark.parametrize(
    "body",
    [
        ANSWER.encode(),
        b"\xef\xbb\xbf\r\n" + ANSWER.partition("\n")[2].encode(),
        ANSWER.replace(' xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"', "").encode(),
        ANSWER.replace("<D", "<n:D")
        .replace("</D", "</n:D")
        .replace("xmlns=", "xmlns:n=")
        .encode(),
    ],
    ids=["plain", "marked", "no namespace", "prefixed"],
)
def test_each_object_has_its_fate(files, body):
    """With or without byte order mark, namespace and prefix."""
    assert fates(files, body) == EXPECTED


@pytest.mark.acceptance
def test_the_document_of_another_maker_is_read(files, tmp_path):
    """DCMTK's dcm2xml writes the same response in the native format."""
    answer = Dataset()
    stored, warned, failed = (Dataset() for _ in files)
    for one, file in zip((stored, warned, failed), files, strict=True):
        one.ReferencedSOPClassUID = CAPTURE
        one.ReferencedSOPInstanceUID = file.sop_instance_uid
    warned.WarningReason = 0xB000
    failed.FailureReason = 0x0122
    answer.ReferencedSOPSequence = [stored, warned]
    answer.FailedSOPSequence = [failed]
    answer.save_as(tmp_path / "answer.dcm", implicit_vr=False, little_endian=True)

    run("dcm2xml", "-f", "-nat", tmp_path / "answer.dcm", tmp_path / "answer.xml")

    assert fates(files, (tmp_path / "answer.xml").read_bytes()) == EXPECTED


def tenfold(name, of):
    """Return an entity that stands for ten of another."""
    return f'<!ENTITY {name} "{f"&{of};" * 10}">'


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(map(tenfold, "bcdefghij", "abcdefghi"))
    + "]>"
)


@pytest.mark.parametrize(
    "body",
    [
        ANSWER.replace("<NativeDicomModel", BOMB + "<NativeDicomModel", 1).encode(),
        ANSWER.replace(
            "<NativeDicomModel", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel', 1
        ).encode(),
        ANSWER.encode()[:-30],
        b"<html><body>Bad gateway</body></html>",
        b"<" * 100_000,
        b'<?xml version="1.0" encoding="no-such-code"?><x/>',
    ],
    ids=["bomb", "outside entity", "cut off", "html", "garbage", "encoding"],
)
def test_a_document_that_is_not_read_stores_nothing(files, body):
    """The status alone says what happened then: 202 is no success."""
    assert fates(files, body) == [(SendKind.REFUSED, None)] * 3


def test_nesting_has_an_end():
    """A hundred thousand items in each other neither exhaust the stack nor are kept."""
    deep = '<DicomAttribute tag="00081199" vr="SQ"><Item number="1">' * 50_000

    assert read_native_xml(f"<NativeDicomModel>{deep}".encode()) == {}


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        ("US", "290", 290),
        ("US", " 290 ", 290),
        ("US", "9" * 5000, "9" * 5000),
        ("US", "-1", "-1"),
        ("US", "\u0662", "\u0662"),
        ("UI", "290", "290"),
        ("US", "", ""),
    ],
)
def test_numbers_are_numbers(vr, text, value):
    """By VR; what is no short row of digits stays text, and no reason is read from it."""
    document = (
        f'<x><DicomAttribute tag="0008119a" vr="{vr}"><Value number="1">{text}</Value>'
        "</DicomAttribute></x>"
    )

    assert read_native_xml(document.encode()) == {"0008119A": {"vr": vr, "Value": [value]}}
