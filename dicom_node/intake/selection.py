"""Which series of a study is analysed, and why not the others. The site's rules are data."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dicom_node.intake.instance import Orientation, SeriesAttributes

#: CT Image Storage and Enhanced CT Image Storage (PS3.6, table A-1).
_CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"})


class SeriesAttribute(StrEnum):
    """What a text rule may look at. The values are written in the configuration."""

    DESCRIPTION = "description"  #: Series Description
    PROTOCOL = "protocol"  #: Protocol Name
    BODY_PART = "body_part"  #: Body Part Examined
    KERNEL = "kernel"  #: Convolution Kernel
    IMAGE_TYPE = "image_type"  #: Image Type, values joined by backslashes
    MANUFACTURER = "manufacturer"  #: Manufacturer
    STATION = "station"  #: Station Name
    STUDY = "study"  #: Study Description


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRule:
    """A pattern that is searched in one attribute, whatever the case.

    Raises
    ------
    ValueError
        If the pattern is no regular expression.
    """

    attribute: SeriesAttribute
    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from error

    def fits(self, attributes: SeriesAttributes) -> bool:
        """Return whether the pattern is found."""
        text: str = getattr(attributes, self.attribute.value)
        return re.search(self.pattern, text, re.IGNORECASE) is not None

    @property
    def words(self) -> str:
        """The rule as a person reads it."""
        return f"{self.attribute} matches /{self.pattern}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Points for a series whose attribute fits; negative points count against it."""

    rule: TextRule
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """What the site wants analysed.

    Attributes
    ----------
    include : tuple of TextRule
        If not empty, at least one must fit.
    exclude : tuple of TextRule
        None may fit.
    prefer : tuple of Preference
        Points by which the series that remain are ranked.
    minimum_slices : int
        Frames count as slices.
    maximum_thickness_mm : float
        Nominal slice thickness above which a series is not taken.
    preferred_thickness_mm : tuple of float
        Range that is given `thickness_points`.
    thickness_points : int
        Points for a thickness in the preferred range.
    maximum_angle_deg : float
        Between slice normal and the patient's long axis; gantry tilt is at most 30 degrees.
    contrast_allowed : bool
        Whether a series with a contrast agent in its header may be taken.
    series_per_study : int
        How many of a study are analysed, best first.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    include: tuple[TextRule, ...] = ()
    exclude: tuple[TextRule, ...] = ()
    prefer: tuple[Preference, ...] = ()
    minimum_slices: int = 10
    maximum_thickness_mm: float = 10.0
    preferred_thickness_mm: tuple[float, float] = (2.5, 5.0)
    thickness_points: int = 20
    maximum_angle_deg: float = 45.0
    contrast_allowed: bool = False
    series_per_study: int = 1

    def __post_init__(self) -> None:
        for name in ("minimum_slices", "maximum_thickness_mm", "series_per_study"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        low, high = self.preferred_thickness_mm
        if not 0 < low <= high:
            raise ValueError(f"preferred_thickness_mm must rise from above 0, got {(low, high)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A complete series of the study, as selection sees it.

    Attributes
    ----------
    series_instance_uid : str
        Which one.
    attributes : SeriesAttributes
        What its header says.
    orientation : Orientation or None
        Of most of its slices; None if unknown (multi-frame).
    slices : int
        Slices of that orientation, or frames.
    """

    series_instance_uid: str
    attributes: SeriesAttributes
    orientation: Orientation | None
    slices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a series is not analysed.

    Attributes
    ----------
    reason : str
        In words.
    eligible : bool
        True if it was only outranked, so that it may step in when the better one is rejected.
    """

    reason: str
    eligible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The outcome for every candidate of one study.

    Attributes
    ----------
    chosen : dict of str to str
        Series Instance UID to the reason why it was chosen, best first.
    refused : dict of str to Refusal
        Series Instance UID to the reason why it was not.
    """

    chosen: dict[str, str]
    refused: dict[str, Refusal]


def select(
    candidates: Sequence[Candidate], rules: SelectionRules, *, already_chosen: int = 0
) -> Selection:
    """Return which series of a study are analysed, with a reason for each of them.

    Parameters
    ----------
    candidates
        Complete series of one study.
    rules
        What the site wants.
    already_chosen
        Series of this study that were chosen before; they use up places.
    """
    refused = {
        candidate.series_instance_uid: Refusal(reason="; ".join(reasons), eligible=False)
        for candidate in candidates
        if (reasons := tuple(_objections(candidate, rules)))
    }
    ranked = sorted(
        (one for one in candidates if one.series_instance_uid not in refused),
        key=lambda one: (-_points(one, rules), -one.slices, one.series_instance_uid),
    )
    places = max(0, rules.series_per_study - already_chosen)
    chosen = {
        one.series_instance_uid: f"rank {rank} of {len(ranked)}, {_points(one, rules)} points"
        for rank, one in enumerate(ranked[:places], start=1)
    }
    for rank, one in enumerate(ranked[places:], start=places + 1):
        refused[one.series_instance_uid] = Refusal(
            reason=f"rank {rank} of {len(ranked)}, {_points(one, rules)} points; of a study "
            f"{rules.series_per_study} may be analysed, {already_chosen} chosen before",
            eligible=True,
        )
    return Selection(chosen=chosen, refused=refused)


def _objections(candidate: Candidate, rules: SelectionRules) -> Iterator[str]:
    """Yield every reason why a series cannot be taken."""
    attributes = candidate.attributes
    if attributes.sop_class_uid not in _CT_CLASSES:
        yield "its images are no CT images"
    for rule in rules.exclude:
        if rule.fits(attributes):
            yield f"excluded by rule: {rule.words}"
    if rules.include and not any(rule.fits(attributes) for rule in rules.include):
        yield "no rule includes it"
    if attributes.contrast_agent and not rules.contrast_allowed:
        yield "a contrast agent is named in its header"
    angle = _angle_deg(candidate.orientation)
    if angle > rules.maximum_angle_deg:
        yield f"its slices are not axial: {angle:.0f} degrees, needed {rules.maximum_angle_deg:g}"
    thickness = attributes.slice_thickness_mm
    if thickness is not None and thickness > rules.maximum_thickness_mm:
        yield f"slices are {thickness:g} mm thick, at most {rules.maximum_thickness_mm:g} needed"
    if candidate.slices < rules.minimum_slices:
        yield f"{candidate.slices} slices, at least {rules.minimum_slices} needed"


def _points(candidate: Candidate, rules: SelectionRules) -> int:
    attributes = candidate.attributes
    points = sum(one.points for one in rules.prefer if one.rule.fits(attributes))
    low, high = rules.preferred_thickness_mm
    thickness = attributes.slice_thickness_mm
    if thickness is not None and low <= thickness <= high:
        points += rules.thickness_points
    return points


def _angle_deg(orientation: Orientation | None) -> float:
    """Return the angle between slice normal and the patient's long axis, 0 if unknown."""
    if orientation is None:
        return 0.0
    ax, ay, az, bx, by, bz = orientation
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    length = math.hypot(*normal)
    if length == 0:
        return 90.0
    return math.degrees(math.acos(min(1.0, abs(normal[2]) / length)))
