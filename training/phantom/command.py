"""The command `ichtrain phantom`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_line import bar, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.phantom.centre import Centre


class Format(StrEnum):
    """How scans are written."""

    NIFTI = "nifti"
    DICOM = "dicom"
    BOTH = "both"


_Output = Annotated[Path, typer.Option(help="Folder of the cohort; made if absent.")]
_Patients = Annotated[int, typer.Option(min=1, help="How many patients.")]
_Seed = Annotated[int, typer.Option(min=0, help="Seed; the same seed, the same heads.")]
_Format = Annotated[Format, typer.Option("--format", help="How scans are written.")]
_FollowUp = Annotated[
    bool, typer.Option("--follow-up/--no-follow-up", help="Take a second scan a day later.")
]
_SliceThickness = Annotated[
    float | None,
    typer.Option(min=0.5, max=10, help="Slice thickness in mm; drawn if not given, mostly 5."),
]
_Tilt = Annotated[
    float | None, typer.Option(help="Gantry tilt in degrees; drawn if not given, mostly 0.")
]
_NoHematoma = Annotated[
    float, typer.Option(min=0, max=1, help="Share of patients without a hematoma.")
]
_ExtraAxial = Annotated[
    float, typer.Option(min=0, max=1, help="Share of patients bleeding outside the brain.")
]
_Anatomy = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        help="Real head without a bleeding (NIfTI file or folder of one DICOM series) to use "
        "instead of a simulated one. Repeat for several, which then take turns.",
    ),
]
_Centres = Annotated[
    str | None,
    typer.Option(
        help="Spread the patients over centres that differ in scanner and risk: a number (at most "
        "3) or a TOML file like config/training/centres.toml. Images then tell only a part of "
        "the risk; charts go to clinical.csv, the best AUC there can be to truth.json."
    ),
]
_TruthOnly = Annotated[
    bool, typer.Option("--truth-only", help="Compute truth.json alone, simulate no patient.")
]
_FirstIndex = Annotated[int, typer.Option(min=1, help="Number of the first patient.")]


@told()
def phantom(  # noqa: PLR0913, PLR0917 - one parameter for each option
    output: _Output,
    patients: _Patients = 1,
    seed: _Seed = 1,
    output_format: _Format = Format.NIFTI,
    follow_up: _FollowUp = True,  # noqa: FBT002 - Typer makes the pair of flags from it
    slice_thickness: _SliceThickness = None,
    tilt: _Tilt = None,
    no_hematoma: _NoHematoma = 0.0,
    extra_axial: _ExtraAxial = 0.06,
    anatomy: _Anatomy = None,
    first_index: _FirstIndex = 1,
    centres: _Centres = None,
    truth_only: _TruthOnly = False,  # noqa: FBT002 - a flag
) -> None:
    """Simulate head CT with hematomas and their truth.

    Every patient gets a folder with scans, label volumes (0 background, 1 hematoma,
    2 intraventricular, 3 outside the brain, 4 oedema) and a record; cohort.csv is the table of
    all. A call that was interrupted goes on where it stopped when repeated.

    Examples
    --------
      ichtrain phantom --patients 20 --seed 7 --output heads

      ichtrain phantom --patients 1 --seed 7 --output one --format dicom --slice-thickness 1.25

      ichtrain phantom --patients 5 --seed 7 --output tilted --tilt 18 --no-follow-up

      ichtrain phantom --patients 40 --seed 7 --output mixed --anatomy head.nii.gz --anatomy ct/

      ichtrain phantom --patients 60 --seed 7 --output study --centres 3
    """
    from training.phantom.centre import centres_of
    from training.phantom.cohort import OutputFormat, write_cohort
    from training.phantom.host import AnatomyError, load_host
    from training.phantom.patient import PhantomOptions

    if truth_only and centres is None:
        raise typer.BadParameter("needs --centres", param_hint="--truth-only")
    places = () if centres is None else centres_of(centres)
    if places:
        _tell_truth(output, places)
    if truth_only:
        return
    try:
        hosts = [load_host(path) for path in anatomy or ()]
    except AnatomyError as error:
        raise typer.BadParameter(str(error), param_hint="--anatomy") from error
    records = write_cohort(
        patients=patients,
        seed=seed,
        output=output,
        options=PhantomOptions(
            slice_thickness_mm=slice_thickness,
            tilt_deg=tilt,
            follow_up=follow_up,
            no_hematoma_share=no_hematoma,
            extra_axial_share=extra_axial,
            centres=places,
        ),
        output_format=OutputFormat(output_format.value),
        first_index=first_index,
        hosts=hosts,
    )
    with bar() as shown:
        for done, _ in enumerate(records, start=1):
            shown.count(done, patients, what="Simulating patients")


def _tell_truth(output: Path, centres: "Sequence[Centre]") -> None:
    """Print the ideal observers and keep them in the cohort's folder."""
    from training.phantom.ideal import ideal_observers
    from training.phantom.truth import PLANS, SEED, in_words, write_truth

    with bar() as shown:

        def follow(done: int, count: int) -> None:
            shown.count(done, count, what="Planning hematomas")

        observers = ideal_observers(centres, plans=PLANS, seed=SEED, on_progress=follow)
    write_truth(output, observers)
    typer.echo(in_words(observers))
