"""A share of cases with the interval that counting gives it."""

import math

from pipeline.statistics.estimate import Estimate

#: Two-sided 95 % point of the normal distribution.
NORMAL_95 = 1.959964


def wilson(count: int, total: int) -> Estimate:
    """Return a share with Wilson's score interval [1]_.

    Raises
    ------
    ValueError
        If there is nothing to take a share of, or the count lies outside 0..total.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
       inference", J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    if not 0 <= count <= total or total == 0:
        raise ValueError(f"{count} of {total} is no share")
    share, z2 = count / total, NORMAL_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = share * (1 - share) / total + z2 / (4 * total**2)
    half = NORMAL_95 * math.sqrt(spread) / (1 + z2 / total)
    return Estimate(value=share, low=max(middle - half, 0.0), high=min(middle + half, 1.0))
