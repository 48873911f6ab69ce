"""Why a series would be taken or not: every rule that fits, and what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dicom_node.intake.selection import Candidate, SelectionRules, SeriesAttribute, select


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the rules say of one series.

    Attributes
    ----------
    series_instance_uid : str
        Which one.
    taken : bool
        Whether it would be analysed.
    reason : str
        Its rank and points, or everything that speaks against it.
    points : tuple of str
        Where the points come from, a line each.
    slices : int
        Slices of its main orientation, or frames.
    attributes : mapping of str to str
        What rules may look at, as its header says it.
    """

    series_instance_uid: str
    taken: bool
    reason: str
    points: tuple[str, ...]
    slices: int
    attributes: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for JSON."""
        return {**asdict(self), "points": list(self.points)}


def explain(candidates: Sequence[Candidate], rules: SelectionRules) -> tuple[Verdict, ...]:
    """Return a verdict for every series of one study: those that are taken first, best first.

    Parameters
    ----------
    candidates
        Series of one study.
    rules
        What the site wants.
    """
    selection = select(candidates, rules)
    order = [*selection.chosen, *selection.refused]
    ranked = sorted(candidates, key=lambda one: order.index(one.series_instance_uid))
    return tuple(
        Verdict(
            series_instance_uid=one.series_instance_uid,
            taken=one.series_instance_uid in selection.chosen,
            reason=selection.chosen.get(one.series_instance_uid)
            or selection.refused[one.series_instance_uid].reason,
            points=_points(one, rules),
            slices=one.slices,
            attributes={
                attribute.value: str(getattr(one.attributes, attribute.value))
                for attribute in SeriesAttribute
            },
        )
        for one in ranked
    )


def _points(candidate: Candidate, rules: SelectionRules) -> tuple[str, ...]:
    attributes = candidate.attributes
    lines = [
        f"{one.points:+d}: {one.rule.words}, found {getattr(attributes, one.rule.attribute.value)}"
        for one in rules.prefer
        if one.rule.fits(attributes)
    ]
    low, high = rules.preferred_thickness_mm
    thickness = attributes.slice_thickness_mm
    if thickness is not None and low <= thickness <= high:
        lines.append(f"{rules.thickness_points:+d}: slices are {thickness:g} mm thick")
    return tuple(lines)
