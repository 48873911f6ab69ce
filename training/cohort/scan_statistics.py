"""What the scans of cohorts look like, for the card of a model measured on them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.scan_kinds import UNKNOWN, thickness_kind
from pipeline.training_statistics import (
    Kinds,
    Measure,
    TrainingStatistics,
    Trait,
    distribution_of,
    kinds_of,
)
from training.cohort.intake.tables import COHORT_TABLE


def cohort_statistics(
    folders: Sequence[Path], *, volumes_ml: Sequence[float]
) -> TrainingStatistics | None:
    """Return statistics of cohorts' scans, None if nothing is known of them.

    Parameters
    ----------
    folders : sequence of Path
        Of `ichtrain cohort import`; other folders of cases have no table and tell nothing.
    volumes_ml : sequence of float
        Volumes that the model itself measured on scans that it was not trained on: what the
        node measures is to be compared with what the model measures, not with the truth.
    """
    rows = [row for folder in folders for row in _rows(folder)]
    traits = {
        Trait.THICKNESS: _kinds([_thickness(row) for row in rows]),
        Trait.MANUFACTURER: _kinds([row.get("manufacturer") or UNKNOWN for row in rows]),
        Trait.KERNEL: _kinds([row.get("kernel") or UNKNOWN for row in rows]),
    }
    known = {name: kinds for name, kinds in traits.items() if kinds is not None}
    found = [volume for volume in volumes_ml if volume > 0]
    measures = {Measure.VOLUME: distribution_of(found)} if found else {}
    if not known and not measures:
        return None
    return TrainingStatistics(
        cohort=", ".join(folder.name for folder in folders), measures=measures, traits=known
    )


def _rows(folder: Path) -> list[dict[str, str]]:
    """Return the scans that take part."""
    try:
        with (folder / COHORT_TABLE).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return []
    return [row for row in rows if "scan_id" in row and not row.get("excluded")]


def _thickness(row: dict[str, str]) -> str:
    return thickness_kind(float(row.get("thickness_mm") or 0))


def _kinds(kinds: Sequence[str]) -> Kinds | None:
    """Return the shares; None where most scans do not say, as NIfTI files never do."""
    stated = [kind for kind in kinds if kind != UNKNOWN]
    return kinds_of(kinds) if 2 * len(stated) > len(kinds) else None
