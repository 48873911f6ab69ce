"""Copies of real scans with small simulated bleeds, which real cohorts have too few of."""

import dataclasses

import numpy as np

from training.cohort.case import Case
from training.segmentation.insertion import (
    brain_interior,
    insert_bleed,
    insert_extra_axial,
    insert_ventricular,
)

#: Bleeds drawn into one copy, and their radii: 0.04 to 3 mL as balls.
_BLEEDS = 4
_RADIUS_MM = (2.2, 9.0)

#: Beyond these nothing is seen in a brain window, and bleeds are drawn in proportion.
_HU_RANGE = (-100, 1500)

#: Share of copies with ventricular and with extra-axial blood, neither of which is hematoma.
_OTHER_BLOOD = 0.4


def with_small_bleeds(case: Case, number: int, rng: np.random.Generator) -> Case:
    """Return a copy of a scan, numbered, with small bleeds that its label shows."""
    hu = np.clip(case.hu_zyx, *_HU_RANGE).astype(np.float32)
    label = case.label_zyx.copy()
    interior, distance = brain_interior(hu)
    if rng.random() < _OTHER_BLOOD:
        insert_ventricular(hu, interior, rng)
    for _ in range(_BLEEDS):
        insert_bleed(
            hu, label, interior, rng, spacing_zyx_mm=case.spacing_zyx_mm, radius_mm=_RADIUS_MM
        )
    if rng.random() < _OTHER_BLOOD:
        insert_extra_axial(hu, interior, distance, rng)
    return dataclasses.replace(
        case,
        case_id=f"{case.case_id}-inserted-{number}",
        hu_zyx=np.round(hu).astype(np.int16),
        label_zyx=label,
    )
