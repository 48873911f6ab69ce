"""Cohorts of any kind, as cases still to be prepared."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.volume import Vector
from training.cohort import phe_sich, simulated
from training.cohort.case import Case

#: The grid of the seed system and of nnU-Net's plan for it.
SPACING_ZYX_MM: Vector = (5.0, 0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCase:
    """A patient whose scans have not been prepared yet."""

    patient_id: str
    read: Callable[[], Iterable[Case]]


def pending_cases(source: Path, output: Path) -> Iterator[PendingCase]:
    """Yield the patients of a cohort that have no prepared case in a folder.

    Raises
    ------
    ValueError
        If the folder is neither a simulated cohort nor one of PHE-SICH-CT-IDS.
    """
    done = {path.stem for path in output.glob("*.npz")}
    simulated_patients = simulated.patient_folders(source)
    picture_patients = sorted({path.parent for path in source.glob("*/*.webp")})
    if not simulated_patients and not picture_patients:
        raise ValueError(f"{source} holds neither simulated patients nor pictures of PHE-SICH")
    for folder in simulated_patients:
        patient_id = f"{source.name}-{folder.name}"
        if f"{patient_id}-baseline" not in done:
            read = partial(simulated.read_scans, folder, SPACING_ZYX_MM)
            yield PendingCase(patient_id=patient_id, read=read)
    for folder in picture_patients:
        patient_id = f"phe-sich-{folder.name}"
        if folder.name not in phe_sich.EXCLUDED and patient_id not in done:
            yield PendingCase(patient_id=patient_id, read=partial(_one, folder))


def _one(folder: Path) -> list[Case]:
    return [phe_sich.read_patient(folder)]
