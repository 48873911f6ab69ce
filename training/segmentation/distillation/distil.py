"""From unlabelled series and teachers to prepared cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SeriesRejectedError
from pipeline.resampling import canonical_grid, resample_map, resample_volume
from pipeline.segmentation.head_crop import head_box
from pipeline.volume import CtVolume, Vector
from training.cohort.case import HALF_COVERED, IGNORED, Case
from training.cohort.labelled_series import LabelledSeries, SliceLabels, read_labelled_series
from training.segmentation.distillation.rules import BeliefRules, least_agreement, pseudo_label

#: Returns the probability of hematoma on the volume's own grid, shape (Z, Y, X).
Teacher = Callable[[CtVolume], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilledScan:
    """What became of one series.

    Attributes
    ----------
    patient : str
        Name of the series' folder.
    case : Case or None
        The prepared case; None if the scan is left out.
    agreement : float
        Smallest Dice between two teachers; 1 with a single teacher.
    left_out : str
        Why there is no case; empty if there is one.
    """

    patient: str
    case: Case | None
    agreement: float = 1.0
    left_out: str = ""


def distil_series(
    folder: Path,
    *,
    teachers: Sequence[Teacher],
    labels: SliceLabels,
    source: str,
    spacing_zyx_mm: Vector,
    rules: BeliefRules,
) -> DistilledScan:
    """Return a training case whose label is what the teachers see.

    Parameters
    ----------
    folder : Path
        DICOM files of one series; its name is the patient's in `labels`.
    teachers : sequence of callable
        At least one.
    labels : SliceLabels
        What radiologists said; may be empty.
    source : str
        Name of the data set; prefix of case and patient identifiers.
    spacing_zyx_mm : Vector
        Grid of the case.
    rules : BeliefRules
        When a teacher is believed.
    """
    try:
        series = read_labelled_series(folder, labels)
    except SeriesRejectedError as error:
        return DistilledScan(patient=folder.name, case=None, left_out=str(error))
    probabilities = [teacher(series.volume) for teacher in teachers]
    voxel_ml = float(np.prod(series.volume.grid.spacing_zyx_mm)) / 1000
    agreement = least_agreement(probabilities, voxel_ml=voxel_ml, rules=rules)
    if agreement < rules.agreement:
        return DistilledScan(
            patient=series.patient,
            case=None,
            agreement=agreement,
            left_out=f"teachers agree by Dice {agreement:.2f}, needed {rules.agreement:.2f}",
        )
    label = pseudo_label(probabilities, series.slices, voxel_ml=voxel_ml, rules=rules)
    return DistilledScan(
        patient=series.patient,
        case=_case(series, label, source=source, spacing_zyx_mm=spacing_zyx_mm),
        agreement=agreement,
    )


def _case(
    series: LabelledSeries, label: NDArray[np.uint8], *, source: str, spacing_zyx_mm: Vector
) -> Case:
    grid = series.volume.grid
    target = canonical_grid(grid, spacing_zyx_mm)
    hu = resample_volume(series.volume, target)
    hematoma, unknown = (
        resample_map((label == value).astype(np.float32), grid, target) >= HALF_COVERED
        for value in (1, IGNORED)
    )
    box = head_box(hu)
    on_target = np.where(hematoma, 1, np.where(unknown, IGNORED, 0)).astype(np.uint8)
    identity = f"{source}-{series.patient}"
    return Case(
        case_id=identity,
        patient_id=identity,
        source=source,
        hu_zyx=np.round(hu[box]).astype(np.int16),
        label_zyx=on_target[box],
        spacing_zyx_mm=spacing_zyx_mm,
    )
