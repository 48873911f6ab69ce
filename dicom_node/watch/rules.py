"""What the site counts as an outcome, and what alarms it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """Limits of the watch.

    Attributes
    ----------
    earliest_h, latest_h : float
        Between how many hours after the baseline a follow-up scan counts as the outcome. The
        npj study took follow-ups within 72 h [1]_; most expansions happen in the first 3 to
        6 h [1]_, so that an earlier scan cannot yet say that there was none.
    auc_width : float
        Wanted width of the AUC's 95 % interval.
    share_half_width : float
        Wanted half width of the intervals of sensitivity and specificity.
    least_auc : float
        Alarm when the whole interval of the AUC lies below it.
    calibration_difference : float
        Alarm when the mean probability misses the observed share by more, and chance does not
        explain it.
    window : int
        Analyses that drift is judged on: the last ones.
    minimum : int
        With fewer analyses, or pairs, nothing is alarmed.
    drift_psi : float
        Population stability index from which a distribution counts as another.
    drift_p_value : float
        A drift must be less likely than this by chance, too.

    References
    ----------
    .. [1] Q. Yu et al., "An end-to-end deep learning pipeline for hematoma expansion prediction in
       spontaneous intracerebral hemorrhage based on non-contrast computed tomography", npj Digital
       Medicine (2025), Introduction and Methods.
    """

    earliest_h: float = 6.0
    latest_h: float = 72.0
    auc_width: float = 0.1
    share_half_width: float = 0.1
    least_auc: float = 0.6
    calibration_difference: float = 0.1
    window: int = 200
    minimum: int = 50
    drift_psi: float = 0.25
    drift_p_value: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.earliest_h <= self.latest_h:
            raise ValueError(
                f"0 <= earliest_h <= latest_h is needed, got {self.earliest_h} and {self.latest_h}"
            )
        if not 1 <= self.minimum <= self.window:
            raise ValueError(
                f"1 <= minimum <= window is needed, got {self.minimum} and {self.window}"
            )
