"""The division of a cohort's patients into training, validation and test."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

#: Layout version of the file.
SPLIT_FORMAT = 1

#: A message names at most so many patients.
_NAMED = 5


class Part(StrEnum):
    """A part of a cohort. The values are stored; never rename one."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSplit:
    """Which patients are trained on, validated on and tested on.

    Attributes
    ----------
    train, validation, test : frozenset of str
        Patient identifiers.

    Raises
    ------
    ValueError
        If a patient is in two parts.
    """

    train: frozenset[str] = field(default_factory=frozenset)
    validation: frozenset[str] = field(default_factory=frozenset)
    test: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        pairs = (
            (Part.TRAIN, Part.VALIDATION),
            (Part.TRAIN, Part.TEST),
            (Part.VALIDATION, Part.TEST),
        )
        for one, other in pairs:
            both = sorted(self.patients(one) & self.patients(other))
            if both:
                more = f" and {len(both) - _NAMED} more" if len(both) > _NAMED else ""
                raise ValueError(
                    f"{len(both)} patients are in {one} and in {other}: "
                    f"{', '.join(both[:_NAMED])}{more}. Scans of one patient belong together"
                )

    def patients(self, part: Part) -> frozenset[str]:
        """Return the patients of one part."""
        return {Part.TRAIN: self.train, Part.VALIDATION: self.validation, Part.TEST: self.test}[
            part
        ]

    def part_of(self, patient_id: str) -> Part | None:
        """Return the part that a patient belongs to, None if to none."""
        return next((part for part in Part if patient_id in self.patients(part)), None)


def split_by_hash(
    patients: Iterable[str],
    *,
    validation: float,
    test: float,
    salt: str = "ichnode",
    known: PatientSplit | None = None,
) -> PatientSplit:
    """Return a split in which a hash of the identifier decides.

    Patients are divided as `training.cohort.split.in_validation` does it; the test part takes
    the other end of the hash. Patients of `known` keep their part, so that nobody changes sides
    when a cohort grows. A part that was wanted but stays empty takes the nearest patient, so
    that a small cohort can be validated on, too.

    Raises
    ------
    ValueError
        If a fraction lies outside [0, 1) or both together reach 1.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(f"Fractions must leave patients to train on, got {validation} and {test}")
    known = known or PatientSplit()
    ids = set(patients)
    parts: dict[Part, set[str]] = {part: ids & known.patients(part) for part in Part}
    shares = {one: _share(one, salt) for one in ids if known.part_of(one) is None}
    for one, share in shares.items():
        part = Part.VALIDATION if share < validation else Part.TRAIN
        parts[Part.TEST if share >= 1 - test else part].add(one)
    _fill(parts, Part.VALIDATION, shares, wanted=validation > 0)
    _fill(parts, Part.TEST, {one: 1 - share for one, share in shares.items()}, wanted=test > 0)
    return PatientSplit(**{part.value: frozenset(found) for part, found in parts.items()})


def write_split(path: Path, split: PatientSplit, *, how: str) -> None:
    """Write a split as JSON; `how` says who decided it."""
    content: dict[str, Any] = {"format": SPLIT_FORMAT, "how": how}
    content |= {part.value: sorted(split.patients(part)) for part in Part}
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)


def read_split(path: Path, *, aliases: Mapping[str, str] | None = None) -> PatientSplit:
    """Return the split in a JSON file with the lists ``train``, ``validation`` and ``test``.

    Parameters
    ----------
    path : Path
        The file; ``val`` is understood as ``validation``. Absent lists are empty.
    aliases : mapping of str to str, optional
        Patient identifier by any other name that the lists may use: that of a scan, or the
        original identifier of a patient who has a pseudonym.

    Raises
    ------
    ValueError
        If the file holds no such lists or a patient is on two sides.
    """
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004  a fault of the file, not of the program
            f'{path} must hold an object such as {{"train": [], "validation": []}}'
        )
    names = aliases or {}
    parts = {}
    for part in Part:
        listed = content.get(part.value, content.get("val", []) if part is Part.VALIDATION else [])
        if not isinstance(listed, list):
            raise ValueError(  # noqa: TRY004  likewise
                f"{path}: {part} must be a list of patients"
            )
        parts[part.value] = frozenset(names.get(str(one), str(one)) for one in listed)
    if not any(parts.values()):
        raise ValueError(f"{path} names no patient in train, validation or test")
    try:
        return PatientSplit(**parts)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _share(patient_id: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}/{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _fill(
    parts: dict[Part, set[str]], part: Part, distance: Mapping[str, float], *, wanted: bool
) -> None:
    """Move the nearest training patient into a part that is wanted and empty."""
    spare = parts[Part.TRAIN] & set(distance)
    if wanted and not parts[part] and spare and len(parts[Part.TRAIN]) > 1:
        nearest = min(spare, key=lambda one: (distance[one], one))
        parts[Part.TRAIN].remove(nearest)
        parts[part].add(nearest)
