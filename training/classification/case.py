"""One case as the classifier's training sees it: the triplet, the outcome, the signs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction import HeLabel
from pipeline.slice_input import SliceInput
from pipeline.triplet import SliceTriplet
from pipeline.volume import HematomaMask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TripletCase:
    """A baseline scan's triplet with what became of the hematoma.

    Attributes
    ----------
    case_id : str
        Unique within a cohort; also the file name.
    patient_id : str
        Whom the scan shows; a split never parts the cases of one patient.
    label : HeLabel
        Whether the hematoma expanded until the follow-up scan.
    images_yx : tuple of ndarray of uint8
        The cropped slices, inferior to superior, each of its own size.
    signs : dict of str to float
        Signs of expansion in [0, 1] that somebody recorded; they help the network to learn
        what to look at. Empty if nobody did.
    cut : str
        How the slices were cut, from `cut_words`; empty if nobody wrote it down.
    masks_yx : tuple of ndarray of bool
        The hematoma on the pixels of each image; empty if it was not kept.

    Raises
    ------
    ValueError
        If there is no slice, a sign lies outside [0, 1], or masks do not fit the images.
    """

    case_id: str
    patient_id: str
    label: HeLabel
    images_yx: tuple[NDArray[np.uint8], ...]
    signs: dict[str, float] = field(default_factory=dict)
    cut: str = ""
    masks_yx: tuple[NDArray[np.bool_], ...] = ()

    def __post_init__(self) -> None:
        if not self.images_yx:
            raise ValueError(f"Case {self.case_id} has no slice")
        for name, value in self.signs.items():
            if not 0 <= value <= 1:
                raise ValueError(f"Sign {name} must lie in [0, 1], got {value}")
        shapes = [mask.shape for mask in self.masks_yx]
        if shapes and shapes != [image.shape for image in self.images_yx]:
            raise ValueError(f"Masks of {self.case_id} do not fit its images")


def cut_words(how: SliceInput) -> str:
    """Return the words by which a case says how its slices were cut."""
    return f"{how.roi} {how.margin_mm:g} mm"


def require_cut(cases: Iterable[TripletCase], how: SliceInput) -> None:
    """Refuse cases that were cut otherwise than a recipe or card says.

    Raises
    ------
    ValueError
        If a case says that it was.
    """
    wanted = cut_words(how)
    for case in cases:
        if case.cut and case.cut != wanted:
            raise ValueError(
                f"Case {case.case_id} was cut as {case.cut!r}, needed is {wanted!r}; "
                "cut the triplets with the same recipe"
            )


def images_of(triplet: SliceTriplet) -> tuple[NDArray[np.uint8], ...]:
    """Return the pictures of a triplet, inferior to superior."""
    return tuple(part.image_yx for part in triplet.slices)


def masks_of(triplet: SliceTriplet, mask: HematomaMask) -> tuple[NDArray[np.bool_], ...]:
    """Return the hematoma on the pixels of a triplet's pictures; empty if these are finer."""
    masks = tuple(
        mask.voxels_zyx[part.slice_index, part.roi.y0 : part.roi.y1, part.roi.x0 : part.roi.x1]
        for part in triplet.slices
    )
    fitting = all(
        one.shape == part.image_yx.shape for one, part in zip(masks, triplet.slices, strict=True)
    )
    return masks if fitting else ()


def save_case(folder: Path, case: TripletCase) -> Path:
    """Write a case to ``<folder>/<case_id>.npz``, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = case_path(folder, case.case_id)
    facts = json.dumps(
        {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "label": case.label.name,
            "signs": case.signs,
            "cut": case.cut,
        }
    )
    images = {f"image_{index}": image for index, image in enumerate(case.images_yx)}
    masks = {f"mask_{index}": mask for index, mask in enumerate(case.masks_yx)}
    partial = path.with_suffix(".part.npz")
    with partial.open("wb") as file:
        np.savez_compressed(file, facts=np.array(facts), allow_pickle=False, **images, **masks)
    partial.replace(path)
    return path


def case_path(folder: Path, case_id: str) -> Path:
    """Return where `save_case` puts a case."""
    return folder / f"{case_id}.npz"


def load_case(path: Path) -> TripletCase:
    """Return the case that `save_case` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        count = len([name for name in stored.files if name.startswith("image_")])
        return TripletCase(
            case_id=facts["case_id"],
            patient_id=facts["patient_id"],
            label=HeLabel[facts["label"]],
            images_yx=tuple(stored[f"image_{index}"] for index in range(count)),
            signs=facts["signs"],
            cut=facts.get("cut", ""),
            masks_yx=tuple(
                stored[f"mask_{index}"] for index in range(count) if f"mask_{index}" in stored
            ),
        )


def load_cases(folders: Iterable[Path]) -> list[TripletCase]:
    """Return all cases of some folders, sorted by identity.

    Raises
    ------
    ValueError
        If a case appears twice: one of the two could end up in another split.
    """
    paths = [path for folder in folders for path in folder.glob("*.npz")]
    cases = [load_case(path) for path in paths if not path.name.endswith(".part.npz")]
    cases.sort(key=lambda case: case.case_id)
    for before, after in pairwise(cases):
        if before.case_id == after.case_id:
            raise ValueError(f"Case {after.case_id} appears twice")
    return cases
