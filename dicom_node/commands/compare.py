"""``ichnode compare``: two series of one patient from two folders, without any network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.comparers import series_comparer
from dicom_node.bootstrap.logs import set_up_logs
from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.commands.analysis_bar import showing
from dicom_node.commands.analyze import tell_choice
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.dicom_folder import dicom_files
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.results import comparison_wording
from dicom_node.results.comparison_summary import SUMMARY_FILES
from dicom_node.results.errors import ResultError
from dicom_node.series_comparison import ComparedSeries, RefusedComparison
from dicom_node.series_folder import FolderSeries, choose, folder_series
from dicom_node.settings.schema import Settings
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.models import Models


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanChoice:
    """Which series is meant.

    Attributes
    ----------
    folder : Path
        Where its files lie.
    series_uid : str or None
        Series Instance UID, if the folder holds several.
    """

    folder: Path
    series_uid: str | None = None


def run(
    baseline: ScanChoice,
    follow_up: ScanChoice,
    *,
    output: Path,
    segmentation: str | None,
    with_ventricles: bool | None,
    config: Path | None,
    load: Callable[[Settings], "Models"] = load_node_models,
) -> int:
    """Compare two series and write everything into `output`; `load` gives the models."""
    _, settings = settings_of(config)
    settings = _wished(settings, segmentation, with_ventricles=with_ventricles)
    set_up_logs("compare", level="ERROR")
    chosen = [_chosen(scan, settings) for scan in (baseline, follow_up)]
    before, after = chosen
    if before is None or after is None:
        say("none of them may be analysed by the rules; name a series to take it all the same")
        return ExitCode.REJECTED
    outcome = _compare(before, after, output=output, settings=settings, load=load)
    if isinstance(outcome, RefusedComparison):
        say(f"refused: {outcome.reason}", style="yellow")
        return ExitCode.REJECTED
    _tell(outcome, output=output, objects=_write_objects(outcome, output))
    return ExitCode.OK


def _wished(
    settings: Settings, segmentation: str | None, *, with_ventricles: bool | None
) -> Settings:
    """Return the settings with what the command line asks for instead; None keeps those."""
    worker, follow_up = settings.worker, settings.follow_up
    # No forecast takes part in a comparison, so that its model need not be there.
    results = settings.results.model_copy(update={"forecast": False})
    if segmentation is not None:
        worker = worker.model_copy(update={"segmentation_bundle": segmentation})
    if with_ventricles is not None:
        follow_up = follow_up.model_copy(update={"with_ventricles": with_ventricles})
    return settings.model_copy(
        update={"worker": worker, "follow_up": follow_up, "results": results}
    )


def _chosen(scan: ScanChoice, settings: Settings) -> FolderSeries | None:
    everything = folder_series(dicom_files(scan.folder))
    choice = choose(everything, parts.selection_rules(settings), wanted_uid=scan.series_uid)
    tell_choice(everything, choice)
    return choice.series


def _compare(
    baseline: FolderSeries,
    follow_up: FolderSeries,
    *,
    output: Path,
    settings: Settings,
    load: Callable[[Settings], "Models"],
) -> ComparedSeries | RefusedComparison:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with showing(Console(stderr=True)) as bar:
            bar.begin("load models")
            comparer = series_comparer(settings, load(settings))
            return comparer.compare(
                baseline.files,
                follow_up.files,
                baseline_series_uid=baseline.uid,
                follow_up_series_uid=follow_up.uid,
                summary=output,
                on_step=bar.begin,
                on_progress=bar.advance,
            )
    except (PipelineError, ResultError, OSError) as error:
        raise OperatorError(f"the comparison failed: {error}") from error


def _write_objects(outcome: ComparedSeries, output: Path) -> list[Path]:
    """Write the result objects as DICOM files, named by what they are."""
    objects = outcome.objects
    named = (
        ("baseline-segmentation", objects.baseline_segmentation),
        ("follow-up-segmentation", objects.follow_up_segmentation),
        ("side-by-side", objects.capture),
        ("pdf", objects.pdf),
        ("key-objects", objects.key_objects),
        ("report", objects.report),
    )
    paths = []
    for name, result in named:
        if result is not None:
            paths.append(output / f"{name}.dcm")
            result.save_as(paths[-1], enforce_file_format=True)
    return paths


def _tell(outcome: ComparedSeries, *, output: Path, objects: list[Path]) -> None:
    record = outcome.record
    say(comparison_wording.verdict_of_record(record).lower(), style="bold")
    for reason in record["reasons"]:
        say(reason, style="yellow")
    say(
        f"volume {record['baseline_volume_ml']:.1f} mL, then "
        f"{record['follow_up_volume_ml']:.1f} mL after "
        f"{comparison_wording.elapsed_words(record['elapsed_hours'])}: "
        f"{comparison_wording.change_of_record(record)}"
    )
    if record["flags"]:
        say("flags: " + ", ".join(record["flags"]), style="yellow")
    say(f"{record['seconds']:.1f} s; RESEARCH USE ONLY")
    for path in (*objects, *(output / name for name in SUMMARY_FILES)):
        say(str(path))
