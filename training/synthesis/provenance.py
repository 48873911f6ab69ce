"""Who is synthetic, and whom a synthetic image may meet: never validation, never test."""

import hashlib
from collections.abc import Iterable

from training.cohort.patient_split import Part, PatientSplit

#: Patient and case identifiers of synthetic images begin so, and only theirs.
SYNTHETIC_PREFIX = "synthetic-"

_SALT = "ichnode-synthesis/"


class SyntheticLeakError(ValueError):
    """A synthetic image, or what it was learnt from, would meet held-out patients."""


def is_synthetic(patient_id: str) -> bool:
    """Return whether an identifier is that of a synthetic image."""
    return patient_id.startswith(SYNTHETIC_PREFIX)


def fingerprint(patient_id: str) -> str:
    """Return a digest that lets a patient be recognised but not named."""
    return hashlib.sha256(f"{_SALT}{patient_id}".encode()).hexdigest()[:32]


def require_real(patients: Iterable[str], *, where: str) -> None:
    """Refuse synthetic patients where only real ones belong.

    Raises
    ------
    SyntheticLeakError
        If an identifier is that of a synthetic image.
    """
    found = [one for one in patients if is_synthetic(one)]
    if found:
        raise SyntheticLeakError(f"{len(found)} synthetic images in {where}, e.g. {found[0]}")


def require_unseen(
    held_out: Iterable[str], learnt: Iterable[str], *, where: str = "validation or test"
) -> None:
    """Refuse a generator that has learnt from patients who are held out.

    Parameters
    ----------
    held_out : iterable of str
        Identifiers of validation and test patients.
    learnt : iterable of str
        Fingerprints of the patients that the generator was trained on.

    Raises
    ------
    SyntheticLeakError
        If somebody is on both sides.
    """
    seen = set(learnt)
    both = sum(fingerprint(one) in seen for one in set(held_out))
    if both:
        raise SyntheticLeakError(
            f"The generator was trained on {both} patients who are now in {where}: its images "
            "would carry them into training. Train it on this split's training patients"
        )


def require_clean_split(split: PatientSplit, learnt: Iterable[str]) -> None:
    """Refuse a split whose held-out parts hold synthetic patients or teachers of the generator.

    Raises
    ------
    SyntheticLeakError
        See `require_real` and `require_unseen`.
    """
    teachers = set(learnt)
    for part in (Part.VALIDATION, Part.TEST):
        patients = split.patients(part)
        require_real(patients, where=str(part))
        require_unseen(patients, teachers, where=str(part))
