"""What the watch raises: constant sentences, which name no patient and no number."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from dicom_node.watch.drift import Drift
from dicom_node.watch.performance import Performance
from dicom_node.watch.rules import WatchRules
from pipeline.training_statistics import Measure, Trait


class Alarm(StrEnum):
    """What may be wrong. The values are stored; never rename one."""

    AUC_LOW = "auc_low"
    CALIBRATION_OFF = "calibration_off"
    VOLUME_DRIFT = "volume_drift"
    PROBABILITY_DRIFT = "probability_drift"
    THICKNESS_DRIFT = "thickness_drift"
    MANUFACTURER_DRIFT = "manufacturer_drift"
    KERNEL_DRIFT = "kernel_drift"
    FINDING_DRIFT = "finding_drift"
    FLAGS_DRIFT = "flags_drift"


#: What each alarm says.
SENTENCES: Mapping[Alarm, str] = MappingProxyType(
    {
        Alarm.AUC_LOW: "The AUC of the predictions lies below the limit of the site.",
        Alarm.CALIBRATION_OFF: "Hematomas expand at another rate than the probabilities say.",
        Alarm.VOLUME_DRIFT: "The volumes of hematomas have drifted from what is expected.",
        Alarm.PROBABILITY_DRIFT: (
            "The probabilities of expansion have drifted from what is expected."
        ),
        Alarm.THICKNESS_DRIFT: "The slice thickness has drifted from what is expected.",
        Alarm.MANUFACTURER_DRIFT: "The scanners' makers have drifted from what is expected.",
        Alarm.KERNEL_DRIFT: "The convolution kernels have drifted from what is expected.",
        Alarm.FINDING_DRIFT: (
            "The share of scans without hematoma, or not analysed, has drifted from what is "
            "expected."
        ),
        Alarm.FLAGS_DRIFT: "The share of scans with flags has drifted from what is expected.",
    }
)

#: Which alarm the drift of what raises.
DRIFT_ALARMS: Mapping[Measure | Trait, Alarm] = MappingProxyType(
    {
        Measure.VOLUME: Alarm.VOLUME_DRIFT,
        Measure.HE_PROBABILITY: Alarm.PROBABILITY_DRIFT,
        Trait.THICKNESS: Alarm.THICKNESS_DRIFT,
        Trait.MANUFACTURER: Alarm.MANUFACTURER_DRIFT,
        Trait.KERNEL: Alarm.KERNEL_DRIFT,
        Trait.FINDING: Alarm.FINDING_DRIFT,
        Trait.FLAGS: Alarm.FLAGS_DRIFT,
    }
)


def alarms_of(
    performance: Performance, drifts: Sequence[Drift], rules: WatchRules
) -> tuple[Alarm, ...]:
    """Return what stands, in the order of `Alarm`."""
    standing = {DRIFT_ALARMS[one.what] for one in drifts if one.has_drifted}
    if performance.pairs >= rules.minimum:
        if performance.auc is not None and performance.auc.high < rules.least_auc:
            standing.add(Alarm.AUC_LOW)
        if _is_off(performance, rules):
            standing.add(Alarm.CALIBRATION_OFF)
    return tuple(alarm for alarm in Alarm if alarm in standing)


def _is_off(performance: Performance, rules: WatchRules) -> bool:
    """Return whether promise and truth differ by more than is tolerated, and than by chance."""
    told, happened = performance.mean_probability, performance.expanded_share
    if told is None or happened is None:
        return False
    by_chance = happened.low <= told <= happened.high
    return abs(told - happened.value) > rules.calibration_difference and not by_chance
