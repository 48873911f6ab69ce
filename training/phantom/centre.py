"""The centres of a simulated study: who takes part where, and what their scans are like."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.phantom.scanner import ScannerHabits
from training.recipe_file import from_table, read_toml

#: Step of the sequence that spreads patients over centres: the golden section, whose multiples
#: fill the unit interval evenly, so that even a small cohort has the shares it should.
_SPREAD = (5**0.5 - 1) / 2

#: Characters that DICOM leaves for the texts (PS3.5, section 6.2: LO 64, SH 16), and for the
#: name after the word SIMULATED.
_LONGEST = {"name": 54, "manufacturer": 64, "model": 64, "kernel": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """One hospital.

    Attributes
    ----------
    name : str
        Short name, for tables.
    share : float
        Its part of the patients, against the other centres'.
    manufacturer, model, kernel : str
        What its scanner calls itself and its kernel; invented.
    log_odds : float
        What is added to the log odds of expansion of its patients.
    scanner : ScannerHabits
        How it takes scans.

    Raises
    ------
    ValueError
        If the name is empty, the share not positive, or a text too long for DICOM.
    """

    name: str
    share: float
    manufacturer: str
    model: str
    kernel: str
    log_odds: float = 0.0
    scanner: ScannerHabits = field(default_factory=ScannerHabits)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("A centre needs a name")
        for name, longest in _LONGEST.items():
            if len(getattr(self, name)) > longest:
                raise ValueError(f"{name} must have at most {longest} characters")
        if not self.share > 0:
            raise ValueError(f"share must be positive, got {self.share}")


#: What `--centres 3` means; config/training/centres.toml says the same.
CENTRES: tuple[Centre, ...] = (
    Centre(
        name="north",
        share=50,
        manufacturer="SIMULATED Boreal",
        model="Helix 64",
        kernel="HEAD-SMOOTH",
        scanner=ScannerHabits(
            thickness_mm=(5.0, 2.5),
            thickness_shares=(0.92, 0.08),
            upright_share=0.6,
            tilt_deg=(2.0, 20.0),
            pixel_mm=(0.44, 0.5),
            noise_hu=(2.2, 3.6),
            kernel_px=(0.8, 1.2),
        ),
    ),
    Centre(
        name="east",
        share=30,
        manufacturer="SIMULATED Orient",
        model="Spiral 16",
        kernel="HEAD-SHARP",
        log_odds=-0.25,
        scanner=ScannerHabits(
            thickness_mm=(5.0, 2.5, 1.25),
            thickness_shares=(0.8, 0.12, 0.08),
            upright_share=0.9,
            tilt_deg=(0.0, 12.0),
            pixel_mm=(0.42, 0.46),
            noise_hu=(3.4, 4.8),
            kernel_px=(0.5, 0.75),
            motion_share=0.06,
            head_rest_share=0.5,
        ),
    ),
    Centre(
        name="south",
        share=20,
        manufacturer="SIMULATED Austral",
        model="Axial 4",
        kernel="HEAD-STANDARD",
        log_odds=0.4,
        scanner=ScannerHabits(
            thickness_mm=(5.0, 7.0),
            thickness_shares=(0.95, 0.05),
            upright_share=0.2,
            tilt_deg=(8.0, 22.0),
            pixel_mm=(0.46, 0.5),
            noise_hu=(3.0, 5.4),
            kernel_px=(1.05, 1.5),
            motion_share=0.18,
            head_rest_share=0.95,
        ),
    ),
)


def centres_of(text: str) -> tuple[Centre, ...]:
    """Return so many of the built-in centres, or those of a TOML file.

    Raises
    ------
    ValueError
        If the number is none that there are, or the file faulty.
    OSError
        If there is no such file.
    """
    if not text.isdecimal():
        return read_centres(Path(text))
    if not 1 <= int(text) <= len(CENTRES):
        raise ValueError(
            f"There are 1 to {len(CENTRES)} built-in centres, got {text}; a file may list others"
        )
    return CENTRES[: int(text)]


def read_centres(path: Path) -> tuple[Centre, ...]:
    """Return the centres that a TOML file lists as tables ``[[centres]]``.

    Raises
    ------
    ValueError
        If the file is no TOML, lists no centre or one name twice, or a key or value is wrong.
    """
    content = read_toml(path)
    tables = content.get("centres")
    if set(content) != {"centres"} or not isinstance(tables, list) or not tables:
        raise ValueError(f"{path} must list tables [[centres]] and nothing else")
    centres = tuple(
        _centre(table, where=f"{path}, centre {number}")
        for number, table in enumerate(tables, start=1)
    )
    names = [centre.name for centre in centres]
    if len(set(names)) < len(names):
        raise ValueError(f"{path} names a centre twice: {', '.join(names)}")
    return centres


def centre_of(centres: Sequence[Centre], *, seed: int, index: int) -> Centre:
    """Return the centre of patient number `index` of the cohort `seed`.

    The same numbers give the same centre, however many patients there are.
    """
    start = float(np.random.default_rng([seed, len(centres)]).random())
    place = (start + index * _SPREAD) % 1.0
    edges = np.cumsum([centre.share for centre in centres]) / sum(one.share for one in centres)
    return centres[min(int(np.searchsorted(edges, place, side="right")), len(centres) - 1)]


def _centre(table: Any, *, where: str) -> Centre:  # noqa: ANN401  as TOML has it
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table")  # noqa: TRY004  a fault of the file
    content = dict(table)
    if "scanner" in content:
        content["scanner"] = from_table(
            ScannerHabits, content["scanner"], where=f"{where}, [scanner]"
        )
    return from_table(Centre, content, where=where)
