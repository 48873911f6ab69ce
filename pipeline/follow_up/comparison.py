"""What changed between two scans of a patient, and whether that is expansion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from pipeline.expansion import MeasuredVolumes, VolumeChange, judge_change
from pipeline.finding import Compartment, Segmentation
from pipeline.follow_up.alignment import ScanAlignment, align_scans, on_common_grid
from pipeline.follow_up.flags import WITHHOLDING, FollowUpFlag
from pipeline.follow_up.surgery import SurgerySigns, surgery_signs
from pipeline.measurement import volume_ml
from pipeline.quality import assess_mask, assess_volume
from pipeline.quality_flags import QualityFlag
from pipeline.volume import CtVolume

#: Below this the heads do not match. Measured on simulated follow-ups of real heads: 0.96 to 0.98
#: of one patient, 0.54 to 0.90 of two (docs/follow_up.md).
LEAST_CORRELATION = 0.93

#: The same head is the same size. Measured as above: off by up to 0.01 along any direction of one
#: patient's, by 0.03 to 0.12 of two.
MOST_STRETCH = 0.05

#: A hematoma does not lose more than this in the days that a comparison spans by being resorbed;
#: the lesser of the two keeps the error of measuring small hematomas out.
SHARP_FALL_RATIO, SHARP_FALL_ML = 0.33, 3.0

#: Slices that cut the head at angles farther apart give sections that do not look alike.
TILT_DEG = 5.0

#: Ratio of two thicknesses from which partial volume differs visibly.
THICKNESS_RATIO = 1.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanFinding:
    """A scan and what the model found in it.

    Attributes
    ----------
    volume : CtVolume
        The scan on its own grid.
    segmentation : Segmentation
        On the same grid.
    """

    volume: CtVolume
    segmentation: Segmentation

    @property
    def volumes(self) -> MeasuredVolumes:
        """What was measured on the scan's own grid."""
        ventricles = self.segmentation.compartments.get(Compartment.INTRAVENTRICULAR)
        return MeasuredVolumes(
            hematoma_ml=volume_ml(self.segmentation.hematoma),
            hematoma_range=self.segmentation.volume_range,
            intraventricular_ml=None if ventricles is None else volume_ml(ventricles),
        )

    @property
    def quality(self) -> frozenset[QualityFlag]:
        """Doubts about the scan and the mask."""
        return assess_volume(self.volume) | assess_mask(self.segmentation.hematoma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Which scanner made a scan; empty where the images do not say.

    Attributes
    ----------
    manufacturer, model_name, serial_number : str
        As the images say.
    """

    manufacturer: str = ""
    model_name: str = ""
    serial_number: str = ""

    def differs_from(self, other: "Equipment") -> bool:
        """Return whether both say something, and not the same."""
        pairs = (
            (self.manufacturer, other.manufacturer),
            (self.model_name, other.model_name),
            (self.serial_number, other.serial_number),
        )
        return any(
            one.strip() and two.strip() and one.strip().casefold() != two.strip().casefold()
            for one, two in pairs
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How much later the follow-up is.

    Attributes
    ----------
    elapsed : timedelta
        More than zero.
    is_zone_assumed : bool
        Whether a scan says no time zone.
    short, long : timedelta
        An earlier follow-up may miss growth that is still to come; expansion is not defined for
        a later one.

    Raises
    ------
    ValueError
        If the follow-up is not later than the baseline.
    """

    elapsed: timedelta
    is_zone_assumed: bool = False
    short: timedelta = timedelta(hours=6)
    long: timedelta = timedelta(hours=72)

    def __post_init__(self) -> None:
        if self.elapsed <= timedelta():
            raise ValueError(f"A follow-up is later than its baseline, got {self.elapsed}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowUpComparison:
    """Two scans of a patient, compared.

    Attributes
    ----------
    baseline, follow_up : MeasuredVolumes
        What each shows, on its own grid, by the same model.
    change : VolumeChange
        The difference, judged by the definition asked for.
    with_ventricles : bool
        Whether that is the revised definition.
    interval : Interval
        Time between the scans.
    alignment : ScanAlignment or None
        Where the baseline lies in the follow-up; None if the heads could not be matched at all.
    flags : frozenset of FollowUpFlag
        What a reader must know.
    baseline_quality, follow_up_quality : frozenset of QualityFlag
        Doubts about each scan.
    signs : SurgerySigns or None
        What was looked for where the volume fell sharply; None elsewhere.
    """

    baseline: MeasuredVolumes
    follow_up: MeasuredVolumes
    change: VolumeChange
    with_ventricles: bool
    interval: Interval
    alignment: ScanAlignment | None
    flags: frozenset[FollowUpFlag]
    baseline_quality: frozenset[QualityFlag] = field(default_factory=frozenset)
    follow_up_quality: frozenset[QualityFlag] = field(default_factory=frozenset)
    signs: SurgerySigns | None = None

    @property
    def withheld_by(self) -> tuple[FollowUpFlag, ...]:
        """Why there is no verdict, in the order in which flags are declared; empty if there is."""
        return tuple(flag for flag in FollowUpFlag if flag in self.flags & WITHHOLDING)

    @property
    def is_expansion(self) -> bool | None:
        """The verdict; None where it is withheld."""
        return None if self.withheld_by else self.change.is_expansion

    @property
    def is_registered(self) -> bool:
        """Whether points of one scan can be found in the other."""
        return self.alignment is not None and FollowUpFlag.REGISTRATION_POOR not in self.flags


def compare_scans(
    baseline: ScanFinding,
    follow_up: ScanFinding,
    *,
    interval: Interval,
    with_ventricles: bool = False,
    baseline_equipment: Equipment | None = None,
    follow_up_equipment: Equipment | None = None,
    align: Callable[[CtVolume, CtVolume], ScanAlignment] = align_scans,
) -> FollowUpComparison:
    """Return what changed between two scans that one model has segmented.

    There is no verdict where the heads do not match, where the baseline shows no hematoma, and
    where the volume fell sharply. A sharp fall withholds it even without a sign of surgery:
    within days blood is not resorbed so fast, so either somebody took it out without a trace
    that is seen here, or the model missed it on one of the scans; "not expanded" would be a
    label nobody observed.

    Parameters
    ----------
    baseline, follow_up : ScanFinding
        The scans, the earlier one first.
    interval : Interval
        Time between them.
    with_ventricles : bool
        Judge by the revised definition of expansion.
    baseline_equipment, follow_up_equipment : Equipment, optional
        Which scanners made them.
    align : callable
        Finds where the baseline lies in the follow-up; raises ValueError where it cannot.
    """
    before, after = baseline.volumes, follow_up.volumes
    alignment = _aligned(baseline.volume, follow_up.volume, align)
    fell = _fell_sharply(before.hematoma_ml, after.hematoma_ml)
    signs = None
    if fell and alignment is not None and alignment_holds(alignment):
        signs = surgery_signs(on_common_grid(baseline.volume, follow_up.volume, alignment))
    operated = signs is not None and signs.are_there
    qualities = (baseline.quality, follow_up.quality)
    equipment = (baseline_equipment or Equipment(), follow_up_equipment or Equipment())
    found = {
        FollowUpFlag.REGISTRATION_POOR: alignment is None or not alignment_holds(alignment),
        FollowUpFlag.SURGERY_SUSPECTED: operated,
        FollowUpFlag.SHARP_FALL: fell and not operated,
        FollowUpFlag.BASELINE_NO_HEMATOMA: before.hematoma_ml == 0,
        FollowUpFlag.HEMATOMA_CUT_OFF: any(
            QualityFlag.HEMATOMA_AT_EDGE in quality for quality in qualities
        ),
        FollowUpFlag.INTERVAL_SHORT: interval.elapsed < interval.short,
        FollowUpFlag.INTERVAL_LONG: interval.elapsed > interval.long,
        FollowUpFlag.TIME_ZONE_MISSING: interval.is_zone_assumed,
        FollowUpFlag.OTHER_SCANNER: equipment[0].differs_from(equipment[1]),
        FollowUpFlag.TILT_DIFFERS: _angle_deg(baseline.volume, follow_up.volume, alignment)
        > TILT_DEG,
        FollowUpFlag.THICKNESS_DIFFERS: _thickness_differs(baseline.volume, follow_up.volume),
        FollowUpFlag.CONTRAST_DIFFERS: QualityFlag.CONTRAST_SUSPECTED
        in qualities[0] ^ qualities[1],
    }
    return FollowUpComparison(
        baseline=before,
        follow_up=after,
        change=judge_change(before, after, with_ventricles=with_ventricles),
        with_ventricles=with_ventricles,
        interval=interval,
        alignment=alignment,
        flags=frozenset(flag for flag, is_set in found.items() if is_set),
        baseline_quality=qualities[0],
        follow_up_quality=qualities[1],
        signs=signs,
    )


def _aligned(
    baseline: CtVolume,
    follow_up: CtVolume,
    align: Callable[[CtVolume, CtVolume], ScanAlignment],
) -> ScanAlignment | None:
    try:
        return align(baseline, follow_up)
    except ValueError:
        return None


def alignment_holds(alignment: ScanAlignment) -> bool:
    """Return whether two scans show one head, as far as its shape tells."""
    if alignment.correlation < LEAST_CORRELATION:
        return False
    stretches = np.linalg.svd(alignment.matrix, compute_uv=False)
    return bool(np.all(np.abs(stretches - 1) <= MOST_STRETCH))


def _fell_sharply(before_ml: float, after_ml: float) -> bool:
    fall = before_ml - after_ml
    return fall > SHARP_FALL_ML and fall > SHARP_FALL_RATIO * before_ml


def _angle_deg(baseline: CtVolume, follow_up: CtVolume, alignment: ScanAlignment | None) -> float:
    """Return the angle between the slices of both scans in the head, or as scanned if unmatched.

    A plane's normal is moved by the inverse transpose of what moves its points.
    """
    normal = baseline.grid.normal_lps
    if alignment is not None and alignment_holds(alignment):
        normal = np.linalg.inv(alignment.matrix).T @ normal
    cosine = float(normal @ follow_up.grid.normal_lps) / float(np.linalg.norm(normal))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _thickness_differs(baseline: CtVolume, follow_up: CtVolume) -> bool:
    one, other = (_thickness_mm(scan) for scan in (baseline, follow_up))
    return max(one, other) > THICKNESS_RATIO * min(one, other)


def _thickness_mm(scan: CtVolume) -> float:
    """Return the median thickness that the slices name, their distance where they name none."""
    named = [thickness for thickness in scan.slice_thickness_mm if thickness > 0]
    return float(np.median(named)) if named else scan.grid.spacing_zyx_mm[0]
