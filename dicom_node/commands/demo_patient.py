"""The simulated patient of the demonstration, and how typical it is."""

from pathlib import Path
from typing import Final

#: Seed of the patient that is shown unless another is asked for. Of the 30 whose seeds are 20001
#: to 20030 it is the one in the middle by the error of the volume; a test compares it with the
#: table in `TABLE`.
TYPICAL: Final = 20028

#: Where the volumes of all 30 stand beside the truth.
TABLE: Final = "docs/benchmark/demo_patients.md"


def simulator_options(output: Path, *, seed: int) -> list[str]:
    """Return what `ichtrain` is told, to write such a patient into a folder."""
    return [
        *("phantom", "--patients", "1", "--seed", str(seed), "--output", str(output)),
        *("--no-follow-up", "--slice-thickness", "5", "--extra-axial", "0"),
    ]


def how_typical(seed: int) -> str:
    """Return what a reader should know of a patient's numbers."""
    if seed == TYPICAL:
        return (
            "A typical patient: of 30 simulated ones half are measured better, half worse "
            f"({TABLE})."
        )
    return f"How 30 such patients were measured: {TABLE}."
