"""The ideal reader of simulated cases, who knows all visible signs: what nobody can surpass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.classification.case import TripletCase

#: Sign of simulated cases that says how likely they are to expand, as far as an image can tell.
CHANCE = "expansion_probability"


def ideal_chances(cases: Sequence[TripletCase]) -> NDArray[np.float64] | None:
    """Return the ideal reader's probability of each simulated case, None if one has none."""
    if not all(CHANCE in case.signs for case in cases):
        return None
    return np.array([case.signs[CHANCE] for case in cases])
