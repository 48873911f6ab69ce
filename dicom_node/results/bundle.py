"""All objects of one result."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.jobs.task import ObjectKind, PredecessorObject
from dicom_node.results.context import ResultContext
from dicom_node.results.encapsulated_pdf import encode_pdf
from dicom_node.results.forecast import encode_forecast
from dicom_node.results.identity import ResultIdentity, result_identity
from dicom_node.results.key_objects import encode_key_objects
from dicom_node.results.report import encode_report
from dicom_node.results.saliency_capture import encode_captures
from dicom_node.results.segmentation import encode_segmentation
from dicom_node.results.source import SourceSeries, source_series
from dicom_node.results.uncertainty_map import encode_uncertainty_map
from pipeline.analysis import HematomaFound, IchAnalysis
from pipeline.volume import CtVolume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultObjects:
    """The objects of one result.

    Attributes
    ----------
    captures : tuple of Dataset
        Secondary captures, one per slice of the triplet; none without a hematoma.
    segmentation : Dataset or None
        The SEG; None without a hematoma.
    forecast : Dataset or None
        The SEG of the hematoma as it is forecast at follow-up; None without a forecast.
    uncertainty_map : Dataset or None
        The Parametric Map; None without a hematoma, or where it is not wanted.
    pdf : Dataset or None
        The one-page report; None where it is not wanted.
    key_objects : Dataset or None
        The selection of key objects; None without a hematoma, or where it is not wanted.
    report : Dataset
        The structured report; it refers to all but the last two.
    source_series_uid : str
        Series Instance UID of the images that were analysed.
    """

    captures: tuple[Dataset, ...]
    segmentation: Dataset | None
    forecast: Dataset | None = None
    uncertainty_map: Dataset | None = None
    pdf: Dataset | None = None
    key_objects: Dataset | None = None
    report: Dataset
    source_series_uid: str

    @property
    def in_send_order(self) -> tuple[Dataset, ...]:
        """Captures, segmentation, forecast, map, page, selection, report: references last."""
        return tuple(result for _, result in self.with_kinds)

    @property
    def with_kinds(self) -> tuple[tuple[ObjectKind, Dataset], ...]:
        """What each object is, in the same order; the SOP Class alone does not tell."""
        middle = (
            (ObjectKind.SEGMENTATION, self.segmentation),
            (ObjectKind.FORECAST, self.forecast),
            (ObjectKind.UNCERTAINTY_MAP, self.uncertainty_map),
            (ObjectKind.PDF, self.pdf),
            (ObjectKind.KEY_OBJECTS, self.key_objects),
        )
        return (
            *((ObjectKind.CAPTURE, capture) for capture in self.captures),
            *((kind, result) for kind, result in middle if result is not None),
            (ObjectKind.REPORT, self.report),
        )


def encode(
    analysis: IchAnalysis,
    *,
    source: Sequence[Dataset],
    volume: CtVolume,
    context: ResultContext,
    supersedes: Sequence[PredecessorObject] = (),
) -> ResultObjects:
    """Return the DICOM objects that say what `analysis` says.

    Same input, same bytes, as long as `context` (with its time) is the same.

    Parameters
    ----------
    analysis : IchAnalysis
        What was found on `volume`.
    source : sequence of Dataset
        The CT data sets, any order; they may have been read without their pixels.
    volume : CtVolume
        The volume that was read from them.
    context : ResultContext
        Who says it, with which models, when.
    supersedes : sequence of PredecessorObject
        Results of an earlier analysis of the series; the report names its predecessor.

    Raises
    ------
    ResultSourceError
        If `volume` does not come from `source`.
    SeriesRejectedError
        If the series has no Frame of Reference UID.
    """
    series = source_series(source, volume)
    identity = result_identity(
        series.series_instance_uid,
        sop_instance_uids=series.sop_instance_uids,
        models=context.models,
        configuration_digest=context.configuration_digest,
    )
    captures, segmentation = _pictures(
        analysis, source=series, volume=volume, identity=identity, context=context
    )
    forecast = _forecast(analysis, source=series, identity=identity, context=context)
    uncertainty_map = _uncertainty_map(analysis, source=series, identity=identity, context=context)
    report = encode_report(
        analysis,
        source=series,
        volume=volume,
        segmentations=[each for each in (segmentation, forecast) if each is not None],
        pictures=captures if uncertainty_map is None else (*captures, uncertainty_map),
        identity=identity,
        context=context,
        supersedes=supersedes,
    )
    return ResultObjects(
        captures=captures,
        segmentation=segmentation,
        forecast=forecast,
        uncertainty_map=uncertainty_map,
        pdf=encode_pdf(analysis, source=series, volume=volume, identity=identity, context=context)
        if context.with_pdf
        else None,
        key_objects=encode_key_objects(
            analysis, captures=captures, source=series, identity=identity, context=context
        )
        if context.with_key_objects and isinstance(analysis, HematomaFound)
        else None,
        report=report,
        source_series_uid=series.series_instance_uid,
    )


def _pictures(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    volume: CtVolume,
    identity: ResultIdentity,
    context: ResultContext,
) -> tuple[tuple[Dataset, ...], Dataset | None]:
    """Return captures and SEG; without a hematoma there is nothing to show."""
    if not isinstance(analysis, HematomaFound):
        return (), None
    captures = encode_captures(
        analysis, source=source, volume=volume, identity=identity, context=context
    )
    segmentation = encode_segmentation(
        analysis.mask, source=source, identity=identity, context=context
    )
    return captures, segmentation


def _forecast(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset | None:
    """Return the SEG of the forecast where there is one."""
    if not isinstance(analysis, HematomaFound) or analysis.forecast is None:
        return None
    return encode_forecast(analysis.forecast, source=source, identity=identity, context=context)


def _uncertainty_map(
    analysis: IchAnalysis,
    *,
    source: SourceSeries,
    identity: ResultIdentity,
    context: ResultContext,
) -> Dataset | None:
    """Return the map where it is wanted and the models have one."""
    if not context.with_uncertainty_map or not isinstance(analysis, HematomaFound):
        return None
    if analysis.uncertainty_zyx is None:
        return None
    return encode_uncertainty_map(
        analysis.uncertainty_zyx, source=source, identity=identity, context=context
    )
