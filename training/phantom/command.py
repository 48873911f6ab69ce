"""The command `ichtrain phantom`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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
_FirstIndex = Annotated[int, typer.Option(min=1, help="Number of the first patient.")]


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
    """
    from rich.progress import track

    from training.phantom.cohort import OutputFormat, write_cohort
    from training.phantom.host import AnatomyError, load_host
    from training.phantom.patient import PhantomOptions

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
        ),
        output_format=OutputFormat(output_format.value),
        first_index=first_index,
        hosts=hosts,
    )
    for _ in track(records, total=patients, description="Simulating patients"):
        pass
