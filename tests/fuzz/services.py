"""Targets that read what DICOMweb services send: workitems, parts, data sets as XML."""

import contextlib
import json
from email.errors import MessageError
from io import BytesIO

from fuzz.campaign import Target
from fuzz.mutation import blind, tokens
from fuzz.papers import structure

from dicom_node.delivery.native_xml import read_native_xml
from dicom_node.errors import PeerError
from dicom_node.web_service import WebAnswer, WebService
from dicom_node.worklist.multipart import BrokenMultipartError, boundary_of, parts
from dicom_node.worklist.service import WorklistService
from dicom_node.worklist.workitem import ClaimRules, is_wanted, read_workitem

_LONGEST_PART = 4096
_BOUNDARY = b"edge"


def _workitem(data: bytes) -> None:
    service = WorklistService(service=WebService(name="ris", url="http://127.0.0.1:1/x"))
    rules = ClaimRules(codes=frozenset({"121726"}), labels=(), station="ICHNODE")
    with contextlib.suppress(PeerError):
        for data_set in service._data_sets(WebAnswer(status=200, body=data)):
            item = read_workitem(data_set)
            json.dumps([item.uid, item.label, list(item.stations)])
            is_wanted(item, rules)


def _multipart(data: bytes) -> None:
    kind, _, body = data.partition(b"\n")
    with contextlib.suppress(BrokenMultipartError, MessageError):
        boundary = boundary_of(kind.decode("latin-1"))
        found = 0
        for part in parts(BytesIO(body).read, boundary, longest=_LONGEST_PART):
            assert len(part) <= _LONGEST_PART
            found += 1
        assert found <= body.count(boundary)


def _xml(data: bytes) -> None:
    json.dumps(read_native_xml(data))


def _element(tag: str, vr: str, *values: object) -> dict:
    return {tag: {"vr": vr, "Value": list(values)}}


def _workitems() -> list[bytes]:
    """Return an answer to a search as PS3.18, section 11.9, has it."""
    code = _element("00080100", "SH", "121726") | _element("00080102", "SH", "DCM")
    code |= _element("00080104", "LO", "Hematoma")
    image = _element("00081150", "UI", "1.2.840.10008.5.1.4.1.1.2")
    images = _element("0020000D", "UI", "1.2.3") | _element("0020000E", "UI", "1.2.3.4")
    images |= _element("00081199", "SQ", image)
    item = _element("00080018", "UI", "1.2.3.9") | _element("00741000", "CS", "SCHEDULED")
    item |= _element("00741204", "LO", "Head CT") | _element("00404041", "CS", "READY")
    item |= _element("00741200", "CS", "HIGH") | _element("00404018", "SQ", code)
    item |= _element("00404025", "SQ", code) | _element("00404021", "SQ", images)
    item |= _element("00404005", "DT", "20260105080000") | _element("00741002", "SQ", code)
    return [json.dumps([item]).encode()]


_XML = tokens(
    (
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"&#0;", b"<![CDATA[", b"<a>" * 500, b"</",
        b"<?xml version='1.1' encoding='utf-7'?>", b"\xff\xfe", b'xmlns="x"', b"<Item>" * 40,
        b'<Value number="1">', b"9" * 5000, b"\0",
    )
)  # fmt: skip
_MARKS = tokens(
    (
        b"--", b"--edge", b"--edge--", b"\r\n--edge\r\n", b"\r\n\r\n", b"\n\n", b"x" * 5000,
        b'boundary="', b"boundary*=utf-8''%ff", b"boundary=;", b"\r\n--edge" * 50, b"\0",
    )
)  # fmt: skip


def targets() -> list[Target]:
    """Return the targets of this module."""
    part = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + b"DICM" * 20
    many = b"multipart/related; boundary=edge\n" + part + b"\r\n" + part + b"\r\n--edge--"
    xml = (
        b'<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/Native'
        b'DICOM"><DicomAttribute tag="00081199" vr="SQ"><Item number="1"><DicomAttribute tag="0008'
        b'1155" vr="UI"><Value number="1">1.2.3.1</Value></DicomAttribute><DicomAttribute tag="000'
        b'81197" vr="US"><Value number="1">272</Value></DicomAttribute></Item></DicomAttribute>'
        b"</NativeDicomModel>"
    )
    return [
        Target(
            name="workitem",
            seeds=_workitems(),
            check=_workitem,
            mutations=(structure, structure, blind),
            watched=("dicom_node/worklist/",),
        ),
        Target(
            name="multipart",
            seeds=[many],
            check=_multipart,
            mutations=(_MARKS, _MARKS, blind),
            watched=("dicom_node/worklist/multipart.py",),
        ),
        Target(
            name="native_xml",
            seeds=[xml],
            check=_xml,
            mutations=(_XML, _XML, blind),
            watched=("dicom_node/delivery/native_xml.py",),
        ),
    ]
