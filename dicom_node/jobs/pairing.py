"""Which scans of a patient belong side by side: pure, times in, pairs out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRules:
    """When an earlier scan is the baseline of a later one.

    Attributes
    ----------
    window : timedelta
        Longest time between the two.
    minimum_interval : timedelta
        Shortest time between the two; scans that lie closer are one examination.

    Raises
    ------
    ValueError
        If the times are not 0 < minimum_interval <= window.
    """

    window: timedelta
    minimum_interval: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.minimum_interval <= self.window:
            raise ValueError(
                "0 < minimum_interval <= window is needed, got "
                f"{self.minimum_interval} and {self.window}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzedScan:
    """An analysis with results, as pairing sees it.

    Attributes
    ----------
    job_id : int
        Job of the analysis.
    series_uid : str
        Series that was analysed.
    acquired_at : datetime or None
        When the scan was taken; naive if the images name no time zone, None if no time.
    has_hematoma : bool
        Whether the analysis found one.
    issuer_key : str
        Stands for the issuer of the Patient ID, empty if the images name none.
    """

    job_id: int
    series_uid: str
    acquired_at: datetime | None
    has_hematoma: bool
    issuer_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPair:
    """A later scan and the earlier one that it is compared to."""

    baseline: AnalyzedScan
    follow_up: AnalyzedScan


def pairs_of(scans: Sequence[AnalyzedScan], rules: PairingRules) -> tuple[ScanPair, ...]:
    """Return the pairs among the scans of one Patient ID, the earliest follow-up first.

    The baseline of a scan is the earliest one in the window before it, so that all scans of one
    hemorrhage are measured against the same first one, and expansion that came in two steps is
    not halved. Of several analyses of one series only the last counts. Two scans without a
    hematoma are no pair, nor are two whose Patient IDs were issued by different authorities; a
    scan that does not name the issuer may belong to any.

    Parameters
    ----------
    scans
        Every analysis of one Patient ID that has results, in any order.
    rules
        What counts as earlier.
    """
    latest = {scan.series_uid: scan for scan in sorted(scans, key=lambda scan: scan.job_id)}
    times = [scan.acquired_at for scan in latest.values() if scan.acquired_at]
    clock = _moment if all(time.tzinfo for time in times) else _local
    dated = sorted(
        ((clock(scan.acquired_at), scan) for scan in latest.values() if scan.acquired_at),
        key=lambda entry: (entry[0], entry[1].job_id),
    )
    pairs = []
    for _, follow_up in dated:
        baseline = next((scan for _, scan in dated if _is_baseline(scan, follow_up, rules)), None)
        if baseline is not None:
            pairs.append(ScanPair(baseline=baseline, follow_up=follow_up))
    return tuple(pairs)


def interval_of(baseline: datetime, follow_up: datetime) -> timedelta:
    """Return the time between two scans.

    If only one of them names its time zone, both are read as clocks of one place.
    """
    if (baseline.tzinfo is None) == (follow_up.tzinfo is None):
        return follow_up - baseline
    return _local(follow_up) - _local(baseline)


def _is_baseline(scan: AnalyzedScan, follow_up: AnalyzedScan, rules: PairingRules) -> bool:
    if scan.acquired_at is None or follow_up.acquired_at is None:
        return False
    if not (scan.has_hematoma or follow_up.has_hematoma):
        return False
    if scan.issuer_key and follow_up.issuer_key and scan.issuer_key != follow_up.issuer_key:
        return False
    interval = interval_of(scan.acquired_at, follow_up.acquired_at)
    return rules.minimum_interval <= interval <= rules.window


def _moment(moment: datetime) -> datetime:
    return moment


def _local(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)
