"""Which images of a series are axial CT slices, and which are left out.

A series from a PACS may hold localizers, dose pages and screen captures beside the slices.
They are left out; a series that holds nothing else is refused.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.multiframe import MULTI_FRAME_CLASSES, headers_of
from pipeline.ct_series.refusal import refusal
from pipeline.rejection import RejectionCode

CT_CLASSES = frozenset({CTImageStorage, *MULTI_FRAME_CLASSES})

#: Steepest slices that are still read. Gantries tilt by up to 30 degrees, and reformats along
#: the orbitomeatal line by less; a coronal or sagittal image stands at 90.
MAX_INCLINATION_DEG = 40.0

#: Values of Image Type and Frame Type (PS3.3, sections C.8.2.1.1.1 and C.8.15.3.1, and what
#: manufacturers add) of images that show no slice of density.
_LOCALIZER_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "REF_SURVIEW"})
_DERIVED_TYPES = frozenset(
    {
        *("DOSE", "DOSE_INFO", "PATIENT_INFO", "RESULTS", "PROT", "SCREEN SAVE", "SCREENSAVE"),
        *("MIP", "MAX_IP", "MIN_IP", "MINIP", "PROJECTION IMAGE", "MAXIMUM", "MINIMUM"),
        *("3D", "VOLUME_RENDERED", "VOLREN", "SSD", "VRT", "SURFACE"),
        *("PERFUSION", "RCBF", "RCBV", "RMTT", "CBF", "CBV", "MTT", "TTP", "TMAX", "PERMEABILITY"),
        *("ELECTRON_DENSITY", "EFF_ATOMIC_NUM", "MAT_SPECIFIC", "SUBTRACTION"),
    }
)


class ImageKind(StrEnum):
    """What an object of the series is. The values appear in reasons."""

    AXIAL = "axial CT images"
    NOT_AXIAL = "CT images that are not axial"
    LOCALIZER = "localizers"
    CAPTURE = "captures, dose pages and derived maps"
    NOT_CT = "objects that are not CT"
    NO_PIXELS = "objects without pixel data"
    NO_GEOMETRY = "CT images without position or orientation"


def axial_images(instances: Iterable[Dataset]) -> tuple[list[ImageHeader], bool]:
    """Return the axial CT images of one series, and whether anything was left out.

    Of instances with the same SOP Instance UID the first counts.

    Raises
    ------
    SeriesRejectedError
        NO_IMAGES, MIXED_SERIES, NOT_ORIGINAL, NOT_CT, NOT_AXIAL or GEOMETRY_MISSING.
    """
    distinct: dict[str, Dataset] = {}
    for instance in instances:
        header = ImageHeader(instance=instance)
        if header.text("SOPClassUID"):  # a DICOMDIR beside the images has none
            distinct.setdefault(header.text("SOPInstanceUID"), instance)
    if not distinct:
        raise refusal(RejectionCode.NO_IMAGES, found="no objects", needed="CT images")
    _refuse_mixture([ImageHeader(instance=instance) for instance in distinct.values()])
    images = [(kind_of(header), header) for header in _all_headers(distinct.values())]
    axial = [header for kind, header in images if kind is ImageKind.AXIAL]
    if not axial:
        raise _nothing_left(Counter(kind for kind, _ in images))
    frames = {h.text("FrameOfReferenceUID") for h in axial}
    if len(frames) > 1:
        raise refusal(
            RejectionCode.MIXED_SERIES,
            found=f"{len(frames)} frames of reference",
            needed="one frame of reference",
        )
    return axial, len(axial) < len(images)


def kind_of(header: ImageHeader) -> ImageKind:
    """Return what an image is, by its header alone."""
    if header.text("SOPClassUID") not in CT_CLASSES:
        is_capture = "SECONDARY" in header.texts("ImageType") and header.text("Modality") == "CT"
        return ImageKind.CAPTURE if is_capture else ImageKind.NOT_CT
    if header.text("Modality") not in {"CT", ""} or not header.text("SOPInstanceUID"):
        return ImageKind.NOT_CT
    types = {*header.texts("ImageType"), *header.texts("FrameType")}
    if types & _LOCALIZER_TYPES:
        return ImageKind.LOCALIZER
    return ImageKind.CAPTURE if types & _DERIVED_TYPES else _kind_of_slice(header)


def inclination_deg(orientation: Sequence[float]) -> float:
    """Return the angle between the slice normal and the patient's long axis, 0 to 90 degrees."""
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    if length == 0:
        return 90.0
    return float(np.degrees(np.arccos(np.clip(abs(normal[2]) / length, 0, 1))))


def _kind_of_slice(header: ImageHeader) -> ImageKind:
    if "PixelData" not in header.instance:
        return ImageKind.NO_PIXELS
    cosines = header.numbers("ImageOrientationPatient", 6)
    if cosines is None or header.numbers("ImagePositionPatient", 3) is None:
        return ImageKind.NO_GEOMETRY
    is_axial = inclination_deg(cosines) <= MAX_INCLINATION_DEG
    return ImageKind.AXIAL if is_axial else ImageKind.NOT_AXIAL


def _all_headers(instances: Iterable[Dataset]) -> list[ImageHeader]:
    return [header for instance in instances for header in headers_of(instance)]


def _refuse_mixture(headers: Sequence[ImageHeader]) -> None:
    for keyword, noun in (
        ("PatientID", "patients"),
        ("StudyInstanceUID", "studies"),
        ("SeriesInstanceUID", "series"),
    ):
        count = len({header.text(keyword) for header in headers})
        if count > 1:
            raise refusal(
                RejectionCode.MIXED_SERIES,
                found=f"objects of {count} {noun}",
                needed="one series of one study of one patient",
            )


#: Which refusal explains a series without axial CT images best, by what it holds.
_CODE_OF_KIND: dict[ImageKind, RejectionCode] = {
    ImageKind.NOT_AXIAL: RejectionCode.NOT_AXIAL,
    ImageKind.NO_GEOMETRY: RejectionCode.GEOMETRY_MISSING,
    ImageKind.LOCALIZER: RejectionCode.NOT_ORIGINAL,
    ImageKind.CAPTURE: RejectionCode.NOT_ORIGINAL,
    ImageKind.NO_PIXELS: RejectionCode.NO_IMAGES,
    ImageKind.NOT_CT: RejectionCode.NOT_CT,
}


def _nothing_left(counts: Counter[ImageKind]) -> Exception:
    found = ", ".join(f"{counts[kind]} {kind}" for kind in _CODE_OF_KIND if counts[kind])
    code = next(code for kind, code in _CODE_OF_KIND.items() if counts[kind])
    return refusal(code, found=found, needed="axial CT images")
