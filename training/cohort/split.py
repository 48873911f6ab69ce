"""Division of patients into parts that does not change when patients are added."""

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


def in_validation(patient_id: str, *, fraction: float, salt: str = "ichnode") -> bool:
    """Return whether a patient belongs to the validation part.

    Decided by a hash of the identifier alone, so that every scan of a patient falls on the same
    side and nobody changes sides when the cohort grows.

    Raises
    ------
    ValueError
        If the fraction lies outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"A fraction lies in [0, 1], got {fraction}")
    digest = hashlib.sha256(f"{salt}/{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def divide(
    items: Iterable[_Item],
    *,
    patient_of: Callable[[_Item], str],
    fraction: float,
    salt: str = "ichnode",
) -> tuple[list[_Item], list[_Item]]:
    """Return the items of training patients and those of validation patients."""
    training: list[_Item] = []
    validation: list[_Item] = []
    for item in items:
        held_out = in_validation(patient_of(item), fraction=fraction, salt=salt)
        (validation if held_out else training).append(item)
    return training, validation
