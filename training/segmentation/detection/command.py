"""The command `ichtrain segmentation detect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.segmentation.detection.scan import Judge


def detect(
    series: Annotated[Path, typer.Argument(help="Folder whose subfolders each hold a series.")],
    bundle: Annotated[
        list[Path], typer.Option(help="Bundle; the first is compared with every other.")
    ],
    labels: Annotated[
        Path, typer.Option(help="CSV of what radiologists said: patient, slice, and the column.")
    ],
    output: Annotated[Path, typer.Option(help="Receives slices.csv and detection.json.")],
    *,
    column: Annotated[str, typer.Option(help="The CSV's column of hematoma.")] = (
        "Intraparenchymal"
    ),
    source: Annotated[str, typer.Option(help="Name of the data set, for --held-out.")] = "",
    held_out: Annotated[
        float, typer.Option(min=0, max=1, help="Only the share that training held out.")
    ] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure how well models find the slices that radiologists say show hematoma.

    The score of a slice is its summed probability. Prints the area under the ROC curve with its
    interval over patients, sensitivity and specificity of the masks, false alarms, and how the
    first bundle differs from each other one on the same slices. Scans judged already are kept.

    Example: ichtrain segmentation detect ~/series --bundle ~/bundles/mine
    --bundle ~/bundles/blast-ct --labels ~/series/labels.csv --output ~/detection
    """
    import json

    from rich.progress import track

    from training.cohort.labelled_series import (
        read_labelled_series,
        read_slice_labels,
        series_folders,
    )
    from training.cohort.split import in_validation
    from training.segmentation.detection.scan import append_scores, read_scores, score_slices
    from training.segmentation.detection.summary import summarise

    known = read_slice_labels(labels, column=column)
    output.mkdir(parents=True, exist_ok=True)
    table = output / "slices.csv"
    chosen = [
        folder
        for folder in series_folders(series)
        if in_validation(f"{source}-{folder.name}" if source else folder.name, fraction=held_out)
    ]
    for path in bundle:
        name, judge = _judge(path, device)
        done = {row.patient for row in read_scores(table) if row.model == name}
        pending = [folder for folder in chosen if folder.name not in done]
        for folder in track(pending, description=name):
            append_scores(table, score_slices(name, read_labelled_series(folder, known), judge))
    patients = {folder.name for folder in chosen}
    rows = [row for row in read_scores(table) if row.patient in patients]
    report = json.dumps(summarise(rows), indent=2)
    (output / "detection.json").write_text(report + "\n")
    typer.echo(report)


def _judge(path: Path, device: str) -> tuple[str, "Judge"]:
    from pipeline.model_bundle import load_bundle
    from pipeline.models import choose_device
    from pipeline.segmentation.segmenter import load_segmenter
    from pipeline.volume import CtVolume
    from training.segmentation.detection.scan import ScanOpinion

    loaded = load_bundle(path, task="segmentation")
    segmenter = load_segmenter(loaded, device=choose_device(device))

    def judge(volume: CtVolume) -> ScanOpinion:
        maps = segmenter.predict(volume)
        return ScanOpinion(
            probability_zyx=maps.hematoma_zyx,
            mask_zyx=segmenter.findings(maps, volume).hematoma.voxels_zyx,
        )

    return f"{loaded.card.name} {loaded.card.version}", judge
