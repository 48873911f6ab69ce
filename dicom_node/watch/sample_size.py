"""How many patients an interval of a wanted width needs.

References
----------
.. [1] J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating
   characteristic (ROC) curve", Radiology 143 (1982) 29-36.
.. [2] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
   J. Am. Stat. Assoc. 22 (1927) 209-212.
"""

import math
from collections.abc import Callable

from pipeline.statistics.proportion import NORMAL_95

#: More patients than any site follows; a wish that needs more is answered by this number.
MOST = 1_000_000

#: An area this near to 1 has no variance by the formula; a wish is planned for a little less.
_LARGEST_AUC = 0.99

#: With fewer cases of an outcome no variance can be had.
_FEWEST = 2


def auc_sd(auc: float, *, positives: float, negatives: float) -> float:
    """Return the standard error that an AUC has with so many cases, by [1]_, eq. (2)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def patients_for_auc(auc: float, *, share: float, width: float) -> int:
    """Return how many patients make the AUC's 95 % interval no wider than wished.

    Parameters
    ----------
    auc : float
        Area that is expected.
    share : float
        Share of patients with the outcome, in (0, 1).
    width : float
        Of the whole interval.
    """
    expected = min(max(auc, 1 - auc), _LARGEST_AUC)

    def fits(patients: int) -> bool:
        positives, negatives = patients * share, patients * (1 - share)
        if min(positives, negatives) < _FEWEST:
            return False
        return 2 * NORMAL_95 * auc_sd(expected, positives=positives, negatives=negatives) <= width

    return _smallest(fits)


def cases_for_share(share: float, *, half_width: float) -> int:
    """Return how many cases make Wilson's interval of a share no wider than wished to a side.

    The half width is that of [2]_ for a share that is exactly as expected.
    """

    def fits(cases: int) -> bool:
        z2 = NORMAL_95**2
        spread = share * (1 - share) / cases + z2 / (4 * cases**2)
        return NORMAL_95 * math.sqrt(spread) / (1 + z2 / cases) <= half_width

    return _smallest(fits)


def _smallest(fits: Callable[[int], bool]) -> int:
    """Return the smallest number that fits, all larger ones doing so too."""
    high = 1
    while high < MOST and not fits(high):
        high *= 2
    if high >= MOST:
        return MOST
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
