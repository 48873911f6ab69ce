"""One SOP Instance in the node's custody, and the few things that the node must know of it."""

import hashlib
import hmac
from dataclasses import dataclass

from dicom_node.association.store_request import StoreRequest
from dicom_node.errors import InstanceMismatchError, UnreadableInstanceError
from dicom_node.intake.header import HeaderTag, read_beginning, read_header

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]

#: Longest UID (PS3.5, section 9.1).
_MAX_UID_LENGTH = 64

_VECTOR_LENGTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceAttributes:
    """Where an image lies in its series, as far as its header says so.

    Attributes
    ----------
    instance_number : int or None
        Instance Number.
    position_lps_mm : Vector or None
        Image Position (Patient).
    orientation : Orientation or None
        Image Orientation (Patient).
    frames : int
        Number of Frames, 1 in a single-frame image.
    """

    instance_number: int | None = None
    position_lps_mm: Vector | None = None
    orientation: Orientation | None = None
    frames: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAttributes:
    """What selection may ask of a series, as one of its images says it.

    Texts are empty where the attribute is absent. None of them describes the patient.
    """

    modality: str = ""
    sop_class_uid: str = ""
    image_type: str = ""
    description: str = ""
    protocol: str = ""
    body_part: str = ""
    kernel: str = ""
    contrast_agent: str = ""
    manufacturer: str = ""
    station: str = ""
    study: str = ""
    priority: str = ""
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """An encoded SOP Instance as received, with what was read of its header.

    Attributes
    ----------
    request : StoreRequest
        The bytes, the association they came over and when.
    study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid : str
        Identity, from the data set.
    patient_key : str
        Keyed hash of Patient ID and its issuer: tells whether two instances are of one
        patient, not of whom. Empty without a Patient ID: nobody knows whose it is.
    patient_id_key, issuer_key : str
        The same for Patient ID and for its issuer alone, empty where the image does not say:
        many senders leave the issuer out, an archive adds it.
    accession_key : str
        The same for the Accession Number.
    content_digest : str
        SHA-256 over transfer syntax and data set, hexadecimal.
    slice_attributes : SliceAttributes
        For assembly.
    series_attributes : SeriesAttributes
        For selection.
    """

    request: StoreRequest
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    patient_key: str
    patient_id_key: str
    issuer_key: str
    accession_key: str
    content_digest: str
    slice_attributes: SliceAttributes
    series_attributes: SeriesAttributes


def receive(request: StoreRequest, *, patient_salt: bytes) -> ReceivedInstance:
    """Return the instance with what its header says.

    Raises
    ------
    UnreadableInstanceError
        If the data set cannot be walked, is cut off, or lacks a UID.
    InstanceMismatchError
        If SOP Class or Instance UID differ from the command set (PS3.4, table B.2-1).
    """
    header = read_header(request.data_set, request.transfer_syntax_uid)
    sop_class_uid = _uid(header, HeaderTag.SOP_CLASS_UID)
    sop_instance_uid = _uid(header, HeaderTag.SOP_INSTANCE_UID)
    if (sop_class_uid, sop_instance_uid) != (request.sop_class_uid, request.sop_instance_uid):
        raise InstanceMismatchError(
            f"The request announced {request.sop_instance_uid} of class {request.sop_class_uid}, "
            f"the data set is {sop_instance_uid} of class {sop_class_uid}"
        )
    return ReceivedInstance(
        request=request,
        study_instance_uid=_uid(header, HeaderTag.STUDY_INSTANCE_UID),
        series_instance_uid=_uid(header, HeaderTag.SERIES_INSTANCE_UID),
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        patient_key=_patient_key(header, patient_salt),
        patient_id_key=_key(header, HeaderTag.PATIENT_ID, patient_salt),
        issuer_key=_key(header, HeaderTag.ISSUER_OF_PATIENT_ID, patient_salt),
        accession_key=_key(header, HeaderTag.ACCESSION_NUMBER, patient_salt),
        content_digest=content_digest(request.transfer_syntax_uid, request.data_set),
        slice_attributes=_slice_attributes(header),
        series_attributes=_series_attributes(header, sop_class_uid),
    )


def beginning_of(
    beginning: bytes, transfer_syntax_uid: str
) -> tuple[str, SliceAttributes, SeriesAttributes]:
    """Return the Series Instance UID and what selection may ask, of the beginning of a data set.

    Raises
    ------
    UnreadableInstanceError
        If it cannot be read, or lacks a UID.
    """
    header = read_beginning(beginning, transfer_syntax_uid)
    sop_class_uid = _uid(header, HeaderTag.SOP_CLASS_UID)
    return (
        _uid(header, HeaderTag.SERIES_INSTANCE_UID),
        _slice_attributes(header),
        _series_attributes(header, sop_class_uid),
    )


def content_digest(transfer_syntax_uid: str, data_set: bytes | memoryview) -> str:
    """Return what tells two contents of one SOP Instance UID apart: SHA-256, hexadecimal."""
    digest = hashlib.sha256(transfer_syntax_uid.encode() + b"\0")
    digest.update(data_set)
    return digest.hexdigest()


def _patient_key(header: dict[HeaderTag, bytes], salt: bytes) -> str:
    if not header.get(HeaderTag.PATIENT_ID, b"").strip(b" \0"):
        return ""
    identity = b"\0".join(
        header.get(tag, b"").strip(b" \0")
        for tag in (HeaderTag.PATIENT_ID, HeaderTag.ISSUER_OF_PATIENT_ID)
    )
    return hmac.digest(salt, identity, "sha256").hex()[:32]


def patient_id_key(patient_id: str, *, patient_salt: bytes) -> str:
    """Return the key under which images of this Patient ID are in custody.

    Only of IDs without characters beyond ASCII: how those are encoded differs by image.
    """
    return _typed_key(patient_id, HeaderTag.PATIENT_ID, patient_salt)


def accession_key(number: str, *, patient_salt: bytes) -> str:
    """Return the key under which images of this Accession Number are in custody; ASCII, too."""
    return _typed_key(number, HeaderTag.ACCESSION_NUMBER, patient_salt)


def _typed_key(text: str, tag: HeaderTag, salt: bytes) -> str:
    """Return the key of a value as somebody types it."""
    return _key({tag: text.strip().encode("ascii", errors="replace")}, tag, salt)


def _key(header: dict[HeaderTag, bytes], tag: HeaderTag, salt: bytes) -> str:
    value = header.get(tag, b"").strip(b" \0")
    if not value:
        return ""
    named = tag.name.encode() + b"\0" + value
    return hmac.digest(salt, named, "sha256").hex()[:32]


def _slice_attributes(header: dict[HeaderTag, bytes]) -> SliceAttributes:
    numbers = _numbers(header, HeaderTag.INSTANCE_NUMBER)
    position = _numbers(header, HeaderTag.IMAGE_POSITION_PATIENT)
    orientation = _numbers(header, HeaderTag.IMAGE_ORIENTATION_PATIENT)
    frames = _numbers(header, HeaderTag.NUMBER_OF_FRAMES)
    return SliceAttributes(
        instance_number=int(numbers[0]) if len(numbers) == 1 else None,
        position_lps_mm=_vector(position),
        orientation=_orientation(orientation),
        frames=max(1, int(frames[0])) if len(frames) == 1 else 1,
    )


def _series_attributes(header: dict[HeaderTag, bytes], sop_class_uid: str) -> SeriesAttributes:
    thickness = _numbers(header, HeaderTag.SLICE_THICKNESS)
    return SeriesAttributes(
        modality=_text(header, HeaderTag.MODALITY),
        sop_class_uid=sop_class_uid,
        image_type=_text(header, HeaderTag.IMAGE_TYPE),
        description=_text(header, HeaderTag.SERIES_DESCRIPTION),
        protocol=_text(header, HeaderTag.PROTOCOL_NAME),
        body_part=_text(header, HeaderTag.BODY_PART_EXAMINED),
        kernel=_text(header, HeaderTag.CONVOLUTION_KERNEL),
        contrast_agent=_text(header, HeaderTag.CONTRAST_BOLUS_AGENT),
        manufacturer=_text(header, HeaderTag.MANUFACTURER),
        station=_text(header, HeaderTag.STATION_NAME),
        study=_text(header, HeaderTag.STUDY_DESCRIPTION),
        priority=_text(header, HeaderTag.REQUESTED_PROCEDURE_PRIORITY)
        or _text(header, HeaderTag.STUDY_PRIORITY_ID),
        slice_thickness_mm=thickness[0] if len(thickness) == 1 else None,
    )


def _vector(values: tuple[float, ...]) -> Vector | None:
    if len(values) != _VECTOR_LENGTH:
        return None
    return (values[0], values[1], values[2])


def _orientation(values: tuple[float, ...]) -> Orientation | None:
    if len(values) != 2 * _VECTOR_LENGTH:
        return None
    return (values[0], values[1], values[2], values[3], values[4], values[5])


def _uid(header: dict[HeaderTag, bytes], tag: HeaderTag) -> str:
    value = header.get(tag, b"").strip(b"\0 ")
    if not value or len(value) > _MAX_UID_LENGTH or not set(value) <= set(b"0123456789."):
        raise UnreadableInstanceError(
            f"{tag.label} must be a UID, got {len(value)} characters that are none"
        )
    return value.decode("ascii")


def _text(header: dict[HeaderTag, bytes], tag: HeaderTag) -> str:
    # The character set is not looked at: rules ask for ASCII words, and Latin-1 decodes anything.
    return header.get(tag, b"").strip(b" \0").decode("latin-1")


def _numbers(header: dict[HeaderTag, bytes], tag: HeaderTag) -> tuple[float, ...]:
    """Return the values of a decimal or integer string; none if one of them is no number."""
    parts = header.get(tag, b"").strip(b" \0").split(b"\\")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        return ()
    return values if all(abs(value) < float("inf") for value in values) else ()
