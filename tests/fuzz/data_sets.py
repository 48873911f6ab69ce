"""Targets that read objects: our header scanner, the door of custody, the worker's reader."""

import contextlib
import tempfile
import warnings
import zlib
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pydicom
from ct_builder import build_ct_series
from fuzz.campaign import Target
from fuzz.mutation import Mutation, blind, elements, tokens
from node_builders import SALT, encoded, sender
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.association.file_format import split_file
from dicom_node.association.store_request import StoreRequest
from dicom_node.errors import IntakeError
from dicom_node.intake.header import read_header
from dicom_node.intake.instance import receive
from dicom_node.intake.spool import Spool, SpoolLimits
from pipeline.ct_series import read_ct_series
from pipeline.ct_series.header import MALFORMED
from pipeline.errors import SeriesRejectedError

_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_COMPRESSED = (JPEG2000Lossless, JPEGLSLossless, RLELossless)
_LONGEST_VALUE = 16384

#: What a file that is none raises; the worker gives such a job up after its attempts.
_UNREADABLE = (InvalidDicomError, *MALFORMED)

#: Tags and delimiters that parsers look for.
_TAGS = tokens(
    (
        b"\xe0\x7f\x10\0OW\0\0\xff\xff\xff\xff",
        b"\xfe\xff\0\xe0\xff\xff\xff\xff",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\x08\0\x40\x11UN\0\0\xff\xff\xff\xff",
        b"\x28\0\x10\0US\x02\0\xff\xff",
        b"\x28\0\x08\0IS\x0a\x002147483647",
        b"\x08\0\x05\0CS\x0e\0\\ISO 2022 IR 87",
    )
)


@cache
def _series() -> list[Dataset]:
    return build_ct_series(slices=12, shape_yx=(32, 32), spacing_mm=10.0, noise_hu=3.0)


@cache
def _compressed() -> list[Dataset]:
    images = []
    for one, syntax in zip(_series(), _COMPRESSED * 4, strict=True):
        image = Dataset(one)
        image.file_meta = FileMetaDataset(one.file_meta)
        image.compress(UID(syntax), np.asarray(one.pixel_array), generate_instance_uid=False)
        images.append(image)
    return images


def _encodings() -> list[bytes]:
    """Return the first image in four transfer syntaxes, behind a byte that says in which."""
    found = []
    for number, syntax in enumerate(_SYNTAXES):
        if syntax == ExplicitVRBigEndian:
            continue  # pydicom does not turn pixels round; mutations of the byte come there
        plain = encoded(_series()[0], UID(syntax))
        if syntax == DeflatedExplicitVRLittleEndian:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            plain = deflater.compress(plain) + deflater.flush()
        found.append(bytes([number]) + plain)
    return found


def _request(data: bytes) -> StoreRequest:
    image = _series()[0]
    return StoreRequest(
        sender=sender(),
        sop_class_uid=str(image.SOPClassUID),
        sop_instance_uid=str(image.SOPInstanceUID),
        transfer_syntax_uid=str(_SYNTAXES[data[0] % len(_SYNTAXES)] if data else _SYNTAXES[0]),
        data_set=data[1:],
        received_at=sender().opened_at,
    )


def _scan_header(data: bytes) -> None:
    request = _request(data)
    with contextlib.suppress(IntakeError):
        found = read_header(request.data_set, request.transfer_syntax_uid)
        assert all(len(value) <= _LONGEST_VALUE for value in found.values())


def _take_custody(data: bytes) -> None:
    """Read an instance and put it into a spool; its place must be below the spool's root."""
    try:
        instance = receive(_request(data), patient_salt=SALT)
    except IntakeError:
        return
    with tempfile.TemporaryDirectory() as root:
        spool = Spool(Path(root) / "spool", limits=SpoolLimits(free_floor_bytes=0))
        place = (spool.root / spool.put(instance)).resolve()
        assert place.is_relative_to(spool.root.resolve())
        assert {path for path in Path(root).rglob("*") if path.is_file()} == {place}
        split_file(place.read_bytes())


def _split(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        _, offset = split_file(data)
        assert 0 <= offset <= len(data)


def _read_with(first: bytes, others: Sequence[Dataset]) -> None:
    """Do what the worker does with a series of which one file is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = pydicom.dcmread(BytesIO(first))
        except _UNREADABLE:
            return
        with contextlib.suppress(SeriesRejectedError):
            volume = read_ct_series([image, *others[1:]])
            assert volume.hu_zyx.nbytes < 2**30


def _file_of(image: Dataset) -> bytes:
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _in_file(mutation: Mutation) -> Mutation:
    """Return a mutation that leaves preamble and file meta information alone, most of the time."""

    def change(data: bytes, random: Random) -> bytes:
        with contextlib.suppress(ValueError):
            _, offset = split_file(data)
            return data[:offset] + mutation(data[offset:], random)
        return mutation(data, random)

    return change


def _behind_a_byte(mutation: Mutation) -> Mutation:
    def change(data: bytes, random: Random) -> bytes:
        return data[:1] + mutation(data[1:], random)

    return change


def targets() -> list[Target]:
    """Return the targets of this module."""
    inner = tuple(_behind_a_byte(one) for one in (elements, elements, blind, _TAGS))
    in_file = tuple(_in_file(one) for one in (elements, elements, blind, _TAGS))
    plain, packed = _series(), _compressed()
    return [
        Target(
            name="header",
            seeds=_encodings(),
            check=_scan_header,
            mutations=(*inner, blind),
            watched=("dicom_node/intake/header.py",),
        ),
        Target(
            name="custody",
            seeds=_encodings(),
            check=_take_custody,
            mutations=inner,
            watched=("dicom_node/intake/",),
        ),
        Target(
            name="file_meta",
            seeds=[_file_of(plain[0])[:1000]],
            check=_split,
            watched=("dicom_node/association/file_format.py",),
        ),
        Target(
            name="reader",
            seeds=[_file_of(plain[0])],
            check=lambda data: _read_with(data, plain),
            mutations=in_file,
            watched=("pipeline/ct_series/",),
        ),
        Target(
            name="pixels",
            seeds=[_file_of(image) for image in packed[:3]],
            check=lambda data: _read_with(data, packed),
            mutations=in_file,
            watched=("pipeline/ct_series/",),
        ),
    ]
