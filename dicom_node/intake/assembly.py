"""When the images of a series count as complete, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from operator import mul, sub

from dicom_node.intake.instance import Orientation, SliceAttributes, Vector

#: A step between slices counts as a gap when it exceeds this multiple of its neighbours' steps: a
#: missing slice doubles the step, while thin and thick halves meet in a step that is as long as
#: one of its neighbours.
GAP_FACTOR = 1.5

#: Slices nearer than this are at one position; positions are rounded to about 0.01 mm.
_SAME_POSITION_MM = 0.05

#: Direction cosines that differ by less than this are parallel (0.6 degrees).
_PARALLEL = 0.01

#: Fewer positions than this have no steps to compare.
_FEWEST_POSITIONS = 3


class ArrivalFlag(StrEnum):
    """A doubt about the arrival of a series. The values are stored; never rename one."""

    FORCED = "forced"  #: the waiting time ran out before the series looked complete
    ASSOCIATION_OPEN = "association_open"  #: the sender still held its association open
    SLICES_MISSING = "slices_missing"  #: positions showed a gap
    FETCH_OPEN = "fetch_open"  #: the node itself had not fetched all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblyRules:
    """How long the node waits.

    Attributes
    ----------
    quiet_s : float
        A series is looked at when nothing has come for this long.
    force_s : float
        After this long without an image it is taken as it is.
    study_quiet_s : float
        Series of a study are compared when nothing has come for any of them for this long ...
    study_limit_s : float
        ... and at the latest this long after the first of them was complete.

    Raises
    ------
    ValueError
        If a time is negative, or the force time is shorter than the quiet time.
    """

    quiet_s: float = 5.0
    force_s: float = 60.0
    study_quiet_s: float = 5.0
    study_limit_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("quiet_s", "study_quiet_s", "study_limit_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.force_s < self.quiet_s:
            raise ValueError(f"force_s must be at least quiet_s, got {self.force_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAssembly:
    """One series as far as it has arrived.

    Attributes
    ----------
    slices : tuple of SliceAttributes
        One per distinct instance.
    last_received_at : datetime
        When the last of them came.
    open_associations : int
        Associations that brought instances of this series and are still open.
    fetching_since : datetime or None
        Since when the node can fetch the rest of it, if a fetch of its own has begun with it and
        has not come to its end; None if there is no such fetch.
    patients, studies : int
        Distinct patients and studies that the instances name; more than one is a conflict.
    """

    slices: tuple[SliceAttributes, ...]
    last_received_at: datetime
    open_associations: int = 0
    fetching_since: datetime | None = None
    patients: int = 1
    studies: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The series is not complete.

    Attributes
    ----------
    reason : str
        What is waited for, in words.
    look_again_at : datetime
        When time alone may change the verdict.
    """

    reason: str
    look_again_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The series can be used.

    Attributes
    ----------
    reason : str
        Why it counts as complete, in words.
    flags : frozenset of ArrivalFlag
        Doubts; empty if it looked complete in every way.
    """

    reason: str
    flags: frozenset[ArrivalFlag] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The series can never be used: its instances contradict each other."""

    reason: str


Verdict = Waiting | Complete | Conflict


def judge(series: SeriesAssembly, rules: AssemblyRules, now: datetime) -> Verdict:
    """Return whether a series is complete at the time `now`, and why.

    Complete is what has been quiet, is expected from no open association and no fetch, and shows
    no gap along the slice normal. After the force time it is taken anyway, with flags that say
    what was amiss; a node that was down meanwhile has that time anew to fetch the rest.
    """
    quiet_at = series.last_received_at + timedelta(seconds=rules.quiet_s)
    if now < quiet_at:
        return Waiting(reason="images are arriving", look_again_at=quiet_at)
    if series.patients > 1 or series.studies > 1:
        return Conflict(
            reason=f"its images name {series.patients} patients and {series.studies} studies; "
            "needed is one of each"
        )
    gaps = find_gaps(series.slices)
    doubts = _doubts(series, gaps)
    if not doubts:
        return Complete(
            reason=f"{len(series.slices)} images, quiet for {rules.quiet_s:g} s, no gap"
        )
    words = " and ".join(doubts.values())
    force_at = _waited_for_since(series) + timedelta(seconds=rules.force_s)
    if now < force_at:
        return Waiting(reason=words, look_again_at=force_at)
    return Complete(
        reason=f"{len(series.slices)} images, taken after {rules.force_s:g} s although {words}",
        flags=frozenset({ArrivalFlag.FORCED, *doubts}),
    )


def _waited_for_since(series: SeriesAssembly) -> datetime:
    return max(series.last_received_at, series.fetching_since or series.last_received_at)


def looks_complete(series: SeriesAssembly, now: datetime, *, pause_s: float) -> bool:
    """Return whether a series seems to be all there, though images may still come.

    Good enough to begin with it, never to send a result: it shows no gap, and its sender has hung
    up or has sent nothing for `pause_s`.
    """
    paused = now >= series.last_received_at + timedelta(seconds=pause_s)
    return (
        is_of_one_patient(series)
        and (not series.open_associations or paused)
        and series.fetching_since is None
        and not find_gaps(series.slices)
    )


def is_of_one_patient(series: SeriesAssembly) -> bool:
    """Return whether there are images, all of one patient and study."""
    return (series.patients, series.studies) == (1, 1)


def find_gaps(slices: Iterable[SliceAttributes]) -> tuple[float, ...]:
    """Return the positions (mm along the normal) after which slices seem to be missing.

    Only the largest group of parallel slices is looked at, so that a localizer does not disturb.
    Between slices with neighbouring instance numbers nothing is missing, however far apart they
    lie. Where the numbers skip, a step is a gap if it exceeds `GAP_FACTOR` times the smaller of
    the steps beside it, so that two gaps side by side are found. Without numbers it must exceed
    both. Images without geometry, and multi-frame images, show no gap.
    """
    places = _places(slices)
    steps = [above.position - below.position for below, above in pairwise(places)]
    if len(steps) < _FEWEST_POSITIONS - 1:
        return ()
    gaps = []
    for index, step in enumerate(steps):
        neighbours = [steps[other] for other in (index - 1, index + 1) if 0 <= other < len(steps)]
        below, above = places[index], places[index + 1]
        apart = _numbers_apart(below, above)
        limit = min(neighbours) if apart else max(neighbours)
        if apart != 1 and step > GAP_FACTOR * limit:
            gaps.append(below.position)
    return tuple(gaps)


@dataclass(frozen=True, slots=True)
class _Place:
    position: float
    number: int | None


def _doubts(series: SeriesAssembly, gaps: tuple[float, ...]) -> dict[ArrivalFlag, str]:
    doubts = {}
    if series.open_associations:
        doubts[ArrivalFlag.ASSOCIATION_OPEN] = (
            f"{series.open_associations} association(s) of the sender are still open"
        )
    if series.fetching_since is not None:
        doubts[ArrivalFlag.FETCH_OPEN] = "the node has not fetched all of it yet"
    if gaps:
        doubts[ArrivalFlag.SLICES_MISSING] = f"slices seem to be missing at {len(gaps)} place(s)"
    return doubts


def _places(slices: Iterable[SliceAttributes]) -> list[_Place]:
    """Return the distinct positions of the largest parallel group, rising along its normal."""
    groups: list[tuple[Vector, list[_Place]]] = []
    for image in slices:
        if image.frames > 1 or image.position_lps_mm is None or image.orientation is None:
            continue
        normal = _normal(image.orientation)
        members = _group_of(groups, normal)
        # The normal of the group, not of the image: both must be measured with one ruler.
        position = sum(map(mul, members[0], image.position_lps_mm))
        members[1].append(_Place(position, image.instance_number))
    if not groups:
        return []
    largest = max((places for _, places in groups), key=len)
    distinct: list[_Place] = []
    for place in sorted(largest, key=lambda place: place.position):
        if not distinct or place.position - distinct[-1].position > _SAME_POSITION_MM:
            distinct.append(place)
    return distinct


def _group_of(
    groups: list[tuple[Vector, list[_Place]]], normal: Vector
) -> tuple[Vector, list[_Place]]:
    for group in groups:
        if max(map(abs, map(sub, group[0], normal))) < _PARALLEL:
            return group
    groups.append((normal, []))
    return groups[-1]


def _normal(orientation: Orientation) -> Vector:
    ax, ay, az, bx, by, bz = orientation
    return (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)


def _numbers_apart(below: _Place, above: _Place) -> int | None:
    """Return the difference of the instance numbers, None if they tell nothing."""
    if below.number is None or above.number is None:
        return None
    return abs(above.number - below.number) or None
