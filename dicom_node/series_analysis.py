"""One series from its files to checked result objects.

The worker and ``ichnode analyze`` run this same line; what they do with the outcome differs.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import pydicom
from pydicom.dataset import Dataset

from dicom_node.errors import stack_of
from dicom_node.images_ahead import ImagesAhead
from dicom_node.jobs.task import PredecessorObject
from dicom_node.results.bundle import ResultObjects, encode
from dicom_node.results.capture_style import CaptureStyle
from dicom_node.results.check import check_results
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ModelIdentity, model_line
from dicom_node.results.not_processed_report import encode_not_processed
from dicom_node.results.scan_facts import scan_facts
from dicom_node.results.scan_time import scan_time
from dicom_node.results.summary import analysis_record, rejection_record, write_summary
from dicom_node.step_clock import StepClock
from pipeline import __version__
from pipeline.analysis import Forecaster, IchAnalysis, Opinion, analyze
from pipeline.errors import SeriesRejectedError
from pipeline.rejection import RejectionReason
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.volume import CtVolume

LOGGER = logging.getLogger(__name__)


class NamedForecaster(Forecaster, Protocol):
    """A growth model that says who it is."""

    @property
    def card(self) -> ModelIdentity:
        """Card of the growth model."""


class NodeModels(Opinion, Protocol):
    """Models that say who they are."""

    @property
    def forecaster(self) -> NamedForecaster | None:
        """The growth model; None where there is none."""

    @property
    def segmentation_card(self) -> ModelIdentity:
        """Card of the segmentation model."""

    @property
    def classification_card(self) -> ModelIdentity:
        """Card of the classification model."""


class SeriesStep(StrEnum):
    """Steps of the line around those of `pipeline.analysis.Step`. The values are stored."""

    READ = "read"  #: decode the images into a volume
    ENCODE = "encode"  #: make the result objects
    CHECK = "check"  #: look at them with other eyes
    SUMMARIZE = "summarize"  #: picture, page and record for people


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalyzedSeries:
    """The line came to its end.

    Attributes
    ----------
    objects : ResultObjects
        Encoded and checked.
    record : dict
        What goes into ``analysis.json`` and the ledger; no patient attribute.
    """

    objects: ResultObjects
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSeries:
    """The series cannot be analysed.

    Attributes
    ----------
    reason : RejectionReason
        What was found and what was needed.
    record : dict
        As in `AnalyzedSeries`.
    report : Dataset or None
        Says so in the study, where a site wants that and the images are of one patient.
    """

    reason: RejectionReason
    record: dict[str, Any]
    report: Dataset | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultConfiguration:
    """What can change a result beside images and weights.

    Attributes
    ----------
    with_uncertainty_map : bool
        Whether the Parametric Map is made.
    say_not_processed : bool
        Whether a series that cannot be analysed gets a report that says so; it changes no other
        result.
    with_pdf, with_key_objects : bool
        Whether the one-page report and the selection of key objects are made.
    capture_style : CaptureStyle
        How captures show the hematoma.
    fitted : tuple of str
        What the models' cards state beside the weights, one fact each: cutoffs, floors, errors.
    """

    with_uncertainty_map: bool = False
    say_not_processed: bool = False
    with_pdf: bool = False
    with_key_objects: bool = False
    capture_style: CaptureStyle = CaptureStyle.CONTOUR
    fitted: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all of it and of the software's version, hexadecimal."""
        asked = {
            "uncertainty map": self.with_uncertainty_map,
            "pdf": self.with_pdf,
            "key objects": self.with_key_objects,
        }
        wanted = [name for name, is_wanted in asked.items() if is_wanted]
        if self.capture_style is not CaptureStyle.CONTOUR:
            wanted.append(f"captures {self.capture_style}")
        lines = (f"ichnode {__version__}", *self.fitted, *wanted)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedSeries:
    """What was seen in a series before anybody asked for results.

    Attributes
    ----------
    files : tuple of Path
        The instances, each named after its content, in the order in which they were read.
    source : tuple of Dataset
        The same, read.
    volume : CtVolume
        Their volume.
    analysis : IchAnalysis
        What the models see in it.
    seconds : dict
        How long each step took.
    """

    files: tuple[Path, ...]
    source: tuple[Dataset, ...]
    volume: CtVolume
    analysis: IchAnalysis
    seconds: dict[str, float]


class SeriesAnalyst:
    """Warm models and all that a result says about its maker.

    Parameters
    ----------
    models : NodeModels
        Segmentation, classification and, where there is one, growth.
    clock : Callable
        Returns the present as an aware time; it is stored in the results.
    timer : Callable
        Seconds that only rise, for the times of the steps.
    configuration : ResultConfiguration
        What else can change a result.

    Attributes
    ----------
    ahead : ImagesAhead
        Images of the next series that were read before it is looked at; it is the same without.
    """

    def __init__(
        self,
        models: NodeModels,
        *,
        clock: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
        configuration: ResultConfiguration | None = None,
    ) -> None:
        self._models = models
        self._configuration = configuration or ResultConfiguration()
        self._clock = clock
        self._timer = timer
        self.ahead = ImagesAhead()

    @property
    def model_digest(self) -> str:
        """Digest of all models' names, versions and weights."""
        cards = [self._models.segmentation_card, self._models.classification_card]
        if self._models.forecaster is not None:
            cards.append(self._models.forecaster.card)
        return hashlib.sha256("\n".join(map(model_line, cards)).encode()).hexdigest()

    @property
    def configuration_digest(self) -> str:
        """Digest of what else can change a result."""
        return self._configuration.digest

    def analyze(
        self,
        files: Sequence[Path],
        *,
        series_instance_uid: str,
        summary: Path,
        supersedes: Sequence[PredecessorObject] = (),
        prepared: PreparedSeries | None = None,
        on_step: Callable[[str], None] = lambda _: None,
        on_progress: OnProgress = ignore_progress,
    ) -> AnalyzedSeries | RejectedSeries:
        """Return what came of one series.

        Parameters
        ----------
        files : sequence of Path
            The instances of one series, in any order.
        series_instance_uid : str
            Its Series Instance UID.
        summary : Path
            Folder for picture, page and record; made if it does not exist.
        supersedes : sequence of PredecessorObject
            Results of an earlier analysis of the series.
        prepared : PreparedSeries, optional
            What `prepare` returned; it is used if it is of these very files.
        on_step : Callable
            Told the name of each step before it begins.
        on_progress : Callable
            Told tile by tile which share of segmentation or forecast is done.

        Raises
        ------
        PipelineError, ResultError
            If the models or the result objects are not what they must be.
        """
        steps = StepClock(on_step, self._timer, on_progress)
        with steps.running():
            try:
                if prepared is None or prepared.files != tuple(files):
                    prepared = self._look(files, steps)
                else:
                    steps.replay(prepared.seconds)
                return self._encode(prepared, series_instance_uid, summary, supersedes, steps)
            except SeriesRejectedError as error:
                rejected = self._reject(error.reason, series_instance_uid, summary, steps)
                return replace(rejected, report=self._leaflet(files, error.reason, supersedes))

    def prepare(
        self, files: Sequence[Path], *, on_step: Callable[[str], None], on_progress: OnProgress
    ) -> PreparedSeries:
        """Return what the models see in a series; its results can be made of that later.

        Parameters
        ----------
        files : sequence of Path
            As for `analyze`.
        on_step, on_progress : Callable
            As for `analyze`. What they raise ends it.

        Raises
        ------
        SeriesRejectedError
            If the series cannot be analysed.
        """
        steps = StepClock(on_step, self._timer, on_progress)
        with steps.running():
            return self._look(files, steps)

    def _look(self, files: Sequence[Path], steps: StepClock) -> PreparedSeries:
        steps.begin(SeriesStep.READ)
        source, volume = self.ahead.take(files)
        analysis = analyze(
            volume,
            self._models,
            forecaster=self._models.forecaster,
            on_step=steps.begin,
            on_progress=steps.on_progress,
        )
        steps.end()
        return PreparedSeries(
            files=tuple(files),
            source=source,
            volume=volume,
            analysis=analysis,
            seconds=dict(steps.seconds),
        )

    def _encode(
        self,
        prepared: PreparedSeries,
        series_instance_uid: str,
        summary: Path,
        supersedes: Sequence[PredecessorObject],
        steps: StepClock,
    ) -> AnalyzedSeries:
        source, volume, analysis = prepared.source, prepared.volume, prepared.analysis
        steps.begin(SeriesStep.ENCODE)
        context = self._context()
        objects = encode(
            analysis, source=source, volume=volume, context=context, supersedes=supersedes
        )
        steps.begin(SeriesStep.CHECK)
        check_results(objects, source=source, analysis=analysis)
        steps.begin(SeriesStep.SUMMARIZE)
        record = analysis_record(
            analysis,
            series_instance_uid=series_instance_uid,
            context=context,
            steps_s=steps.seconds,
        )
        record["acquired_at"] = acquired_at(source)
        record["scan"] = scan_facts(source, volume)
        write_summary(summary, analysis, volume, record)
        return AnalyzedSeries(objects=objects, record=record)

    def _reject(
        self, reason: RejectionReason, series_instance_uid: str, summary: Path, steps: StepClock
    ) -> RejectedSeries:
        steps.begin(SeriesStep.SUMMARIZE)
        record = rejection_record(
            reason,
            series_instance_uid=series_instance_uid,
            context=self._context(),
            steps_s=steps.seconds,
        )
        write_summary(summary, None, None, record)
        return RejectedSeries(reason=reason, record=record)

    def _leaflet(
        self,
        files: Sequence[Path],
        reason: RejectionReason,
        supersedes: Sequence[PredecessorObject],
    ) -> Dataset | None:
        """Return the report that a series was not analysed; a fault in it changes nothing."""
        if not self._configuration.say_not_processed:
            return None
        try:
            headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
            return encode_not_processed(
                headers, reason, context=self._context(), supersedes=supersedes
            )
        except Exception as error:  # noqa: BLE001 - images that cannot be read come here
            LOGGER.warning("No report that a series was not analysed: %s", stack_of(error))
            return None

    def _context(self) -> ResultContext:
        forecaster = self._models.forecaster
        return ResultContext(
            segmentation_card=self._models.segmentation_card,
            classification_card=self._models.classification_card,
            growth_card=None if forecaster is None else forecaster.card,
            now=self._clock(),
            configuration_digest=self.configuration_digest,
            software_versions=(__version__,),
            with_uncertainty_map=self._configuration.with_uncertainty_map,
            with_pdf=self._configuration.with_pdf,
            with_key_objects=self._configuration.with_key_objects,
            capture_style=self._configuration.capture_style,
        )


def acquired_at(source: Sequence[Dataset]) -> str | None:
    """Return when a scan was taken as ISO 8601, with an offset only if the images have one."""
    time_of_scan = scan_time(source)
    return None if time_of_scan is None else time_of_scan.moment.isoformat()
