"""What the scans behind a model looked like, so that a site can see whether its own differ."""

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

#: Quantiles are stated at every 5 %, from the smallest value to the largest.
QUANTILES = 21

#: Decimals of stored values: enough for millilitres and probabilities.
_DECIMALS = 5

#: Shares may miss 1 by what rounding them takes away.
_ROUNDING = 1e-3


class Measure(StrEnum):
    """A number that analyses have a distribution of. The values are stored; never rename one."""

    VOLUME = "volume_ml"  #: measured volume, of scans with a hematoma
    HE_PROBABILITY = "he_probability"  #: probability of expansion, of scans with a hematoma


class Trait(StrEnum):
    """A property that sorts scans into kinds. The values are stored; never rename one."""

    THICKNESS = "slice_thickness"  #: in the words of `pipeline.scan_kinds`
    MANUFACTURER = "manufacturer"  #: as above
    KERNEL = "kernel"  #: as above
    FINDING = "finding"  #: whether there is a hematoma
    FLAGS = "flags"  #: whether a doubt was raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution by its quantiles.

    Attributes
    ----------
    cases : int
        Values that it was made of.
    quantiles : tuple of float
        At `QUANTILES` equally spaced probabilities from 0 to 1.

    Raises
    ------
    ValueError
        If there is no case, or the quantiles are not as many, not finite or do not rise.
    """

    cases: int
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_cases(self.cases)
        if len(self.quantiles) != QUANTILES:
            raise ValueError(f"{QUANTILES} quantiles expected, got {len(self.quantiles)}")
        if not all(map(math.isfinite, self.quantiles)):
            raise ValueError("Quantiles must be finite")
        if any(after < before for before, after in itertools.pairwise(self.quantiles)):
            raise ValueError("Quantiles must not fall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """How many cases were of which kind.

    Attributes
    ----------
    cases : int
        All of them.
    shares : dict of str to float
        Share of each kind; together 1.

    Raises
    ------
    ValueError
        If there is no case, or the shares are none or do not make 1.
    """

    cases: int
    shares: dict[str, float]

    def __post_init__(self) -> None:
        _check_cases(self.cases)
        total = sum(self.shares.values())
        if min(self.shares.values(), default=-1) < 0 or abs(total - 1) > _ROUNDING:
            raise ValueError(f"Shares must be positive and make 1, got {total:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStatistics:
    """Distributions of the scans behind a model; what is not known is left out.

    Attributes
    ----------
    cohort : str
        Whose scans they are.
    measures : dict of Measure to Distribution
        Numbers.
    traits : dict of Trait to Kinds
        Kinds.

    Raises
    ------
    ValueError
        If the cohort is not named or nothing is known.
    """

    cohort: str
    measures: dict[Measure, Distribution] = field(default_factory=dict)
    traits: dict[Trait, Kinds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cohort:
            raise ValueError("Training statistics name their cohort, got none")
        if not self.measures and not self.traits:
            raise ValueError("Training statistics that know nothing are to be left out")


def distribution_of(values: Collection[float]) -> Distribution:
    """Return the distribution of some values.

    Raises
    ------
    ValueError
        If there is none.
    """
    _check_cases(len(values))
    found = np.quantile(np.asarray(list(values), float), np.linspace(0, 1, QUANTILES))
    return Distribution(
        cases=len(values), quantiles=tuple(round(float(one), _DECIMALS) for one in found)
    )


def kinds_of(values: Iterable[str]) -> Kinds:
    """Return the shares of some cases' kinds, the commonest first.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = list(values)
    _check_cases(len(found))
    counts = {kind: found.count(kind) for kind in set(found)}
    ranked = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return Kinds(
        cases=len(found),
        shares={kind: round(counts[kind] / len(found), _DECIMALS) for kind in ranked},
    )


def training_statistics_from_fields(fields: Mapping[str, Any]) -> TrainingStatistics:
    """Return the statistics that a card's JSON object describes.

    Raises
    ------
    ValueError
        If a field is missing, unknown or impossible.
    """
    _check_names(fields, TrainingStatistics)
    return TrainingStatistics(
        cohort=str(fields["cohort"]),
        measures={Measure(name): _distribution(it) for name, it in fields["measures"].items()},
        traits={Trait(name): _kinds(it) for name, it in fields["traits"].items()},
    )


def _distribution(fields: Mapping[str, Any]) -> Distribution:
    _check_names(fields, Distribution)
    return Distribution(
        cases=fields["cases"], quantiles=tuple(float(value) for value in fields["quantiles"])
    )


def _kinds(fields: Mapping[str, Any]) -> Kinds:
    _check_names(fields, Kinds)
    shares = {str(kind): float(share) for kind, share in fields["shares"].items()}
    return Kinds(cases=fields["cases"], shares=shares)


def _check_names(fields: Mapping[str, Any], kind: type[Any]) -> None:
    names = {item.name for item in dataclasses.fields(kind)}
    if set(fields) != names:
        raise ValueError(
            f"training_statistics: {', '.join(sorted(names))} expected, got {sorted(fields)}"
        )


def _check_cases(cases: object) -> None:
    if type(cases) is not int or cases < 1:
        raise ValueError(f"Statistics need a whole number of cases, at least one, got {cases!r}")
