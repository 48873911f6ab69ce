"""Which of the series that a peer has are fetched, and why not the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from dicom_node.association.query import RemoteSeries
from dicom_node.association.study_query import FoundSeries
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import SelectionRules, SeriesAttribute

#: A query tells less of a series than its images do, so the best few of a study are fetched;
#: selection then takes of them what the site wants analysed.
MOST_SERIES: Final = 3

#: What a query tells; rules about anything else are judged once the images are here.
_TOLD: Final = frozenset(
    {
        SeriesAttribute.DESCRIPTION,
        SeriesAttribute.PROTOCOL,
        SeriesAttribute.BODY_PART,
        SeriesAttribute.STUDY,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedSeries:
    """What is to become of one series.

    Attributes
    ----------
    series : RemoteSeries
        Which one.
    modality : str
        As the peer tells it.
    fits : bool
        Whether it may be analysed, as far as a query tells.
    is_here : bool
        Whether its images are here already.
    reason : str
        Why it is fetched, or not.
    """

    series: RemoteSeries
    modality: str
    fits: bool
    is_here: bool
    reason: str

    @property
    def is_fetched(self) -> bool:
        """Whether its images are wanted."""
        return self.fits and not self.is_here

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        facts = asdict(self)
        return {**facts.pop("series"), **facts, "fetched": self.is_fetched}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Every series that was found, study by study."""

    series: tuple[OfferedSeries, ...]

    @property
    def wanted(self) -> tuple[RemoteSeries, ...]:
        """What is fetched."""
        return tuple(one.series for one in self.series if one.is_fetched)

    @property
    def here(self) -> tuple[RemoteSeries, ...]:
        """What would be fetched if it were not here."""
        return tuple(one.series for one in self.series if one.fits and one.is_here)

    @property
    def here_studies(self) -> tuple[str, ...]:
        """The studies of what is here."""
        return tuple(dict.fromkeys(one.study_instance_uid for one in self.here))

    @property
    def images(self) -> int:
        """How many images are wanted, as far as the peer tells."""
        return sum(one.instances or 0 for one in self.wanted)

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies of all series that fit, in order."""
        fitting = (one.series.study_instance_uid for one in self.series if one.fits)
        return tuple(dict.fromkeys(fitting))


def judge(
    found: Iterable[FoundSeries], rules: SelectionRules, *, images_here: Mapping[str, int]
) -> Offer:
    """Return what is to become of every series.

    Parameters
    ----------
    found
        What the peer has.
    rules
        What the site analyses.
    images_here
        How many images of a series are here, by its UID.
    """
    studies: dict[str, list[FoundSeries]] = {}
    for one in found:
        studies.setdefault(one.series.study_instance_uid, []).append(one)
    return Offer(
        series=tuple(
            judged for study in studies.values() for judged in _judge(study, rules, images_here)
        )
    )


def _judge(
    study: Sequence[FoundSeries], rules: SelectionRules, images_here: Mapping[str, int]
) -> Iterator[OfferedSeries]:
    objections = [(one, tuple(_objections(one, rules))) for one in study]
    fitting = sorted(
        (one for one, against in objections if not against),
        key=lambda one: (-_points(one, rules), -(one.series.instances or 0)),
    )
    for rank, one in enumerate(fitting, start=1):
        told, here = one.series.instances, images_here.get(one.series.series_instance_uid, 0)
        fits = rank <= MOST_SERIES
        is_here = here > 0 and here >= (told or 0)
        words = f"rank {rank} of {len(fitting)} by what the peer tells"
        if not fits:
            words += f"; the best {MOST_SERIES} are fetched"
        elif is_here:
            words += "; its images are here already"
        yield OfferedSeries(
            series=one.series, modality=one.modality, fits=fits, is_here=is_here, reason=words
        )
    for one, against in objections:
        if against:
            yield OfferedSeries(
                series=one.series,
                modality=one.modality,
                fits=False,
                is_here=False,
                reason="; ".join(against),
            )


def _objections(one: FoundSeries, rules: SelectionRules) -> Iterator[str]:
    """Yield everything that speaks against a series, as far as a query tells."""
    if one.modality and one.modality != "CT":
        yield f"its modality is {one.modality}"
        return
    attributes = _attributes(one)
    for rule in rules.exclude:
        if rule.fits(attributes):
            yield f"excluded by rule: {rule.words}"
    if rules.include and not any(
        rule.attribute not in _TOLD
        or not getattr(attributes, rule.attribute.value)
        or rule.fits(attributes)
        for rule in rules.include
    ):
        yield "no rule includes it"
    instances = one.series.instances
    # A single object may be a whole scan: Enhanced CT.
    if instances is not None and 1 < instances < rules.minimum_slices:
        yield f"{instances} images, at least {rules.minimum_slices} needed"


def _points(one: FoundSeries, rules: SelectionRules) -> int:
    attributes = _attributes(one)
    return sum(wish.points for wish in rules.prefer if wish.rule.fits(attributes))


def _attributes(one: FoundSeries) -> SeriesAttributes:
    return SeriesAttributes(
        modality="CT",
        description=one.series.description,
        protocol=one.series.protocol,
        body_part=one.series.body_part,
        study=one.study_description,
    )
