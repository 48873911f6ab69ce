"""Cross-validation by patient: who is tested, who decides when to stop, who is learnt from."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

#: Number of the fold that holds nobody out; its network is what is released.
EVERYBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One division of the patients.

    Attributes
    ----------
    number : int
        From 0; `EVERYBODY` where nobody is tested.
    learning, deciding, testing : tuple of str
        Patients that weights are fitted to, that stop the training, and that judge the result.

    Raises
    ------
    ValueError
        If a patient has two parts, or nobody is there to learn from or to decide.
    """

    number: int
    learning: tuple[str, ...]
    deciding: tuple[str, ...]
    testing: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = [set(part) for part in (self.learning, self.deciding, self.testing)]
        if sum(map(len, parts)) != len(set.union(*parts)):
            raise ValueError(f"Fold {self.number} has a patient in two parts")
        if not self.learning or not self.deciding:
            raise ValueError(f"Fold {self.number} needs patients to learn from and to decide")

    @property
    def name(self) -> str:
        """Name of the fold's folder."""
        return "all" if self.number == EVERYBODY else f"fold-{self.number}"


def make_folds(
    patients: Iterable[str], *, count: int | None, validation_share: float
) -> list[Fold]:
    """Return the folds of a cross-validation; every patient is tested once.

    A hash of the identifiers puts the patients in order, so that the same patients are always
    divided alike.

    Parameters
    ----------
    patients : iterable of str
        Identifiers.
    count : int or None
        Number of folds; None leaves out one patient at a time.
    validation_share : float
        Share of the remaining patients who decide when to stop, at least one.

    Raises
    ------
    ValueError
        If there are fewer patients than folds, or fewer than two folds.
    """
    ordered = sorted(set(patients), key=lambda one: _place(one, "folds"))
    number_of_folds = len(ordered) if count is None else count
    if not 2 <= number_of_folds <= len(ordered):  # noqa: PLR2004  one fold tests nobody's network
        raise ValueError(
            f"{len(ordered)} patients cannot be divided into {number_of_folds} folds of 2 or more"
        )
    return [
        _fold(number, ordered, ordered[number::number_of_folds], validation_share)
        for number in range(number_of_folds)
    ]


def everybody(patients: Iterable[str], *, validation_share: float) -> Fold:
    """Return the fold in which nobody is tested."""
    return _fold(EVERYBODY, sorted(set(patients)), [], validation_share)


def _fold(number: int, patients: list[str], testing: list[str], validation_share: float) -> Fold:
    others = sorted(set(patients) - set(testing), key=lambda one: _place(one, f"fold {number}"))
    deciding = others[: max(1, round(validation_share * len(others)))]
    return Fold(
        number=number,
        learning=tuple(sorted(set(others) - set(deciding))),
        deciding=tuple(sorted(deciding)),
        testing=tuple(sorted(testing)),
    )


def _place(patient_id: str, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}/{patient_id}".encode()).digest()
