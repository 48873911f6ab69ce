"""Two series of one patient from their files to checked result objects of their comparison.

The worker and ``ichnode compare`` run this same line; what they do with the outcome differs.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from dicom_node.jobs.task import PredecessorObject
from dicom_node.results.check_comparison import check_comparison
from dicom_node.results.compared_pair import ComparedScan, compared_pair
from dicom_node.results.comparison_bundle import ComparisonObjects, encode_comparison
from dicom_node.results.comparison_drawing import draw_comparison
from dicom_node.results.comparison_picture import view_pair
from dicom_node.results.comparison_record import comparison_record, refusal_record
from dicom_node.results.comparison_summary import write_comparison_summary
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import model_line
from dicom_node.results.patient_match import match_patients
from dicom_node.results.scan_time import elapsed_between, scan_time
from dicom_node.results.source import source_series
from dicom_node.series_analysis import NodeModels
from dicom_node.step_clock import StepClock
from pipeline import __version__
from pipeline.ct_series import read_ct_series
from pipeline.errors import SeriesRejectedError
from pipeline.follow_up.alignment import ScanAlignment, align_scans
from pipeline.follow_up.comparison import (
    Equipment,
    FollowUpComparison,
    Interval,
    ScanFinding,
    compare_scans,
)
from pipeline.segmentation.predictor import OnProgress, ignore_progress
from pipeline.volume import CtVolume

_NODE = f"ichnode {__version__}"


class ComparisonStep(StrEnum):
    """Steps of a comparison, in order. The values are stored; never rename one."""

    READ = "read"  #: decode the images of both series into volumes
    SEGMENT_BASELINE = "segment baseline"  #: find the hematoma on the baseline
    SEGMENT_FOLLOW_UP = "segment follow-up"  #: find the hematoma on the follow-up
    REGISTER = "register"  #: bring the heads together and judge the change
    ENCODE = "encode"  #: make the result objects
    CHECK = "check"  #: look at them with other eyes
    SUMMARIZE = "summarize"  #: picture, page and record for people


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedSeries:
    """The line came to its end.

    Attributes
    ----------
    objects : ComparisonObjects
        Encoded and checked.
    record : dict
        What goes into ``comparison.json`` and the ledger; no patient attribute.
    """

    objects: ComparisonObjects
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedComparison:
    """The series may not, or cannot, be compared.

    Attributes
    ----------
    reason : str
        Why, without any value of an identifier.
    record : dict
        As in `ComparedSeries`.
    """

    reason: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonConfiguration:
    """What can change a comparison beside images and weights.

    Attributes
    ----------
    with_ventricles : bool
        Judge by the revised definition of expansion.
    window : timedelta
        How much later than its baseline a follow-up may be without a remark.
    with_pdf, with_key_objects : bool
        Whether the one-page report and the selection of key objects are made.
    fitted : tuple of str
        What the segmentation model's card states beside the weights, one fact each.
    """

    with_ventricles: bool = False
    window: timedelta = timedelta(hours=72)
    with_pdf: bool = False
    with_key_objects: bool = False
    fitted: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all of it and of the software's version, hexadecimal."""
        wanted = [f"ventricles {self.with_ventricles}", f"window {self.window.total_seconds()}"]
        asked = {"pdf": self.with_pdf, "key objects": self.with_key_objects}
        wanted += [name for name, is_wanted in asked.items() if is_wanted]
        lines = (_NODE, "comparison", *self.fitted, *wanted)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class SeriesComparer:
    """Warm models and all that a comparison says about its maker.

    Parameters
    ----------
    models : NodeModels
        Of these only the segmentation takes part.
    clock : Callable
        Returns the present as an aware time; it is stored in the results.
    timer : Callable
        Seconds that only rise, for the times of the steps.
    configuration : ComparisonConfiguration
        What else can change a result.
    align : Callable
        Finds where the baseline lies in the follow-up.
    """

    def __init__(
        self,
        models: NodeModels,
        *,
        clock: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
        configuration: ComparisonConfiguration | None = None,
        align: Callable[[CtVolume, CtVolume], ScanAlignment] = align_scans,
    ) -> None:
        self._models = models
        self._clock = clock
        self._timer = timer
        self._configuration = configuration or ComparisonConfiguration()
        self._align = align

    @property
    def model_digest(self) -> str:
        """Digest of the segmentation model's name, version and weights."""
        return hashlib.sha256(model_line(self._models.segmentation_card).encode()).hexdigest()

    @property
    def configuration_digest(self) -> str:
        """Digest of what else can change a comparison."""
        return self._configuration.digest

    def compare(
        self,
        baseline_files: Sequence[Path],
        follow_up_files: Sequence[Path],
        *,
        baseline_series_uid: str,
        follow_up_series_uid: str,
        summary: Path,
        supersedes: Sequence[PredecessorObject] = (),
        on_step: Callable[[str], None] = lambda _: None,
        on_progress: OnProgress = ignore_progress,
    ) -> ComparedSeries | RefusedComparison:
        """Return what changed from one series to the other.

        Both are segmented anew by the loaded model: systematic errors of one model cancel in
        the difference, those of two do not.

        Parameters
        ----------
        baseline_files, follow_up_files : sequence of Path
            The instances of each series, in any order.
        baseline_series_uid, follow_up_series_uid : str
            Their Series Instance UIDs.
        summary : Path
            Folder for picture, page and record; made if it does not exist.
        supersedes : sequence of PredecessorObject
            Results of an earlier comparison of the follow-up.
        on_step : Callable
            Told the name of each step before it begins.
        on_progress : Callable
            Told tile by tile which share of a segmentation is done.

        Raises
        ------
        PipelineError, ResultError
            If the models or the result objects are not what they must be.
        """
        steps = StepClock(on_step, self._timer, on_progress)
        uids = (baseline_series_uid, follow_up_series_uid)
        with steps.running():
            steps.begin(ComparisonStep.READ)
            baseline, follow_up = (
                [pydicom.dcmread(path) for path in files]
                for files in (baseline_files, follow_up_files)
            )
            order = self._order(baseline, follow_up)
            if isinstance(order, str):
                return self._refuse(order, uids, summary, steps)
            try:
                return self._compare(baseline, follow_up, order, uids, summary, supersedes, steps)
            except SeriesRejectedError as error:
                return self._refuse(error.reason.message, uids, summary, steps)

    def _order(self, baseline: Sequence[Dataset], follow_up: Sequence[Dataset]) -> "_Order | str":
        """Return how two scans of one patient lie in time, or why they may not be compared."""
        match = match_patients(baseline[0], follow_up[0])
        if not match.is_one_patient:
            return f"not of one patient, as far as identifiers tell: {match.reason}"
        before, after = scan_time(baseline), scan_time(follow_up)
        if before is None or after is None:
            which = "baseline" if before is None else "follow-up"
            return f"the {which} says no time of acquisition, so that the scans have no order"
        elapsed = elapsed_between(before, after)
        if elapsed.time <= timedelta():
            return "the follow-up was not acquired after the baseline"
        interval = Interval(
            elapsed=elapsed.time,
            is_zone_assumed=elapsed.is_zone_assumed,
            long=self._configuration.window,
        )
        return _Order(acquired=(before.moment, after.moment), interval=interval)

    def _compare(
        self,
        baseline: Sequence[Dataset],
        follow_up: Sequence[Dataset],
        order: "_Order",
        uids: tuple[str, str],
        summary: Path,
        supersedes: Sequence[PredecessorObject],
        steps: StepClock,
    ) -> ComparedSeries:
        context = self._context()
        before, after = self._scans(baseline, follow_up, order, steps)
        steps.begin(ComparisonStep.REGISTER)
        comparison = compare_scans(
            before.finding,
            after.finding,
            interval=order.interval,
            with_ventricles=self._configuration.with_ventricles,
            baseline_equipment=_equipment(before.source.header),
            follow_up_equipment=_equipment(after.source.header),
            align=self._align,
        )
        view = view_pair(before.finding, after.finding, comparison)
        steps.begin(ComparisonStep.ENCODE)
        pair = compared_pair(
            before,
            after,
            comparison,
            model=context.segmentation_card,
            configuration_digest=context.configuration_digest,
        )
        drawn = draw_comparison(view, self._record(comparison, uids, steps), node=_NODE)
        objects = encode_comparison(pair, drawn, context=context, supersedes=supersedes)
        steps.begin(ComparisonStep.CHECK)
        check_comparison(
            objects,
            comparison,
            baseline=before.finding,
            follow_up=after.finding,
            baseline_source=baseline,
            follow_up_source=follow_up,
        )
        steps.begin(ComparisonStep.SUMMARIZE)
        record = self._record(comparison, uids, steps)
        write_comparison_summary(summary, drawn, record)
        return ComparedSeries(objects=objects, record=record)

    def _scans(
        self,
        baseline: Sequence[Dataset],
        follow_up: Sequence[Dataset],
        order: "_Order",
        steps: StepClock,
    ) -> tuple[ComparedScan, ComparedScan]:
        """Return both scans, read and segmented; the reading of both comes first."""
        volumes = [read_ct_series(images) for images in (baseline, follow_up)]
        sources = [
            source_series(images, volume)
            for images, volume in zip((baseline, follow_up), volumes, strict=True)
        ]
        scans = []
        for step, volume, source, acquired in zip(
            _SEGMENTING, volumes, sources, order.acquired, strict=True
        ):
            steps.begin(step)
            found = self._models.segment(volume, on_progress=steps.on_progress)
            finding = ScanFinding(volume=volume, segmentation=found)
            scans.append(ComparedScan(finding=finding, source=source, acquired=acquired))
        return scans[0], scans[1]

    def _record(
        self, comparison: FollowUpComparison, uids: tuple[str, str], steps: StepClock
    ) -> dict[str, Any]:
        return comparison_record(
            comparison,
            baseline_uid=uids[0],
            follow_up_uid=uids[1],
            model=self._models.segmentation_card,
            steps_s=steps.seconds,
        )

    def _refuse(
        self, reason: str, uids: tuple[str, str], summary: Path, steps: StepClock
    ) -> RefusedComparison:
        steps.begin(ComparisonStep.SUMMARIZE)
        record = refusal_record(
            reason,
            baseline_uid=uids[0],
            follow_up_uid=uids[1],
            model=self._models.segmentation_card,
            steps_s=steps.seconds,
        )
        write_comparison_summary(summary, draw_comparison(None, record, node=_NODE), record)
        return RefusedComparison(reason=reason, record=record)

    def _context(self) -> ResultContext:
        return ResultContext(
            segmentation_card=self._models.segmentation_card,
            classification_card=self._models.classification_card,
            now=self._clock(),
            configuration_digest=self.configuration_digest,
            software_versions=(__version__,),
            with_pdf=self._configuration.with_pdf,
            with_key_objects=self._configuration.with_key_objects,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """When baseline and follow-up were acquired, and the time between them."""

    acquired: tuple[datetime, datetime]
    interval: Interval


_SEGMENTING = (ComparisonStep.SEGMENT_BASELINE, ComparisonStep.SEGMENT_FOLLOW_UP)


def _equipment(header: Dataset) -> Equipment:
    return Equipment(
        manufacturer=str(header.get("Manufacturer") or ""),
        model_name=str(header.get("ManufacturerModelName") or ""),
        serial_number=str(header.get("DeviceSerialNumber") or ""),
    )
