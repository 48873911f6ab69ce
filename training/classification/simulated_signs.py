"""The findings of a simulated hematoma as targets between 0 and 1."""

from collections.abc import Mapping

import numpy as np

#: Those that are there or not, by their names in the simulator's records.
SIGN_NAMES = ("black_hole", "blend", "swirl", "satellite", "fluid_level")

#: The simulator's irregularity ends at 0.5, its volumes at 140 mL.
LARGEST_IRREGULARITY = 0.5
SMALLEST_ML, LARGEST_ML = 0.5, 140.0


def recorded_signs(
    present: Mapping[str, bool],
    *,
    irregularity: float,
    volume_ml: float,
    expansion_probability: float,
) -> dict[str, float]:
    """Return what a network may learn besides the outcome.

    Parameters
    ----------
    present : mapping of str to bool
        The signs that are there or not.
    irregularity : float
        Of the outline, 0 to 0.5.
    volume_ml : float
        Volume at the first scan; enters as its logarithm.
    expansion_probability : float
        Chance of expansion that the simulator used, as far as an image can tell it. It is
        known of no real patient.
    """
    span = np.log(LARGEST_ML / SMALLEST_ML)
    size = np.log(max(volume_ml, SMALLEST_ML) / SMALLEST_ML) / span
    return {
        **{name: float(is_there) for name, is_there in present.items()},
        "irregularity": float(np.clip(irregularity / LARGEST_IRREGULARITY, 0, 1)),
        "size": float(np.clip(size, 0, 1)),
        "expansion_probability": expansion_probability,
    }
