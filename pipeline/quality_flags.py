"""What a reader of the result must know about the quality of the input."""

from enum import StrEnum


class QualityFlag(StrEnum):
    """A doubt about the input or the finding. The values are stored; never rename one."""

    THICK_SLICES = "thick_slices"  #: nominal slice thickness above 5 mm
    MIXED_THICKNESS = "mixed_thickness"  #: slices of different nominal thickness
    UNEVEN_SPACING = "uneven_spacing"  #: slice steps differ
    SLICES_MISSING = "slices_missing"  #: gaps that were bridged by interpolation
    DUPLICATE_POSITIONS = "duplicate_positions"  #: several images at one position; one was used
    NON_CT_DROPPED = "non_ct_dropped"  #: localizers or captures in the series were left out
    TILT_CORRECTED = "tilt_corrected"  #: gantry tilt (sheared stack) was corrected
    OBLIQUE = "oblique"  #: slices are inclined against the patient's axes
    LOSSY_SOURCE = "lossy_source"  #: the images had been compressed with loss
    HU_IMPLAUSIBLE = "hu_implausible"  #: no air or no brain-like values where they must be
    NOT_A_HEAD = "not_a_head"  #: content does not look like a human head
    CONTRAST_SUSPECTED = "contrast_suspected"  #: contrast agent by header or by bright vessels
    FEW_HEMATOMA_SLICES = "few_hematoma_slices"  #: hematoma in fewer than 3 slices
    HEMATOMA_AT_EDGE = "hematoma_at_edge"  #: hematoma touches the first or last slice or border
    EXTRA_AXIAL_HEMORRHAGE = "extra_axial_hemorrhage"  #: blood outside the brain
    PRIMARY_INTRAVENTRICULAR = "primary_intraventricular"  #: blood in the ventricles alone
    INTRAVENTRICULAR_EXTENSION = "intraventricular_extension"  #: hematoma and ventricular blood
    VOLUME_UNCERTAIN = "volume_uncertain"  #: range of the volume spans a decision limit
    UNFAMILIAR = "unfamiliar"  #: hematoma unlike those that the expansion model has learned from
    NO_FORECAST = "no_forecast"  #: the growth model could say nothing of this hematoma
