"""What a reader must know about a comparison, and what keeps it from giving a verdict."""

from enum import StrEnum


class FollowUpFlag(StrEnum):
    """A remark on a comparison of two scans. The values are stored; never rename one."""

    REGISTRATION_POOR = "registration_poor"  #: the heads of the two scans do not match
    SURGERY_SUSPECTED = "surgery_suspected"  #: the volume fell sharply and surgery left signs
    SHARP_FALL = "sharp_fall"  #: the volume fell sharply and no sign of surgery was seen
    BASELINE_NO_HEMATOMA = "baseline_no_hematoma"  #: there was nothing that could expand
    HEMATOMA_CUT_OFF = "hematoma_cut_off"  #: the hematoma reaches the edge of a scan
    INTERVAL_SHORT = "interval_short"  #: the hematoma may still have grown afterwards
    INTERVAL_LONG = "interval_long"  #: longer than expansion is defined for
    TIME_ZONE_MISSING = "time_zone_missing"  #: both clocks were taken to show the same zone
    OTHER_SCANNER = "other_scanner"  #: the scans are of two scanners
    TILT_DIFFERS = "tilt_differs"  #: the slices cut the head at different angles
    THICKNESS_DIFFERS = "thickness_differs"  #: the slices differ in thickness
    CONTRAST_DIFFERS = "contrast_differs"  #: contrast agent is suspected in one scan alone


#: Each of these leaves the question of expansion open; the volumes are reported all the same.
WITHHOLDING = frozenset(
    {
        FollowUpFlag.REGISTRATION_POOR,
        FollowUpFlag.SURGERY_SUSPECTED,
        FollowUpFlag.SHARP_FALL,
        FollowUpFlag.BASELINE_NO_HEMATOMA,
    }
)
