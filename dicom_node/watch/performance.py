"""How good the predictions of one model version were, with intervals and honest words."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom_node.watch.outcomes import Outcome
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.sample_size import cases_for_share, patients_for_auc
from pipeline.statistics.calibration import (
    CalibrationLine,
    ReliabilityGroup,
    calibration_line,
    reliability,
)
from pipeline.statistics.confusion import Confusion, DiagnosticMeasure, confusion_of
from pipeline.statistics.delong import delong
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportion import wilson
from pipeline.statistics.roc import RocCurve, auc, roc_curve

#: Share of patients whose hematoma expands, for planning as long as none was seen: the npj study
#: names 20 to 30 %.
PLANNED_SHARE: Final = 0.25

#: Area for planning as long as none can be had: between useless (0.5) and perfect.
PLANNED_AUC: Final = 0.75

#: Fewer cases of an outcome make every interval a rough guess: the methods count on many.
FEW: Final = 10

#: Cases of each outcome that the validation of a prediction should have: Y. Vergouwe et al., J.
#: Clin. Epidemiol. 58 (2005) 475-483.
ENOUGH: Final = 100

#: Patients in a group of the reliability plot, and the most groups.
_PER_GROUP, _MOST_GROUPS = 10, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PointScores:
    """What one operating point made of the predictions.

    Attributes
    ----------
    name : str
        The point; ``card`` is the card's threshold.
    confusion : Confusion
        Calls against outcomes.
    shares : mapping of DiagnosticMeasure to Estimate or None
        With Wilson's interval; None where there is nothing to be a share of.
    """

    name: str
    confusion: Confusion
    shares: Mapping[DiagnosticMeasure, Estimate | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How many patients a wish takes.

    Attributes
    ----------
    wish : str
        What is wanted.
    patients : int
        How many it takes altogether.
    more : int
        How many of them are missing.
    """

    wish: str
    patients: int
    more: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Performance:
    """Predictions of one model version against outcomes, one pair per patient.

    Attributes
    ----------
    pairs, expansions : int
        Patients with an outcome, and how many of them expanded.
    predicted_ahead : int
        Of the pairs, how many predictions stood before the node knew of the later scan.
    uncertain : int
        Of the pairs, in how many the error of the volumes leaves the outcome in doubt.
    auc : Estimate or None
        DeLong; None where no interval can be had, `remarks` says why.
    roc : RocCurve or None
        None with one outcome only.
    points : tuple of PointScores
        The card's threshold first.
    mean_probability : float or None
        What was promised; None without pairs.
    expanded_share : Estimate or None
        What happened, Wilson.
    brier : Estimate or None
        Mean squared error with Student's interval.
    calibration : CalibrationLine or None
        None where no line fits.
    reliability : tuple of ReliabilityGroup
        Groups of about equal size by rising probability.
    needs : tuple of Need
        What is missing for useful intervals.
    remarks : tuple of str
        What these numbers cannot say.
    """

    pairs: int
    expansions: int
    predicted_ahead: int
    uncertain: int
    auc: Estimate | None
    roc: RocCurve | None
    points: tuple[PointScores, ...]
    mean_probability: float | None
    expanded_share: Estimate | None
    brier: Estimate | None
    calibration: CalibrationLine | None
    reliability: tuple[ReliabilityGroup, ...]
    needs: tuple[Need, ...]
    remarks: tuple[str, ...]


def performance_of(outcomes: Sequence[Outcome], rules: WatchRules) -> Performance:
    """Return how good predictions were, as far as their number allows to say."""
    positive = np.array([one.expanded for one in outcomes], dtype=bool)
    told = np.array([one.probability for one in outcomes], dtype=np.float64)
    both = bool(positive.any() and not positive.all())
    area = _auc(positive, told)
    expansions = int(positive.sum())
    return Performance(
        pairs=len(outcomes),
        expansions=expansions,
        predicted_ahead=sum(one.predicted_ahead for one in outcomes),
        uncertain=sum(not one.is_certain for one in outcomes),
        auc=area,
        roc=roc_curve(positive, told) if both else None,
        points=_points(outcomes, positive),
        mean_probability=float(told.mean()) if outcomes else None,
        expanded_share=wilson(expansions, len(outcomes)) if outcomes else None,
        brier=_brier(positive, told),
        calibration=_line(positive, told),
        reliability=_groups(positive, told),
        needs=_needs(outcomes, area, rules),
        remarks=(*_remarks(positive, told), *_mixture(outcomes)),
    )


def _auc(positive: NDArray[np.bool_], told: NDArray[np.float64]) -> Estimate | None:
    """Return the AUC; None if DeLong's interval cannot be had, or has no width by luck."""
    try:
        found = delong(positive, told[None]).interval()
    except ValueError:
        return None
    return found if found.high > found.low else None


def _points(outcomes: Sequence[Outcome], positive: NDArray[np.bool_]) -> tuple[PointScores, ...]:
    """Return the scores of every operating point that all predictions of the version have."""
    if not outcomes:
        return ()
    names = [name for name in outcomes[0].calls if all(name in one.calls for one in outcomes)]
    found = []
    for name in names:
        table = confusion_of(positive, np.array([one.calls[name] for one in outcomes], bool))
        shares = {measure: _share(*table.share(measure)) for measure in DiagnosticMeasure}
        found.append(PointScores(name=name, confusion=table, shares=shares))
    return tuple(found)


def _share(count: int, total: int) -> Estimate | None:
    return wilson(count, total) if total else None


def _brier(positive: NDArray[np.bool_], told: NDArray[np.float64]) -> Estimate | None:
    """Return the mean squared error with Student's interval, held within 0 and 1."""
    if len(told) < 2:  # noqa: PLR2004  one value has no spread
        return None
    # Not above: it costs the office half a second of its start, and many sites have no outcomes.
    from scipy import stats  # type: ignore[import-untyped] # scipy ships no types

    errors = (told - positive) ** 2
    mean = float(errors.mean())
    half = float(stats.t.ppf(0.975, len(errors) - 1) * stats.sem(errors))
    return Estimate(value=mean, low=max(mean - half, 0.0), high=min(mean + half, 1.0))


def _line(positive: NDArray[np.bool_], told: NDArray[np.float64]) -> CalibrationLine | None:
    try:
        return calibration_line(positive, told)
    except ValueError:  # one outcome, one probability, or outcomes that are separated
        return None


def _groups(
    positive: NDArray[np.bool_], told: NDArray[np.float64]
) -> tuple[ReliabilityGroup, ...]:
    groups = min(len(told) // _PER_GROUP, _MOST_GROUPS)
    return reliability(positive, told, groups=groups) if groups else ()


def _needs(
    outcomes: Collection[Outcome], area: Estimate | None, rules: WatchRules
) -> tuple[Need, ...]:
    pairs, expansions = len(outcomes), sum(one.expanded for one in outcomes)
    share = expansions / pairs if 0 < expansions < pairs else PLANNED_SHARE
    expected = area.value if area else PLANNED_AUC
    wide = patients_for_auc(expected, share=share, width=rules.auc_width)
    # half of the cases is the share with the widest interval: no promise about it is needed
    each = cases_for_share(0.5, half_width=rules.share_half_width)
    points = round(100 * rules.share_half_width)
    wanted = (
        (f"an AUC interval no wider than {rules.auc_width:g}", wide),
        (f"sensitivity to {points} points either way", math.ceil(each / share)),
        (f"specificity to {points} points either way", math.ceil(each / (1 - share))),
    )
    return tuple(
        Need(wish=wish, patients=patients, more=max(patients - pairs, 0))
        for wish, patients in wanted
    )


def _mixture(outcomes: Collection[Outcome]) -> tuple[str, ...]:
    """Return a word on outcomes that do not mean the same; the site changed its settings."""
    if len({one.definition for one in outcomes}) < 2:  # noqa: PLR2004  one kind is no mixture
        return ()
    return ("The outcomes were judged by different definitions of expansion.",)


def _remarks(positive: NDArray[np.bool_], told: NDArray[np.float64]) -> tuple[str, ...]:
    """Return what the numbers cannot say, in sentences for people."""
    pairs, expansions = len(positive), int(positive.sum())
    fewer = min(expansions, pairs - expansions)
    if not pairs:
        return ("No patient has an outcome yet: nothing can be said of the predictions.",)
    if not fewer:
        one = "All hematomas expanded" if expansions else "No hematoma expanded"
        return (f"{one}: an AUC needs both outcomes.",)
    remarks = []
    if fewer == 1:
        remarks.append("One outcome was seen once only: the AUC has no interval, and is not told.")
    elif auc(positive, told) in {0.0, 1.0}:
        remarks.append(
            "The outcomes are ranked without a fault: with so few patients that may be luck, and "
            "the method has no interval for it; the AUC is not told."
        )
    if fewer < FEW:
        remarks.append(
            f"Fewer than {FEW} patients with one of the outcomes: the intervals are rough."
        )
    elif fewer < ENOUGH:
        remarks.append(
            f"A validation should have {ENOUGH} patients with each outcome (Vergouwe et al. 2005)."
        )
    return tuple(remarks)
