"""The command `ichtrain segmentation distil`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.segmentation.distillation.distil import DistilledScan, Teacher


def distil(
    series: Annotated[Path, typer.Argument(help="Folder whose subfolders each hold a series.")],
    teacher: Annotated[
        list[Path],
        typer.Option(help="Bundle of a network that labels; several must agree."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of prepared cases; made if absent.")],
    source: Annotated[str, typer.Option(help="Name of the data set, for split and weights.")],
    *,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of what radiologists said: patient, slice, and the column below."),
    ] = None,
    column: Annotated[str, typer.Option(help="The CSV's column of hematoma.")] = (
        "Intraparenchymal"
    ),
    agreement: Annotated[
        float, typer.Option(help="Least Dice between two teachers; else the scan is left out.")
    ] = 0.3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Make training cases of series that nobody has drawn, labelled by other networks.

    Voxels on which the teachers are unsure take no part in training; scans on which they
    disagree are left out; radiologists' slice labels, where there are any, overrule the teachers.
    A label made so is a guess: never validate or test on it. Cases that stand already are kept.

    Example: ichtrain segmentation distil ~/series --teacher ~/bundles/blast-ct-1
    --teacher ~/bundles/blast-ct-2 --labels ~/series/labels.csv --source hospital
    --output ~/prepared/hospital
    """
    from rich.progress import track

    from training.cohort.case import save_case
    from training.cohort.labelled_series import read_slice_labels, series_folders
    from training.cohort.prepared import SPACING_ZYX_MM
    from training.segmentation.distillation.distil import distil_series
    from training.segmentation.distillation.rules import BeliefRules

    known = read_slice_labels(labels, column=column) if labels else {}
    rules = BeliefRules(agreement=agreement)
    teachers = [_teacher(path, device) for path in teacher]
    pending = [
        folder
        for folder in series_folders(series)
        if not (output / f"{source}-{folder.name}.npz").exists()
    ]
    for folder in track(pending, description="Distilling"):
        scan = distil_series(
            folder,
            teachers=teachers,
            labels=known,
            source=source,
            spacing_zyx_mm=SPACING_ZYX_MM,
            rules=rules,
        )
        if scan.case is not None:
            save_case(output, scan.case)
        typer.echo(_line(scan))


def _teacher(path: Path, device: str) -> "Teacher":
    from pipeline.model_bundle import load_bundle
    from pipeline.models import choose_device
    from pipeline.segmentation.segmenter import load_segmenter

    bundle = load_bundle(path, task="segmentation")
    return load_segmenter(bundle, device=choose_device(device)).probability


def _line(scan: "DistilledScan") -> str:
    if scan.case is None:
        return f"{scan.patient}: left out, {scan.left_out}"
    return f"{scan.patient}: {scan.case.hematoma_ml:.1f} mL, agreement {scan.agreement:.2f}"
