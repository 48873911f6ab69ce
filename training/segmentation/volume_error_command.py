"""The command `ichtrain segmentation calibrate-volume`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.model_bundle import ModelBundle, ModelCard
    from pipeline.volume_error import VolumeError
    from training.segmentation.volume_error import VolumeResidual

#: Draws the held-out patients independently of every other division of the same cohort.
_SALT = "ichnode volume error"

#: Key of the card's metrics that says how the fitted ranges fared.
_METRIC = "volume_range"


def calibrate_volume(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder; its card is written anew.")],
    cases: Annotated[
        list[Path],
        typer.Option(
            "--cases",
            help="Folder of prepared cases of patients that the network has never seen, "
            "neither in training nor in validation; may be given repeatedly.",
        ),
    ],
    *,
    held_out: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of the patients that the fit is judged on."),
    ] = 0.3,
    cohort: Annotated[
        str, typer.Option(help="Name of the patients for the card; default the folders' names.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print everything, write nothing.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Fit the 95 % range of a bundle's volumes and write it into the card.

    A share of the patients is held out and only counts how often the ranges hold the truth. The
    weights stay as they are; results get new identities because the configuration's digest
    covers the fitted error.

    Example: ichtrain segmentation calibrate-volume ~/bundle --cases ~/prepared/simulated-test
    """
    import torch

    from pipeline.model_bundle import load_bundle, save_card

    torch.set_num_threads(threads)
    loaded = load_bundle(bundle, task="segmentation")
    found, scans = _measure(loaded, cases)
    report = {"scans": scans, "scans_with_finding": len(found)}
    named = cohort or ", ".join(folder.name for folder in cases)
    card = _calibrated(loaded.card, found, held_out=held_out, cohort=named, report=report)
    if dry_run:
        return
    save_card(bundle, card)
    typer.echo(f"{bundle}: card written")


def _calibrated(
    card: "ModelCard",
    found: Sequence["VolumeResidual"],
    *,
    held_out: float,
    cohort: str,
    report: dict[str, Any],
) -> "ModelCard":
    """Return the card with its error fitted, and print error and coverage."""
    import dataclasses
    import json

    from training.segmentation.volume_error import fit_volume_error, floor_of

    fitted_on, judged_on = _divide(found, held_out)
    try:
        error = fit_volume_error(fitted_on, floor_ml=floor_of(card), cohort=cohort)
    except ValueError as reason:
        raise typer.BadParameter(f"{reason} with a hematoma found") from reason
    report |= _report(error, fitted_on, judged_on)
    typer.echo(json.dumps({"volume_error": dataclasses.asdict(error), **report}, indent=2))
    return dataclasses.replace(card, volume_error=error, metrics={**card.metrics, _METRIC: report})


def _measure(bundle: "ModelBundle", folders: Sequence[Path]) -> tuple[list["VolumeResidual"], int]:
    """Return the residuals of all scans in which something is found, and the number of scans."""
    import dataclasses

    import torch
    from rich.progress import track

    from pipeline.segmentation.segmenter import load_segmenter
    from training.cohort.case import load_case
    from training.segmentation.volume_error import residuals, unit_card

    segmenter = load_segmenter(
        dataclasses.replace(bundle, card=unit_card(bundle.card)), device=torch.device("cpu")
    )
    paths = [
        path
        for folder in folders
        for path in sorted(folder.glob("*.npz"))
        if not path.name.endswith(".part.npz")
    ]
    measured = residuals(segmenter, (load_case(path) for path in paths))
    found = [one for one in track(measured, "Segmenting", len(paths)) if one is not None]
    return found, len(paths)


def _divide(
    found: Sequence["VolumeResidual"], share: float
) -> tuple[list["VolumeResidual"], list["VolumeResidual"]]:
    from training.cohort.split import divide

    return divide(found, patient_of=lambda one: one.patient_id, fraction=share, salt=_SALT)


def _report(
    error: "VolumeError",
    fitted_on: Sequence["VolumeResidual"],
    judged_on: Sequence["VolumeResidual"],
) -> dict[str, Any]:
    """Return the coverage in held-out patients, and of each patient by the others."""
    import dataclasses

    from pipeline.volume_error import LEVEL, conformal_rank
    from training.segmentation.volume_error import coverage, leave_one_out_coverage

    report: dict[str, Any] = {"held_out": None, "leave_one_patient_out": None}
    if judged_on:
        report["held_out"] = dataclasses.asdict(coverage(error, judged_on))
    try:
        conformal_rank(error.patients - 1, LEVEL)
    except ValueError:
        # as many patients as the level needs and not one more: nobody can be left out
        return report
    left_out = leave_one_out_coverage(fitted_on)
    return report | {"leave_one_patient_out": dataclasses.asdict(left_out)}
