"""What scans and opinions are expected to look like: of the bundle, or the first of the site."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from dicom_node.jobs.pairs import AnalysisEntry
from pipeline.scan_kinds import kernel_kind, manufacturer_kind, thickness_kind
from pipeline.training_statistics import (
    Distribution,
    Kinds,
    Measure,
    TrainingStatistics,
    Trait,
    distribution_of,
    kinds_of,
)

#: `status` of an analysis record, and what it is called here.
_FINDINGS: Mapping[str, str] = MappingProxyType(
    {
        "hematoma_found": "hematoma",
        "no_hematoma_found": "no hematoma",
        "rejected": "not analysed",
    }
)

_FOUND = "hematoma_found"
_REJECTED = "rejected"


class Source(StrEnum):
    """Where a reference comes from."""

    BUNDLE = "training statistics of the bundle"
    SITE = "the site's own first analyses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is expected, and who says so.

    Attributes
    ----------
    source : Source
        Bundle or site.
    expected : Distribution or Kinds
        The expectation.
    """

    source: Source
    expected: Distribution | Kinds


def reference_for(
    what: Measure | Trait,
    *,
    statistics: Sequence[TrainingStatistics],
    first: Sequence[AnalysisEntry],
    minimum: int,
) -> Reference | None:
    """Return what is expected of a measure or trait, None if nobody can say.

    Parameters
    ----------
    what : Measure or Trait
        What is looked at.
    statistics : sequence of TrainingStatistics
        Of the bundles in use; the first that knows counts.
    first : sequence of AnalysisEntry
        The site's first analyses, which stand in where no bundle says anything.
    minimum : int
        What a bundle knows of fewer cases is no reference.
    """
    for one in statistics:
        known = one.measures.get(what) if isinstance(what, Measure) else one.traits.get(what)
        if known is not None and known.cases >= minimum:
            return Reference(source=Source.BUNDLE, expected=known)
    if isinstance(what, Measure):
        values = measured(what, first)
        if not values:
            return None
        return Reference(source=Source.SITE, expected=distribution_of(values))
    kinds = sorted_into(what, first)
    return Reference(source=Source.SITE, expected=kinds_of(kinds)) if kinds else None


def measured(what: Measure, analyses: Sequence[AnalysisEntry]) -> list[float]:
    """Return the values of a measure, of the analyses that found a hematoma."""
    found = [one.record for one in analyses if one.record.get("status") == _FOUND]
    return [float(one[what.value]) for one in found if one.get(what.value) is not None]


def sorted_into(what: Trait, analyses: Sequence[AnalysisEntry]) -> list[str]:
    """Return the kind of each analysis that has one."""
    kinds = (_KIND_OF[what](one.record) for one in analyses)
    return [kind for kind in kinds if kind is not None]


def _thickness(record: Mapping[str, Any]) -> str | None:
    scan = record.get("scan")
    return None if scan is None else thickness_kind(scan.get("slice_thickness_mm"))


def _manufacturer(record: Mapping[str, Any]) -> str | None:
    scan = record.get("scan")
    return None if scan is None else manufacturer_kind(scan.get("manufacturer"))


def _kernel(record: Mapping[str, Any]) -> str | None:
    scan = record.get("scan")
    return None if scan is None else kernel_kind(scan.get("kernel"))


def _finding(record: Mapping[str, Any]) -> str | None:
    return _FINDINGS.get(str(record.get("status")))


def _flagged(record: Mapping[str, Any]) -> str | None:
    if record.get("status") == _REJECTED:
        return None
    return "with flags" if record.get("flags") else "without flags"


_KIND_OF: Mapping[Trait, Callable[[Mapping[str, Any]], str | None]] = MappingProxyType(
    {
        Trait.THICKNESS: _thickness,
        Trait.MANUFACTURER: _manufacturer,
        Trait.KERNEL: _kernel,
        Trait.FINDING: _finding,
        Trait.FLAGS: _flagged,
    }
)
