"""Which attributes leave the site, and what becomes of each.

The list names what may go, not what must not: an attribute that is not on it, private ones among
them, is left out, whatever the standard or a manufacturer will add one day. And no text is
copied. A number is read and written as a number, a term goes if it is one of a closed list, a UID
is replaced unless the standard itself defines it, and every other word in an export is written
here. This does more than the Basic Application Level Confidentiality Profile asks for (PS3.15,
annex E); the tests compare the list with its table E.1-1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Numbers that place, scale and describe pixels; no text, no identifier.
NUMBERS: Final = frozenset(
    {
        *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "FrameAcquisitionNumber"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceLocation"),
        *("SliceThickness", "SpacingBetweenSlices", "GantryDetectorTilt", "KVP"),
        *("XRayTubeCurrent", "ExposureTime", "Exposure", "DataCollectionDiameter"),
        *("ReconstructionDiameter", "TableHeight", "SpiralPitchFactor"),
        *("SingleCollimationWidth", "TotalCollimationWidth"),
        *("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
        *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
        *("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth"),
        *("LossyImageCompressionRatio", "NumberOfFrames", "DimensionIndexValues"),
        *("DimensionIndexPointer", "FunctionalGroupPointer", "FrameAcquisitionDuration"),
        *("ReferencedFrameNumber", "ReferencedSegmentNumber", "SegmentNumber"),
        "RecommendedDisplayCIELabValue",
    }
)

#: UIDs: those that the standard defines stay, all others are replaced.
UIDS: Final = frozenset(
    {
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
        *("FrameOfReferenceUID", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
        *("DimensionOrganizationUID", "TrackingUID"),
    }
)

_IMAGE_TYPES = frozenset(
    {
        *("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "HELICAL", "VOLUME", "MPR"),
        *("CT_SOM5 SPI", "CT_SOM5 SEQ", "CT_SOM7 SPI", "CT_SOM7 SEQ", "NORM", "STD", "AVERAGE"),
        *("REFORMATTED", "NONE", "OTHER"),
        *("RESAMPLED", "FILTERED", "ADDITION", "DIVISION"),
    }
)
_YES_NO = frozenset({"YES", "NO"})
_CONTRAST_TERMS = frozenset({"LOW", "HIGH", "NONE"})
_IDENTITY = frozenset({"IDENTITY", "INVERSE"})

#: Terms that may go, by attribute; any other value of theirs does not.
TERMS: Final[Mapping[str, frozenset[str]]] = {
    "ImageType": _IMAGE_TYPES,
    "FrameType": _IMAGE_TYPES,
    "Modality": frozenset({"CT", "SEG"}),
    "BodyPartExamined": frozenset({"HEAD", "BRAIN", "SKULL", "HEADNECK"}),
    "PatientPosition": frozenset({"HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"}),
    "RotationDirection": frozenset({"CW", "CC"}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2"}),
    "PresentationLUTShape": _IDENTITY,
    "RescaleType": frozenset({"HU", "US"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "LossyImageCompressionMethod": frozenset(
        {"ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15", "ISO_13818_2"}
    ),
    "BurnedInAnnotation": frozenset({"NO"}),
    "VolumetricProperties": frozenset({"VOLUME", "SAMPLED", "DISTORTED", "MIXED"}),
    "VolumeBasedCalculationTechnique": frozenset({"NONE", "MPR", "CURVED_MPR"}),
    "PixelPresentation": frozenset({"MONOCHROME", "COLOR", "MIXED", "TRUE_COLOR"}),
    "ContentQualification": frozenset({"PRODUCT", "RESEARCH", "SERVICE"}),
    "AcquisitionContrast": _CONTRAST_TERMS,
    "DimensionOrganizationType": frozenset({"3D", "3D_TEMPORAL", "TILED_FULL", "TILED_SPARSE"}),
    "SegmentationType": frozenset({"BINARY"}),
    "SegmentsOverlap": _YES_NO | {"UNDEFINED"},
    "SegmentAlgorithmType": frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"}),
    "SpatialLocationsPreserved": _YES_NO | {"REORIENTED_ONLY"},
}

#: Sequences whose items are gone through by the same rules.
SEQUENCES: Final = frozenset(
    {
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
        *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"),
        *("PixelValueTransformationSequence", "FrameContentSequence", "FrameVOILUTSequence"),
        *("CTImageFrameTypeSequence", "CTReconstructionSequence", "CTAcquisitionDetailsSequence"),
        *("DimensionOrganizationSequence", "DimensionIndexSequence"),
        *("ReferencedSeriesSequence", "ReferencedInstanceSequence", "SourceImageSequence"),
        *("SegmentSequence", "SegmentIdentificationSequence", "DerivationImageSequence"),
    }
)

#: Code sequences: an item goes if it is one of `CODES`, in the words that stand there.
CODE_SEQUENCES: Final = frozenset(
    {
        *("AnatomicRegionSequence", "SegmentedPropertyCategoryCodeSequence"),
        *("SegmentedPropertyTypeCodeSequence", "PurposeOfReferenceCodeSequence"),
        "DerivationCodeSequence",
    }
)

#: Codes by scheme and value, with their meanings (PS3.16, annexes D and L).
CODES: Final[Mapping[tuple[str, str], str]] = {
    ("SCT", "12738006"): "Brain",
    ("SCT", "49755003"): "Morphologically Abnormal Structure",
    ("SCT", "50960005"): "Hemorrhage",
    ("DCM", "121322"): "Source image for image processing operation",
    ("DCM", "113076"): "Segmentation",
}

#: Dates with their times; both are moved together.
DATES_AND_TIMES: Final = (
    ("StudyDate", "StudyTime"),
    ("SeriesDate", "SeriesTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
)

#: Dates and times in one value.
MOMENTS: Final = frozenset(
    {"AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"}
)

#: Manufacturers of scanners by the word that tells them; others stay unnamed.
MANUFACTURERS: Final[Mapping[str, str]] = {
    "SIEMENS": "SIEMENS",
    "GE": "GE MEDICAL SYSTEMS",
    "PHILIPS": "Philips",
    "TOSHIBA": "TOSHIBA",
    "CANON": "CANON_MEC",
    "HITACHI": "Hitachi",
    "FUJIFILM": "FUJIFILM",
    "NEUSOFT": "Neusoft",
    "UIH": "UIH",
    "SAMSUNG": "Samsung",
}

#: Names of reconstruction kernels: words of the manufacturers, or letters with a number.
KERNEL: Final = re.compile(
    r"STANDARD|STND|STD\+?|SOFT|BONE|BONEPLUS|EDGE|LUNG|DETAIL|CHST|U[ABC]|[ABCDEY][A-D]?"
    r"|[A-Z]{1,2}\d{2}[A-Z]?"
)

#: What a contrast agent is called; its own name is a text.
CONTRAST_AGENT: Final = "CONTRAST AGENT"

#: Attributes that CT Image and Segmentation objects must have and an export does not fill
#: (PS3.3, sections A.3 and A.51).
EMPTY: Final = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator", "Manufacturer"),
)

#: What enhanced images must say of the scanner, and an export does not (PS3.3, C.7.5.2).
UNNAMED: Final[Mapping[str, str]] = {
    "Manufacturer": "UNKNOWN",
    "ManufacturerModelName": "UNKNOWN",
    "DeviceSerialNumber": "0",
    "SoftwareVersions": "UNKNOWN",
}

#: The same of CT images alone (PS3.3, sections C.7.6.1, C.7.3.1, C.8.2.1).
EMPTY_OF_IMAGES: Final = ("SeriesNumber", "InstanceNumber", "AcquisitionNumber", "KVP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One thing that was done (PS3.16, CID 7050)."""

    code: str
    meaning: str


BASIC_PROFILE: Final = Method(code="113100", meaning="Basic Application Confidentiality Profile")
MODIFIED_DATES: Final = Method(
    code="113107", meaning="Retain Longitudinal Temporal Information Modified Dates Option"
)
CHARACTERISTICS: Final = Method(code="113108", meaning="Retain Patient Characteristics Option")
