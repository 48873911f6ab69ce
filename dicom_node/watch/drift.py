"""Whether the last analyses look like those that the models were made on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from dicom_node.jobs.pairs import AnalysisEntry
from dicom_node.watch.reference import Reference, Source, measured, reference_for, sorted_into
from dicom_node.watch.rules import WatchRules
from dicom_node.watch.stability import Shift, shift_of_kinds, shift_of_values
from pipeline.training_statistics import (
    QUANTILES,
    Distribution,
    Kinds,
    Measure,
    TrainingStatistics,
    Trait,
    kinds_of,
)

#: Everything that is watched, in the order it is shown.
WATCHED: tuple[Measure | Trait, ...] = (*Measure, *Trait)

#: What it is called for people.
NAMES: Mapping[Measure | Trait, str] = MappingProxyType(
    {
        Measure.VOLUME: "volume (mL)",
        Measure.HE_PROBABILITY: "probability of expansion",
        Trait.THICKNESS: "slice thickness",
        Trait.MANUFACTURER: "maker",
        Trait.KERNEL: "kernel",
        Trait.FINDING: "finding",
        Trait.FLAGS: "flags",
    }
)

#: Kinds that are named in words; the rest is summed up.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One measure or trait of the last analyses beside what is expected.

    Attributes
    ----------
    what : Measure or Trait
        What is looked at.
    source : Source or None
        Who says what is expected; None if nobody can.
    expected_cases, cases : int
        How many cases both sides have.
    expected, found : str
        Both in words; empty where there is nothing.
    shift : Shift or None
        How far apart they are; None where there are too few cases to judge.
    has_drifted : bool
        Whether the limits of the site are exceeded.
    """

    what: Measure | Trait
    source: Source | None
    expected_cases: int
    cases: int
    expected: str
    found: str
    shift: Shift | None
    has_drifted: bool


def drift_of(
    analyses: Sequence[AnalysisEntry],
    rules: WatchRules,
    *,
    statistics: Sequence[TrainingStatistics],
) -> tuple[Drift, ...]:
    """Return how far the last analyses of one model version are from what is expected.

    Parameters
    ----------
    analyses : sequence of AnalysisEntry
        Of the version, the oldest first.
    rules : WatchRules
        Window and limits.
    statistics : sequence of TrainingStatistics
        Of the bundles. What they do not know is compared with the version's first analyses at
        this site, as many as the window has; those are never judged against themselves.
    """
    first, later = analyses[: rules.window], analyses[rules.window :]
    found = []
    for what in WATCHED:
        reference = reference_for(what, statistics=statistics, first=first, minimum=rules.minimum)
        own = reference is None or reference.source is Source.SITE
        present = (later if own else analyses)[-rules.window :]
        found.append(_drift(what, reference, present, rules))
    return tuple(found)


def _drift(
    what: Measure | Trait,
    reference: Reference | None,
    present: Sequence[AnalysisEntry],
    rules: WatchRules,
) -> Drift:
    values = measured(what, present) if isinstance(what, Measure) else []
    kinds = sorted_into(what, present) if isinstance(what, Trait) else []
    cases = len(values) + len(kinds)
    expected = None if reference is None else reference.expected
    enough = cases >= rules.minimum and expected is not None and expected.cases >= rules.minimum
    shift = _shift(expected, values, kinds) if enough else None
    return Drift(
        what=what,
        source=None if reference is None else reference.source,
        expected_cases=0 if expected is None else expected.cases,
        cases=cases,
        expected=_in_words(expected),
        found=_found_in_words(values, kinds),
        shift=shift,
        has_drifted=shift is not None
        and shift.psi >= rules.drift_psi
        and shift.p_value < rules.drift_p_value,
    )


def _shift(
    expected: Distribution | Kinds | None, values: Sequence[float], kinds: Sequence[str]
) -> Shift | None:
    if isinstance(expected, Distribution):
        return shift_of_values(expected, values)
    return None if expected is None else shift_of_kinds(expected, kinds)


def _in_words(expected: Distribution | Kinds | None) -> str:
    if expected is None:
        return ""
    if isinstance(expected, Distribution):
        return f"median {expected.quantiles[QUANTILES // 2]:.3g}"
    ranked = sorted(expected.shares.items(), key=lambda item: -item[1])
    named = [f"{kind} {share:.0%}" for kind, share in ranked[:_NAMED]]
    rest = sum(share for _, share in ranked[_NAMED:])
    return ", ".join([*named, *([f"others {rest:.0%}"] if ranked[_NAMED:] else [])])


def _found_in_words(values: Sequence[float], kinds: Sequence[str]) -> str:
    if values:
        return f"median {median(values):.3g}"
    return _in_words(kinds_of(kinds)) if kinds else ""
