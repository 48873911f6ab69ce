"""The augmented set: enough synthetic HE slices for a wanted ratio, each marked as such."""

import csv
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classification.transform import to_batch
from pipeline.prediction import HeLabel
from training.classification.case import TripletCase, case_path, load_case, save_case
from training.classification.split import Split
from training.cohort.patient_split import Part, PatientSplit
from training.synthesis.drawing import DrawingOptions, draw
from training.synthesis.generator import Generator
from training.synthesis.learning_slices import read_learning_slices
from training.synthesis.matching import look_alikes, match_grey_levels, native_grey
from training.synthesis.provenance import (
    SYNTHETIC_PREFIX,
    is_synthetic,
    require_clean_split,
    require_real,
    require_unseen,
)
from training.synthesis.sample_sheet import to_grey, write_sheet
from training.synthesis.triplet_files import TripletFile, of_part

MANIFEST, IMAGE_LIST, SHEET = "manifest.json", "images.csv", "sheet.png"

#: Layout version of the manifest.
MANIFEST_FORMAT = 1

#: Seeds of two base seeds do not meet below so many images.
_SEED_STRIDE = 1_000_000

_DRAWS_FOLDER = "draws"

#: Images on the sheet, and pixels of each side there.
_SHEET_IMAGES, _SHEET_SIZE = 32, 128

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Expanding to not expanding, e.g. 1:2.

    Raises
    ------
    ValueError
        If a side is not positive.
    """

    he: int
    nhe: int

    def __post_init__(self) -> None:
        if self.he < 1 or self.nhe < 1:
            raise ValueError(f"A ratio is of positive numbers, got {self.he}:{self.nhe}")

    def __str__(self) -> str:
        return f"{self.he}:{self.nhe}"

    def missing(self, *, he: int, nhe: int) -> int:
        """Return how many HE slices are missing to the ratio.

        Raises
        ------
        ValueError
            If none is.
        """
        missing = math.ceil(nhe * self.he / self.nhe) - he
        if missing < 1:
            raise ValueError(f"{he} HE and {nhe} NHE slices are {self} already")
        return missing


def parse_ratio(text: str) -> Ratio:
    """Return the ratio in a text such as ``1:2``.

    Raises
    ------
    ValueError
        If it is none.
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):  # noqa: PLR2004  two sides
        raise ValueError(f"A ratio is written like 1:2, got {text!r}")
    return Ratio(he=int(parts[0]), nhe=int(parts[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an augmented set is.

    Attributes
    ----------
    ratio : str
        That the set has together with the real slices.
    real_he, real_nhe, synthetic_he : int
        Slices; the real ones are those of the training patients.
    generator, generator_sha256 : str
        Name and identity of the generator.
    learnt_from : tuple of str
        Fingerprints of the generator's training patients; none of them may be held out.
    sampler : str
        How it was drawn.
    steps : int or None
        None: the sampler's usual number.
    guidance : float
        See `DrawingOptions`.
    seed : int
        Base of the images' seeds.
    grain : bool
        Whether grain was added (`training.synthesis.grain`).
    """

    ratio: str
    real_he: int
    real_nhe: int
    synthetic_he: int
    generator: str
    generator_sha256: str
    learnt_from: tuple[str, ...]
    sampler: str
    steps: int | None
    guidance: float
    seed: int
    grain: bool = False


def write_augmented_set(  # noqa: PLR0913  what, from whom, how, where to
    generator: Generator,
    triplets: Sequence[TripletFile],
    split: PatientSplit,
    *,
    ratio: Ratio,
    output: Path,
    options: DrawingOptions,
    seed: int = 0,
    grain: bool = True,
    batch_size: int = 16,
    on_progress: OnProgress = lambda *_: None,
) -> Manifest:
    """Write the synthetic slices that bring the training patients to a ratio.

    Every image is a case of its own in the files of `training.classification.case`, as real
    triplets are, of the size and the grey levels of real slices. ``manifest.json`` and
    ``images.csv`` mark each as synthetic. Interrupted, the same call goes
    on; finished, it does nothing.

    Raises
    ------
    ValueError
        If the ratio is reached already, or the folder holds another set.
    SyntheticLeakError
        If the generator has learnt from somebody whom the split holds out.
    """
    require_clean_split(split, generator.card.learnt_from)
    training = of_part(triplets, split, Part.TRAIN)
    counts = {
        label: sum(one.slices for one in training if one.label is label) for label in HeLabel
    }
    real_he, real_nhe = counts[HeLabel.HE], counts[HeLabel.NHE]
    manifest = Manifest(
        ratio=str(ratio),
        real_he=real_he,
        real_nhe=real_nhe,
        synthetic_he=ratio.missing(he=real_he, nhe=real_nhe),
        generator=generator.card.name,
        generator_sha256=generator.card.weights_sha256,
        learnt_from=generator.card.learnt_from,
        sampler=str(options.sampler),
        steps=options.steps,
        guidance=options.guidance,
        seed=seed,
        grain=grain,
    )
    _claim(output, manifest)
    if (output / IMAGE_LIST).exists():
        return manifest
    seeds = [seed * _SEED_STRIDE + number for number in range(manifest.synthetic_he)]
    images = _drawn(
        generator, seeds, output / _DRAWS_FOLDER, options, batch_size=batch_size, told=on_progress
    )
    slices = read_learning_slices(triplets, split, image_size=generator.card.image_size)
    learnt = [one for one in training if one.label is HeLabel.HE]
    real = [image for one in learnt for image in one.images_yx()]
    alike = [real[place] for place in look_alikes(images, slices, seeds=seeds)]
    grey = match_grey_levels(native_grey(images, alike, seeds=seeds, grain=grain), real)
    _write_images(output, manifest, seeds, grey, cut=_cut_of(learnt))
    shown = to_batch(grey[:_SHEET_IMAGES], input_size=_SHEET_SIZE)
    write_sheet(output / SHEET, list(to_grey(shown)))
    for path in (output / _DRAWS_FOLDER).iterdir():
        path.unlink()
    (output / _DRAWS_FOLDER).rmdir()
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an augmented set.

    Raises
    ------
    ValueError
        If there is none or it is of another format.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise ValueError(f"{folder} is no augmented set: {MANIFEST} is missing")
    content = json.loads(path.read_text())
    if (
        content.pop("format", None) != MANIFEST_FORMAT
        or content.pop("synthetic", None) is not True
    ):
        raise ValueError(f"{path} is not of format {MANIFEST_FORMAT}")
    content["learnt_from"] = tuple(content["learnt_from"])
    return Manifest(**content)


def read_synthetic_cases(folder: Path) -> list[TripletCase]:
    """Return the cases of a finished augmented set, each as its list says.

    Raises
    ------
    ValueError
        If the set is unfinished, or an image is not the one that was written.
    """
    manifest = read_manifest(folder)
    path = folder / IMAGE_LIST
    rows = []
    if path.exists():
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    if len(rows) != manifest.synthetic_he:
        raise ValueError(
            f"{folder} has {len(rows)} of {manifest.synthetic_he} images; "
            "the same `ichtrain synthesis sample` goes on"
        )
    cases = []
    for row in rows:
        case = load_case(case_path(folder, row["case_id"]))
        if not is_synthetic(case.patient_id) or _digest(case.images_yx[0]) != row["image_sha256"]:
            raise ValueError(f"{row['case_id']} in {folder} is not the image that was written")
        cases.append(case)
    return cases


def with_synthetic(split: Split, folder: Path) -> Split:
    """Return a classifier's split whose training side holds the synthetic cases, too.

    Raises
    ------
    SyntheticLeakError
        If a patient of the validation side has taught the generator, or a synthetic image is
        there already.
    """
    held_out = [case.patient_id for case in split.validation]
    require_real(held_out, where="validation")
    require_unseen(held_out, read_manifest(folder).learnt_from, where="validation")
    return Split(
        training=(*split.training, *read_synthetic_cases(folder)), validation=split.validation
    )


def _claim(output: Path, manifest: Manifest) -> None:
    """Write the manifest, or make sure that it is the one that is there."""
    output.mkdir(parents=True, exist_ok=True)
    if (output / MANIFEST).exists():
        if read_manifest(output) != manifest:
            raise ValueError(f"{output} holds another set; give another folder")
        return
    content = {"format": MANIFEST_FORMAT, "synthetic": True, **dataclasses.asdict(manifest)}
    partial = output / f"{MANIFEST}.part"
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(output / MANIFEST)


def _drawn(
    generator: Generator,
    seeds: Sequence[int],
    folder: Path,
    options: DrawingOptions,
    *,
    batch_size: int,
    told: OnProgress,
) -> torch.Tensor:
    """Return the images of some seeds; those that lie in the folder are not drawn again."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{seed}.npy" for seed in seeds]
    waiting = [number for number, path in enumerate(paths) if not path.exists()]
    for first in range(0, len(waiting), batch_size):
        chosen = waiting[first : first + batch_size]
        images = draw(generator, [seeds[number] for number in chosen], options=options)
        for number, image in zip(chosen, images.numpy(), strict=True):
            partial = paths[number].with_suffix(".part")
            with partial.open("wb") as stream:
                np.save(stream, image)
            partial.replace(paths[number])
        told(len(seeds) - len(waiting) + first + len(chosen), len(seeds))
    return torch.from_numpy(np.stack([np.load(path) for path in paths]))


def _cut_of(learnt: Sequence[TripletFile]) -> str:
    """Return how the learnt slices were cut: a synthetic one shows as much around the lesion."""
    cuts = {one.cut for one in learnt}
    if len(cuts) > 1:
        raise ValueError(f"Triplets of one cut are needed, got {sorted(cuts)}")
    return cuts.pop()


def _write_images(
    output: Path,
    manifest: Manifest,
    seeds: Sequence[int],
    grey: Sequence[NDArray[np.uint8]],
    *,
    cut: str,
) -> None:
    rows = []
    for seed, image in zip(seeds, grey, strict=True):
        identity = f"{SYNTHETIC_PREFIX}{manifest.generator_sha256[:8]}-{seed:08d}"
        path = save_case(
            output,
            TripletCase(
                case_id=identity,
                patient_id=identity,
                label=HeLabel.HE,
                images_yx=(image,),
                cut=cut,
            ),
        )
        rows.append(
            {
                "case_id": identity,
                "file": path.name,
                "synthetic": "yes",
                "label": HeLabel.HE.name,
                "seed": seed,
                "generator_sha256": manifest.generator_sha256,
                "rows": image.shape[0],
                "columns": image.shape[1],
                "image_sha256": _digest(image),
            }
        )
    partial = output / f"{IMAGE_LIST}.part"
    with partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(output / IMAGE_LIST)


def _digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
