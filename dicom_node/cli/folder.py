"""The commands that work on folders without any network: how they are called.

Nothing heavy is imported here.
"""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.config_option import ConfigOption


def analyze(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with DICOM files.")],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the results; made if needed.")],
    series: Annotated[
        str | None,
        typer.Option(metavar="UID", help="Series Instance UID, if the folder holds several."),
    ] = None,
    segmentation: Annotated[
        str | None,
        typer.Option(metavar="BUNDLE", help="Segmentation model instead of the settings'."),
    ] = None,
    classification: Annotated[
        str | None,
        typer.Option(metavar="BUNDLE", help="Classification model instead of the settings'."),
    ] = None,
    growth: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Growth model for a forecast, instead of the settings'; empty for none.",
        ),
    ] = None,
    uncertainty_map: Annotated[
        bool | None,
        typer.Option(
            "--uncertainty-map/--no-uncertainty-map",
            help="Parametric Map of the segmentation's doubt, instead of the settings.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Analyse one head CT series from a folder, without any network.

    Writes the DICOM objects (SEG, SC, SR, on demand a Parametric Map and the SEG of a forecast),
    summary.png, summary.html and analysis.json.
    Exit code 0: analysed, with or without hematoma. 3: the series cannot be analysed. 1: failure.

    For example:

        ichnode analyze /data/head-ct --output out

        ichnode analyze /data/study --series 1.2.840.113619.2.1 --output out

        ichnode analyze /data/head-ct --segmentation /models/blast-ct --output out
    """
    from dicom_node.commands.analyze import Wishes, run

    wishes = Wishes(
        segmentation=segmentation,
        classification=classification,
        growth=growth,
        uncertainty_map=uncertainty_map,
    )
    raise typer.Exit(run(folder, output=output, series_uid=series, wishes=wishes, config=config))


def compare(
    baseline: Annotated[
        Path, typer.Argument(metavar="BASELINE_DIR", help="Folder with the earlier scan.")
    ],
    follow_up: Annotated[
        Path, typer.Argument(metavar="FOLLOW_UP_DIR", help="Folder with the later scan.")
    ],
    *,
    output: Annotated[Path, typer.Option(help="Folder for the results; made if needed.")],
    baseline_series: Annotated[
        str | None,
        typer.Option(metavar="UID", help="Series of the earlier scan, if there are several."),
    ] = None,
    follow_up_series: Annotated[
        str | None,
        typer.Option(metavar="UID", help="Series of the later scan, if there are several."),
    ] = None,
    segmentation: Annotated[
        str | None,
        typer.Option(metavar="BUNDLE", help="Segmentation model instead of the settings'."),
    ] = None,
    with_ventricles: Annotated[
        bool | None,
        typer.Option(
            "--with-ventricles/--without-ventricles",
            help="Count blood in the ventricles (revised definition), instead of the settings.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Compare two head CT series of one patient from folders, without any network.

    Segments both with one model, brings them together, and says whether the hematoma expanded.
    Writes the DICOM objects (both SEG, side-by-side SC, SR), summary.png, summary.html and
    comparison.json.
    Exit code 0: compared, with or without a verdict. 3: not of one patient, not in order of time,
    or a scan that cannot be analysed. 1: failure.

    For example:

        ichnode compare /data/monday /data/tuesday --output out

        ichnode compare /data/monday /data/tuesday --output out --with-ventricles
    """
    from dicom_node.commands.compare import ScanChoice, run

    raise typer.Exit(
        run(
            ScanChoice(folder=baseline, series_uid=baseline_series),
            ScanChoice(folder=follow_up, series_uid=follow_up_series),
            output=output,
            segmentation=segmentation,
            with_ventricles=with_ventricles,
            config=config,
        )
    )
