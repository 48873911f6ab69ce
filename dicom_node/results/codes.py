"""Every coded concept that a result object uses.

Standard codes are those of PS3.16; what the standard has no word for stands in the private
scheme `99HENODE`, which every object identifies in its Coding Scheme Identification Sequence.
Code values have at most 16 characters, meanings at most 64 (PS3.5, section 6.2, SH and LO).
"""

from typing import Final

from pydicom.sr.coding import Code

from pipeline.expansion import Criterion
from pipeline.finding import Compartment
from pipeline.follow_up.flags import FollowUpFlag
from pipeline.prediction import HeLabel
from pipeline.quality_flags import QualityFlag

#: Designator of the private coding scheme (PS3.16, section 8.2: private ones begin with "99").
PRIVATE_SCHEME: Final = "99HENODE"
#: Identifies the scheme whoever copies its designator: `2.25.` and a UUID of version 5.
PRIVATE_SCHEME_UID: Final = "2.25.58063075999144467901759633010424134309"
PRIVATE_SCHEME_NAME: Final = "Concepts of the ichnode hematoma expansion node"
#: Raised whenever a code is added; a code is never given another meaning.
PRIVATE_SCHEME_VERSION: Final = "4"
PRIVATE_SCHEME_ORGANIZATION: Final = "ichnode project"


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# What was found, and where
CEREBRAL_HEMORRHAGE: Final = Code("274100004", "SCT", "Cerebral hemorrhage")
MORPHOLOGICALLY_ABNORMAL: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
HEMORRHAGE: Final = Code("50960005", "SCT", "Hemorrhage")
BRAIN: Final = Code("12738006", "SCT", "Brain")

# Measurements
VOLUME_BY_VOXELS: Final = Code("YEKZ", "IBSI", "Volume from Voxel Summation")
VOLUME_OF_MESH: Final = Code("RNU0", "IBSI", "Volume of Mesh")
MAXIMUM_3D_DIAMETER: Final = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
LONG_AXIS: Final = Code("103339001", "SCT", "Long axis")
AREA: Final = Code("42798000", "SCT", "Area")
ATTENUATION: Final = Code("112031", "DCM", "Attenuation Coefficient")
SUM_OF_VOXELS: Final = Code("126030", "DCM", "Sum of segmented voxel method for volume")
MEAN: Final = Code("373098007", "SCT", "Mean")
#: PS3.16 (TID 310) states a range as a property of the measurement, which validators refuse in a
#: group with a region; as measurements of their own the ends are shown by viewers, too.
VOLUME_LOW: Final = _private("HE_VOL_LO95", "Lower limit of the volume, 95% range")
VOLUME_HIGH: Final = _private("HE_VOL_HI95", "Upper limit of the volume, 95% range")
VOLUME_ABC2: Final = _private("HE_VOL_ABC2", "Volume by ABC/2")
HE_PROBABILITY: Final = _private("HE_PROB", "Probability of hematoma expansion")
HE_PROBABILITY_SPREAD: Final = _private(
    "HE_PROB_SD", "Spread of expansion probability of networks"
)
HE_UNFAMILIARITY: Final = _private("HE_UNLIKE", "Distance from training cases, part of its limit")
HE_SLICE_PROBABILITY: Final = _private("HE_PROB_SLICE", "Expansion probability from this slice")
HE_THRESHOLD: Final = _private("HE_THR", "Cut-off of expansion probability")
SLICES_WITHOUT_HEMATOMA: Final = _private("HE_SLICES_NONE", "Slices without hematoma")
ENTROPY: Final = _private("HE_ENTROPY", "Entropy of the segmentation")

# What is forecast and not measured: never under the codes of what is there
FORECAST_HEMATOMA: Final = _private("HE_PREDHEM", "Predicted hematoma at follow-up")
FORECAST_VOLUME: Final = _private("HE_FC_VOL", "Forecast volume at follow-up, if it expands")
FORECAST_LOW: Final = _private("HE_FC_VOL_LO95", "Lower limit of the forecast volume, 95% range")
FORECAST_HIGH: Final = _private("HE_FC_VOL_HI95", "Upper limit of the forecast volume, 95% range")

# What a network may tell apart from the hematoma: the finding, and its volume
COMPARTMENT: Final[dict[Compartment, Code]] = {
    Compartment.EXTRA_AXIAL: _private("HE_EAH", "Extra-axial hemorrhage"),
    Compartment.EDEMA: Code("2032001", "SCT", "Cerebral edema"),
    Compartment.INTRAVENTRICULAR: _private("HE_IVH", "Intraventricular hemorrhage"),
}
COMPARTMENT_VOLUME: Final[dict[Compartment, Code]] = {
    Compartment.EXTRA_AXIAL: _private("HE_VOL_EAH", "Volume of extra-axial hemorrhage"),
    Compartment.EDEMA: _private("HE_VOL_EDEMA", "Volume of perihematomal edema"),
    Compartment.INTRAVENTRICULAR: _private("HE_VOL_IVH", "Volume of intraventricular hemorrhage"),
}

# Units
CUBIC_CENTIMETER: Final = Code("cm3", "UCUM", "cubic centimeter")
SQUARE_MILLIMETER: Final = Code("mm2", "UCUM", "square millimeter")
MILLIMETER: Final = Code("mm", "UCUM", "mm")
HOUNSFIELD_UNIT: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
SLICES: Final = Code("{slices}", "UCUM", "slices")
NO_UNITS: Final = Code("1", "UCUM", "no units")
PIXELS: Final = Code("{pixels}", "UCUM", "Pixels")
COSINE: Final = Code("{-1:1}", "UCUM", "{-1:1}")

# Judgements
HE_RISK: Final = _private("HE_RISKCAT", "Category of hematoma expansion")
RISK_OF_LABEL: Final[dict[HeLabel, Code]] = {
    HeLabel.HE: Code("15508007", "SCT", "High risk"),
    HeLabel.NHE: Code("75976002", "SCT", "Low risk"),
}
PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
UNDETERMINED: Final = Code("373068000", "SCT", "Undetermined")

#: One question per flag; the answer is `PRESENT`, `ABSENT` or `UNDETERMINED`.
QUALITY_FLAG: Final[dict[QualityFlag, Code]] = {
    QualityFlag.THICK_SLICES: _private("HE_QC_THICK", "Slices thicker than 5 mm"),
    QualityFlag.MIXED_THICKNESS: _private("HE_QC_MIXED", "Slices of different thickness"),
    QualityFlag.UNEVEN_SPACING: _private("HE_QC_UNEVEN", "Slices unevenly spaced"),
    QualityFlag.SLICES_MISSING: _private("HE_QC_GAPS", "Slices missing"),
    QualityFlag.DUPLICATE_POSITIONS: _private("HE_QC_DUPLICATE", "Several images at one place"),
    QualityFlag.NON_CT_DROPPED: _private("HE_QC_NONCT", "Images that are no CT slices left out"),
    QualityFlag.TILT_CORRECTED: _private("HE_QC_TILT", "Gantry tilt corrected"),
    QualityFlag.OBLIQUE: _private("HE_QC_OBLIQUE", "Oblique slices"),
    QualityFlag.LOSSY_SOURCE: _private("HE_QC_LOSSY", "Source compressed with loss"),
    QualityFlag.HU_IMPLAUSIBLE: _private("HE_QC_HU", "Hounsfield units implausible"),
    QualityFlag.NOT_A_HEAD: _private("HE_QC_NOTHEAD", "Content does not look like a head"),
    QualityFlag.CONTRAST_SUSPECTED: _private("HE_QC_CONTRAST", "Contrast agent suspected"),
    QualityFlag.FEW_HEMATOMA_SLICES: _private("HE_QC_FEW", "Hematoma on fewer than 3 slices"),
    QualityFlag.HEMATOMA_AT_EDGE: _private("HE_QC_EDGE", "Hematoma at the edge of the scan"),
    QualityFlag.EXTRA_AXIAL_HEMORRHAGE: _private("HE_QC_EAH", "Extra-axial hemorrhage suspected"),
    QualityFlag.PRIMARY_INTRAVENTRICULAR: _private(
        "HE_QC_PIVH", "Primary intraventricular hemorrhage suspected"
    ),
    QualityFlag.INTRAVENTRICULAR_EXTENSION: _private(
        "HE_QC_IVH", "Intraventricular extension suspected"
    ),
    QualityFlag.VOLUME_UNCERTAIN: _private("HE_QC_VOLUME", "Volume range spans a decision limit"),
    QualityFlag.UNFAMILIAR: _private("HE_QC_UNLIKE", "Unlike the training cases"),
    QualityFlag.NO_FORECAST: _private("HE_QC_NOFC", "No forecast could be made"),
}

# Document and derivation
REPORT_TITLE: Final = Code("126000", "DCM", "Imaging Measurement Report")
ENGLISH: Final = Code("en", "RFC5646", "English")
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
#: The member of CID 100 that fits; more exact codes are refused by validators.
CT_UNSPECIFIED: Final = Code("25045-6", "LN", "CT unspecified body region")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
SOURCE: Final = Code("260753009", "SCT", "Source")
IMAGING_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
REFERENCED_SEGMENT: Final = Code("121191", "DCM", "Referenced Segment")
IMAGE_REGION: Final = Code("111030", "DCM", "Image Region")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT: Final = Code("121106", "DCM", "Comment")
LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
DEVICE: Final = Code("121007", "DCM", "Device")
DEVICE_OBSERVER_UID: Final = Code("121012", "DCM", "Device Observer UID")

MODALITY: Final = Code("121139", "DCM", "Modality")
CT: Final = Code("CT", "DCM", "Computed Tomography")
FRAME_OF_REFERENCE_UID: Final = Code("112227", "DCM", "Frame of Reference UID")
PIXEL_ROWS: Final = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_COLUMNS: Final = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_SPACING: Final = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING: Final = Code("111066", "DCM", "Vertical Pixel Spacing")
IMAGE_POSITION: Final = (
    Code("110901", "DCM", "Image Position (Patient) X"),
    Code("110902", "DCM", "Image Position (Patient) Y"),
    Code("110903", "DCM", "Image Position (Patient) Z"),
)
IMAGE_ORIENTATION: Final = (
    Code("110904", "DCM", "Image Orientation (Patient) Row X"),
    Code("110905", "DCM", "Image Orientation (Patient) Row Y"),
    Code("110906", "DCM", "Image Orientation (Patient) Row Z"),
    Code("110907", "DCM", "Image Orientation (Patient) Column X"),
    Code("110908", "DCM", "Image Orientation (Patient) Column Y"),
    Code("110909", "DCM", "Image Orientation (Patient) Column Z"),
)

ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
VISUAL_EXPLANATION: Final = Code("130401", "DCM", "Visual explanation")
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")
ACQUISITION_EQUIPMENT: Final = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")

# What changed since an earlier scan
BASELINE_TIME_POINT: Final = Code("C1442488", "UMLS", "Baseline")
HOUR: Final = Code("h", "UCUM", "hour")
PERCENT: Final = Code("%", "UCUM", "Percent")
TIME_SINCE_BASELINE: Final = _private("HE_ELAPSED", "Time since the baseline scan")
VOLUME_CHANGE: Final = _private("HE_CHG", "Change of hematoma volume since baseline")
VOLUME_CHANGE_RELATIVE: Final = _private("HE_CHG_REL", "Relative change of volume since baseline")
VOLUME_CHANGE_LOW: Final = _private("HE_CHG_LO95", "Lower limit of the change, 95% range")
VOLUME_CHANGE_HIGH: Final = _private("HE_CHG_HI95", "Upper limit of the change, 95% range")
HEMATOMA_EXPANSION: Final = _private("HE_EXPANSION", "Hematoma expansion since baseline")
EXPANSION_CERTAIN: Final = _private("HE_EXP_SURE", "Same verdict at both ends of the range")
SIDE_BY_SIDE: Final = _private("HE_SIDE_BY_SIDE", "Baseline and follow-up side by side")
CRITERION: Final[dict[Criterion, Code]] = {
    Criterion.ABSOLUTE: _private("HE_EXP_ABS", "Growth by more than 6 mL"),
    Criterion.RELATIVE: _private("HE_EXP_REL", "Growth by more than 33 percent"),
    Criterion.NEW_INTRAVENTRICULAR: _private("HE_EXP_IVHNEW", "New blood in the ventricles"),
    Criterion.INTRAVENTRICULAR_GROWTH: _private(
        "HE_EXP_IVHGROW", "Growth in the ventricles by 1 mL or more"
    ),
}
#: One question per flag of a comparison, as with `QUALITY_FLAG`.
FOLLOW_UP_FLAG: Final[dict[FollowUpFlag, Code]] = {
    FollowUpFlag.REGISTRATION_POOR: _private("HE_FU_REG", "Heads of the scans do not match"),
    FollowUpFlag.SURGERY_SUSPECTED: _private("HE_FU_SURGERY", "Surgery between scans suspected"),
    FollowUpFlag.SHARP_FALL: _private("HE_FU_FALL", "Volume fell sharply, no sign of surgery"),
    FollowUpFlag.BASELINE_NO_HEMATOMA: _private("HE_FU_NOBASE", "No hematoma on the baseline"),
    FollowUpFlag.HEMATOMA_CUT_OFF: _private("HE_FU_CUT", "Hematoma reaches the edge of a scan"),
    FollowUpFlag.INTERVAL_SHORT: _private("HE_FU_SHORT", "Follow-up within 6 hours"),
    FollowUpFlag.INTERVAL_LONG: _private("HE_FU_LONG", "Follow-up beyond the time window"),
    FollowUpFlag.TIME_ZONE_MISSING: _private("HE_FU_ZONE", "Time zone of a scan unknown"),
    FollowUpFlag.OTHER_SCANNER: _private("HE_FU_SCANNER", "Scans of different scanners"),
    FollowUpFlag.TILT_DIFFERS: _private("HE_FU_TILT", "Slices cut the head at other angles"),
    FollowUpFlag.THICKNESS_DIFFERS: _private("HE_FU_THICK", "Scans differ in slice thickness"),
    FollowUpFlag.CONTRAST_DIFFERS: _private("HE_FU_CONTRAST", "Contrast agent in one scan only"),
}
