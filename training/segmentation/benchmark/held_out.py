"""The scans that a benchmark is judged on."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.cohort.folder import Cohort, ScanFile
from training.cohort.patient_split import Part

#: Source of cases of `ichtrain phantom`, as `training.cohort.simulated` writes it.
SIMULATED = "simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Scans of patients that no contestant was trained on.

    Attributes
    ----------
    scans : tuple of ScanFile
        In the order of their identifiers.
    origin : str
        Where they come from, in words.

    Raises
    ------
    ValueError
        If there is none.
    """

    scans: tuple[ScanFile, ...]
    origin: str

    def __post_init__(self) -> None:
        if not self.scans:
            raise ValueError("No scan is held out: give --test, or a cohort with a test part")

    @property
    def patients(self) -> int:
        """How many patients there are."""
        return len({scan.patient_id for scan in self.scans})

    @property
    def kind(self) -> str:
        """Return whether the heads are real, for every table and figure."""
        simulated = sum(scan.source == SIMULATED for scan in self.scans)
        if simulated == len(self.scans):
            return "simulated heads"
        return "real heads" if not simulated else "simulated and real heads"

    def describe(self) -> str:
        """Return who was judged on, in words."""
        return f"{len(self.scans)} scans of {self.patients} patients, {self.kind} ({self.origin})"


def held_out_scans(
    cohort: Cohort, test: Cohort | None = None, *, limit: int | None = None
) -> HeldOut:
    """Return the scans to be judged on.

    All scans of a cohort of its own, if there is one; else the test part of the training
    cohort; where that is empty, its validation part, by which SLEX-Net chooses its best epoch:
    it is then judged a little too well, and the tables say where the scans come from.

    Parameters
    ----------
    cohort : Cohort
        What is trained on.
    test : Cohort, optional
        Another cohort, of other patients.
    limit : int, optional
        At most so many patients, the first ones by identifier.

    Raises
    ------
    ValueError
        If a patient of the test cohort is also in the training cohort, or nobody is left.
    """
    if test is not None:
        _check_strangers(cohort, test)
        return HeldOut(scans=_limited(test.scans, limit), origin=f"cohort {_names(test)}")
    part = Part.TEST if cohort.part(Part.TEST) else Part.VALIDATION
    return HeldOut(
        scans=_limited(cohort.part(part), limit), origin=f"{part} part of cohort {_names(cohort)}"
    )


def _check_strangers(cohort: Cohort, test: Cohort) -> None:
    ours = {scan.patient_id for scan in cohort.scans}
    both = sorted(ours & {scan.patient_id for scan in test.scans})
    if both:
        raise ValueError(f"{len(both)} test patients are also trained on, first {both[0]}")


def _limited(scans: Sequence[ScanFile], limit: int | None) -> tuple[ScanFile, ...]:
    kept = sorted({scan.patient_id for scan in scans})[:limit]
    return tuple(scan for scan in scans if scan.patient_id in set(kept))


def _names(cohort: Cohort) -> str:
    return ", ".join(folder.name for folder in cohort.folders)
