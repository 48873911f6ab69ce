"""The commands `ichtrain cohort ...`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.cohort.intake.import_cohort import ImportedCohort, ImportOptions

APP = typer.Typer(
    help="Bring scans and masks together as a cohort that networks can be trained on.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@APP.callback()
def group() -> None:
    """Bring scans and masks together as a cohort that networks can be trained on."""


class Criteria(StrEnum):
    """Which criteria decide who takes part."""

    NPJ = "npj"  #: those of the npj study
    NONE = "none"  #: only what cannot be used falls


_Source = Annotated[
    Path, typer.Argument(help="Folder of DICOM or NIfTI scans with their masks, any depth.")
]
_Output = Annotated[Path, typer.Option(help="Folder of the cohort; made if absent.")]
_Spacing = Annotated[str, typer.Option(help="Grid of the prepared scans in mm, z,y,x.")]
_Name = Annotated[str, typer.Option(help="Name of the data set; default the folder's name.")]
_Label = Annotated[
    int | None,
    typer.Option(min=1, help="Value of hematoma in NIfTI masks; default the only one, else 1."),
]
_KeepIds = Annotated[
    bool, typer.Option("--keep-ids", help="Keep patient identifiers instead of pseudonyms.")
]
_Salt = Annotated[
    str,
    typer.Option(
        help="Secret for pseudonyms, to give patients the same in several cohorts; default a new "
        "one, kept in the cohort's folder .import (delete that before you pass the cohort on).",
        envvar="ICHNODE_COHORT_SALT",
    ),
]
_Key = Annotated[
    Path | None, typer.Option(help="Also write which patient and path each identifier means.")
]
_AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Keep scans whose mask is empty, as healthy ones.")
]
_Clinical = Annotated[
    Path | None,
    typer.Option(
        help="CSV with patient_id and any of centre, age_years, sex, hypertension, diabetes, "
        "antithrombotic, systolic_mmhg, gcs, onset_to_baseline_h, onset_to_follow_up_h, "
        "spontaneous, surgery_before_follow_up, primary_ivh, poor_quality; they are kept in the "
        "cohort's clinical.csv."
    ),
]
_Criteria = Annotated[Criteria, typer.Option(help="Who takes part.")]
_NeedFollowUp = Annotated[
    bool,
    typer.Option("--need-follow-up", help="Exclude patients without two usable scans."),
]
_Split = Annotated[
    Path | None,
    typer.Option(help='JSON with "train", "validation" and "test" lists of patients or scans.'),
]
_Validation = Annotated[float, typer.Option(min=0, max=0.9, help="Share of validation patients.")]
_Test = Annotated[float, typer.Option(min=0, max=0.9, help="Share of test patients.")]
_Strict = Annotated[
    bool, typer.Option("--strict", help="End with an error if a mask or file does not fit.")
]


@APP.command("import")
def import_(  # noqa: PLR0913, PLR0917  one parameter for each option
    source: _Source,
    output: _Output,
    spacing: _Spacing = "5,0.5,0.5",
    name: _Name = "",
    label: _Label = None,
    keep_ids: _KeepIds = False,  # noqa: FBT002  a flag
    salt: _Salt = "",
    key: _Key = None,
    allow_empty: _AllowEmpty = False,  # noqa: FBT002  a flag
    clinical: _Clinical = None,
    criteria: _Criteria = Criteria.NPJ,
    need_follow_up: _NeedFollowUp = False,  # noqa: FBT002  a flag
    split: _Split = None,
    validation: _Validation = 0.2,
    test: _Test = 0.2,
    strict: _Strict = False,  # noqa: FBT002  a flag
) -> None:
    """Make a cohort of DICOM or NIfTI scans and the masks that were drawn on them.

    Masks are NIfTI files as ITK-SNAP and 3D Slicer save them (named like the scan with _mask,
    _labels, -label or .seg, or in a folder "masks"; beside a DICOM series any name will do), or
    DICOM SEG. Series are read as the node reads them, and refused for the same reasons. Writes
    cohort.csv (one row a scan), exclusions.csv and flow.png (who fell for which criterion of
    the npj study), splits.json (by patient, never by scan) and the prepared scans; scans without
    a mask go to "unlabelled". The same call again prepares only what is new.

    Examples
    --------
      ichtrain cohort import /data/ich --output cohorts/ich

      ichtrain cohort import /data/ich --output cohorts/ich --clinical patients.csv
      --split splits.json --key /safe/place/key.csv

      ichtrain phantom --patients 20 --seed 7 --output heads
      ichtrain cohort import heads --output cohorts/heads --keep-ids --name simulated

      ichtrain phantom --patients 60 --seed 7 --centres 3 --output study
      ichtrain cohort import study --output cohorts/study --clinical study/clinical.csv
    """
    from training.cohort.intake.flow import FLOW_PICTURE, draw_flow, flow_of, print_flow
    from training.cohort.intake.import_cohort import ImportOptions
    from training.cohort.intake.tables import write_key, write_tables

    try:
        options = ImportOptions(
            source=source,
            output=output,
            spacing_zyx_mm=_three(spacing),
            name=name,
            label=label,
            keep_ids=keep_ids,
            salt=salt,
            allow_empty=allow_empty,
            clinical=clinical,
            clinical_criteria=criteria is Criteria.NPJ,
            need_follow_up=need_follow_up,
            split=split,
            validation=validation,
            test=test,
        )
        imported = _with_bar(options)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    write_tables(output, imported)
    if imported.unknown_columns:
        unknown = ", ".join(imported.unknown_columns)
        typer.echo(f"Warning: {clinical}: columns left out as not understood: {unknown}", err=True)
    if key is not None:
        write_key(key, imported)
    flow = flow_of(imported)
    draw_flow(output / FLOW_PICTURE, flow)
    print_flow(flow)
    if not imported.included:
        typer.echo(f"Error: no scan remains; see {output / 'exclusions.csv'}", err=True)
        raise typer.Exit(1)
    if strict and _misfits(imported):
        typer.echo(f"Error: {_misfits(imported)} masks or files do not fit", err=True)
        raise typer.Exit(1)


def _misfits(imported: "ImportedCohort") -> int:
    from training.cohort.intake.criteria import Criterion

    faults = {Criterion.BAD_MASK, Criterion.EMPTY_MASK, Criterion.DUPLICATE}
    return len(imported.strays) + sum(one in faults for one in imported.verdict.excluded.values())


def _with_bar(options: "ImportOptions") -> "ImportedCohort":
    from rich.console import Console
    from rich.progress import Progress

    from training.cohort.intake.import_cohort import import_cohort

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("Looking", total=None)

        def follow(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        return import_cohort(options, on_progress=follow)


def _three(text: str) -> tuple[float, float, float]:
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--spacing needs three numbers such as 5,1,1, got {text!r}") from error
    if min(z, y, x) <= 0:
        raise ValueError(f"--spacing must be positive, got {text!r}")
    return (z, y, x)
