"""``ichnode analyze``: one series from a folder, without any network."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.analysts import series_analyst
from dicom_node.bootstrap.logs import set_up_logs
from dicom_node.bootstrap.node_models import load_node_models
from dicom_node.commands.analysis_bar import showing
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.dicom_folder import dicom_files
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.results import wording
from dicom_node.results.errors import ResultError
from dicom_node.series_analysis import AnalyzedSeries, RejectedSeries
from dicom_node.series_folder import Choice, FolderSeries, choose, folder_series
from dicom_node.settings.schema import Settings
from pipeline.errors import PipelineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asks for instead of the settings; None keeps those.

    Attributes
    ----------
    segmentation, classification, growth : str or None
        Models: shipped names or folders; an empty growth leaves the forecast out.
    uncertainty_map : bool or None
        Whether the Parametric Map is made.
    """

    segmentation: str | None = None
    classification: str | None = None
    growth: str | None = None
    uncertainty_map: bool | None = None

    def over(self, settings: Settings) -> Settings:
        """Return the settings with these wishes."""
        asked = {
            "segmentation_bundle": self.segmentation,
            "classification_bundle": self.classification,
            "growth_bundle": self.growth,
        }
        named = {key: value for key, value in asked.items() if value is not None}
        worker, results = settings.worker.model_copy(update=named), settings.results
        if self.uncertainty_map is not None:
            results = results.model_copy(update={"uncertainty_map": self.uncertainty_map})
        if self.growth is not None:
            results = results.model_copy(update={"forecast": True})
        return settings.model_copy(update={"worker": worker, "results": results})


def run(
    folder: Path,
    *,
    output: Path,
    series_uid: str | None,
    wishes: Wishes,
    config: Path | None,
) -> int:
    """Analyse one series and write everything into `output`."""
    _, settings = settings_of(config)
    settings = wishes.over(settings)
    set_up_logs("analyze", level="ERROR")
    everything = folder_series(dicom_files(folder))
    choice = choose(everything, parts.selection_rules(settings), wanted_uid=series_uid)
    tell_choice(everything, choice)
    if choice.series is None:
        say("none of them may be analysed by the rules; --series UID takes one all the same")
        return ExitCode.REJECTED
    outcome = _analyze(choice.series, output=output, settings=settings)
    if isinstance(outcome, RejectedSeries):
        say(f"rejected: {outcome.reason.message}", style="yellow")
        return ExitCode.REJECTED
    written = _write_objects(outcome, output)
    _tell(outcome, output=output, objects=written)
    return ExitCode.OK


def _analyze(
    series: FolderSeries, *, output: Path, settings: Settings
) -> AnalyzedSeries | RejectedSeries:
    try:
        output.mkdir(parents=True, exist_ok=True)
        with showing(Console(stderr=True)) as bar:
            bar.begin("load models")
            analyst = series_analyst(settings, load_node_models(settings))
            return analyst.analyze(
                series.files,
                series_instance_uid=series.uid,
                summary=output,
                on_step=bar.begin,
                on_progress=bar.advance,
            )
    except (PipelineError, ResultError, OSError) as error:
        raise OperatorError(f"the analysis failed: {error}") from error


def _write_objects(outcome: AnalyzedSeries, output: Path) -> list[Path]:
    """Write the result objects as DICOM files, named by what they are."""
    objects = outcome.objects
    names = [f"capture-{number}" for number in range(1, len(objects.captures) + 1)]
    names += [str(kind) for kind, _ in objects.with_kinds[len(names) :]]
    paths = [output / f"{name}.dcm" for name in names]
    for result, path in zip(objects.in_send_order, paths, strict=True):
        result.save_as(path, enforce_file_format=True)
    return paths


def tell_choice(everything: tuple[FolderSeries, ...], choice: Choice) -> None:
    """Print which of a folder's series are taken, and why; nothing where there is only one."""
    if len(everything) == 1:
        return
    taken = choice.series.uid if choice.series else ""
    show_table(
        ("series", "files", "taken", "reason"),
        [
            (
                one.uid,
                str(len(one.files)),
                "yes" if one.uid == taken else "no",
                choice.reasons.get(one.uid, "another one was asked for"),
            )
            for one in everything
        ],
        title=f"The folder holds {len(everything)} series",
    )


def _tell(outcome: AnalyzedSeries, *, output: Path, objects: list[Path]) -> None:
    record = outcome.record
    say(str(record["status"]).replace("_", " "), style="bold")
    if record["he_probability"] is not None:
        say(
            f"volume {wording.volume_of_record(record)}; mesh {record['mesh_volume_ml']:.1f}, "
            f"ABC/2 {record['abc2_volume_ml']:.1f}; "
            f"probability of expansion {record['he_probability']:.2f} ({record['he_label']})"
        )
    if record["forecast"]:
        say(f"forecast {wording.forecast_of_record(record)}")
    if record["compartments_ml"]:
        say(wording.compartment_words(wording.compartments_of_record(record)))
    if record["flags"]:
        say("flags: " + ", ".join(record["flags"]), style="yellow")
    say(f"{record['seconds']:.1f} s; RESEARCH USE ONLY")
    for path in (*objects, *(output / name for name in _SUMMARY)):
        say(str(path))


_SUMMARY = ("summary.png", "summary.html", "analysis.json")
