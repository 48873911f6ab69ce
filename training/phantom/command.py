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


def phantom(  # noqa: PLR0913, PLR0917 - one parameter for each option
    output: Annotated[Path, typer.Option(help="Folder of the cohort; made if absent.")],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed, the same heads.")] = 1,
    output_format: Annotated[
        Format, typer.Option("--format", help="How scans are written.")
    ] = Format.NIFTI,
    follow_up: Annotated[  # noqa: FBT002 - Typer makes the pair of flags from it
        bool, typer.Option("--follow-up/--no-follow-up", help="Take a second scan a day later.")
    ] = True,
    slice_thickness: Annotated[
        float | None, typer.Option(help="Slice thickness in mm; drawn if not given, mostly 5.")
    ] = None,
    tilt: Annotated[
        float | None, typer.Option(help="Gantry tilt in degrees; drawn if not given.")
    ] = None,
    no_hematoma: Annotated[
        float, typer.Option(min=0, max=1, help="Share of patients without a hematoma.")
    ] = 0.0,
    extra_axial: Annotated[
        float, typer.Option(min=0, max=1, help="Share of patients bleeding outside the brain.")
    ] = 0.06,
    anatomy: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            help="Real head without a bleeding (NIfTI file or folder of one DICOM series) to use "
            "instead of a simulated one. Repeat for several, which then take turns.",
        ),
    ] = None,
    first_index: Annotated[int, typer.Option(min=1, help="Number of the first patient.")] = 1,
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
    from training.phantom.host import load_host
    from training.phantom.patient import PhantomOptions

    options = PhantomOptions(
        slice_thickness_mm=slice_thickness,
        tilt_deg=tilt,
        follow_up=follow_up,
        no_hematoma_share=no_hematoma,
        extra_axial_share=extra_axial,
    )
    records = write_cohort(
        patients=patients,
        seed=seed,
        output=output,
        options=options,
        output_format=OutputFormat(output_format.value),
        first_index=first_index,
        hosts=[load_host(path) for path in anatomy or ()],
    )
    for _ in track(records, total=patients, description="Simulating patients"):
        pass
